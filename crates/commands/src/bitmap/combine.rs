//! BITOP.

use super::long_combine::combine_in_slices;
use crate::many_keys::each_key;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest, Key, Keyspace, ObjectRef, ValueRef};
use darter_value::bitmap::{Combination, Operation};
use darter_value::integer::IntegerText;

/// Combines strings bit by bit.
pub(super) static BITOP: Command = Command {
    name: "BITOP",
    group: Group::Bitmap,
    since: "2.6.0",
    summary: "Combines string values bit by bit and stores the result; answers its length.",
    complexity: "O(N) where N is the length of all sources together.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::BITMAP,
    keys: &[
        KeySpec::at(2, Access::OVERWRITE.and(Access::UPDATE)),
        KeySpec::range(3, -1, 1, Access::READ_ONLY.and(Access::ACCESS)),
    ],
    args: &[
        Arg::one_of(
            "operation",
            &[
                Arg::word("and", "AND"),
                Arg::word("or", "OR"),
                Arg::word("xor", "XOR"),
                Arg::word("not", "NOT"),
                Arg::word("diff", "DIFF").since("8.2.0"),
                Arg::word("diff1", "DIFF1").since("8.2.0"),
                Arg::word("andor", "ANDOR").since("8.2.0"),
                Arg::word("one", "ONE").since("8.2.0"),
            ],
        ),
        Arg::key("destkey"),
        Arg::key_by("key", 1).multiple(),
    ],
    history: &[("8.2.0", "`DIFF`, `DIFF1`, `ANDOR` and `ONE`.")],
    handler: Handler::Keyed(bitop),
    slices: Some(|call| Ok(combine_in_slices(call, parse(call)?.1))),
    ..Command::BASE
};

const OPERATIONS: &[(&str, Operation)] = &[
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

/// Bytes of the sources that are combined in one piece.
const BYTES_IN_ONE_PIECE: usize = 16 << 20;

/// The operation, and its name.
fn parse(call: &Call<'_>) -> Result<(&'static str, Operation), ReplyError> {
    let found = OPERATIONS.iter().find(|(name, _)| call.is_word(1, name));
    found.copied().ok_or(ReplyError::Syntax)
}

fn bitop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (name, operation) = parse(call)?;
    let end = call.args.len();
    let sources = end - 3;
    match operation {
        Operation::Not if sources != 1 => {
            return Err(ReplyError::Text("ERR BITOP NOT must be called with a single source key."));
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
            return Err(ReplyError::Message(format!(
                "ERR BITOP {name} must be called with at least two source keys."
            )));
        }
        _ => {}
    }
    if call.limits.slices && bytes_of_sources(call, view) > BYTES_IN_ONE_PIECE {
        return Err(ReplyError::Long);
    }
    let mut combination = Combination::new(operation);
    let mut all_strings = true;
    each_key(call, view, (3, end, 1), |_, mut keyspace, key, _| {
        if !all_strings {
            return;
        }
        let mut text = IntegerText::new();
        match keyspace.read(key).map(|value| value.string_bytes(&mut text)) {
            None => combination.add(b""),
            Some(Some(bytes)) => combination.add(bytes),
            Some(None) => all_strings = false,
        }
    });
    if !all_strings {
        return Err(ReplyError::WrongType);
    }
    let result = combination.finish();
    call.reply.integer(result.len().cast_signed() as i64);
    let destination = call.key(2);
    store(&mut call.keyspace(view, &destination), &destination, result);
    Ok(())
}

/// How long the sources are together.
fn bytes_of_sources(call: &mut Call<'_>, view: &mut ShardView<'_>) -> usize {
    let mut sum = 0_usize;
    each_key(call, view, (3, call.args.len(), 1), |_, mut keyspace, key, _| {
        if let Some(ValueRef::Object(ObjectRef::Large(string))) = keyspace.peek(key) {
            sum = sum.saturating_add(string.as_bytes().len());
        }
    });
    sum
}

/// Stores a result; an empty one is no key.
pub(super) fn store(keyspace: &mut Keyspace<'_>, destination: &Key<'_>, result: Vec<u8>) {
    if result.is_empty() {
        keyspace.tell(Interest::GENERIC, "del").remove(destination);
    } else {
        keyspace.tell(Interest::STRING, "set").set_raw(destination, result, Expiry::Clear);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn bitop_takes_short_strings_to_end_in_zeroes() {
        transcript(
            r#"
            MSET a "\x01\x02\xff" b "\x03\x06" => +OK
            BITOP AND d a b         => :3
            GET d                   => $3 \x01\x02\x00
            OBJECT ENCODING d       => $3 raw
            BITOP or d a b nokey    => :3
            GET d                   => $3 \x03\x06\xff
            BITOP XOR d a b         => :3
            GET d                   => $3 \x02\x04\xff
            BITOP NOT d a           => :3
            GET d                   => $3 \xfe\xfd\x00
            BITOP XOR a a a         => :3
            GET a                   => $3 \x00\x00\x00
            BITOP AND d a nokey     => :3
            EXPIRE d 100            => :1
            BITOP OR d b b          => :2
            TTL d                   => :-1
            BITOP OR d nokey none   => :0
            EXISTS d                => :0
            BITOP NOT d nokey       => :0
            SET n 12                => +OK
            BITOP OR d n            => :2
            GET d                   => $2 12
            "#,
        );
    }

    #[test]
    fn bitop_knows_the_operations_of_redis_8_2() {
        transcript(
            r#"
            MSET x "\xf0\x0f" y "\xc0" z "\x30\x01\xff" => +OK
            BITOP DIFF d x y z      => :3
            GET d                   => $3 \x00\x0e\x00
            BITOP DIFF1 d x y z     => :3
            GET d                   => $3 \x00\x00\xff
            BITOP ANDOR d x y z     => :3
            GET d                   => $3 \xf0\x01\x00
            BITOP ONE d x y z       => :3
            GET d                   => $3 \x00\x0e\xff
            BITOP ONE d x           => :2
            GET d                   => $2 \xf0\x0f
            BITOP DIFF d x          => -ERR BITOP DIFF must be called with at least two source keys.
            BITOP diff1 d x         => -ERR BITOP DIFF1 must be called with at least two source keys.
            BITOP ANDOR d x         => -ERR BITOP ANDOR must be called with at least two source keys.
            BITOP NOT d x y         => -ERR BITOP NOT must be called with a single source key.
            BITOP NAND d x y        => -ERR syntax error
            BITOP AND d             => -ERR wrong number of arguments for 'bitop' command
            "#,
        );
    }
}
