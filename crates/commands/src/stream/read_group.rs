//! XREADGROUP.

use super::due::Due;
use super::effects::GroupEdit;
use super::group::note_consumer;
use super::id;
use super::long_group::{self, CHANGED_IN_ONE_PIECE_MAX};
use super::long_read_group::read_in_slices;
use super::read::Results;
use super::reply::{Delivered, write_delivered, write_entry};
use super::sources::{Request, each_key, keys_from, may_block, no_group, parse_after, with_stream};
use darter_command_table::{
    Arg, Arity, Call, Category, Command, ELEMENTS_IN_ONE_PIECE, Flags, Group as CommandGroup,
    Handler, ReplyError, ReplyResult, ShardView, Waits,
};
use darter_resp::ReplyWriter;
use darter_shard::Edit;
use darter_value::stream::{Group, Log, Pending, Stream, StreamId};

/// Entries for a consumer of a group.
pub(super) static XREADGROUP: Command = Command {
    name: "XREADGROUP",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Entries of one or several streams that a consumer group has not read yet, or those \
              pending with the consumer.",
    complexity: "O(M log(P)) for M entries returned, with P pending ones, and O(log(N)) for each \
                 stream of N nodes.",
    arity: Arity::AtLeast(7),
    flags: Flags::WRITE.and(Flags::BLOCKING),
    acl: Category::STREAM,
    keys: &[keys_from(4)],
    exact_keys: Some(each_key),
    args: &[
        Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).token("GROUP"),
        Arg::integer("count").token("COUNT").optional(),
        Arg::integer("milliseconds").token("BLOCK").optional(),
        Arg::integer("min-idle-time").token("CLAIM").optional(),
        Arg::word("noack", "NOACK").optional(),
        Arg::block("streams", &[Arg::key("key").multiple(), Arg::string("id").multiple()])
            .token("STREAMS"),
    ],
    history: &[("8.4.0", "`CLAIM`.")],
    // What was read is pending with the consumer, whoever hears of it; without acknowledgement it is
    // read at most once.
    waits: Some(Waits { when: may_block, give_back: None }),
    handler: Handler::Keyed(xreadgroup),
    slices: Some(read_in_slices),
    ..Command::BASE
};

/// What is asked of a stream.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    /// `>`: what the group has not read.
    New,
    /// What is pending with the consumer behind this id.
    History(StreamId),
}

/// Who reads, and how.
struct Reading<'a> {
    consumer_name: &'a [u8],
    wanted: Wanted,
    count: usize,
    no_ack: bool,
    now_ms: i64,
    /// What is claimed, if anything is.
    due: Option<Due>,
}

fn xreadgroup(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let request = Request::parse(call, true)?;
    let Some((group_name, consumer_name)) = request.group else { return Err(ReplyError::Syntax) };
    let mut wanted = Vec::new();
    for index in 0..request.len {
        let key = request.key(call, index);
        if call.passes_over(view, &key) {
            wanted.push(None);
            continue;
        }
        let text = request.id(call, index);
        wanted.push(Some(with_stream(call, view, &key, |stream| {
            let found = stream.and_then(|stream| Some((stream.log(), stream.group(group_name)?)));
            let (log, group) = found.ok_or_else(|| no_group_to_read(key.bytes, group_name))?;
            let wanted = parse_wanted(text)?;
            if request.len == 1 {
                in_one_piece(call, &request, wanted, group, log)?;
            }
            Ok(wanted)
        })?));
    }
    let mut results = Results::default();
    // In how many milliseconds there may be something to be claimed.
    let mut next_in_ms = None;
    for (index, wanted) in wanted.into_iter().enumerate() {
        let Some(wanted) = wanted else { continue };
        let key = request.key(call, index);
        let mut keyspace = call.keyspace(view, &key);
        let now_ms = call.time_of_day().0;
        let due = match wanted {
            Wanted::New => due_of(call, &request),
            Wanted::History(_) => None,
        };
        let (count, no_ack) = (request.count, request.no_ack);
        let reading = Reading { consumer_name, wanted, count, no_ack, now_ms, due };
        let mut edit = GroupEdit::new(call);
        let (reply, results) = (&mut call.reply, &mut results);
        note_consumer(&mut keyspace, &key, group_name, consumer_name);
        let changed = keyspace.edit(&key, |stream: &mut Stream| {
            let changed = stream.edit_group(group_name, |group, log| {
                let changed = reading.run(group, log, reply, || key.bytes, results, &mut edit);
                if let Some(due) = due.filter(|_| results.is_empty()) {
                    let in_ms = due.next_in_ms(group, log);
                    next_in_ms = Some(next_in_ms.map_or(in_ms, |before: i64| before.min(in_ms)));
                }
                changed
            });
            let changed = changed.unwrap_or(false);
            Edit::counted(u64::from(changed), changed)
        })?;
        if changed == Some(true) {
            edit.leave(call, key.bytes, group_name, consumer_name, now_ms);
        }
    }
    if !results.finish(&mut call.reply) {
        let again_at = next_in_ms.and_then(|in_ms| call.now.checked_add(in_ms));
        request.wait_or_null(call, true, again_at, Vec::new);
    }
    Ok(())
}

/// The error about a group that is not there to be read in.
pub(super) fn no_group_to_read(key: &[u8], group_name: &[u8]) -> ReplyError {
    no_group(key, group_name, " in XREADGROUP with GROUP option")
}

/// Leaves the command to its slices if it would read very many entries.
fn in_one_piece(
    call: &Call<'_>,
    request: &Request<'_>,
    wanted: Wanted,
    group: &Group,
    log: &Log,
) -> Result<(), ReplyError> {
    let count = if request.count == 0 { usize::MAX } else { request.count };
    match wanted {
        Wanted::New => {
            if let Some(due) = due_of(call, request) {
                claim_in_one_piece(call, due, count, group, log)?;
            }
            let len = usize::try_from(log.len()).unwrap_or(usize::MAX);
            let start = group.last_id.next();
            let Some(start) = start.filter(|_| count.min(len) > ELEMENTS_IN_ONE_PIECE) else {
                return Ok(());
            };
            let entries = log.entries(start, StreamId::MAX).take(ELEMENTS_IN_ONE_PIECE + 1);
            call.in_one_piece(entries.count())
        }
        Wanted::History(_) => {
            let consumer = request.group.and_then(|(_, name)| group.consumer_number(name));
            let pending = consumer.map_or(0, |number| group.consumer(number).pending_len());
            long_group::in_one_piece(call, group, count.min(pending))
        }
    }
}

/// What is claimed with the request, if anything is.
fn due_of(call: &Call<'_>, request: &Request<'_>) -> Option<Due> {
    request.claim_idle_ms.map(|idle_ms| Due { idle_ms, now_ms: call.time_of_day().0 })
}

/// Leaves the command to its slices if it would claim very many entries.
fn claim_in_one_piece(
    call: &Call<'_>,
    due: Due,
    count: usize,
    group: &Group,
    log: &Log,
) -> Result<(), ReplyError> {
    let due = || group.delivered_by_in_any_order(due.latest_ms());
    let changed = due().take(count.min(CHANGED_IN_ONE_PIECE_MAX + 1)).count();
    let result = long_group::in_one_piece(call, group, changed);
    if result.is_ok() {
        return Ok(());
    }
    // Slices cannot wait: there must be something to answer.
    let mut entries = log.lookup();
    let is_any_there = due().any(|id| entries.find(id).is_some());
    if is_any_there { result } else { Ok(()) }
}

pub(super) fn parse_wanted(text: &[u8]) -> Result<Wanted, ReplyError> {
    match text {
        b"$" => Err(ReplyError::Text(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history \
             of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ \
             ID would just return an empty result set.",
        )),
        b"+" => Err(ReplyError::Text(
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history \
             of this consumer by specifying a proper ID, or use the > ID to get new messages. The + \
             ID would just return an empty result set.",
        )),
        b">" => Ok(Wanted::New),
        _ => Ok(match parse_after(text)? {
            // The greatest id means what `>` does, as in Redis.
            StreamId::MAX => Wanted::New,
            id => Wanted::History(id),
        }),
    }
}

impl Reading<'_> {
    /// Writes the entries, if there are any to be written; whether the group changed.
    fn run<'k>(
        &self,
        group: &mut Group,
        log: &Log,
        reply: &mut ReplyWriter<'_>,
        key: impl Fn() -> &'k [u8],
        results: &mut Results,
        edit: &mut GroupEdit,
    ) -> bool {
        let (consumer, added) = group.add_consumer(self.consumer_name, self.now_ms);
        edit.is_consumer_new = added;
        group.consumer_mut(consumer).seen_at_ms = self.now_ms;
        match self.wanted {
            Wanted::History(after) => {
                results.begin_stream(reply, key());
                self.write_history(group, consumer, log, after, reply, edit);
                true
            }
            Wanted::New => {
                let count = self.count_max();
                let claimed = self.due.map_or_else(Vec::new, |due| due.find(group, log, count));
                let start = group.last_id.next();
                let mut entries = start.map(|start| log.entries(start, StreamId::MAX).peekable());
                let has_new = entries.as_mut().is_some_and(|entries| entries.peek().is_some());
                if !has_new && claimed.is_empty() {
                    return added;
                }
                results.begin_stream(reply, key());
                let deferred = reply.begin_deferred();
                let claimed_len = claimed.len();
                if let Some(due) = self.due {
                    due.take(group, consumer, claimed.into_iter(), reply, edit);
                }
                let count = count - claimed_len;
                let written = self.write_new(group, consumer, log, count, reply, edit);
                reply.end_array(deferred, claimed_len + written);
                true
            }
        }
    }

    /// Most entries of a stream.
    const fn count_max(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.count }
    }

    /// Writes at most `count` entries that the group has not read, which become pending with the consumer; how many
    /// there were.
    fn write_new(
        &self,
        group: &mut Group,
        consumer: u32,
        log: &Log,
        count: usize,
        reply: &mut ReplyWriter<'_>,
        edit: &mut GroupEdit,
    ) -> usize {
        let Some(start) = group.last_id.next() else { return 0 };
        let delivered = self.due.map(|_| Delivered::default());
        let mut written = 0;
        for entry in log.entries(start, StreamId::MAX).take(count) {
            let entry_id = entry.id();
            group.entries_read = log.entries_read_with(group, entry_id);
            group.last_id = entry_id;
            write_delivered(reply, &entry, delivered);
            if !self.no_ack {
                let pending = Pending { consumer, delivered_at_ms: self.now_ms, deliveries: 1 };
                group.set_pending(entry_id, pending);
                group.consumer_mut(consumer).active_at_ms = Some(self.now_ms);
                edit.note_pending(group, entry_id);
            }
            written += 1;
        }
        if written > 0 {
            edit.note_position(group);
        }
        written
    }

    /// Writes what is pending with the consumer behind `after`; null for entries that are gone.
    fn write_history(
        &self,
        group: &mut Group,
        consumer: u32,
        log: &Log,
        after: StreamId,
        reply: &mut ReplyWriter<'_>,
        edit: &mut GroupEdit,
    ) {
        let ids: Vec<StreamId> = match after.next() {
            None => Vec::new(),
            Some(start) => group
                .consumer(consumer)
                .pending_in(start..=StreamId::MAX)
                .take(self.count_max())
                .collect(),
        };
        reply.array(ids.len());
        let mut entries = log.lookup();
        for entry_id in ids {
            let Some(entry) = entries.find(entry_id) else {
                reply.array(2);
                id::write(reply, entry_id);
                reply.null_array();
                continue;
            };
            write_entry(reply, &entry);
            if let Some(pending) = group.pending(entry_id).copied() {
                let deliveries = pending.deliveries_after_one_more();
                let delivered_at_ms = self.now_ms;
                group.set_pending(entry_id, Pending { consumer, delivered_at_ms, deliveries });
                edit.note_pending(group, entry_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn new_entries_become_pending() {
        transcript(
            r"
            XADD s 1-1 f 1          => $3 1-1
            XADD s 2-1 f 2          => $3 2-1
            XGROUP CREATE s g 0     => +OK
            XREADGROUP GROUP g c COUNT 1 STREAMS s > => *1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 1
            XREADGROUP GROUP g d STREAMS s > => *1 *2 $1 s *1 *2 $3 2-1 *2 $1 f $1 2
            XREADGROUP GROUP g d STREAMS s > => *-1
            XREADGROUP GROUP g c STREAMS s 0 => *1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 1
            XREADGROUP GROUP g c STREAMS s 1-1 => *1 *2 $1 s *0
            XDEL s 1-1              => :1
            XREADGROUP GROUP g c STREAMS s 0 => *1 *2 $1 s *1 *2 $3 1-1 *-1
            XPENDING s g            => *4 :2 $3 1-1 $3 2-1 *2 *2 $1 c $1 1 *2 $1 d $1 1
            XACK s g 1-1 2-1 5-5    => :2
            XPENDING s g            => *4 :0 $-1 $-1 *-1
            XADD s 3-1 f 3          => $3 3-1
            XREADGROUP GROUP g c NOACK STREAMS s > => *1 *2 $1 s *1 *2 $3 3-1 *2 $1 f $1 3
            XPENDING s g            => *4 :0 $-1 $-1 *-1
            XREADGROUP GROUP x c STREAMS s > => -NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option
            XREADGROUP GROUP g c STREAMS s $ => -ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.
            XREADGROUP COUNT 1 COUNT 1 STREAMS s > => -ERR Missing GROUP option for XREADGROUP
            ",
        );
    }
}
