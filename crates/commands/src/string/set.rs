//! SET and its older relatives: SETNX, SETEX, PSETEX and GETSET.

use super::condition::Condition;
use super::effects::leave_set;
use super::set_options::{Expiration, Options, OptionsOf};
use crate::effects::leave_expired;
use crate::expiration::{Base, NewDeadline, TIME_ARGS, Time, Unit};
use crate::reply::write_string_or_null;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Deprecation, Flags, Group, Handler, KeySpec,
    ReplyResult, ShardView,
};
use darter_resp::Args;
use darter_shard::{Expiry, Interest, Key, Keyspace};

/// Sets a key.
pub(super) static SET: Command = Command {
    name: "SET",
    group: Group::String,
    since: "1.0.0",
    summary: "Sets the string value of a key, whatever it held before, perhaps under a condition \
              and with a time to live.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::at(
        1,
        Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE).and(Access::VARIABLE),
    )
    .notes("RW and ACCESS due to the optional `GET` argument")],
    args: &[
        Arg::key("key"),
        Arg::string("value"),
        Arg::one_of(
            "condition",
            &[
                Arg::word("nx", "NX").since("2.6.12"),
                Arg::word("xx", "XX").since("2.6.12"),
                // What clients offer is Valkey's; Redis's IFNE, IFDEQ and IFDNE work all the same.
                Arg::string("comparison-value").token("IFEQ").since("8.1.0"),
            ],
        )
        .optional(),
        Arg::word("get", "GET").optional().since("6.2.0"),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0].since("2.6.12"),
                TIME_ARGS[1].since("2.6.12"),
                TIME_ARGS[2].since("6.2.0"),
                TIME_ARGS[3].since("6.2.0"),
                Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ],
    history: &[
        ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
        ("6.0.0", "Added the `KEEPTTL` option."),
        ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
        ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
        ("8.1.0", "Added the `IFEQ` option."),
        ("8.4.0", "Added the `IFNE`, `IFDEQ` and `IFDNE` options."),
    ],
    access: Some(access_of_set),
    handler: Handler::Keyed(set),
    ..Command::BASE
};

/// With `GET` the old value is read.
fn access_of_set(args: Args<'_>) -> Access {
    if args.tail(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET")) {
        Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE)
    } else {
        Access::OVERWRITE.and(Access::UPDATE)
    }
}

/// Sets a key if it is not there.
pub(super) static SETNX: Command = Command {
    name: "SETNX",
    group: Group::String,
    since: "1.0.0",
    summary: "Sets the string value of a key if there is no such key.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::OVERWRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("value")],
    deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `NX` argument" }),
    handler: Handler::Keyed(setnx),
    ..Command::BASE
};

/// Sets a key with a time to live in seconds.
pub(super) static SETEX: Command = Command {
    name: "SETEX",
    group: Group::String,
    since: "2.0.0",
    summary: "Sets the string value of a key, and its time to live in seconds.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("seconds"), Arg::string("value")],
    deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `EX` argument" }),
    handler: Handler::Keyed(setex),
    ..Command::BASE
};

/// Sets a key with a time to live in milliseconds.
pub(super) static PSETEX: Command = Command {
    name: "PSETEX",
    group: Group::String,
    since: "2.6.0",
    summary: "Sets the string value of a key, and its time to live in milliseconds.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("milliseconds"), Arg::string("value")],
    deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `PX` argument" }),
    handler: Handler::Keyed(psetex),
    ..Command::BASE
};

/// Sets a key and returns what it held.
pub(super) static GETSET: Command = Command {
    name: "GETSET",
    group: Group::String,
    since: "1.0.0",
    summary: "Sets the string value of a key and returns the one it held before.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::string("value")],
    deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`SET` with the `GET` argument" }),
    handler: Handler::Keyed(getset),
    ..Command::BASE
};

/// Sets a key to the argument at an index, which is taken over if it is a big one.
#[inline]
pub(super) fn set_argument(
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    (args, index): (Args<'_>, usize),
    expiry: Expiry,
) {
    match args.share(index) {
        Some(value) => keyspace.set_shared(key, value, expiry),
        None => keyspace.set_string(key, args.at(index), expiry),
    };
}

fn set(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() > 3 {
        return set_with_options(call, view);
    }
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let keyspace = keyspace.tell(Interest::STRING, "set");
    set_argument(keyspace, &key, (call.args, 2), Expiry::Clear);
    call.reply.ok();
    Ok(())
}

#[inline(never)]
fn set_with_options(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, 3, OptionsOf::Set)?;
    let (expiry, passed) = match options.expiration {
        Expiration::None | Expiration::Persist => (Expiry::Clear, false),
        Expiration::Keep => (Expiry::Keep, false),
        Expiration::At(time) => {
            let NewDeadline { deadline, passed } = time.deadline(call)?;
            (Expiry::At(deadline), passed)
        }
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let met = if options.get {
        let before = keyspace.read(&key);
        let met = options.condition.is_met(before);
        write_string_or_null(&mut call.reply, before)?;
        met?
    } else if matches!(options.condition, Condition::Always) {
        true
    } else {
        options.condition.is_met(keyspace.peek(&key))?
    };
    if met {
        // A key whose deadline has passed need not come into being.
        if !passed {
            set_argument(keyspace.tell(Interest::STRING, "set"), &key, (call.args, 2), expiry);
            if matches!(expiry, Expiry::At(_)) {
                keyspace.note(Interest::GENERIC, "expire", &key);
            }
            leave_set(call, key.bytes, call.args.at(2), expiry);
        } else if keyspace.expire_now(&key) {
            leave_expired(call, key.bytes);
        }
    }
    match (options.get, met) {
        (true, _) => {}
        (false, true) => call.reply.ok(),
        (false, false) => call.reply.null(),
    }
    Ok(())
}

fn setnx(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let free = keyspace.peek(&key).is_none();
    if free {
        let keyspace = keyspace.tell(Interest::STRING, "set");
        set_argument(keyspace, &key, (call.args, 2), Expiry::Clear);
    }
    call.reply.integer(i64::from(free));
    Ok(())
}

fn setex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_for(call, view, Unit::Seconds)
}

fn psetex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    set_for(call, view, Unit::Millis)
}

fn set_for(call: &mut Call<'_>, view: &mut ShardView<'_>, unit: Unit) -> ReplyResult {
    let time = Time { text: call.args.at(2), unit, base: Base::Now };
    let expiry = Expiry::At(time.deadline(call)?.deadline);
    let key: Key<'_> = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    set_argument(keyspace.tell(Interest::STRING, "set"), &key, (call.args, 3), expiry);
    keyspace.note(Interest::GENERIC, "expire", &key);
    leave_set(call, key.bytes, call.args.at(3), expiry);
    call.reply.ok();
    Ok(())
}

fn getset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    write_string_or_null(&mut call.reply, keyspace.read(&key))?;
    let keyspace = keyspace.tell(Interest::STRING, "set");
    set_argument(keyspace, &key, (call.args, 2), Expiry::Clear);
    leave_set(call, key.bytes, call.args.at(2), Expiry::Clear);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn set_replaces_and_drops_the_deadline() {
        transcript(
            r#"
            SET k 1                 => +OK
            GET k                   => $1 1
            SET k "" EX 10          => +OK
            GET k                   => $0 
            TTL k                   => :10
            SET k v                 => +OK
            TTL k                   => :-1
            SET k "a b\r\n\x00"     => +OK
            STRLEN k                => :6
            SET k                   => -ERR wrong number of arguments for 'set' command
            "#,
        );
    }

    #[test]
    fn conditions_decide_whether_the_key_is_set() {
        transcript(
            r"
            SET k v XX              => $-1
            SET k v NX              => +OK
            SET k w NX              => $-1
            SET k w nx ex 10        => $-1
            TTL k                   => :-1
            SET k w XX              => +OK
            SET k x GET             => $1 w
            SET k y NX GET          => $1 x
            GET k                   => $1 x
            SET k y XX GET          => $1 x
            SET new 1 GET           => $-1
            GET new                 => $1 1
            SET other 1 XX GET      => $-1
            EXISTS other            => :0
            SETNX k z               => :0
            SETNX fresh z           => :1
            GETSET fresh w          => $1 z
            GETSET none w           => $-1
            MGET fresh none         => *2 $1 w $1 w
            ",
        );
    }

    #[test]
    fn comparisons_look_at_the_value() {
        // IFEQ checked with Valkey 9.1; the others are facts from the tests of Redis 8.4.
        transcript(
            r"
            SET k v IFEQ v                  => $-1
            SET k v IFDEQ 1                 => $-1
            EXISTS k                        => :0
            SET k v IFNE v                  => +OK
            SET k w IFEQ x                  => $-1
            SET k w IFEQ v                  => +OK
            SET k 12 IFNE w                 => $-1
            SET k 12 IFNE x                 => +OK
            SET k hello IFEQ 12             => +OK
            SET k x IFDEQ 9555E8555C62DCFD  => +OK
            SET k hello                     => +OK
            SET k x IFDNE 9555e8555c62dcfd  => $-1
            SET k x IFDNE 9555e8555c62dcfe  => +OK
            SET k y IFDEQ 1                 => -ERR must be exactly 16 hexadecimal characters
            SET k y IFEQ x GET              => $1 x
            SET k z IFEQ x GET              => $1 y
            GET k                           => $1 y
            SET new z IFDNE 1 GET           => $-1
            GET new                         => $1 z
            SET k z IFEQ y EX 10            => +OK
            TTL k                           => :10
            SET k z IFEQ                    => -ERR syntax error
            SET k z IFEQ y IFEQ y           => -ERR syntax error
            SET k z IFEQ y NX               => -ERR syntax error
            SET k z XX IFNE y               => -ERR syntax error
            ",
        );
    }

    #[test]
    fn times_set_the_deadline() {
        transcript(
            r"
            SET k v EX 10                   => +OK
            TTL k                           => :10
            SET k v PX 20000                => +OK
            TTL k                           => :20
            SET k v EXAT 33177117420        => +OK
            EXPIRETIME k                    => :33177117420
            SET k v PXAT 33177117420001     => +OK
            PEXPIRETIME k                   => :33177117420001
            SET k w KEEPTTL                 => +OK
            PEXPIRETIME k                   => :33177117420001
            SET k w EX 10 EX 20             => +OK
            TTL k                           => :20
            SET k v EXAT 1                  => +OK
            EXISTS k                        => :0
            SET k v EX 10                   => +OK
            SET k w PXAT 1 GET              => $1 v
            EXISTS k                        => :0
            SETEX k 10 v                    => +OK
            TTL k                           => :10
            PSETEX k 20000 v                => +OK
            TTL k                           => :20
            SET k v EX 10                   => +OK
            GETSET k w                      => $1 v
            TTL k                           => :-1
            ",
        );
    }

    #[test]
    fn malformed_options_are_refused() {
        transcript(
            r"
            SET k v FOO                     => -ERR syntax error
            SET k v EX                      => -ERR syntax error
            SET k v NX XX                   => -ERR syntax error
            SET k v EX 10 PX 10             => -ERR syntax error
            SET k v EX 10 EXAT 10           => -ERR syntax error
            SET k v EX 10 KEEPTTL           => -ERR syntax error
            SET k v KEEPTTL PXAT 10         => -ERR syntax error
            SET k v PERSIST                 => -ERR syntax error
            SET k v NX NX GET GET           => $-1
            SET k v EX x                    => -ERR value is not an integer or out of range
            SET k v EX 1.5                  => -ERR value is not an integer or out of range
            SET k v EX 0                    => -ERR invalid expire time in 'set' command
            SET k v PX -1                   => -ERR invalid expire time in 'set' command
            SET k v EXAT 0                  => -ERR invalid expire time in 'set' command
            SET k v EX 9223372036854775807  => -ERR invalid expire time in 'set' command
            SET k v PX 9223372036854775807  => -ERR invalid expire time in 'set' command
            SET k v EX 0 FOO                => -ERR syntax error
            SETEX k 0 v                     => -ERR invalid expire time in 'setex' command
            SETEX k x v                     => -ERR value is not an integer or out of range
            PSETEX k -5 v                   => -ERR invalid expire time in 'psetex' command
            SETEX k 10                      => -ERR wrong number of arguments for 'setex' command
            ",
        );
    }
}
