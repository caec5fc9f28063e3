//! HGET, HMGET, HEXISTS, HSTRLEN and HLEN.

use super::fields::write_value;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_value::Hash;
use darter_value::integer::IntegerText;

const FLAGS: Flags = Flags::READONLY.and(Flags::FAST);

/// One value.
pub(super) static HGET: Command = Command {
    name: "HGET",
    group: Group::Hash,
    since: "2.0.0",
    summary: "The value of a field of a hash.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("field")],
    handler: Handler::Keyed(hget),
    ..Command::BASE
};

/// Several values.
pub(super) static HMGET: Command = Command {
    name: "HMGET",
    group: Group::Hash,
    since: "2.0.0",
    summary: "The values of fields of a hash.",
    complexity: "O(N) where N is the number of fields asked for.",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("field").multiple()],
    handler: Handler::Keyed(hmget),
    ..Command::BASE
};

/// Whether a field is there.
pub(super) static HEXISTS: Command = Command {
    name: "HEXISTS",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Whether a hash has a field.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::string("field")],
    handler: Handler::Keyed(hexists),
    ..Command::BASE
};

/// How long a value is.
pub(super) static HSTRLEN: Command = Command {
    name: "HSTRLEN",
    group: Group::Hash,
    since: "3.2.0",
    summary: "The length of the value of a field of a hash.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::string("field")],
    handler: Handler::Keyed(hstrlen),
    ..Command::BASE
};

/// How many fields.
pub(super) static HLEN: Command = Command {
    name: "HLEN",
    group: Group::Hash,
    since: "2.0.0",
    summary: "The number of fields of a hash.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(hlen),
    ..Command::BASE
};

fn hget(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let hash = keyspace.read_collection::<Hash>(&key)?;
    let field = hash.and_then(|hash| hash.get(call.args.at(2), call.now.0));
    write_value(&mut call.reply, field);
    Ok(())
}

fn hmget(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let hash = keyspace.read_collection::<Hash>(&key)?;
    let fields = call.args.tail(2);
    call.reply.array(fields.len());
    for field in fields.iter() {
        write_value(&mut call.reply, hash.and_then(|hash| hash.get(field, call.now.0)));
    }
    Ok(())
}

fn hexists(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let hash = keyspace.read_collection::<Hash>(&key)?;
    let found = hash.is_some_and(|hash| hash.contains(call.args.at(2), call.now.0));
    call.reply.integer(i64::from(found));
    Ok(())
}

fn hstrlen(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let hash = keyspace.read_collection::<Hash>(&key)?;
    let field = hash.and_then(|hash| hash.get(call.args.at(2), call.now.0));
    let len = field.map_or(0, |field| field.value.bytes(&mut IntegerText::new()).len());
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

fn hlen(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let len = keyspace.read_collection(&key)?.map_or(0, Hash::len);
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_are_read() {
        transcript(
            r#"
            HGET h a                => $-1
            HMGET h a b             => *2 $-1 $-1
            HLEN h                  => :0
            HEXISTS h a             => :0
            HSTRLEN h a             => :0
            HSET h a 12345 b "" 7 x => :3
            HGET h a                => $5 12345
            HGET h 7                => $1 x
            HGET h nope             => $-1
            HMGET h b nope a a      => *4 $0  $-1 $5 12345 $5 12345
            HLEN h                  => :3
            HEXISTS h b             => :1
            HEXISTS h c             => :0
            HSTRLEN h a             => :5
            HSTRLEN h b             => :0
            SET s v                 => +OK
            HGET s a                => -WRONGTYPE Operation against a key holding the wrong kind of value
            HMGET s a               => -WRONGTYPE Operation against a key holding the wrong kind of value
            HLEN s                  => -WRONGTYPE Operation against a key holding the wrong kind of value
            HEXISTS s a             => -WRONGTYPE Operation against a key holding the wrong kind of value
            HSTRLEN s a             => -WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }
}
