//! HSET, HMSET and HSETNX.

use super::fields::growth;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Deprecation, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::hash::{FieldExpiry, PreviousField};
use darter_value::{Hash, Text};

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const ARGS: &[Arg] = &[
    Arg::key("key"),
    Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
];

/// Sets fields.
pub(super) static HSET: Command = Command {
    name: "HSET",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Sets fields of a hash, which is created if it is not there.",
    complexity: "O(N) where N is the number of fields set.",
    arity: Arity::AtLeast(4),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: ARGS,
    history: &[("4.0.0", "Accepts multiple `field` and `value` arguments.")],
    handler: Handler::Keyed(hset),
    ..Command::BASE
};

/// Sets fields.
pub(super) static HMSET: Command = Command {
    name: "HMSET",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Sets fields of a hash, as HSET does.",
    complexity: "O(N) where N is the number of fields set.",
    arity: Arity::AtLeast(4),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: ARGS,
    deprecated: Some(Deprecation {
        since: "4.0.0",
        replaced_by: "`HSET` with multiple field-value pairs",
    }),
    handler: Handler::Keyed(hmset),
    ..Command::BASE
};

/// Sets a field that is not there.
pub(super) static HSETNX: Command = Command {
    name: "HSETNX",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Sets a field of a hash unless it is there already.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: FLAGS,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("field"), Arg::string("value")],
    handler: Handler::Keyed(hsetnx),
    ..Command::BASE
};

fn hset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let created = set(call, view)?;
    call.reply.integer(created.cast_signed() as i64);
    Ok(())
}

fn hmset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set(call, view)?;
    call.reply.ok();
    Ok(())
}

/// Sets all fields given; how many are new.
fn set(call: &Call<'_>, view: &mut ShardView<'_>) -> Result<usize, ReplyError> {
    let texts = call.args.tail(2);
    if !texts.len().is_multiple_of(2) {
        return Err(ReplyError::WrongArity(call.command.name.to_ascii_lowercase()));
    }
    let key = call.key(1);
    let (now, growth) = (call.now.0, growth(call));
    let mut keyspace = call.keyspace(view, &key);
    let (created, expired) =
        keyspace.tell(Interest::HASH, "hset").edit_or_create(&key, |hash: &mut Hash| {
            hash.prepare(texts.iter(), growth);
            let (mut created, mut expired) = (0, 0);
            for pair in 0..texts.len() / 2 {
                let (field, at) = (texts.at(2 * pair), 2 * pair + 1);
                let shared = texts.share(at);
                let value = Text::new(texts.at(at), shared.as_ref());
                match hash.set(field, value, FieldExpiry::Clear, now, growth) {
                    PreviousField::Absent => created += 1,
                    PreviousField::Expired => {
                        created += 1;
                        expired += 1;
                    }
                    PreviousField::Present => {}
                }
            }
            Edit::counted(texts.len() as u64 / 2, (created, expired))
        })?;
    keyspace.count_expired_fields(expired);
    Ok(created)
}

fn hsetnx(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (key, field, value) = (call.key(1), call.args.at(2), call.args.at(3));
    let shared = call.args.share(3);
    let (now, growth) = (call.now.0, growth(call));
    let mut keyspace = call.keyspace(view, &key);
    let previous =
        keyspace.tell(Interest::HASH, "hset").edit_or_create(&key, |hash: &mut Hash| {
            if hash.contains(field, now) {
                return Edit::unchanged(PreviousField::Present);
            }
            hash.prepare([field, value].into_iter(), growth);
            let value = Text::new(value, shared.as_ref());
            Edit::changed(hash.set(field, value, FieldExpiry::Clear, now, growth))
        })?;
    keyspace.count_expired_fields(u64::from(previous == PreviousField::Expired));
    if previous == PreviousField::Expired {
        // When this is run again, the field is there.
        call.leave(|effects| effects.add(&[b"HSET", key.bytes, field, value]));
    }
    call.reply.integer(i64::from(previous != PreviousField::Present));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_are_set_and_counted() {
        transcript(
            r"
            HSET h a 1 b 2          => :2
            HSET h a 3 c 4 c 5      => :1
            HMSET h d 6             => +OK
            HGETALL h               => *8 $1 a $1 3 $1 b $1 2 $1 c $1 5 $1 d $1 6
            TYPE h                  => +hash
            HSETNX h a 9            => :0
            HSETNX h e 7            => :1
            HSETNX new f 1          => :1
            HGET h a                => $1 3
            HSET h a                => -ERR wrong number of arguments for 'hset' command
            HSET h a 1 b            => -ERR wrong number of arguments for 'hset' command
            HMSET h a 1 b           => -ERR wrong number of arguments for 'hmset' command
            SET s v                 => +OK
            HSET s a 1              => -WRONGTYPE Operation against a key holding the wrong kind of value
            HSETNX s a 1            => -WRONGTYPE Operation against a key holding the wrong kind of value
            HMSET s a 1 b           => -ERR wrong number of arguments for 'hmset' command
            ",
        );
    }
}
