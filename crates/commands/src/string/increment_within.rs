//! INCREX: counting within bounds, with a time to live.

use super::effects::leave_set;
use super::increment::integer_of;
use super::increment_float::float_of;
use crate::effects::leave_expired;
use crate::expiration::{NewDeadline, TIME_ARGS, Time};
use darter_base::extended::Extended;
use darter_base::number::{format_i64, parse_i64};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest, Key, Keyspace, Lifetime, ValueRef};

/// Adds a number as long as the sum stays within bounds.
///
/// Redis 8.8 has it without `NX` and `XX`, which Valkey 9.2 adds.
pub(super) static INCREX: Command = Command {
    name: "INCREX",
    group: Group::String,
    since: "8.8.0",
    summary: "Adds a number to the one a key holds, 0 if it is not there, as long as the sum stays \
              within bounds, and sets or clears the time to live.",
    complexity: "O(1)",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
            .optional()
            .since("9.2.0"),
        Arg::one_of(
            "increment",
            &[Arg::double("float").token("BYFLOAT"), Arg::integer("integer").token("BYINT")],
        )
        .optional(),
        Arg::word("saturate", "SATURATE").optional(),
        Arg::string("lowerbound").token("LBOUND").optional(),
        Arg::string("upperbound").token("UBOUND").optional(),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0],
                TIME_ARGS[1],
                TIME_ARGS[2],
                TIME_ARGS[3],
                Arg::word("persist", "PERSIST"),
            ],
        )
        .optional(),
        Arg::word("enx", "ENX").optional(),
    ],
    handler: Handler::Keyed(increx),
    ..Command::BASE
};

/// The options, as text where their meaning depends on others. Each may be given once.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    /// `BYINT` or `BYFLOAT`.
    increment: Option<&'a [u8]>,
    float: bool,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    /// `NX` or `XX`: whether the key must be there.
    present: Option<bool>,
    time: Option<Time<'a>>,
    expiration: Expiration,
}

/// What becomes of the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expiration {
    /// It stays, or is the time given.
    #[default]
    Plain,
    /// `PERSIST`
    Clear,
    /// `ENX`: the time given is for a key that has no deadline.
    IfNone,
}

impl<'a> Options<'a> {
    fn parse(call: &Call<'a>) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut index = 2;
        while index < call.args.len() {
            index += options.parse_one(call, index)?;
        }
        if options.expiration == Expiration::IfNone && options.time.is_none() {
            return Err(ReplyError::Text("ERR ENX flag requires an expiration"));
        }
        Ok(options)
    }

    /// Reads the option at `index` and returns how many arguments it takes.
    fn parse_one(&mut self, call: &Call<'a>, index: usize) -> Result<usize, ReplyError> {
        let is = |word| call.is_word(index, word);
        let value = call.args.get(index + 1);
        let plain = self.expiration == Expiration::Plain;
        if is("BYINT") || is("BYFLOAT") {
            self.float = is("BYFLOAT");
            return set_once(&mut self.increment, value);
        } else if is("LBOUND") {
            return set_once(&mut self.lower, value);
        } else if is("UBOUND") {
            return set_once(&mut self.upper, value);
        } else if let Some((unit, base)) = Time::named(call.args.at(index)) {
            if self.expiration == Expiration::Clear {
                return Err(ReplyError::Syntax);
            }
            return set_once(&mut self.time, value.map(|text| Time { text, unit, base }));
        } else if is("SATURATE") && !self.saturate {
            self.saturate = true;
        } else if (is("NX") || is("XX")) && self.present.is_none() {
            self.present = Some(is("XX"));
        } else if is("PERSIST") && plain && self.time.is_none() {
            self.expiration = Expiration::Clear;
        } else if is("ENX") && plain {
            self.expiration = Expiration::IfNone;
        } else {
            return Err(ReplyError::Syntax);
        }
        Ok(1)
    }
}

/// Sets an option that takes the next argument; returns how many arguments that is.
fn set_once<T>(option: &mut Option<T>, value: Option<T>) -> Result<usize, ReplyError> {
    if option.is_some() || value.is_none() {
        return Err(ReplyError::Syntax);
    }
    *option = value;
    Ok(2)
}

/// A number INCREX counts in.
trait Number: Copy {
    /// What an argument that is none is said to be.
    const MALFORMED: &'static str;

    /// The increment that is not given.
    fn one() -> Self;
    /// The bounds that are not given.
    fn limits() -> (Self, Self);
    fn parse(text: &[u8]) -> Option<Self>;
    fn stored(value: Option<ValueRef<'_>>) -> Result<Self, ReplyError>;
    /// `None` when the sum is out of range.
    fn plus(self, other: Self) -> Option<Self>;
    /// `self - other` for the reply, or why there is no such number.
    fn minus(self, other: Self) -> Result<Self, ReplyError>;
    fn is_above(self, other: Self) -> bool;
    fn is_negative(self) -> bool;
    fn store(self, keyspace: &mut Keyspace<'_>, key: &Key<'_>, expiry: Expiry);
    fn text(self) -> Vec<u8>;
    fn write(self, call: &mut Call<'_>);
}

impl Number for i64 {
    const MALFORMED: &'static str = "is not an integer or out of range";

    fn one() -> Self {
        1
    }

    fn limits() -> (Self, Self) {
        (Self::MIN, Self::MAX)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        parse_i64(text)
    }

    fn stored(value: Option<ValueRef<'_>>) -> Result<Self, ReplyError> {
        integer_of(value)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Result<Self, ReplyError> {
        self.checked_sub(other).ok_or(ReplyError::Text("ERR applied increment would overflow"))
    }

    fn is_above(self, other: Self) -> bool {
        self > other
    }

    fn is_negative(self) -> bool {
        self < 0
    }

    fn store(self, keyspace: &mut Keyspace<'_>, key: &Key<'_>, expiry: Expiry) {
        keyspace.tell(Interest::STRING, "incrby").set_integer(key, self, expiry);
    }

    fn text(self) -> Vec<u8> {
        format_i64(self).to_vec()
    }

    fn write(self, call: &mut Call<'_>) {
        call.reply.integer(self);
    }
}

impl Number for Extended {
    const MALFORMED: &'static str = "is not a valid float";

    fn one() -> Self {
        Self::from_i64(1)
    }

    fn limits() -> (Self, Self) {
        (-Self::MAX, Self::MAX)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }

    fn stored(value: Option<ValueRef<'_>>) -> Result<Self, ReplyError> {
        let stored = float_of(value)?;
        if stored.is_finite() {
            Ok(stored)
        } else {
            Err(ReplyError::Text("ERR value cannot be Infinity"))
        }
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(self + other).filter(|sum| sum.is_finite())
    }

    fn minus(self, other: Self) -> Result<Self, ReplyError> {
        self.plus(-other).ok_or(ReplyError::Text("ERR applied increment would be Infinity"))
    }

    fn is_above(self, other: Self) -> bool {
        Self::is_above(self, other)
    }

    fn is_negative(self) -> bool {
        Self::ZERO.is_above(self)
    }

    fn store(self, keyspace: &mut Keyspace<'_>, key: &Key<'_>, expiry: Expiry) {
        keyspace.tell(Interest::STRING, "incrbyfloat").set_text(key, &self.to_text(), expiry);
    }

    fn text(self) -> Vec<u8> {
        self.to_text()
    }

    fn write(self, call: &mut Call<'_>) {
        call.reply.double_text(&self.to_text());
    }
}

fn increx(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call)?;
    if options.float {
        let increment = options.increment.and_then(Extended::parse);
        if increment.is_some_and(|increment| !increment.is_finite()) {
            return Err(ReplyError::Text("ERR BYFLOAT increment cannot be Infinity"));
        }
        add::<Extended>(call, view, options)
    } else {
        add::<i64>(call, view, options)
    }
}

fn add<N: Number>(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    options: Options<'_>,
) -> ReplyResult {
    let (lowest, highest) = N::limits();
    let increment = number(options.increment, "Increment", N::one())?;
    let lower = number(options.lower, "LBOUND", lowest)?;
    let upper = number(options.upper, "UBOUND", highest)?;
    if lower.is_above(upper) {
        return Err(ReplyError::Text("ERR LBOUND can't be greater than UBOUND"));
    }
    let new_deadline = options.time.map(|time| time.deadline(call)).transpose()?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let value = keyspace.peek(&key);
    let admitted = options.present.is_none_or(|present| value.is_some() == present);
    let before = N::stored(value)?;

    let sum = before.plus(increment);
    let after = match sum.filter(|sum| !sum.is_above(upper) && !lower.is_above(*sum)) {
        _ if !admitted => None,
        Some(sum) => Some(sum),
        None if !options.saturate => None,
        None => {
            let above = sum.map_or(!increment.is_negative(), |sum| sum.is_above(upper));
            Some(if above { upper } else { lower })
        }
    };
    let reported = after.unwrap_or(before);
    let applied = reported.minus(before)?;
    if let Some(after) = after {
        let lives_on = options.expiration == Expiration::IfNone
            && matches!(keyspace.lifetime(&key), Lifetime::Until(_));
        match new_deadline.filter(|_| !lives_on) {
            Some(NewDeadline { passed: true, .. }) => {
                if keyspace.expire_now(&key) {
                    leave_expired(call, key.bytes);
                }
            }
            Some(NewDeadline { deadline, .. }) => {
                store(call, &mut keyspace, &key, after, Expiry::At(deadline));
                keyspace.note(Interest::GENERIC, "expire", &key);
            }
            None if options.expiration == Expiration::Clear => {
                store(call, &mut keyspace, &key, after, Expiry::Clear);
            }
            None => store(call, &mut keyspace, &key, after, Expiry::Keep),
        }
    }
    call.reply.array(2);
    reported.write(call);
    applied.write(call);
    Ok(())
}

fn store<N: Number>(
    call: &mut Call<'_>,
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    number: N,
    expiry: Expiry,
) {
    number.store(keyspace, key, expiry);
    if call.is_recorded() {
        leave_set(call, key.bytes, &number.text(), expiry);
    }
}

/// The number an option gives, or its default.
fn number<N: Number>(text: Option<&[u8]>, name: &str, default: N) -> Result<N, ReplyError> {
    text.map_or(Ok(default), |text| {
        N::parse(text).ok_or_else(|| ReplyError::Message(format!("ERR {name} {}", N::MALFORMED)))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    // Facts from the tests of Redis 8.8 and Valkey 9.2 for this command.

    #[test]
    fn sums_outside_the_bounds_are_refused_or_cut() {
        transcript(
            r"
            INCREX k                                => *2 :1 :1
            INCREX k BYINT 5                        => *2 :6 :5
            INCREX k BYINT -10 LBOUND 0             => *2 :6 :0
            INCREX k BYINT -10 LBOUND 0 SATURATE    => *2 :0 :-6
            INCREX k UBOUND 100 BYINT 500 SATURATE  => *2 :100 :100
            INCREX k BYINT 5 UBOUND 30              => *2 :100 :0
            INCREX k BYINT 5 UBOUND 30 SATURATE     => *2 :30 :-70
            INCREX k BYINT -5 LBOUND 40 SATURATE    => *2 :40 :10
            INCREX k BYINT -20 UBOUND 30            => *2 :20 :-20
            SET k 9223372036854775800               => +OK
            INCREX k BYINT 100                      => *2 :9223372036854775800 :0
            INCREX k BYINT 100 SATURATE             => *2 :9223372036854775807 :7
            INCREX k UBOUND -9223372036854775808 SATURATE => -ERR applied increment would overflow
            SET k -9223372036854775800              => +OK
            INCREX k BYINT -100 SATURATE            => *2 :-9223372036854775808 :-8
            OBJECT ENCODING k                       => $3 int
            ",
        );
    }

    #[test]
    fn an_absent_key_counts_from_zero() {
        transcript(
            r"
            INCREX k UBOUND 0                       => *2 :0 :0
            INCREX k LBOUND 5                       => *2 :0 :0
            EXISTS k                                => :0
            INCREX k UBOUND 0 SATURATE              => *2 :0 :0
            EXISTS k                                => :1
            INCREX j LBOUND 5 SATURATE              => *2 :5 :5
            INCREX j NX                             => *2 :5 :0
            INCREX i XX                             => *2 :0 :0
            INCREX i XX BYFLOAT 1.5                 => *2 $1 0 $1 0
            EXISTS i                                => :0
            INCREX i NX BYINT 3                     => *2 :3 :3
            INCREX i XX BYINT 3                     => *2 :6 :3
            ",
        );
    }

    #[test]
    fn floats_are_long_doubles() {
        transcript(
            r"
            SET k 1.5                               => +OK
            INCREX k BYFLOAT 0.25                   => *2 $4 1.75 $4 0.25
            INCREX k BYFLOAT 1                      => *2 $4 2.75 $1 1
            INCREX k BYFLOAT 100 UBOUND 42.5        => *2 $4 2.75 $1 0
            INCREX k BYFLOAT 100 UBOUND 42.5 SATURATE => *2 $4 42.5 $5 39.75
            INCREX k BYFLOAT -100 LBOUND -5.5 SATURATE => *2 $4 -5.5 $3 -48
            INCREX k BYFLOAT 5.5 UBOUND inf         => *2 $1 0 $3 5.5
            INCREX k BYFLOAT 1 LBOUND inf UBOUND inf SATURATE => -ERR applied increment would be Infinity
            INCREX k BYFLOAT 1 LBOUND inf           => -ERR LBOUND can't be greater than UBOUND
            INCREX k BYFLOAT inf                    => -ERR BYFLOAT increment cannot be Infinity
            INCREX k BYINT 1                        => *2 :1 :1
            SET k inf                               => +OK
            INCREX k BYFLOAT 1                      => -ERR value cannot be Infinity
            INCREX k BYINT 1                        => -ERR value is not an integer or out of range
            DEL k                                   => :1
            @resp 3
            INCREX k BYFLOAT 2.5                    => *2 ,2.5 ,2.5
            INCREX k BYFLOAT 1e4931 UBOUND 3        => *2 ,2.5 ,0
            ",
        );
    }

    #[test]
    fn the_deadline_stays_unless_said_otherwise() {
        transcript(
            r"
            SET k 10 EX 500                         => +OK
            INCREX k                                => *2 :11 :1
            TTL k                                   => :500
            INCREX k EX 100 ENX                     => *2 :12 :1
            TTL k                                   => :500
            INCREX k EX 100                         => *2 :13 :1
            TTL k                                   => :100
            INCREX k BYINT 5 UBOUND 5 EX 50         => *2 :13 :0
            TTL k                                   => :100
            INCREX k PERSIST BYINT 5 UBOUND 5       => *2 :13 :0
            TTL k                                   => :100
            INCREX k PERSIST                        => *2 :14 :1
            TTL k                                   => :-1
            INCREX k EX 50 ENX                      => *2 :15 :1
            TTL k                                   => :50
            INCREX k EXAT 1 ENX                     => *2 :16 :1
            TTL k                                   => :50
            INCREX k EXAT 1                         => *2 :17 :1
            EXISTS k                                => :0
            INCREX k PXAT 1                         => *2 :1 :1
            EXISTS k                                => :0
            ",
        );
    }

    #[test]
    fn malformed_options_are_refused() {
        transcript(
            r"
            INCREX                      => -ERR wrong number of arguments for 'increx' command
            INCREX k FOO                => -ERR syntax error
            INCREX k BYINT 1 BYFLOAT 1  => -ERR syntax error
            INCREX k BYINT 1 BYINT 1    => -ERR syntax error
            INCREX k BYINT              => -ERR syntax error
            INCREX k NX XX              => -ERR syntax error
            INCREX k EX 10 EX 20        => -ERR syntax error
            INCREX k EX 10 PX 20        => -ERR syntax error
            INCREX k EX 10 PERSIST      => -ERR syntax error
            INCREX k PERSIST EX 10      => -ERR syntax error
            INCREX k PERSIST ENX        => -ERR syntax error
            INCREX k ENX PERSIST        => -ERR syntax error
            INCREX k ENX ENX EX 10      => -ERR syntax error
            INCREX k SATURATE SATURATE  => -ERR syntax error
            INCREX k LBOUND             => -ERR syntax error
            INCREX k ENX                => -ERR ENX flag requires an expiration
            INCREX k BYINT 1.5          => -ERR Increment is not an integer or out of range
            INCREX k BYFLOAT x          => -ERR Increment is not a valid float
            INCREX k UBOUND 1.5         => -ERR UBOUND is not an integer or out of range
            INCREX k BYFLOAT 1 LBOUND x => -ERR LBOUND is not a valid float
            INCREX k LBOUND 10 UBOUND 5 => -ERR LBOUND can't be greater than UBOUND
            INCREX k EX 0               => -ERR invalid expire time in 'increx' command
            INCREX k EX x               => -ERR value is not an integer or out of range
            SET k hello                 => +OK
            INCREX k                    => -ERR value is not an integer or out of range
            INCREX k BYFLOAT 1          => -ERR value is not a valid float
            ",
        );
    }
}
