//! OBJECT and its subcommands.

use crate::reply::write_help;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Encoding, NotNoted, ValueRef};

/// The container.
pub(super) static OBJECT: Command = Command {
    name: "OBJECT",
    group: Group::Generic,
    since: "2.2.3",
    summary: "A container for commands that look at how a value is kept.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT],
    handler: Handler::Container,
    ..Command::BASE
};

/// How a value is kept.
static ENCODING: Command = Command {
    name: "ENCODING",
    group: Group::Generic,
    since: "2.2.3",
    summary: "The internal encoding of a value.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(encoding),
    ..Command::BASE
};

/// How often a value is used.
static FREQ: Command = Command {
    name: "FREQ",
    group: Group::Generic,
    since: "4.0.0",
    summary: "The logarithm of how often a value is used.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(freq),
    ..Command::BASE
};

/// The subcommands.
static HELP: Command = Command {
    name: "HELP",
    group: Group::Generic,
    since: "6.2.0",
    summary: "What the subcommands do.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Category::KEYSPACE,
    handler: Handler::Keyed(help),
    ..Command::BASE
};

/// How long a value has not been used.
static IDLETIME: Command = Command {
    name: "IDLETIME",
    group: Group::Generic,
    since: "2.2.3",
    summary: "Seconds since a value was last used.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(idletime),
    ..Command::BASE
};

/// How many keys share a value.
static REFCOUNT: Command = Command {
    name: "REFCOUNT",
    group: Group::Generic,
    since: "2.2.3",
    summary: "How many references there are to a value.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(refcount),
    ..Command::BASE
};

/// The encoding of the value at argument 2. Looking at it is no use of the key.
fn look_up(call: &Call<'_>, view: &mut ShardView<'_>) -> Option<Encoding> {
    let key = call.key(2);
    let mut keyspace = call.keyspace(view, &key);
    keyspace.inspect(&key).map(ValueRef::encoding)
}

fn encoding(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    match look_up(call, view) {
        Some(encoding) => call.reply.bulk(encoding.name().as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

fn freq(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let frequency = call.keyspace(view, &key).frequency(&key);
    let frequency = frequency.map_err(|NotNoted| ReplyError::Text(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
         that when switching between policies at runtime LRU and LFU data will take some time to \
         adjust.",
    ))?;
    match frequency {
        Some(frequency) => call.reply.integer(frequency.into()),
        None => call.reply.null(),
    }
    Ok(())
}

fn idletime(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let seconds = call.keyspace(view, &key).idle_seconds(&key);
    let seconds = seconds.map_err(|NotNoted| {
        ReplyError::Text(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )
    })?;
    match seconds {
        Some(seconds) => call.reply.integer(seconds.into()),
        None => call.reply.null(),
    }
    Ok(())
}

/// Keys never share a value here; replies under way may, for a moment.
fn refcount(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    match look_up(call, view) {
        Some(_) => call.reply.integer(1),
        None => call.reply.null(),
    }
    Ok(())
}

fn help(call: &mut Call<'_>, _: &mut ShardView<'_>) -> ReplyResult {
    write_help(
        &mut call.reply,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn encodings_have_the_names_redis_gives_them() {
        transcript(
            r"
            OBJECT ENCODING k       => $-1
            SET k 12                => +OK
            OBJECT ENCODING k       => $3 int
            SET k 012               => +OK
            object encoding k       => $6 embstr
            APPEND k 3              => :4
            OBJECT ENCODING k       => $3 raw
            SET k 0123456789012345678901234567890123456789abcd  => +OK
            OBJECT ENCODING k       => $6 embstr
            SET k 0123456789012345678901234567890123456789abcde => +OK
            OBJECT ENCODING k       => $3 raw
            INCRBYFLOAT f 1         => $1 1
            OBJECT ENCODING f       => $6 embstr
            ",
        );
    }

    #[test]
    fn subcommands_check_their_arguments() {
        transcript(
            r"
            OBJECT                  => -ERR wrong number of arguments for 'object' command
            OBJECT FOO              => -ERR unknown subcommand 'FOO'. Try OBJECT HELP.
            OBJECT FREQ             => -ERR wrong number of arguments for 'object|freq' command
            OBJECT ENCODING a b     => -ERR wrong number of arguments for 'object|encoding' command
            OBJECT REFCOUNT a       => $-1
            OBJECT IDLETIME a       => $-1
            OBJECT FREQ a           => $-1
            SET a foo               => +OK
            OBJECT REFCOUNT a       => :1
            OBJECT IDLETIME a       => :0
            OBJECT FREQ a           => -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
            ",
        );
    }

    #[test]
    fn help_is_an_array_of_lines() {
        transcript(
            r"
            OBJECT HELP             => *15 +OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +ENCODING <key> +    Return the kind of internal representation used in order to store the value +    associated with a <key>. +FREQ <key> +    Return the access frequency index of the <key>. The returned integer is +    proportional to the logarithm of the recent access frequency of the key. +IDLETIME <key> +    Return the idle time of the <key>, that is the approximated number of +    seconds elapsed since the last access to the key. +REFCOUNT <key> +    Return the number of references of the value associated with the specified +    <key>. +HELP +    Print this help.
            ",
        );
    }
}
