//! XCLAIM.

use super::effects::GroupEdit;
use super::group::note_consumer;
use super::id;
use super::reply::write_entry;
use super::sources::no_group;
use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group as CommandGroup, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView, until_nul,
};
use darter_resp::ReplyWriter;
use darter_shard::Edit;
use darter_value::stream::{Entry, Group, Pending, Stream, StreamId};

/// Takes over pending entries.
pub(super) static XCLAIM: Command = Command {
    name: "XCLAIM",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Hands pending entries to another consumer of the group, as if they were delivered to it.",
    complexity: "O(log(P)) for each id, with P pending ones.",
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("id").multiple(),
        Arg::integer("ms").token("IDLE").optional(),
        Arg::unix_time("unix-time-milliseconds").token("TIME").optional(),
        Arg::integer("count").token("RETRYCOUNT").optional(),
        Arg::word("force", "FORCE").optional(),
        Arg::word("justid", "JUSTID").optional(),
        Arg::string("lastid").token("LASTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(xclaim),
    ..Command::BASE
};

/// What is claimed, and how it is recorded.
pub(super) struct Claim<'a> {
    pub(super) consumer_name: &'a [u8],
    /// Entries delivered later than so long ago are left alone; 0: none are.
    pub(super) idle_min_ms: i64,
    pub(super) delivered_at_ms: i64,
    pub(super) deliveries: Option<u64>,
    /// Entries that are not pending are claimed too.
    pub(super) force: bool,
    pub(super) only_ids: bool,
    pub(super) now_ms: i64,
}

/// What claiming an id did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It is the consumer's now, and was written.
    Taken,
    /// It was pending, but the entry is gone: it is pending no more.
    Gone,
    /// Nothing.
    Left,
}

/// Everything after the consumer's name.
struct Options {
    ids: Vec<StreamId>,
    idle_min_ms: i64,
    delivered_at_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    only_ids: bool,
    last_id: StreamId,
}

/// The smallest idle time at argument `index`; negative ones are 0.
pub(super) fn parse_idle(call: &Call<'_>, index: usize) -> Result<i64, ReplyError> {
    match parse_i64(call.args.at(index)) {
        Some(idle) => Ok(idle.max(0)),
        None => Err(ReplyError::Message(format!(
            "ERR Invalid min-idle-time argument for {}",
            call.command.name
        ))),
    }
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let idle_min_ms = parse_idle(call, 4)?;
        let args_len = call.args.len();
        let mut ids = Vec::with_capacity(args_len - 5);
        let mut index = 5;
        // Options begin where ids end.
        while index < args_len
            && let Ok(id) = id::parse(call.args.at(index), 0)
        {
            ids.push(id);
            index += 1;
        }
        let now_ms = call.time_of_day().0;
        let mut options = Self {
            ids,
            idle_min_ms,
            delivered_at_ms: -1,
            deliveries: None,
            force: false,
            only_ids: false,
            last_id: StreamId::MIN,
        };
        let number = |index: usize, error: &'static str| {
            parse_i64(call.args.at(index)).ok_or(ReplyError::Text(error))
        };
        while index < args_len {
            let has_operand = index + 1 < args_len;
            if call.is_word(index, "FORCE") {
                options.force = true;
            } else if call.is_word(index, "JUSTID") {
                options.only_ids = true;
            } else if call.is_word(index, "IDLE") && has_operand {
                index += 1;
                let idle = number(index, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_at_ms = now_ms.saturating_sub(idle);
            } else if call.is_word(index, "TIME") && has_operand {
                index += 1;
                options.delivered_at_ms =
                    number(index, "ERR Invalid TIME option argument for XCLAIM")?;
            } else if call.is_word(index, "RETRYCOUNT") && has_operand {
                index += 1;
                let count = number(index, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if call.is_word(index, "LASTID") && has_operand {
                index += 1;
                options.last_id = id::parse(call.args.at(index), 0)?;
            } else {
                let option = until_nul(call.args.at(index));
                return Err(ReplyError::Line(
                    [b"ERR Unrecognized XCLAIM option '".as_slice(), option, b"'"].concat(),
                ));
            }
            index += 1;
        }
        // A delivery in the future, or before there was time, is one now.
        if !(0..=now_ms).contains(&options.delivered_at_ms) {
            options.delivered_at_ms = now_ms;
        }
        Ok(options)
    }
}

fn xclaim(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let group_name = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.peek_collection::<Stream>(&key)?;
    if stream.and_then(|stream| stream.group(group_name)).is_none() {
        return Err(no_group(key.bytes, group_name, ""));
    }
    let options = Options::parse(call)?;
    let claim = Claim {
        consumer_name: call.args.at(3),
        idle_min_ms: options.idle_min_ms,
        delivered_at_ms: options.delivered_at_ms,
        deliveries: options.deliveries,
        force: options.force,
        only_ids: options.only_ids,
        now_ms: call.time_of_day().0,
    };
    let mut edit = GroupEdit::new(call);
    let reply = &mut call.reply;
    if !claim.gives_back() {
        note_consumer(&mut keyspace, &key, group_name, claim.consumer_name);
    }
    let changes = keyspace.edit(&key, |stream: &mut Stream| {
        let changes = stream.edit_group(group_name, |group, log| {
            let mut changes = 0;
            if options.last_id > group.last_id {
                group.last_id = options.last_id;
                edit.note_position(group);
                changes += 1;
            }
            let (consumer, added) = claim.consumer(group);
            edit.is_consumer_new = added;
            changes += u64::from(added);
            let deferred = reply.begin_deferred();
            let mut taken = 0;
            let mut entries = log.lookup();
            for id in &options.ids {
                let claimed = claim.take(group, consumer, entries.find(*id), *id, reply);
                match claimed {
                    Claimed::Taken => edit.note_pending(group, *id),
                    Claimed::Gone => edit.note_acknowledged(*id),
                    Claimed::Left => {}
                }
                taken += usize::from(claimed == Claimed::Taken);
                changes += u64::from(claimed != Claimed::Left);
            }
            reply.end_array(deferred, taken);
            changes
        });
        let changes = changes.unwrap_or(0);
        Edit::counted(changes, changes)
    })?;
    if changes > Some(0) {
        edit.leave(call, key.bytes, group_name, claim.consumer_name, claim.delivered_at_ms);
    }
    Ok(())
}

impl Claim<'_> {
    /// Whether it is what XNACK leaves in the log: entries were given back.
    pub(super) const fn gives_back(&self) -> bool {
        self.consumer_name.is_empty() && self.delivered_at_ms == 0 && self.force && self.only_ids
    }

    /// The number of the consumer, who is added if not there, and whether it was added.
    pub(super) fn consumer(&self, group: &mut Group) -> (u32, bool) {
        if self.gives_back() {
            return (group.nobody(), false);
        }
        let (consumer, added) = group.add_consumer(self.consumer_name, self.now_ms);
        group.consumer_mut(consumer).seen_at_ms = self.now_ms;
        (consumer, added)
    }

    /// What claiming an entry that is pending would do.
    pub(super) fn look(&self, pending: &Pending, entry: Option<Entry<'_>>) -> Claimed {
        if entry.is_none() {
            return Claimed::Gone;
        }
        let idle_ms = self.now_ms - pending.delivered_at_ms;
        let short = self.idle_min_ms > 0 && idle_ms < self.idle_min_ms;
        if short { Claimed::Left } else { Claimed::Taken }
    }

    /// Claims `id`, whose `entry` this is, for the consumer with this number, and writes the entry, or its id.
    pub(super) fn take(
        &self,
        group: &mut Group,
        consumer: u32,
        entry: Option<Entry<'_>>,
        id: StreamId,
        reply: &mut ReplyWriter<'_>,
    ) -> Claimed {
        let pending = group.pending(id).copied();
        let Some(entry) = entry else {
            return if group.acknowledge(id) { Claimed::Gone } else { Claimed::Left };
        };
        let may_be_taken = match &pending {
            None => self.force,
            Some(pending) => self.look(pending, Some(entry)) == Claimed::Taken,
        };
        if !may_be_taken {
            return Claimed::Left;
        }
        self.deliver(group, consumer, &entry, pending, reply);
        Claimed::Taken
    }

    /// Makes an entry pending with the consumer of this number, whatever it was before, and writes it, or its id.
    pub(super) fn deliver(
        &self,
        group: &mut Group,
        consumer: u32,
        entry: &Entry<'_>,
        before: Option<Pending>,
        reply: &mut ReplyWriter<'_>,
    ) {
        // Forcing makes it pending with one delivery first.
        let deliveries = match self.deliveries {
            Some(deliveries) => deliveries,
            None if self.only_ids => before.map_or(1, |pending| pending.deliveries),
            None => before.map_or(2, |pending| pending.deliveries_after_one_more()),
        };
        let delivered_at_ms = self.delivered_at_ms;
        group.set_pending(entry.id(), Pending { consumer, delivered_at_ms, deliveries });
        if self.only_ids {
            id::write(reply, entry.id());
        } else {
            write_entry(reply, entry);
        }
        group.consumer_mut(consumer).active_at_ms = Some(self.now_ms);
    }
}
