//! The subcommands of DEBUG that are about keys. The container, who may use it, and the subcommands
//! about the server belong to the server.

mod digest;
mod layout;
mod populate;

use darter_command_table::{
    Access, Arg, Arity, Call, Command, Flags, Group, Handler, KeySpec, ReplyError, ReplyResult,
    ShardView,
};
use darter_shard::{Kept, Type, ValueRef};
use darter_value::integer::IntegerText;

pub use digest::{DIGEST, DIGEST_VALUE};
pub use layout::{HTSTATS, HTSTATS_KEY};
pub use populate::POPULATE;

/// The flags of DEBUG and of all of its subcommands.
pub const FLAGS: Flags =
    Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE).and(Flags::PROTECTED);

/// How a value is kept.
pub static OBJECT: Command = Command {
    name: "OBJECT",
    group: Group::Server,
    summary: "How the value of a key is kept.",
    complexity: "O(1)",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    // Not a fixed key: without arguments the handler answers as DEBUG does.
    keys: &[KeySpec::range(2, -1, 1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::word("fast", "FAST").optional()],
    handler: Handler::Keyed(object),
    ..Command::BASE
};

/// How DEBUG answers to a wrong number of arguments: for it a subcommand and its arguments are one.
fn wrong_arguments(call: &Call<'_>) -> ReplyError {
    let name = String::from_utf8_lossy(call.args.at(1));
    ReplyError::Message(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
    ))
}

fn object(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if !matches!(call.args.len(), 3 | 4) {
        return Err(wrong_arguments(call));
    }
    let key = call.key(2);
    let keyspace = call.keyspace(view, &key);
    // Also one that has expired, as long as it is there.
    let Kept { value, stamp, idle_seconds } = keyspace.kept(&key).ok_or(ReplyError::NoSuchKey)?;
    let serialized = if call.is_word(3, "FAST") {
        String::new()
    } else {
        format!(" serializedlength:{}", serialized_len(value))
    };
    let encoding = value.encoding().name();
    // No address is told.
    call.reply.simple(&format!(
        "Value at:0x0 refcount:1 encoding:{encoding}{serialized} lru:{stamp} \
         lru_seconds_idle:{idle_seconds}",
    ));
    Ok(())
}

/// Bytes of a string in an RDB file, compression apart; of a collection about the bytes it takes here.
fn serialized_len(value: ValueRef<'_>) -> usize {
    let mut text = IntegerText::new();
    match value {
        ValueRef::Integer(integer) if i8::try_from(integer).is_ok() => 2,
        ValueRef::Integer(integer) if i16::try_from(integer).is_ok() => 3,
        ValueRef::Integer(integer) if i32::try_from(integer).is_ok() => 5,
        ValueRef::Object(object) if object.value_type() != Type::String => object.heap_bytes(),
        value => {
            let bytes = value.string_bytes(&mut text).map_or(0, <[u8]>::len);
            let header = match bytes {
                0..64 => 1,
                64..16_384 => 2,
                _ if u32::try_from(bytes).is_ok() => 5,
                _ => 9,
            };
            header + bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn object_shows_encoding_and_length() {
        transcript(
            r"
            DEBUG OBJECT k          => -ERR no such key
            DEBUG OBJECT            => -ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG HELP.
            DEBUG OBJECT a b c      => -ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG HELP.
            SET k 12                => +OK
            DEBUG OBJECT k          => +Value at:0x0 refcount:1 encoding:int serializedlength:2 lru:5501184 lru_seconds_idle:0
            SET k 40000             => +OK
            DEBUG OBJECT k          => +Value at:0x0 refcount:1 encoding:int serializedlength:5 lru:5501184 lru_seconds_idle:0
            SET k foo               => +OK
            DEBUG OBJECT k          => +Value at:0x0 refcount:1 encoding:embstr serializedlength:4 lru:5501184 lru_seconds_idle:0
            DEBUG OBJECT k fast     => +Value at:0x0 refcount:1 encoding:embstr lru:5501184 lru_seconds_idle:0
            ",
        );
    }

    #[test]
    fn object_shows_what_has_expired_and_is_still_there() {
        transcript(
            r"
            SET k 12 PX 10          => +OK
            @time +11
            DEBUG OBJECT k          => +Value at:0x0 refcount:1 encoding:int serializedlength:2 lru:5501184 lru_seconds_idle:0
            DEBUG OBJECT k fast     => +Value at:0x0 refcount:1 encoding:int lru:5501184 lru_seconds_idle:0
            EXISTS k                => :0
            DEBUG OBJECT k          => -ERR no such key
            ",
        );
    }
}
