//! ZADD and ZINCRBY.

use darter_base::float::parse_f64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::{Rules, ScoreChange, SortedSet};

/// Adds members, or changes their scores.
pub(super) static ZADD: Command = Command {
    name: "ZADD",
    group: Group::SortedSet,
    since: "1.2.0",
    summary: "Adds members with scores to a sorted set, or gives members other scores.",
    complexity: "O(log(N)) for each member, where N is the size of the sorted set.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
            .optional()
            .since("3.0.2"),
        Arg::one_of("comparison", &[Arg::word("gt", "GT"), Arg::word("lt", "LT")])
            .optional()
            .since("6.2.0"),
        Arg::word("change", "CH").optional().since("3.0.2"),
        Arg::word("increment", "INCR").optional().since("3.0.2"),
        Arg::block("data", &[Arg::double("score"), Arg::string("member")]).multiple(),
    ],
    history: &[
        ("2.4.0", "Accepts multiple elements."),
        ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
        ("6.2.0", "Added the `GT` and `LT` options."),
    ],
    handler: Handler::Keyed(zadd),
    ..Command::BASE
};

/// Adds to a score.
pub(super) static ZINCRBY: Command = Command {
    name: "ZINCRBY",
    group: Group::SortedSet,
    since: "1.2.0",
    summary: "Adds to the score of a member of a sorted set, which is added if it is not there.",
    complexity: "O(log(N)) where N is the size of the sorted set.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("increment"), Arg::string("member")],
    handler: Handler::Keyed(zincrby),
    ..Command::BASE
};

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "words that are there or not")]
pub(crate) struct AddOptions {
    /// Only members that are absent.
    pub(crate) nx: bool,
    /// Only members that are there.
    pub(crate) xx: bool,
    /// Only to a greater score; likewise to a smaller one.
    pub(crate) gt: bool,
    pub(crate) lt: bool,
    /// Count changed scores as well.
    pub(crate) ch: bool,
    /// Add to the score.
    pub(crate) incr: bool,
}

/// Why a score is not changed.
struct NotANumber;

impl AddOptions {
    /// The options from argument 2 on, and where they end.
    fn parse(call: &Call<'_>) -> (Self, usize) {
        let mut options = Self::default();
        let mut index = 2;
        loop {
            let chosen = match call.args.get(index) {
                Some(word) if word.eq_ignore_ascii_case(b"NX") => &mut options.nx,
                Some(word) if word.eq_ignore_ascii_case(b"XX") => &mut options.xx,
                Some(word) if word.eq_ignore_ascii_case(b"GT") => &mut options.gt,
                Some(word) if word.eq_ignore_ascii_case(b"LT") => &mut options.lt,
                Some(word) if word.eq_ignore_ascii_case(b"CH") => &mut options.ch,
                Some(word) if word.eq_ignore_ascii_case(b"INCR") => &mut options.incr,
                _ => return (options, index),
            };
            *chosen = true;
            index += 1;
        }
    }

    fn check(self, pairs: usize) -> ReplyResult {
        if self.nx && self.xx {
            return Err(ReplyError::Text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        if ((self.gt || self.lt) && self.nx) || (self.gt && self.lt) {
            return Err(ReplyError::Text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.incr && pairs > 1 {
            return Err(ReplyError::Text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// The score a member gets that has `old`; `None` if nothing is to be done.
    fn decide(self, old: Option<f64>, given: f64) -> Result<Option<f64>, NotANumber> {
        let Some(old) = old else { return Ok((!self.xx).then_some(given)) };
        if self.nx {
            return Ok(None);
        }
        let new = if self.incr { old + given } else { given };
        if new.is_nan() {
            return Err(NotANumber);
        }
        let refused = (self.lt && new >= old) || (self.gt && new <= old);
        Ok((!refused).then_some(new))
    }
}

fn zadd(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    add(call, view, false)
}

/// Its words are options here too, which leaves no pair.
fn zincrby(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    add(call, view, true)
}

fn add(call: &mut Call<'_>, view: &mut ShardView<'_>, increments: bool) -> ReplyResult {
    let (mut options, from) = AddOptions::parse(call);
    options.incr |= increments;
    let pairs = (call.args.len() - from) / 2;
    if pairs == 0 || !(call.args.len() - from).is_multiple_of(2) {
        return Err(ReplyError::Syntax);
    }
    options.check(pairs)?;
    add_pairs(call, view, options, from)
}

/// What became of a ZADD.
#[derive(Default)]
struct Outcome {
    added: usize,
    updated: usize,
    /// The score of the last member that was not left alone.
    score: Option<f64>,
    is_nan: bool,
}

/// Adds the pairs of score and member from argument `from` on.
fn add_pairs(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    options: AddOptions,
    from: usize,
) -> ReplyResult {
    let args = call.args;
    let pair_at = |index: usize| {
        let score = parse_f64(args.at(index)).ok_or(ReplyError::NotAFloat)?;
        Ok::<_, ReplyError>((score, args.at(index + 1)))
    };
    if args.len() == from + 2 {
        return add_members(call, view, options, &[pair_at(from)?]);
    }
    let pairs = (from..args.len()).step_by(2).map(pair_at).collect::<Result<Vec<_>, _>>()?;
    add_members(call, view, options, &pairs)
}

/// Adds members with scores, and answers as ZADD does.
pub(crate) fn add_members(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    options: AddOptions,
    members: &[(f64, &[u8])],
) -> ReplyResult {
    let key = call.key(1);
    let limits = call.limits.encodings;
    let rules = Rules { limits: &limits, hasher: call.hasher };
    let mut keyspace = call.keyspace(view, &key);
    let event = if options.incr { "zincr" } else { "zadd" };
    let outcome = keyspace.tell(Interest::SORTED_SET, event).edit_or_create(
        &key,
        |set: &mut SortedSet| {
            let mut outcome = Outcome::default();
            if set.is_empty() && options.xx {
                return Edit::unchanged(outcome);
            }
            let bytes_max = members.iter().map(|(_, member)| member.len()).max().unwrap_or(0);
            set.expect(members.len(), bytes_max, rules);
            for (given, member) in members {
                let change = set.change(member, rules, |old| options.decide(old, *given));
                match change {
                    Ok(ScoreChange { new: None, .. }) => {}
                    Ok(ScoreChange { old, new: Some(new) }) => {
                        outcome.score = Some(new);
                        outcome.added += usize::from(old.is_none());
                        outcome.updated += usize::from(old.is_some() && old != Some(new));
                    }
                    Err(NotANumber) => {
                        outcome.is_nan = true;
                        break;
                    }
                }
            }
            Edit::counted((outcome.added + outcome.updated) as u64, outcome)
        },
    )?;
    if outcome.is_nan {
        return Err(ReplyError::Text("ERR resulting score is not a number (NaN)"));
    }
    if options.incr {
        match outcome.score {
            Some(score) => call.reply.double(score),
            None => call.reply.null(),
        }
    } else {
        let counted = outcome.added + if options.ch { outcome.updated } else { 0 };
        call.reply.integer(i64::try_from(counted).unwrap_or(i64::MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn members_are_added_and_changed() {
        transcript(
            r"
            ZADD z 1 a 2 b          => :2
            ZADD z 3 a 2 b          => :0
            ZADD z CH 4 a 2 b 5 c   => :2
            ZSCORE z a              => $1 4
            ZADD z NX 9 a 9 d       => :1
            ZADD z XX CH 1 a 1 e    => :1
            ZADD z GT CH 0 a 7 b    => :1
            ZADD z LT CH 0 a 9 b 9 f => :2
            ZADD z INCR 2.5 a       => $3 2.5
            ZADD z INCR NX 1 a      => $-1
            ZADD z INCR XX 1 x      => $-1
            ZADD z INCR GT -1 a     => $-1
            ZADD none XX 1 a        => :0
            EXISTS none             => :0
            ZINCRBY z -2.5 a        => $1 0
            ZINCRBY z inf a         => $3 inf
            ZINCRBY z -inf a        => -ERR resulting score is not a number (NaN)
            @resp 3
            ZINCRBY z 1.5 b         => ,8.5
            ZADD z INCR XX 1 x      => _
            ",
        );
    }

    #[test]
    fn conflicting_options_are_refused() {
        transcript(
            r"
            ZADD z NX XX 1 a        => -ERR XX and NX options at the same time are not compatible
            ZADD z GT LT 1 a        => -ERR GT, LT, and/or NX options at the same time are not compatible
            ZADD z NX GT 1 a        => -ERR GT, LT, and/or NX options at the same time are not compatible
            ZADD z INCR 1 a 2 b     => -ERR INCR option supports a single increment-element pair
            ZADD z 1 a 2            => -ERR syntax error
            ZADD z NX XX CH         => -ERR syntax error
            ZADD z x a              => -ERR value is not a valid float
            ZADD z 1 a nan b        => -ERR value is not a valid float
            EXISTS z                => :0
            SET t 1                 => +OK
            ZADD t 1 a              => -WRONGTYPE Operation against a key holding the wrong kind of value
            ZADD t x a              => -ERR value is not a valid float
            ZINCRBY z x a           => -ERR value is not a valid float
            ",
        );
    }

    #[test]
    fn forms_change_at_the_thresholds() {
        transcript(
            r"
            ZADD z 1 a              => :1
            OBJECT ENCODING z       => $8 listpack
            ZADD z 1 0123456789012345678901234567890123456789012345678901234567890123 => :1
            OBJECT ENCODING z       => $8 listpack
            ZADD z 1 01234567890123456789012345678901234567890123456789012345678901234 => :1
            OBJECT ENCODING z       => $8 skiplist
            ZCARD z                 => :3
            TYPE z                  => +zset
            ",
        );
    }
}
