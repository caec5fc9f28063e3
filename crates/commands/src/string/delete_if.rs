//! DELEX and DELIFEQ: deleting a key on a condition.

use super::condition::Condition;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};

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
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("value")],
    handler: Handler::Keyed(delifeq),
    ..Command::BASE
};

fn delex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let condition = match call.args.len() {
        2 => Condition::Always,
        4 => Condition::parse(call, 2)?.ok_or(ReplyError::Syntax)?,
        _ => return Err(ReplyError::WrongArity("delex".to_owned())),
    };
    delete_if(call, view, condition)
}

fn delifeq(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let condition = Condition::Equal(call.args.at(2));
    delete_if(call, view, condition)
}

fn delete_if(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    condition: Condition<'_>,
) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    // A key that is not there is not deleted, whatever the condition.
    let deleted = condition.is_met(keyspace.peek(&key))? && keyspace.remove(&key);
    call.reply.integer(i64::from(deleted));
    Ok(())
}
