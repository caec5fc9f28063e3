//! XPENDING.

use super::id;
use super::long_pending::list_in_slices;
use super::sources::no_group;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group as CommandGroup, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_value::stream::{Group, Pending, Stream, StreamId};
use std::ops::RangeInclusive;

/// What is pending.
pub(super) static XPENDING: Command = Command {
    name: "XPENDING",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Which entries a consumer group has read and not acknowledged: a summary, or those in a \
              range of ids.",
    complexity: "O(log(P)+M) for M entries returned of P pending ones, and O(C) for the summary with C \
                 consumers; those that were idle too short are passed over.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::string("group"),
        Arg::block(
            "filters",
            &[
                Arg::integer("min-idle-time").token("IDLE").since("6.2.0").optional(),
                Arg::string("start"),
                Arg::string("end"),
                Arg::integer("count"),
                Arg::string("consumer").optional(),
            ],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "`IDLE` and exclusive ranges.")],
    handler: Handler::Keyed(xpending),
    slices: Some(list_in_slices),
    ..Command::BASE
};

/// Which pending entries to list.
pub(super) struct Filter<'a> {
    idle_min_ms: i64,
    pub(super) ids: RangeInclusive<StreamId>,
    pub(super) count: usize,
    consumer_name: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// The filter in the arguments; `None` when a summary is asked for.
    pub(super) fn parse(call: &Call<'a>) -> Result<Option<Self>, ReplyError> {
        let args_len = call.args.len();
        if args_len == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args_len) {
            return Err(ReplyError::Syntax);
        }
        let mut at = 3;
        let mut idle_min_ms = 0;
        if call.is_word(3, "IDLE") {
            idle_min_ms = call.integer(4)?;
            if args_len < 8 {
                return Err(ReplyError::Syntax);
            }
            at += 2;
        }
        let count = usize::try_from(call.integer(at + 2)?).unwrap_or(0);
        let ids = id::parse_range(call.args.at(at), call.args.at(at + 1))?;
        Ok(Some(Self { idle_min_ms, ids, count, consumer_name: call.args.get(at + 3) }))
    }

    /// What is to be looked at of what is pending in `group`, from `start` on.
    pub(super) fn listed<'g>(
        &self,
        group: &'g Group,
        start: StreamId,
    ) -> impl Iterator<Item = (StreamId, &'g Pending)> + use<'g> {
        let ids = start..=*self.ids.end();
        let (of_group, of_consumer) = match self.consumer_name {
            None => (Some(group.pending_in(ids)), None),
            Some(name) => {
                let consumer = group.consumer_number(name);
                (None, consumer.map(|number| group.consumer(number).pending_in(ids)))
            }
        };
        let of_consumer = of_consumer.into_iter().flatten();
        let of_consumer = of_consumer.filter_map(|id| Some((id, group.pending(id)?)));
        of_group.into_iter().flatten().chain(of_consumer)
    }

    /// How many entries may have to be looked at.
    fn listed_max(&self, group: &Group) -> usize {
        let pending = match self.consumer_name {
            None => group.pending_len(),
            Some(name) => {
                let consumer = group.consumer_number(name);
                consumer.map_or(0, |number| group.consumer(number).pending_len())
            }
        };
        if self.idle_min_ms == 0 { pending.min(self.count) } else { pending }
    }

    /// Whether an entry was idle for long enough.
    pub(super) const fn admits(&self, pending: &Pending, now_ms: i64) -> bool {
        self.idle_min_ms == 0 || now_ms.saturating_sub(pending.delivered_at_ms) >= self.idle_min_ms
    }
}

fn xpending(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let filter = Filter::parse(call)?;
    let key = call.key(1);
    let group_name = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.read_collection::<Stream>(&key)?;
    let Some(group) = stream.and_then(|stream| stream.group(group_name)) else {
        return Err(no_group(key.bytes, group_name, ""));
    };
    match filter {
        None => write_summary(&mut call.reply, group),
        Some(filter) => {
            call.in_one_piece(filter.listed_max(group))?;
            let now_ms = call.time_of_day().0;
            write_list(&mut call.reply, group, &filter, now_ms);
        }
    }
    Ok(())
}

fn write_summary(reply: &mut ReplyWriter<'_>, group: &Group) {
    reply.array(4);
    reply.integer(group.pending_len().cast_signed() as i64);
    let mut ids = group.pending_in(StreamId::MIN..=StreamId::MAX).map(|(id, _)| id);
    let (first, last) = (ids.next(), ids.next_back());
    let Some(first) = first else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    id::write(reply, first);
    id::write(reply, last.unwrap_or(first));
    let deferred = reply.begin_deferred();
    let mut written = 0;
    for consumer in group.consumers().filter(|consumer| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len().cast_signed() as i64);
        written += 1;
    }
    reply.end_array(deferred, written);
}

fn write_list(reply: &mut ReplyWriter<'_>, group: &Group, filter: &Filter<'_>, now_ms: i64) {
    let deferred = reply.begin_deferred();
    let mut written = 0;
    if filter.count > 0 {
        for (id, pending) in filter.listed(group, *filter.ids.start()) {
            if filter.admits(pending, now_ms) {
                write_pending(reply, group, id, pending, now_ms);
                written += 1;
            }
            if written == filter.count {
                break;
            }
        }
    }
    reply.end_array(deferred, written);
}

pub(super) fn write_pending(
    reply: &mut ReplyWriter<'_>,
    group: &Group,
    id: StreamId,
    pending: &Pending,
    now_ms: i64,
) {
    reply.array(4);
    id::write(reply, id);
    reply.bulk(group.consumer(pending.consumer).name());
    let idle_ms = now_ms.saturating_sub(pending.delivered_at_ms).max(0);
    reply.integer(if group.is_unowned(pending) { -1 } else { idle_ms });
    reply.integer(pending.deliveries.cast_signed());
}
