//! DELEX and DELIFEQ: deleting a key on a condition.

use super::condition::Condition;
use crate::effects::leave_deletion;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Interest, Type};

/// Deletes a key whose value satisfies a condition.
pub(super) static DELEX: Command = Command {
    name: "DELEX",
    group: Group::String,
    since: "8.4.0",
    summary: "Deletes a key if its value, or the digest of it, equals or does not equal another.",
    complexity: "O(N) where N is the length of the value.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE).and(Access::VARIABLE))],
    args: &[
        Arg::key("key"),
        Arg::one_of(
            "condition",
            &[
                Arg::string("ifeq-value").token("IFEQ"),
                Arg::string("ifne-value").token("IFNE"),
                Arg::string("ifdeq-digest").token("IFDEQ"),
                Arg::string("ifdne-digest").token("IFDNE"),
            ],
        )
        .optional(),
    ],
    handler: Handler::Keyed(delex),
    ..Command::BASE
};

/// Deletes a key with a certain value.
pub(super) static DELIFEQ: Command = Command {
    name: "DELIFEQ",
    group: Group::String,
    since: "9.0.0",
    summary: "Deletes a key if it holds this string.",
    complexity: "O(N) where N is the length of the value.",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::REMOVE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("value")],
    handler: Handler::Keyed(delifeq),
    ..Command::BASE
};

fn delex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if !matches!(call.args.len(), 2 | 4) {
        return Err(ReplyError::WrongArity("delex".to_owned()));
    }
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    keyspace.tell(Interest::GENERIC, "del");
    let deleted = match keyspace.read(&key) {
        // A key that is not there is not deleted, whatever the condition, even a malformed one.
        None => false,
        Some(_) if call.args.len() == 2 => keyspace.remove(&key),
        Some(value) if value.value_type() != Type::String => {
            return Err(ReplyError::Text(
                "ERR Key should be of string type if conditions are specified",
            ));
        }
        Some(value) => {
            let condition = Condition::parse(call, 2).ok_or(ReplyError::Text(
                "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
            ))?;
            condition.is_met(Some(value))? && keyspace.remove(&key)
        }
    };
    if deleted {
        leave_deletion(call, key.bytes);
    }
    call.reply.integer(i64::from(deleted));
    Ok(())
}

fn delifeq(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let condition = Condition::Equal(call.args.at(2));
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    keyspace.tell(Interest::GENERIC, "del");
    let deleted = condition.is_met(keyspace.peek(&key))? && keyspace.remove(&key);
    if deleted {
        leave_deletion(call, key.bytes);
    }
    call.reply.integer(i64::from(deleted));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    // Facts from the tests of Redis 8.4 for DELEX; DELIFEQ checked with Valkey 9.1.

    #[test]
    fn delex_deletes_on_a_condition() {
        transcript(
            r#"
            SET k hello                     => +OK
            DELEX k                         => :1
            DELEX k                         => :0
            SET k hello                     => +OK
            DELEX k IFEQ world              => :0
            DELEX k IFNE hello              => :0
            DELEX k IFDEQ 0000000000000000  => :0
            DELEX k IFDNE 9555e8555c62dcfd  => :0
            DELEX k IFDNE 9555E8555C62DCFD  => :0
            DELEX k IFDEQ 9555E8555C62DCFD  => :1
            SET k hello                     => +OK
            DELEX k ifne world              => :1
            SET k 12345                     => +OK
            DELEX k IFEQ 12345              => :1
            SET k ""                        => +OK
            DELEX k IFEQ ""                 => :1
            SET k hello                     => +OK
            DELEX k IFDNE zzzzzzzzzzzzzzzz  => :1
            EXISTS k                        => :0
            "#,
        );
    }

    #[test]
    fn delex_checks_its_condition_only_on_a_key() {
        transcript(
            r"
            DELEX k FOO x                   => :0
            DELEX k IFDEQ 1                 => :0
            DELEX k IFEQ                    => -ERR wrong number of arguments for 'delex' command
            DELEX k IFEQ a b                => -ERR wrong number of arguments for 'delex' command
            SET k hello                     => +OK
            DELEX k FOO x                   => -ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE
            DELEX k IFDEQ 1                 => -ERR must be exactly 16 hexadecimal characters
            DELEX k IFDNE 09555e8555c62dcfd => -ERR must be exactly 16 hexadecimal characters
            ",
        );
    }

    #[test]
    fn delifeq_compares_the_whole_value() {
        transcript(
            r"
            DELIFEQ k v             => :0
            SET k v                 => +OK
            DELIFEQ k w             => :0
            DELIFEQ k v             => :1
            SET k 100               => +OK
            DELIFEQ k 0100          => :0
            DELIFEQ k 100           => :1
            EXISTS k                => :0
            DELIFEQ k               => -ERR wrong number of arguments for 'delifeq' command
            ",
        );
    }
}
