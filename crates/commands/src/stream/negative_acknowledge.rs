//! XNACK.

use super::effects::GroupEdit;
use super::id;
use super::references::{IDS_ARG, parse_ids};
use super::sources::no_group;
use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::Edit;
use darter_value::stream::{Pending, Stream, StreamId};

/// Gives pending entries back.
pub(super) static XNACK: Command = Command {
    name: "XNACK",
    group: Group::Stream,
    since: "8.8.0",
    summary: "Gives pending entries back to their consumer group, for anybody to claim; answers how many were \
              pending.",
    complexity: "O(log(P)) for each id, with P pending ones.",
    arity: Arity::AtLeast(7),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::string("group"),
        Arg::one_of(
            "mode",
            &[
                Arg::word("silent", "SILENT"),
                Arg::word("fail", "FAIL"),
                Arg::word("fatal", "FATAL"),
            ],
        ),
        IDS_ARG,
        Arg::integer("count").token("RETRYCOUNT").optional(),
        Arg::word("force", "FORCE").optional(),
    ],
    handler: Handler::Keyed(xnack),
    ..Command::BASE
};

/// An entry that is never to be tried again has been delivered so often.
const FATAL_DELIVERIES: u64 = i64::MAX.unsigned_abs();

/// How often an entry counts as delivered from now on.
#[derive(Clone, Copy)]
enum Deliveries {
    /// Once less: this time does not count.
    OneLess,
    /// As often as it was.
    AsBefore,
    Exactly(u64),
}

impl Deliveries {
    /// Of an entry that was pending after `before` deliveries, or was not pending.
    const fn of(self, before: Option<u64>) -> u64 {
        match (self, before) {
            (Self::Exactly(count), _) => count,
            (Self::AsBefore, Some(before)) => before,
            (Self::OneLess, Some(before)) => before.saturating_sub(1),
            (Self::AsBefore | Self::OneLess, None) => 0,
        }
    }
}

/// Everything behind the group.
struct Options {
    ids: Vec<StreamId>,
    deliveries: Deliveries,
    /// Entries that are not pending become so.
    force: bool,
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let mut deliveries = if call.is_word(3, "SILENT") {
            Deliveries::OneLess
        } else if call.is_word(3, "FAIL") {
            Deliveries::AsBefore
        } else if call.is_word(3, "FATAL") {
            Deliveries::Exactly(FATAL_DELIVERIES)
        } else {
            return Err(ReplyError::Syntax);
        };
        let places = parse_ids(call, 4)?;
        let mut force = false;
        let mut index = places.end;
        while index < call.args.len() {
            if call.is_word(index, "FORCE") {
                force = true;
            } else if call.is_word(index, "RETRYCOUNT") && index + 1 < call.args.len() {
                index += 1;
                let count = parse_i64(call.args.at(index));
                let count = count.and_then(|count| u64::try_from(count).ok());
                deliveries =
                    Deliveries::Exactly(count.ok_or(ReplyError::Text(
                        "ERR Invalid RETRYCOUNT option argument for XNACK",
                    ))?);
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        let ids = id::parse_all(call, places.start, places.end)?;
        Ok(Self { ids, deliveries, force })
    }
}

fn xnack(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call)?;
    let key = call.key(1);
    let group_name = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.peek_collection::<Stream>(&key)?;
    if stream.and_then(|stream| stream.group(group_name)).is_none() {
        return Err(no_group(key.bytes, group_name, ""));
    }
    let mut edit = GroupEdit::new(call);
    let released = keyspace.edit(&key, |stream: &mut Stream| {
        let released = stream.edit_group(group_name, |group, log| {
            let mut entries = log.lookup();
            let mut released = 0;
            for id in &options.ids {
                let before = group.pending(*id).map(|pending| pending.deliveries);
                if before.is_none() && !(options.force && entries.find(*id).is_some()) {
                    continue;
                }
                let deliveries = options.deliveries.of(before);
                let consumer = group.nobody();
                group.set_pending(*id, Pending { consumer, delivered_at_ms: 0, deliveries });
                edit.note_pending(group, *id);
                released += 1;
            }
            released
        });
        let released = released.unwrap_or(0);
        Edit::counted(released, released)
    })?;
    let released = released.unwrap_or(0);
    if released > 0 {
        // Redis 7.0 and Valkey read the log too: there it is a consumer with an empty name who has them.
        edit.leave(call, key.bytes, group_name, b"", 0);
        // Who waits with CLAIM may have it at once.
        call.keyspace(view, &key).signal(&key);
    }
    call.reply.integer(released.cast_signed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn what_is_given_back_is_nobodys_until_it_is_claimed() {
        transcript(
            r"
            XADD s 1-1 f v          => $3 1-1
            XADD s 2-1 f v          => $3 2-1
            XADD s 3-1 f v          => $3 3-1
            XGROUP CREATE s g 0     => +OK
            XREADGROUP GROUP g c COUNT 2 STREAMS s > => *1 *2 $1 s *2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *2 $1 f $1 v
            XNACK s g FAIL IDS 2 1-1 9-9 => :1
            XPENDING s g            => *4 :2 $3 1-1 $3 2-1 *1 *2 $1 c $1 1
            XPENDING s g IDLE 1000000 - + 9 => *1 *4 $3 1-1 $0  :-1 :1
            XNACK s g FAIL IDS 1 1-1 => :1
            XNACK s g SILENT IDS 2 1-1 2-1 => :2
            XNACK s g SILENT IDS 1 1-1 => :1
            XPENDING s g            => *4 :2 $3 1-1 $3 2-1 *0
            XPENDING s g - + 9      => *2 *4 $3 1-1 $0  :-1 :0 *4 $3 2-1 $0  :-1 :0
            XNACK s g FATAL IDS 1 2-1 => :1
            XNACK s g FATAL IDS 1 3-1 => :0
            XNACK s g FAIL IDS 2 3-1 4-1 FORCE => :1
            XNACK s g SILENT IDS 1 1-1 RETRYCOUNT 7 => :1
            XPENDING s g - + 9      => *3 *4 $3 1-1 $0  :-1 :7 *4 $3 2-1 $0  :-1 :9223372036854775807 *4 $3 3-1 $0  :-1 :0
            XCLAIM s g d 1000000 2-1 JUSTID => *1 $3 2-1
            XAUTOCLAIM s g d 1000000 0 JUSTID => *3 $3 0-0 *2 $3 1-1 $3 3-1 *0
            XPENDING s g            => *4 :3 $3 1-1 $3 3-1 *1 *2 $1 d $1 3
            XNACK s g FAIL IDS 1 3-1 => :1
            XACK s g 3-1            => :1
            XACK s g 3-1            => :0
            ",
        );
    }
}
