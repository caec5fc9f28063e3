//! HDEL and HGETDEL.

use super::effects::Touched;
use super::fields::{FIELDS_ARG, fields, write_value};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::Hash;

/// Removes fields.
pub(super) static HDEL: Command = Command {
    name: "HDEL",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Removes fields of a hash, and the key with the last one.",
    complexity: "O(N) where N is the number of fields removed.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("field").multiple()],
    history: &[("2.4.0", "Accepts multiple `field` arguments.")],
    handler: Handler::Keyed(hdel),
    ..Command::BASE
};

/// Removes fields and returns their values.
pub(super) static HGETDEL: Command = Command {
    name: "HGETDEL",
    group: Group::Hash,
    since: "9.1.0",
    summary: "The values of fields of a hash, which are removed.",
    complexity: "O(N) where N is the number of fields.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[Arg::key("key"), FIELDS_ARG],
    handler: Handler::Keyed(hgetdel),
    ..Command::BASE
};

fn hdel(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let fields = call.args.tail(2);
    let now = call.now.0;
    let mut gone = Touched::new(call);
    let deleted =
        call.keyspace(view, &key).tell(Interest::HASH, "hdel").edit(&key, |hash: &mut Hash| {
            let mut deleted = 0_usize;
            for field in fields.iter() {
                if hash.remove(field, now) {
                    gone.note(field);
                    deleted += 1;
                }
            }
            Edit::counted(deleted as u64, deleted)
        })?;
    gone.leave_deletion(call);
    call.reply.integer(deleted.unwrap_or(0).cast_signed() as i64);
    Ok(())
}

fn hgetdel(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let fields = fields(call)?;
    let key = call.key(1);
    let now = call.now.0;
    let mut keyspace = call.keyspace(view, &key);
    let mut gone = Touched::new(call);
    let reply = &mut call.reply;
    let found = keyspace.tell(Interest::HASH, "hdel").edit(&key, |hash: &mut Hash| {
        reply.array(fields.len());
        let mut deleted = 0;
        for field in fields.iter() {
            write_value(reply, hash.get(field, now));
            if hash.remove(field, now) {
                gone.note(field);
                deleted += 1;
            }
        }
        Edit::counted(deleted, ())
    })?;
    gone.leave_deletion(call);
    if found.is_none() {
        call.reply.array(fields.len());
        fields.iter().for_each(|_| call.reply.null());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_are_removed() {
        transcript(
            r"
            HDEL h a                => :0
            HSET h a 1 b 2 c 3      => :3
            HDEL h a nope a b       => :2
            HLEN h                  => :1
            HDEL h c                => :1
            EXISTS h                => :0
            HGETDEL h FIELDS 2 a b  => *2 $-1 $-1
            HSET h a 1 b 2 c 3      => :3
            HGETDEL h FIELDS 3 a nope a => *3 $1 1 $-1 $-1
            HGETDEL h fields 2 b c  => *2 $1 2 $1 3
            EXISTS h                => :0
            HGETDEL h FIELD 1 a     => -ERR syntax error
            HGETDEL h FIELDS 2 a    => -ERR numfields should be greater than 0 and match the provided number of fields
            HGETDEL h FIELDS 0 a    => -ERR numfields should be greater than 0 and match the provided number of fields
            HGETDEL h FIELDS x a    => -ERR value is not an integer or out of range
            SET s v                 => +OK
            HDEL s a                => -WRONGTYPE Operation against a key holding the wrong kind of value
            HGETDEL s FIELDS 1 a    => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
