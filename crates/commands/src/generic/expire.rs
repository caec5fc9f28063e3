//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT and PERSIST.

use crate::effects::{leave_deadline, leave_expired};
use crate::expiration::{Base, Conditions, NewDeadline, Unit};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Interest, Lifetime};

const KEYS: &[KeySpec] = &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))];

const FLAGS: Flags = Flags::WRITE.and(Flags::FAST);

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional()
.since("7.0.0");

const HISTORY: &[(&str, &str)] = &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")];

/// Sets a time to live in seconds.
pub(super) static EXPIRE: Command = Command {
    name: "EXPIRE",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Sets the time to live of a key in seconds.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::integer("seconds"), CONDITION],
    history: HISTORY,
    handler: Handler::Keyed(expire),
    ..Command::BASE
};

/// Sets a time to live in milliseconds.
pub(super) static PEXPIRE: Command = Command {
    name: "PEXPIRE",
    group: Group::Generic,
    since: "2.6.0",
    summary: "Sets the time to live of a key in milliseconds.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::integer("milliseconds"), CONDITION],
    history: HISTORY,
    handler: Handler::Keyed(pexpire),
    ..Command::BASE
};

/// Sets a deadline in seconds since the epoch.
pub(super) static EXPIREAT: Command = Command {
    name: "EXPIREAT",
    group: Group::Generic,
    since: "1.2.0",
    summary: "Sets the time a key expires at, in seconds since the epoch.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::unix_time("unix-time-seconds"), CONDITION],
    history: HISTORY,
    handler: Handler::Keyed(expireat),
    ..Command::BASE
};

/// Sets a deadline in milliseconds since the epoch.
pub(super) static PEXPIREAT: Command = Command {
    name: "PEXPIREAT",
    group: Group::Generic,
    since: "2.6.0",
    summary: "Sets the time a key expires at, in milliseconds since the epoch.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::unix_time("unix-time-milliseconds"), CONDITION],
    history: HISTORY,
    handler: Handler::Keyed(pexpireat),
    ..Command::BASE
};

/// Clears a deadline.
pub(super) static PERSIST: Command = Command {
    name: "PERSIST",
    group: Group::Generic,
    since: "2.2.0",
    summary: "Lets a key live until it is deleted.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key")],
    handler: Handler::Keyed(persist),
    ..Command::BASE
};

fn expire(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_deadline(call, view, Unit::Seconds, Base::Now)
}

fn pexpire(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_deadline(call, view, Unit::Millis, Base::Now)
}

fn expireat(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_deadline(call, view, Unit::Seconds, Base::Epoch)
}

fn pexpireat(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_deadline(call, view, Unit::Millis, Base::Epoch)
}

fn set_deadline(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    unit: Unit,
    base: Base,
) -> ReplyResult {
    let conditions = Conditions::parse(call, 3..call.args.len())?;
    let time = call.integer(2)?;
    // Times in the past are legal here: the key expires at once.
    let millis = unit
        .to_millis(time)
        .and_then(|millis| millis.checked_add(base.millis(call.time_of_day())))
        .ok_or(ReplyError::InvalidExpireTime(call.command.name))?
        .max(0);
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let old = match keyspace.lifetime(&key) {
        Lifetime::Absent => {
            call.reply.integer(0);
            return Ok(());
        }
        Lifetime::Unlimited => None,
        Lifetime::Until(at) => Some(at.0),
    };
    if !conditions.admit(old, millis) {
        call.reply.integer(0);
        return Ok(());
    }
    let NewDeadline { deadline, passed } = NewDeadline::at(millis, call.passed_until());
    if passed {
        keyspace.expire_now(&key);
        leave_expired(call, key.bytes);
    } else {
        keyspace.tell(Interest::GENERIC, "expire").set_deadline(&key, Some(deadline));
        leave_deadline(call, key.bytes, deadline);
    }
    call.reply.integer(1);
    Ok(())
}

fn persist(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let limited = matches!(keyspace.lifetime(&key), Lifetime::Until(_));
    if limited {
        keyspace.tell(Interest::GENERIC, "persist").set_deadline(&key, None);
    }
    call.reply.integer(i64::from(limited));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn deadlines_are_set_and_cleared() {
        transcript(
            r"
            EXPIRE k 10             => :0
            SET k v                 => +OK
            EXPIRE k 10             => :1
            TTL k                   => :10
            PEXPIRE k 20000         => :1
            TTL k                   => :20
            EXPIREAT k 33177117420  => :1
            PEXPIRETIME k           => :33177117420000
            PEXPIREAT k 33177117420001 => :1
            PEXPIRETIME k           => :33177117420001
            PERSIST k               => :1
            PERSIST k               => :0
            PERSIST nokey           => :0
            TTL k                   => :-1
            ",
        );
    }

    #[test]
    fn times_in_the_past_delete() {
        transcript(
            r"
            MSET a 1 b 2 c 3 d 4 e 5 => +OK
            EXPIRE a 0              => :1
            EXPIRE b -1             => :1
            PEXPIRE c -9223372036854775808 => :1
            EXPIREAT d 1            => :1
            PEXPIREAT e -1          => :1
            DBSIZE                  => :0
            ",
        );
    }

    #[test]
    fn conditions_compare_with_the_deadline_there_is() {
        transcript(
            r"
            SET k v                 => +OK
            EXPIRE k 100 XX         => :0
            EXPIRE k 100 GT         => :0
            EXPIRE k 100 NX         => :1
            EXPIRE k 200 NX         => :0
            EXPIRE k 50 GT          => :0
            EXPIRE k 200 GT         => :1
            EXPIRE k 300 LT         => :0
            EXPIRE k 50 LT          => :1
            EXPIRE k 40 XX LT       => :1
            EXPIRE k 30 XX GT       => :0
            TTL k                   => :40
            PERSIST k               => :1
            EXPIRE k 100 LT         => :1
            TTL k                   => :100
            EXPIRE k -1 GT          => :0
            EXPIRE k -1 LT          => :1
            EXISTS k                => :0
            ",
        );
    }

    #[test]
    fn malformed_arguments_are_refused() {
        transcript(
            r"
            SET k v                 => +OK
            EXPIRE k x              => -ERR value is not an integer or out of range
            EXPIRE k 9223372036854775807 => -ERR invalid expire time in 'expire' command
            EXPIRE k -9223372036854775808 => -ERR invalid expire time in 'expire' command
            PEXPIRE k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
            EXPIREAT k 9223372036854775807 => -ERR invalid expire time in 'expireat' command
            EXPIRE k 9223372036854775 => -ERR invalid expire time in 'expire' command
            EXPIRE k 10 AB          => -ERR Unsupported option AB
            EXPIRE k x AB           => -ERR Unsupported option AB
            EXPIRE k 10 NX XX       => -ERR NX and XX, GT or LT options at the same time are not compatible
            EXPIRE k 10 NX GT LT    => -ERR NX and XX, GT or LT options at the same time are not compatible
            EXPIRE k 10 GT LT       => -ERR GT and LT options at the same time are not compatible
            EXPIRE k 10 XX GT LT    => -ERR GT and LT options at the same time are not compatible
            EXPIRE nokey x          => -ERR value is not an integer or out of range
            EXPIRE k                => -ERR wrong number of arguments for 'expire' command
            TTL k                   => :-1
            ",
        );
    }
}
