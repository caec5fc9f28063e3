//! XADD.

use super::effects::push_trimmed;
use super::id::{self, NewId};
use super::idempotence::{IDEMPOTENCE_ARG, Message};
use super::references::REFERENCES_ARG;
use super::trim::{Options, TRIM_ARG};
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_resp::{Args, OwnedArgs};
use darter_shard::{Edit, Interest};
use darter_value::stream::{NodeLimits, Stream, StreamId};

/// Adds an entry.
pub(super) static XADD: Command = Command {
    name: "XADD",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Adds an entry to the end of a stream, which is created if it is not there; answers its \
              id.",
    complexity: "O(1) for the new entry, O(N) for N entries that are trimmed.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))
        .notes("UPDATE instead of INSERT because of the optional trimming feature")],
    args: &[
        Arg::key("key"),
        Arg::word("nomkstream", "NOMKSTREAM").since("6.2.0").optional(),
        REFERENCES_ARG,
        IDEMPOTENCE_ARG,
        TRIM_ARG.optional(),
        Arg::one_of("id-selector", &[Arg::word("auto-id", "*"), Arg::string("id")]),
        Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
    ],
    tips: &["nondeterministic_output"],
    history: &[
        ("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`."),
        ("7.0.0", "Ids of the form `ms-*`."),
        ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`."),
        ("8.6.0", "`IDMPAUTO` and `IDMP`."),
    ],
    handler: Handler::Keyed(xadd),
    ..Command::BASE
};

/// The fields and values of a new entry.
#[derive(Clone)]
struct Pairs<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = (self.args.get(self.next)?, self.args.get(self.next + 1)?);
        self.next += 2;
        Some(pair)
    }
}

fn xadd(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, true)?;
    let fields_at = options.end + 1;
    let fields_len = call.args.len().saturating_sub(fields_at);
    if fields_len < 2 || !fields_len.is_multiple_of(2) {
        return Err(ReplyError::WrongArity(call.command.name.to_ascii_lowercase()));
    }
    let new_id = id::parse_new(call.args.at(options.end))?;
    if new_id == NewId::Exact(StreamId::MIN) {
        return Err(ReplyError::Text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let pairs = Pairs { args: call.args, next: fields_at };
    let message = options.source.map(|source| Message::new(call.args, source, pairs.clone()));
    // An id that does not fit is found before anything is created.
    let last_id = match keyspace.peek_collection::<Stream>(&key)? {
        None if options.no_stream => {
            call.reply.null();
            return Ok(());
        }
        None => StreamId::MIN,
        Some(stream) => {
            // What was recorded was not known then, whatever is known now.
            let known = match &message {
                Some(message) if call.limits.replayed_at.is_none() => {
                    message.entry_in(stream, call.now)
                }
                _ => None,
            };
            if let Some(entry_id) = known {
                keyspace.edit(&key, |stream: &mut Stream| {
                    if let Some(idempotence) = stream.idempotence_mut() {
                        idempotence.count_duplicate();
                    }
                    Edit::unchanged(())
                })?;
                id::write(&mut call.reply, entry_id);
                return Ok(());
            }
            stream.log().last_id()
        }
    };
    let entry_id = resolve(new_id, last_id, call.time_of_day())?;
    let pairs_left = pairs.clone();
    let encodings = call.limits.encodings;
    let limits = NodeLimits {
        bytes_max: encodings.stream_node_bytes_max,
        entries_max: encodings.stream_node_entries_max,
    };
    let now = call.time_of_day();
    keyspace.tell(Interest::STREAM, "xadd");
    let trimmed = keyspace.edit_or_create(&key, |stream: &mut Stream| {
        stream.log_mut().append(entry_id, pairs, limits);
        if let Some(message) = &message {
            message.record(stream, entry_id, encodings.idempotence, now);
        }
        Edit::changed(options.trim(stream))
    })?;
    if trimmed.count > 0 {
        keyspace.note(Interest::STREAM, "xtrim", &key);
    }
    // One that may be sent again has no exact id.
    if !matches!(new_id, NewId::Exact(_)) || !options.trims_the_same_again() {
        call.leave(|effects| {
            let mut words = OwnedArgs::new();
            words.push(b"XADD");
            words.push(key.bytes);
            if let Some(message) = &message {
                message.push(&mut words);
            }
            push_trimmed(&mut words, trimmed, options.references);
            words.push(&id::text(entry_id));
            for (field, value) in pairs_left {
                words.push(field);
                words.push(value);
            }
            effects.add_with(&[], words.as_args().iter());
        });
    }
    keyspace.signal(&key);
    id::write(&mut call.reply, entry_id);
    Ok(())
}

/// The id of an entry behind `last_id`.
fn resolve(new_id: NewId, last_id: StreamId, now: UnixMillis) -> Result<StreamId, ReplyError> {
    const NOT_GREATER: ReplyError = ReplyError::Text(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    let after_last = last_id.next().ok_or(ReplyError::Text(
        "ERR The stream has exhausted the last possible ID, unable to add more items",
    ))?;
    match new_id {
        NewId::Now => {
            let now = StreamId::new(u64::try_from(now.0).unwrap_or(0), 0);
            // A clock that went back does not turn ids back.
            Ok(now.max(after_last))
        }
        NewId::NextIn(ms) if ms == last_id.ms => {
            let seq = last_id.seq.checked_add(1).ok_or(NOT_GREATER)?;
            Ok(StreamId::new(ms, seq))
        }
        NewId::NextIn(ms) if ms < last_id.ms => Err(NOT_GREATER),
        NewId::NextIn(ms) => Ok(StreamId::new(ms, 0)),
        NewId::Exact(id) if id > last_id => Ok(id),
        NewId::Exact(_) => Err(NOT_GREATER),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn ids_only_grow() {
        transcript(
            r"
            XADD s * f v            => $15 1700000000000-0
            XADD s * f v            => $15 1700000000000-1
            @time +5
            XADD s * f v            => $15 1700000000005-0
            @time -3
            XADD s * f v            => $15 1700000000005-1
            XADD s 1700000000005-* f v => $15 1700000000005-2
            XADD s 1700000000006 f v => $15 1700000000006-0
            XADD s 1700000000006 f v => -ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD s 5-* f v          => -ERR The ID specified in XADD is equal or smaller than the target stream top item
            XADD t 0-0 f v          => -ERR The ID specified in XADD must be greater than 0-0
            XADD t 0-* f v          => $3 0-1
            XADD t 0-* f v          => $3 0-2
            XADD u 18446744073709551615-18446744073709551615 f v => $41 18446744073709551615-18446744073709551615
            XADD u * f v            => -ERR The stream has exhausted the last possible ID, unable to add more items
            XADD n NOMKSTREAM * f v => $-1
            EXISTS n                => :0
            XLEN s                  => :6
            TYPE s                  => +stream
            OBJECT ENCODING s       => $6 stream
            ",
        );
    }

    #[test]
    fn adding_may_trim() {
        transcript(
            r"
            XADD s 1-1 f v          => $3 1-1
            XADD s MAXLEN 2 2-1 f v => $3 2-1
            XADD s MAXLEN = 2 3-1 f v => $3 3-1
            XADD s MINID 3-1 4-1 f v => $3 4-1
            XRANGE s - +            => *2 *2 $3 3-1 *2 $1 f $1 v *2 $3 4-1 *2 $1 f $1 v
            XADD s MAXLEN ~ 1 5-1 f v => $3 5-1
            XLEN s                  => :3
            XADD s MAXLEN 0 6-1 f v => $3 6-1
            XLEN s                  => :0
            EXISTS s                => :1
            ",
        );
    }

    #[test]
    fn malformed_options_add_nothing() {
        transcript(
            r"
            XADD s MAXLEN 1 MINID 1 * f v => -ERR syntax error, MAXLEN and MINID options at the same time are not compatible
            XADD s MAXLEN -1 * f v  => -ERR The MAXLEN argument must be >= 0.
            XADD s MAXLEN x * f v   => -ERR value is not an integer or out of range
            XADD s LIMIT 5 * f v    => -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
            XADD s MAXLEN 5 LIMIT 5 * f v => -ERR syntax error, LIMIT cannot be used without the special ~ option
            XADD s MAXLEN ~ 5 LIMIT -1 * f v => -ERR The LIMIT argument must be >= 0.
            XADD s x f v            => -ERR Invalid stream ID specified as stream command argument
            XADD s - f v            => -ERR Invalid stream ID specified as stream command argument
            XADD s * f v g          => -ERR wrong number of arguments for 'xadd' command
            XADD s NOMKSTREAM * f   => -ERR wrong number of arguments for 'xadd' command
            EXISTS s                => :0
            SET k v                 => +OK
            XADD k * f v            => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
