//! DIGEST.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::integer::IntegerText;

/// A short stand-in for a value.
pub(super) static DIGEST: Command = Command {
    name: "DIGEST",
    group: Group::String,
    since: "8.4.0",
    summary: "The XXH3 hash of a string value, as 16 hexadecimal digits.",
    complexity: "O(N) where N is the length of the value.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(digest),
    ..Command::BASE
};

/// The 64-bit XXH3 hash with seed 0 in lower-case hexadecimal, as Redis 8.4 documents for DIGEST,
/// SET and DELEX.
pub(super) fn digest_text(value: &[u8]) -> [u8; 16] {
    let hash = xxhash_rust::xxh3::xxh3_64(value);
    std::array::from_fn(|place| b"0123456789abcdef"[(hash >> (60 - 4 * place) & 15) as usize])
}

fn digest(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut text = IntegerText::new();
    match call.keyspace(view, &key).read(&key) {
        None => call.reply.null(),
        Some(value) => {
            let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
            call.reply.bulk(&digest_text(bytes));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    // Facts from the documentation and tests of Redis 8.4.

    #[test]
    fn digests_have_sixteen_digits() {
        transcript(
            r#"
            DIGEST k                => $-1
            SET k "Hello world"     => +OK
            DIGEST k                => $16 b6acb9d84a38ff74
            SET k test              => +OK
            DIGEST k                => $16 9ec9f7918d7dfc40
            SET k v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd => +OK
            DIGEST k                => $16 00006c38adf31777
            DIGEST                  => -ERR wrong number of arguments for 'digest' command
            "#,
        );
    }

    #[test]
    fn integers_have_the_digest_of_their_text() {
        transcript(
            r"
            SET a 12345             => +OK
            SET b 123               => +OK
            APPEND b 45             => :5
            OBJECT ENCODING a       => $3 int
            OBJECT ENCODING b       => $3 raw
            DIGEST a                => $16 f34099ede96b5581
            DIGEST b                => $16 f34099ede96b5581
            ",
        );
    }
}
