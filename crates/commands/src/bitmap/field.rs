//! BITFIELD and `BITFIELD_RO`.

use super::single::{BAD_OFFSET, checked_offset, len_with};
use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_resp::Args;
use darter_shard::Interest;
use darter_value::bitmap;
use darter_value::integer::IntegerText;

const ENCODING: Arg = Arg::string("encoding");
const OFFSET: Arg = Arg::integer("offset");

/// Reads and writes numbers of any width.
pub(super) static BITFIELD: Command = Command {
    name: "BITFIELD",
    group: Group::Bitmap,
    since: "3.2.0",
    summary: "Reads, sets and increments integers of any width up to 64 bits at any position of a \
              string value.",
    complexity: "O(1) for each operation.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::BITMAP,
    keys: &[KeySpec::at(
        1,
        Access::READ_WRITE.and(Access::UPDATE).and(Access::ACCESS).and(Access::VARIABLE),
    )
    .notes("This command allows both access and modification of the key")],
    args: &[
        Arg::key("key"),
        Arg::one_of(
            "operation",
            &[
                Arg::block("get-block", &[ENCODING, OFFSET]).token("GET"),
                Arg::block(
                    "write",
                    &[
                        Arg::one_of(
                            "overflow-block",
                            &[
                                Arg::word("wrap", "WRAP"),
                                Arg::word("sat", "SAT"),
                                Arg::word("fail", "FAIL"),
                            ],
                        )
                        .token("OVERFLOW")
                        .optional(),
                        Arg::one_of(
                            "write-operation",
                            &[
                                Arg::block("set-block", &[ENCODING, OFFSET, Arg::integer("value")])
                                    .token("SET"),
                                Arg::block(
                                    "incrby-block",
                                    &[ENCODING, OFFSET, Arg::integer("increment")],
                                )
                                .token("INCRBY"),
                            ],
                        ),
                    ],
                ),
            ],
        )
        .multiple()
        .optional(),
    ],
    access: Some(access_of_bitfield),
    handler: Handler::Keyed(bitfield),
    ..Command::BASE
};

/// With nothing but `GET` it only reads. What it cannot make sense of counts as a write.
fn access_of_bitfield(args: Args<'_>) -> Access {
    let mut index = 2;
    while index < args.len() {
        let operands = args.len() - index - 1;
        let is = |word: &str| args[index].eq_ignore_ascii_case(word.as_bytes());
        index += match operands {
            2.. if is("GET") => 3,
            1.. if is("OVERFLOW") => 2,
            _ => return Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE),
        };
    }
    Access::READ_ONLY.and(Access::ACCESS)
}

/// Reads numbers of any width.
pub(super) static BITFIELD_RO: Command = Command {
    name: "BITFIELD_RO",
    group: Group::Bitmap,
    since: "6.0.0",
    summary: "Reads integers of any width up to 64 bits at any position of a string value.",
    complexity: "O(1) for each operation.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::BITMAP,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::block("get-block", &[ENCODING, OFFSET]).token("GET").multiple_with_token().optional(),
    ],
    handler: Handler::Keyed(bitfield_ro),
    ..Command::BASE
};

/// What to do when a number does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Keep the lowest bits.
    Wrap,
    /// Take the nearest number that fits.
    Saturate,
    /// Do nothing and answer null.
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// Where a number is and how it is kept.
#[derive(Clone, Copy, Debug)]
struct Field {
    position: u64,
    /// 1 to 64; at most 63 if not signed.
    bits: u32,
    signed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    field: Field,
    action: Action,
    overflow: Overflow,
}

impl Field {
    /// The field of type `kind` (`i8`, `u63`) at `offset` (in bits, or in fields behind a `#`).
    fn parse(call: &Call<'_>, kind: &[u8], offset: &[u8]) -> Result<Self, ReplyError> {
        const BAD_TYPE: ReplyError = ReplyError::Text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        );
        let (signed, bits) = match kind {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return Err(BAD_TYPE),
        };
        let bits = match parse_i64(bits) {
            Some(bits @ 1..=63) => bits,
            Some(64) if signed => 64,
            _ => return Err(BAD_TYPE),
        };
        let position = match offset {
            [b'#', fields @ ..] => parse_i64(fields).and_then(|fields| fields.checked_mul(bits)),
            bits => parse_i64(bits),
        };
        let position = checked_offset(position.ok_or(BAD_OFFSET)?, call.limits)?;
        Ok(Self { position, bits: u32::try_from(bits).expect("at most 64"), signed })
    }

    fn read(self, bytes: &[u8]) -> i64 {
        let field = bitmap::field(bytes, self.position, self.bits);
        // Unsigned fields have at most 63 bits.
        if self.signed { bitmap::sign_extended(field, self.bits) } else { field.cast_signed() }
    }

    fn write(self, bytes: &mut [u8], value: i64) {
        bitmap::set_field(bytes, self.position, self.bits, value.cast_unsigned());
    }

    /// The least and the greatest number.
    const fn range(self) -> (i128, i128) {
        if self.signed {
            (-(1_i128 << (self.bits - 1)), (1_i128 << (self.bits - 1)) - 1)
        } else {
            (0, (1_i128 << self.bits) - 1)
        }
    }

    /// Whether `value` is so far below a signed field that its distance from the greatest number does not fit 64
    /// bits. Redis and Valkey, which calculate that distance, saturate at the wrong end then.
    const fn is_out_of_sight(self, value: i64) -> bool {
        self.range().1 - (value as i128) > i64::MAX as i128 && self.bits < 64
    }

    /// `exact` if it fits, or what `overflow` makes of it.
    fn fitted(self, exact: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.range();
        let number = if (min..=max).contains(&exact) {
            exact
        } else {
            match overflow {
                Overflow::Fail => return None,
                Overflow::Saturate => exact.clamp(min, max),
                Overflow::Wrap => {
                    let low = exact & ((1 << self.bits) - 1);
                    if low > max { low - (1 << self.bits) } else { low }
                }
            }
        };
        Some(i64::try_from(number).expect("no field is wider"))
    }
}

impl Step {
    /// Runs the step on `bytes`, which reach as far as a step that writes needs; the answer, and
    /// whether anything changed.
    fn run(self, bytes: &mut [u8]) -> (Option<i64>, bool) {
        let field = self.field;
        let before = field.read(bytes);
        let exact = match self.action {
            Action::Get => return (Some(before), false),
            // Negative numbers are huge ones in an unsigned field.
            Action::Set(value) if !field.signed => i128::from(value.cast_unsigned()),
            Action::Set(value) if field.is_out_of_sight(value) => match self.overflow {
                Overflow::Saturate => field.range().1,
                Overflow::Wrap | Overflow::Fail => i128::from(value),
            },
            Action::Set(value) => i128::from(value),
            Action::Increment(increment) => i128::from(before) + i128::from(increment),
        };
        let Some(after) = field.fitted(exact, self.overflow) else { return (None, false) };
        field.write(bytes, after);
        let answer = if matches!(self.action, Action::Set(_)) { before } else { after };
        (Some(answer), after != before)
    }

    const fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }
}

fn parse(call: &Call<'_>) -> Result<Vec<Step>, ReplyError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut index = 2;
    while index < call.args.len() {
        let operands = call.args.len() - index - 1;
        if call.is_word(index, "OVERFLOW") && operands >= 1 {
            overflow = if call.is_word(index + 1, "WRAP") {
                Overflow::Wrap
            } else if call.is_word(index + 1, "SAT") {
                Overflow::Saturate
            } else if call.is_word(index + 1, "FAIL") {
                Overflow::Fail
            } else {
                return Err(ReplyError::Text("ERR Invalid OVERFLOW type specified"));
            };
            index += 2;
            continue;
        }
        let (make, words): (fn(i64) -> Action, usize) =
            if call.is_word(index, "GET") && operands >= 2 {
                (|_| Action::Get, 3)
            } else if call.is_word(index, "SET") && operands >= 3 {
                (Action::Set, 4)
            } else if call.is_word(index, "INCRBY") && operands >= 3 {
                (Action::Increment, 4)
            } else {
                return Err(ReplyError::Syntax);
            };
        let field = Field::parse(call, call.args.at(index + 1), call.args.at(index + 2))?;
        let operand = if words == 4 { call.integer(index + 3)? } else { 0 };
        steps.push(Step { field, action: make(operand), overflow });
        index += words;
    }
    Ok(steps)
}

fn bitfield(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let steps = parse(call)?;
    if steps.iter().any(Step::writes) {
        write(call, view, &steps)
    } else {
        read(call, view, &steps)
    }
}

fn bitfield_ro(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let steps = parse(call)?;
    if steps.iter().any(Step::writes) {
        return Err(ReplyError::Text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(call, view, &steps)
}

fn read(call: &mut Call<'_>, view: &mut ShardView<'_>, steps: &[Step]) -> ReplyResult {
    let key = call.key(1);
    let mut text = IntegerText::new();
    let mut keyspace = call.keyspace(view, &key);
    let bytes = match keyspace.read(&key) {
        None => &[],
        Some(value) => value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?,
    };
    call.reply.array(steps.len());
    for step in steps {
        call.reply.integer(step.field.read(bytes));
    }
    Ok(())
}

fn write(call: &mut Call<'_>, view: &mut ShardView<'_>, steps: &[Step]) -> ReplyResult {
    let last_bits = steps
        .iter()
        .filter(|step| step.writes())
        .map(|step| step.field.position + u64::from(step.field.bits) - 1);
    let len = len_with(last_bits.max().unwrap_or(0))?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let reply = &mut call.reply;
    let has_only_grown = keyspace
        .tell(Interest::STRING, "setbit")
        .edit_string_if(&key, len, |bytes, grown| {
            let mut changes = 0;
            reply.array(steps.len());
            for step in steps {
                let (answer, changed) = step.run(bytes);
                match answer {
                    Some(number) => reply.integer(number),
                    None => reply.null(),
                }
                let written = step.writes() && answer.is_some();
                changes += u64::from(changed || (grown && written));
            }
            (grown && changes == 0, changes)
        })
        .map_err(|_| ReplyError::WrongType)?;
    if has_only_grown {
        // That is no change for Redis, but the length is another one.
        let args = call.args;
        call.leave(|effects| effects.add_with(&[], args.iter()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_of_any_width_lie_anywhere() {
        transcript(
            r"
            BITFIELD k SET u8 0 255 GET u8 0 GET i8 0 GET u4 4 => *4 :0 :255 :-1 :15
            BITFIELD k SET i64 3 -9223372036854775808 GET i64 3 => *2 :-576460752303423488 :-9223372036854775808
            BITFIELD k SET u63 #1 9223372036854775807 GET u63 63 => *2 :0 :9223372036854775807
            BITFIELD n SET u8 #2 66 => *1 :0
            GET n                   => $3 \x00\x00B
            BITFIELD n GET u8 #2 GET i5 100 => *2 :66 :0
            BITFIELD n              => *0
            SET t 12                => +OK
            BITFIELD_RO t GET u8 0 GET u16 8 => *2 :49 :12800
            BITFIELD_RO nokey GET u8 0 => *1 :0
            EXISTS nokey            => :0
            ",
        );
    }

    #[test]
    fn overflow_applies_to_what_follows() {
        transcript(
            r"
            BITFIELD k SET u8 0 100 INCRBY u8 0 257 INCRBY u8 0 255 => *3 :0 :101 :100
            BITFIELD k OVERFLOW SAT INCRBY u8 0 257 INCRBY u8 0 -1000 => *2 :255 :0
            BITFIELD k OVERFLOW FAIL INCRBY u8 0 -1 INCRBY u8 0 5 OVERFLOW WRAP INCRBY u8 0 -6 => *3 $-1 :5 :255
            @resp 3
            BITFIELD k OVERFLOW FAIL INCRBY u8 0 1 => *1 _
            @resp 2
            BITFIELD i SET i8 0 -100 OVERFLOW SAT INCRBY i8 0 -257 INCRBY i8 0 -255 => *3 :0 :-128 :-128
            BITFIELD i OVERFLOW SAT INCRBY i8 0 9223372036854775807 => *1 :127
            BITFIELD i OVERFLOW WRAP SET i8 0 200 GET i8 0 => *2 :127 :-56
            BITFIELD i OVERFLOW SAT SET u8 0 -1 GET u8 0 => *2 :200 :255
            BITFIELD w SET i64 0 9223372036854775807 INCRBY i64 0 1 OVERFLOW SAT INCRBY i64 0 -1 => *3 :0 :-9223372036854775808 :-9223372036854775808
            BITFIELD w OVERFLOW FAIL SET u4 500 16 => *1 $-1
            BITFIELD q OVERFLOW SAT SET i63 0 -8831727124217739835 GET i63 0 => *2 :0 :4611686018427387903
            BITFIELD q OVERFLOW SAT SET i62 0 -8831727124217739835 GET i62 0 => *2 :2305843009213693951 :2305843009213693951
            BITFIELD q OVERFLOW SAT SET i8 0 -8831727124217739835 GET i8 0 => *2 :127 :-128
            STRLEN w                => :63
            ",
        );
    }

    #[test]
    fn malformed_operations_change_nothing() {
        transcript(
            r"
            BITFIELD k SET u64 0 1  => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k SET i65 0 1  => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k SET u0 0 1   => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k GET I8 0     => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            BITFIELD k SET u8 -1 1  => -ERR bit offset is not an integer or out of range
            BITFIELD k SET u8 #-1 1 => -ERR bit offset is not an integer or out of range
            BITFIELD k SET u8 4294967296 1 => -ERR bit offset is not an integer or out of range
            BITFIELD k SET u8 #4611686018427387904 1 => -ERR bit offset is not an integer or out of range
            BITFIELD k SET u8 # 1   => -ERR bit offset is not an integer or out of range
            BITFIELD k SET u8 0 x   => -ERR value is not an integer or out of range
            BITFIELD k SET u8 0 1 GET u8 => -ERR syntax error
            BITFIELD k SET u8 0     => -ERR syntax error
            BITFIELD k OVERFLOW     => -ERR syntax error
            BITFIELD k OVERFLOW NO  => -ERR Invalid OVERFLOW type specified
            BITFIELD_RO k SET u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
            BITFIELD_RO k INCRBY u8 0 x => -ERR value is not an integer or out of range
            EXISTS k                => :0
            ",
        );
    }
}
