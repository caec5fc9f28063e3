//! SCAN.

use darter_base::glob::{Case, glob_matches};
use darter_base::number::format_u64;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Arg, Arity, Call, Category, Command, Flags, Group, Handler, Progress, ReplyError, Slice,
};
use darter_resp::{Args, Output, Protocol, ReplyWriter};
use darter_shard::{SCAN_CURSOR_BITS, Shard};
use darter_value::ValueRef;

/// One step of a walk over the names of a database.
pub(super) static SCAN: Command = Command {
    name: "SCAN",
    group: Group::Generic,
    since: "2.8.0",
    summary: "One step of a walk over the names of all keys.",
    complexity: "O(1) for every call. O(N) for a whole walk, where N is the number of keys in the \
                 database.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    args: &[
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::string("type").token("TYPE").optional().since("6.0.0"),
    ],
    history: &[("6.0.0", "Added the `TYPE` subcommand.")],
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    handler: Handler::Sliced(scan),
    ..Command::BASE
};

/// Keys visited by a call that does not say how many.
pub(crate) const COUNT_DEFAULT: usize = 10;

/// Keys visited before others have their turn.
const KEYS_PER_SLICE: usize = 2048;

/// Shards one call looks into, however few keys it finds: a bound for an almost empty database over
/// very many shards.
const SHARDS_PER_CALL: usize = 64;

/// Every type a key can have, known by name to `TYPE`.
const TYPE_NAMES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// The options SCAN shares with the scans of collections.
#[derive(Clone, Copy, Debug)]
struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_name: Option<&'static str>,
}

impl<'a> Options<'a> {
    fn parse(call: &Call<'a>, from: usize) -> Result<Self, ReplyError> {
        let mut options = Self { pattern: None, count: COUNT_DEFAULT, type_name: None };
        let mut index = from;
        while index < call.args.len() {
            let value = call.args.get(index + 1).ok_or(ReplyError::Syntax);
            if call.is_word(index, "COUNT") {
                value?;
                let count = call.integer(index + 1)?;
                options.count = match usize::try_from(count) {
                    Ok(count) if count > 0 => count,
                    _ => return Err(ReplyError::Syntax),
                };
            } else if call.is_word(index, "MATCH") {
                options.pattern = Some(value?).filter(|pattern| *pattern != b"*");
            } else if call.is_word(index, "TYPE") {
                let name = value?;
                let known = |known: &&&str| known.as_bytes().eq_ignore_ascii_case(name);
                let found = TYPE_NAMES.iter().find(known);
                options.type_name =
                    Some(found.ok_or_else(|| ReplyError::UnknownTypeName(name.to_vec()))?);
            } else if call.is_word(index, "NOVALUES") {
                return Err(ReplyError::Text("ERR NOVALUES option can only be used in HSCAN"));
            } else if call.is_word(index, "NOSCORES") {
                return Err(ReplyError::Text("ERR NOSCORES option can only be used in ZSCAN"));
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

/// Where a scan is: in which shard, and how far in there. As a number: the shard's id above
/// [`SCAN_CURSOR_BITS`] bits of the shard's own cursor, so 0 is the beginning, and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    shard: u64,
    within: u64,
}

impl Cursor {
    const WITHIN_MASK: u64 = (1 << SCAN_CURSOR_BITS) - 1;

    fn from_number(number: u64) -> Self {
        Self { shard: number >> SCAN_CURSOR_BITS, within: number & Self::WITHIN_MASK }
    }

    fn number(self) -> u64 {
        debug_assert!(self.within <= Self::WITHIN_MASK);
        self.shard << SCAN_CURSOR_BITS | self.within
    }
}

fn scan(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let number = parse_cursor(call.args.at(1)).ok_or(ReplyError::InvalidCursor)?;
    let Options { pattern, count, type_name } = Options::parse(call, 2)?;
    Ok(Box::new(Step {
        pattern: pattern.map(<[u8]>::to_vec),
        type_name,
        db: call.db,
        cursor: Cursor::from_number(number),
        shard_count: call.router.shard_count(),
        count_left: count,
        shards_left: SHARDS_PER_CALL,
        names: Output::new(),
        found: 0,
    }))
}

/// A cursor as C's `strtoull` reads it, but for negative numbers. Any number will do: one that was
/// never given out scans from somewhere.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// One call of SCAN.
struct Step {
    pattern: Option<Vec<u8>>,
    type_name: Option<&'static str>,
    db: DbIndex,
    cursor: Cursor,
    shard_count: u16,
    /// Keys still to be visited, found or not.
    count_left: usize,
    /// Shards still to be looked into.
    shards_left: usize,
    /// The names found, as bulk strings.
    names: Output,
    found: usize,
}

impl Step {
    /// The shard the cursor points into; none when the walk is over or never was in one.
    fn progress(&self) -> Progress {
        match u16::try_from(self.cursor.shard) {
            Ok(shard) if shard < self.shard_count => Progress::On(ShardId(shard)),
            _ => Progress::Done,
        }
    }
}

impl Slice for Step {
    fn begin(&self) -> Progress {
        self.progress()
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress {
        let Self { pattern, type_name, names, found, .. } = self;
        let mut names = ReplyWriter::new(names, Protocol::Resp2);
        let mut visited = 0;
        let count = self.count_left.min(KEYS_PER_SLICE);
        let select = |name: &[u8], value: ValueRef<'_>| {
            visited += 1;
            pattern.as_ref().is_none_or(|pattern| glob_matches(pattern, name, Case::Exact))
                && type_name.is_none_or(|wanted| wanted == value.value_type().name())
        };
        let name = |name: &[u8]| {
            names.bulk(name);
            *found += 1;
        };
        let within = shard.keyspace(self.db, now).scan(self.cursor.within, count, select, name);
        self.cursor.within = within;
        // A step that only passed empty parts of the table was work as well.
        let looked_at = if within == 0 { visited } else { visited.max(count) };
        self.count_left = self.count_left.saturating_sub(looked_at);
        if within == 0 {
            self.cursor.shard += 1;
            self.shards_left -= 1;
        }
        if self.count_left == 0 || self.shards_left == 0 {
            return Progress::Done;
        }
        self.progress()
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        let over = self.progress() == Progress::Done;
        let cursor = if over { 0 } else { self.cursor.number() };
        reply.array(2);
        reply.bulk(&format_u64(cursor));
        reply.array(self.found);
        reply.output().append(self.names.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", Some(7)),
            (" 7", Some(7)),
            ("+7", Some(7)),
            ("-1", None),
            ("7 ", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn cursors_stay_exact_as_doubles() {
        // Clients written in JavaScript and Lua keep numbers as doubles.
        let last = Cursor { shard: 16_383, within: Cursor::WITHIN_MASK };
        assert!(last.number() < 1 << 53);
        assert_eq!(Cursor::from_number(last.number()), last);
    }

    /// All names of a whole walk, with `options` in every step, and the number of steps.
    fn walk(bench: &mut Bench, options: &str) -> (Vec<String>, usize) {
        let (mut names, mut steps, mut cursor) = (Vec::new(), 0, "0".to_owned());
        loop {
            let mut answer = names_in(&bench.run(&format!("SCAN {cursor} {options}")));
            cursor = answer.remove(0);
            names.append(&mut answer);
            steps += 1;
            if cursor == "0" {
                names.sort_unstable();
                return (names, steps);
            }
        }
    }

    #[test]
    fn a_walk_visits_every_key() {
        for shard_count in [1, 4, 100] {
            let mut bench = Bench::new(shard_count);
            bench.run("DEBUG POPULATE 1000");
            let mut expected: Vec<String> =
                (0..1000).map(|number| format!("key:{number}")).collect();
            expected.sort_unstable();
            for options in ["", "COUNT 1", "COUNT 100", "COUNT 5000", "TYPE string", "MATCH *"] {
                let (mut names, _) = walk(&mut bench, options);
                names.dedup();
                assert_eq!(names, expected, "{options} over {shard_count} shards");
            }
            let (names, steps) = walk(&mut bench, "COUNT 5000");
            assert_eq!(names.len(), 1000);
            assert!(steps <= 2, "a count is met over shards");
            let (_, steps) = walk(&mut bench, "COUNT 100");
            assert!((3..30).contains(&steps), "{steps} steps over {shard_count} shards");
            assert!(walk(&mut bench, "TYPE list").0.is_empty());
            assert_eq!(walk(&mut bench, "MATCH key:99*").0.len(), 11);
        }
    }

    #[test]
    fn an_almost_empty_database_over_many_shards_takes_bounded_steps() {
        let mut bench = Bench::new(1000);
        bench.run("SET only v");
        let (names, steps) = walk(&mut bench, "COUNT 1000");
        assert_eq!(names, ["only"]);
        assert_eq!(steps, 1000_usize.div_ceil(SHARDS_PER_CALL));
    }

    #[test]
    fn expired_keys_are_not_visited() {
        for shard_count in [1, 4] {
            let mut bench = Bench::new(shard_count);
            for number in 0..100 {
                bench.run(&format!("SET gone:{number} v PX 10"));
                bench.run(&format!("SET key:{number} v"));
            }
            bench.now.0 += 11;
            assert_eq!(walk(&mut bench, "COUNT 7").0.len(), 100);
        }
    }

    #[test]
    fn malformed_calls_are_refused() {
        transcript(
            r"
            SCAN 0                      => *2 $1 0 *0
            SCAN 7 COUNT 5              => *2 $1 0 *0
            SCAN 18446744073709551615   => *2 $1 0 *0
            SCAN 18446744073709551616   => -ERR invalid cursor
            SCAN x                      => -ERR invalid cursor
            SCAN 1x                     => -ERR invalid cursor
            SCAN -1                     => -ERR invalid cursor
            SCAN x COUNT x              => -ERR invalid cursor
            SCAN 0 COUNT                => -ERR syntax error
            SCAN 0 COUNT 0              => -ERR syntax error
            SCAN 0 COUNT -5             => -ERR syntax error
            SCAN 0 COUNT x              => -ERR value is not an integer or out of range
            SCAN 0 MATCH                => -ERR syntax error
            SCAN 0 FOO                  => -ERR syntax error
            SCAN 0 FOO 1                => -ERR syntax error
            SCAN 0 TYPE                 => -ERR syntax error
            SCAN 0 TYPE foo             => -ERR unknown type name 'foo'
            SCAN 0 TYPE STRING          => *2 $1 0 *0
            SCAN 0 NOVALUES             => -ERR NOVALUES option can only be used in HSCAN
            SCAN 0 NOSCORES             => -ERR NOSCORES option can only be used in ZSCAN
            SCAN                        => -ERR wrong number of arguments for 'scan' command
            ",
        );
    }
}
