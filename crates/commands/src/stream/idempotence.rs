//! Messages that may be sent again and are added once: the options of XADD, XCFGSET and XIDMPRECORD, and what XINFO tells.

use super::id;
use super::info::field;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_resp::{Args, OwnedArgs, ReplyWriter};
use darter_shard::Edit;
use darter_value::stream::{Idempotence, IdempotenceLimits, Stream, StreamId};
use xxhash_rust::xxh3::Xxh3;

/// The documentation of `IDMPAUTO producer-id | IDMP producer-id idempotent-id`.
pub(super) const IDEMPOTENCE_ARG: Arg = Arg::one_of(
    "idmp",
    &[
        Arg::block("idmpauto", &[Arg::word("idmpauto-token", "IDMPAUTO"), Arg::string("pid")]),
        Arg::block(
            "idmp",
            &[Arg::word("idmp-token", "IDMP"), Arg::string("pid"), Arg::string("iid")],
        ),
    ],
)
.since("8.6.0")
.optional();

/// Sets how long a stream knows its producers' messages, and how many.
pub(super) static XCFGSET: Command = Command {
    name: "XCFGSET",
    group: Group::Stream,
    since: "8.6.0",
    summary: "Sets how long a stream knows idempotent ids, and how many of each producer; it forgets \
              all of them if that changes anything.",
    complexity: "O(1); O(N) for N ids that are forgotten.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::block(
            "idmp-duration-block",
            &[Arg::word("idmp-duration-token", DURATION), Arg::integer("duration")],
        )
        .optional(),
        Arg::block(
            "idmp-maxsize-block",
            &[Arg::word("idmp-maxsize-token", IDS_MAX), Arg::integer("maxsize")],
        )
        .optional(),
    ],
    handler: Handler::Keyed(xcfgset),
    ..Command::BASE
};

/// Records of an entry whose message it is.
pub(super) static XIDMPRECORD: Command = Command {
    name: "XIDMPRECORD",
    group: Group::Stream,
    since: "8.6.2",
    summary: "Records that an entry was added by a producer under an idempotent id; for logs that are \
              rewritten.",
    complexity: "O(1)",
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::string("pid"), Arg::string("iid"), Arg::string("stream-id")],
    handler: Handler::Keyed(xidmprecord),
    ..Command::BASE
};

const DURATION: &str = "IDMP-DURATION";
const IDS_MAX: &str = "IDMP-MAXSIZE";

/// What XADD is told of a message, by the numbers of its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// `IDMP`: the producer and its id.
    Given(usize, usize),
    /// `IDMPAUTO`: the producer; the id is made from the fields and values.
    Contents(usize),
}

impl Source {
    /// What argument `index` and those behind it say, if it is one of the two words and those are there; `before` is what was
    /// said already. The last of its arguments goes with it.
    pub(super) fn parse(
        call: &Call<'_>,
        index: usize,
        before: Option<Self>,
    ) -> Result<Option<(Self, usize)>, ReplyError> {
        let len = call.args.len();
        let (source, last) = if call.is_word(index, "IDMPAUTO") && index + 1 < len {
            (Self::Contents(index + 1), index + 1)
        } else if call.is_word(index, "IDMP") && index + 2 < len {
            (Self::Given(index + 1, index + 2), index + 2)
        } else {
            return Ok(None);
        };
        if before.is_some() {
            return Err(ReplyError::Text(
                "ERR syntax error, IDMP/IDMPAUTO specified multiple times",
            ));
        }
        let is_empty = |index: usize| call.args.at(index).is_empty();
        match source {
            Self::Contents(producer) if is_empty(producer) => {
                Err(ReplyError::Text("ERR syntax error, IDMPAUTO requires a non-empty producer ID"))
            }
            Self::Given(producer, _) if is_empty(producer) => {
                Err(ReplyError::Text("ERR syntax error, IDMP requires a non-empty producer ID"))
            }
            Self::Given(_, id) if is_empty(id) => {
                Err(ReplyError::Text("ERR syntax error, IDMP requires a non-empty idempotent ID"))
            }
            _ => Ok(Some((source, last))),
        }
    }

    /// Refuses an entry id other than `*`, but in commands that were recorded, which say the id that was given then.
    pub(super) fn check_entry_id(call: &Call<'_>, entry_id: &[u8]) -> ReplyResult {
        if entry_id == b"*" || call.limits.replayed_at.is_some() {
            return Ok(());
        }
        Err(ReplyError::Text(
            "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs",
        ))
    }
}

/// A message that may be sent again.
pub(super) struct Message<'a> {
    producer: &'a [u8],
    id: MessageId<'a>,
}

enum MessageId<'a> {
    Given(&'a [u8]),
    Made([u8; 16]),
}

impl<'a> Message<'a> {
    /// That of an XADD with these fields and values.
    pub(super) fn new(
        args: Args<'a>,
        source: Source,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        match source {
            Source::Given(producer, id) => {
                Self { producer: args.at(producer), id: MessageId::Given(args.at(id)) }
            }
            Source::Contents(producer) => {
                Self { producer: args.at(producer), id: MessageId::Made(id_of(pairs)) }
            }
        }
    }

    fn id(&self) -> &[u8] {
        match &self.id {
            MessageId::Given(id) => id,
            MessageId::Made(id) => id,
        }
    }

    /// The entry that was added when it was sent before, if that is still known.
    pub(super) fn entry_in(&self, stream: &Stream, now: UnixMillis) -> Option<StreamId> {
        stream.idempotence()?.entry(self.producer, self.id(), clock(now))
    }

    /// Records the entry that was added.
    pub(super) fn record(
        &self,
        stream: &mut Stream,
        entry: StreamId,
        limits: IdempotenceLimits,
        now: UnixMillis,
    ) {
        stream.remember(limits).record(self.producer, self.id(), entry, clock(now));
    }

    /// Adds the option that records the same again.
    pub(super) fn push(&self, words: &mut OwnedArgs) {
        for word in [b"IDMP", self.producer, self.id()] {
            words.push(word);
        }
    }
}

/// An id that is the same for the same fields and values in whatever order: the sum of a hash of each pair.
fn id_of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> [u8; 16] {
    let mut sum = 0_u128;
    for (field, value) in pairs {
        let mut hash = Xxh3::new();
        hash.update(&(field.len() as u64).to_le_bytes());
        hash.update(field);
        hash.update(value);
        sum = sum.wrapping_add(hash.digest128());
    }
    sum.to_le_bytes()
}

fn clock(now: UnixMillis) -> u64 {
    u64::try_from(now.0).unwrap_or(0)
}

/// How many fields [`write_report`] writes.
pub(super) const REPORT_FIELDS: usize = 6;

/// Writes what XINFO STREAM tells of it, of a stream that knows of any.
pub(super) fn write_report(reply: &mut ReplyWriter<'_>, known: &Idempotence, now: UnixMillis) {
    let limits = known.limits();
    let (producers, ids) = known.tracked(clock(now));
    field(reply, "idmp-duration", i64::from(limits.duration_s));
    field(reply, "idmp-maxsize", i64::from(limits.ids_max));
    field(reply, "pids-tracked", producers.cast_signed() as i64);
    field(reply, "iids-tracked", ids.cast_signed() as i64);
    field(reply, "iids-added", known.added().cast_signed());
    field(reply, "iids-duplicates", known.duplicates().cast_signed());
}

fn xcfgset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    // As in Redis, what is wrong with the key is told before what is wrong with the options.
    let stream = keyspace.peek_collection::<Stream>(&key)?.ok_or(ReplyError::NoSuchKey)?;
    let before =
        stream.idempotence().map_or(call.limits.encodings.idempotence, Idempotence::limits);
    let limits = parse_limits(call, before)?;
    if limits != before {
        keyspace.edit(&key, |stream: &mut Stream| {
            stream.remember(limits).set_limits(limits);
            Edit::changed(())
        })?;
    }
    call.reply.ok();
    Ok(())
}

/// The limits that XCFGSET's options make of those `before`.
fn parse_limits(
    call: &Call<'_>,
    before: IdempotenceLimits,
) -> Result<IdempotenceLimits, ReplyError> {
    let (mut duration_s, mut ids_max) = (None, None);
    let mut index = 2;
    while index < call.args.len() {
        let has_operand = index + 1 < call.args.len();
        let (to, max, twice, beyond) = if call.is_word(index, DURATION) && has_operand {
            (
                &mut duration_s,
                86_400,
                "ERR IDMP-DURATION specified multiple times",
                "ERR IDMP-DURATION must be between 1 and 86400 seconds",
            )
        } else if call.is_word(index, IDS_MAX) && has_operand {
            (
                &mut ids_max,
                10_000,
                "ERR IDMP-MAXSIZE specified multiple times",
                "ERR IDMP-MAXSIZE must be between 1 and 10000 entries",
            )
        } else {
            return Err(ReplyError::Syntax);
        };
        if to.is_some() {
            return Err(ReplyError::Text(twice));
        }
        let number = u32::try_from(call.integer(index + 1)?).ok();
        *to = number.filter(|number| (1..=max).contains(number));
        if to.is_none() {
            return Err(ReplyError::Text(beyond));
        }
        index += 2;
    }
    if duration_s.is_none() && ids_max.is_none() {
        return Err(ReplyError::Text("ERR At least one parameter must be specified"));
    }
    Ok(IdempotenceLimits {
        duration_s: duration_s.unwrap_or(before.duration_s),
        ids_max: ids_max.unwrap_or(before.ids_max),
    })
}

fn xidmprecord(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let entry = id::parse(call.args.at(4), 0)?;
    let [producer, message] = [2, 3].map(|index| call.args.at(index));
    if producer.is_empty() {
        return Err(ReplyError::Text("ERR producer ID must be non-empty"));
    }
    if message.is_empty() {
        return Err(ReplyError::Text("ERR idempotent ID must be non-empty"));
    }
    let message = Message { producer, id: MessageId::Given(message) };
    let (limits, now) = (call.limits.encodings.idempotence, call.time_of_day());
    let key = call.key(1);
    let recorded = call.keyspace(view, &key).edit(&key, |stream: &mut Stream| {
        if !stream.log().contains(entry) {
            return Edit::unchanged(Err(ReplyError::Text("ERR No such message in stream")));
        }
        match message.entry_in(stream, now) {
            Some(before) if before == entry => Edit::unchanged(Ok(())),
            Some(_) => Edit::unchanged(Err(ReplyError::Text(
                "ERR IID already exists for this producer with a different stream ID",
            ))),
            None => {
                message.record(stream, entry, limits, now);
                Edit::changed(Ok(()))
            }
        }
    })?;
    recorded.ok_or(ReplyError::NoSuchKey)??;
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::id_of;
    use crate::testing::{Bench, shown, transcript};

    #[test]
    fn a_message_that_is_sent_again_is_added_once() {
        transcript(
            r"
            XADD s NOMKSTREAM IDMP p 1 * f v => $-1
            XADD s IDMP p 1 * f v   => $15 1700000000000-0
            @time +5
            XADD s IDMP p 1 * g w   => $15 1700000000000-0
            XADD s idmp q 1 MAXLEN ~ 9 * f v => $15 1700000000005-0
            XADD s MAXLEN ~ 9 IDMP p 2 KEEPREF * f v => $15 1700000000005-1
            XLEN s                  => :3
            XDEL s 1700000000000-0  => :1
            XADD s IDMP p 1 * f v   => $15 1700000000000-0
            @time +99994
            XADD s IDMP p 1 * f v   => $15 1700000000000-0
            @time +1
            XADD s IDMP p 1 * f v   => $15 1700000100000-0
            XLEN s                  => :3
            ",
        );
    }

    #[test]
    fn contents_make_an_id_whatever_their_order() {
        transcript(
            r"
            XADD s IDMPAUTO p * f v g w => $15 1700000000000-0
            XADD s IDMPAUTO p * g w f v => $15 1700000000000-0
            XADD s IDMPAUTO q * g w f v => $15 1700000000000-1
            XADD s IDMPAUTO p * f w g v => $15 1700000000000-2
            XADD s IDMPAUTO p * f v g w f v => $15 1700000000000-3
            XLEN s                  => :4
            ",
        );
        let one = |field: &'static [u8], value: &'static [u8]| id_of([(field, value)].into_iter());
        assert_ne!(one(b"ab", b"c"), one(b"a", b"bc"));
        assert_ne!(one(b"", b"a"), one(b"a", b""));
    }

    #[test]
    fn the_newest_ids_of_each_producer_stay() {
        transcript(
            r"
            XADD s IDMP p 0 * f v   => $15 1700000000000-0
            XCFGSET s IDMP-MAXSIZE 2 => +OK
            XADD s IDMP p 0 * f v   => $15 1700000000000-1
            XADD s IDMP q 0 * f v   => $15 1700000000000-2
            XADD s IDMP p 1 * f v   => $15 1700000000000-3
            XCFGSET s idmp-maxsize 2 IDMP-DURATION 100 => +OK
            XADD s IDMP p 2 * f v   => $15 1700000000000-4
            XADD s IDMP p 1 * f v   => $15 1700000000000-3
            XADD s IDMP q 0 * f v   => $15 1700000000000-2
            XADD s IDMP p 0 * f v   => $15 1700000000000-5
            COPY s t                => :1
            RENAME t u              => +OK
            XADD u IDMP p 0 * f v   => $15 1700000000000-5
            XIDMPRECORD u p 7 1700000000000-0 => +OK
            XADD u IDMP p 7 * f v   => $15 1700000000000-0
            XADD s IDMP p 7 * f v   => $15 1700000000000-6
            ",
        );
    }

    #[test]
    fn malformed_options_add_nothing() {
        transcript(
            r#"
            XADD s IDMP p * f v     => -ERR Invalid stream ID specified as stream command argument
            XADD s IDMP p 1 1-1 f v => -ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
            XADD s IDMPAUTO p 1-* f v => -ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs
            XADD s IDMP p 1 IDMP q 2 * f v => -ERR syntax error, IDMP/IDMPAUTO specified multiple times
            XADD s IDMPAUTO p IDMP q 2 * f v => -ERR syntax error, IDMP/IDMPAUTO specified multiple times
            XADD s IDMP p 1 IDMPAUTO q * f v => -ERR syntax error, IDMP/IDMPAUTO specified multiple times
            XADD s IDMP "" 1 * f v  => -ERR syntax error, IDMP requires a non-empty producer ID
            XADD s IDMP p "" * f v  => -ERR syntax error, IDMP requires a non-empty idempotent ID
            XADD s IDMPAUTO "" * f v => -ERR syntax error, IDMPAUTO requires a non-empty producer ID
            XTRIM s MAXLEN 1 IDMP p 1 => -ERR syntax error
            XCFGSET s x             => -ERR no such key
            XIDMPRECORD s p 1 1-1   => -ERR no such key
            EXISTS s                => :0
            XADD s 1-1 f v          => $3 1-1
            XCFGSET s               => -ERR At least one parameter must be specified
            XCFGSET s IDMP-DURATION => -ERR syntax error
            XCFGSET s IDMP-DURATION 0 => -ERR IDMP-DURATION must be between 1 and 86400 seconds
            XCFGSET s IDMP-MAXSIZE 10001 => -ERR IDMP-MAXSIZE must be between 1 and 10000 entries
            XCFGSET s IDMP-MAXSIZE 5 IDMP-MAXSIZE 6 => -ERR IDMP-MAXSIZE specified multiple times
            XCFGSET s IDMP-DURATION 000 => -ERR value is not an integer or out of range
            XIDMPRECORD s "" 1 1-1  => -ERR producer ID must be non-empty
            XIDMPRECORD s p "" 1-1  => -ERR idempotent ID must be non-empty
            XIDMPRECORD s p 1 9-9   => -ERR No such message in stream
            XIDMPRECORD s p 1 x     => -ERR Invalid stream ID specified as stream command argument
            "#,
        );
    }

    #[test]
    fn what_is_recorded_knows_the_same_messages() {
        let mut bench = Bench::new(1);
        let mut replica = bench.replica(2);
        replica.limits.replayed_at = Some(bench.now);
        let lines = [
            "XADD s IDMP p 1 * f v",
            "XADD s IDMP p 1 * f v",
            "XADD s IDMPAUTO p MAXLEN 0 * f v",
            "XCFGSET t IDMP-MAXSIZE 3",
            "XADD t * f v",
            "XCFGSET t IDMP-MAXSIZE 3",
            "XCFGSET t IDMP-MAXSIZE 3",
            "XADD t IDMP p 1 * f v",
        ];
        let mut left = Vec::new();
        for line in lines {
            bench.run(line);
            let (recorded, _) = bench.take_recorded();
            left.push(recorded.len());
            replica.replay(&recorded);
        }
        assert_eq!(left, [1, 0, 1, 0, 1, 1, 0, 1]);
        (replica.now, replica.limits.replayed_at) = (bench.now, None);
        for line in [
            "XADD s IDMP p 1 * f v",
            "XADD s IDMPAUTO p * f v",
            "XADD t IDMP p 1 * f v",
            "XINFO STREAM t",
            "XINFO STREAM s FULL",
        ] {
            // A message that was sent again leaves nothing, so how often that was is not the same.
            let [expected, reply] = [&mut bench, &mut replica].map(|it| shown(&it.run(line)));
            let counted = |text: &str| text.split(" $15 iids-duplicates").next().map(str::to_owned);
            assert_eq!(counted(&expected), counted(&reply), "{line}");
        }
    }
}
