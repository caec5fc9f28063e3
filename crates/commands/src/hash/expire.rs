//! HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT and HPERSIST.
//!
//! Replies, options and errors are Valkey's; the reply codes are those of Redis as well.

use super::effects::Touched;
use super::fields::{FIELDS_ARG, fields, fields_behind, find_fields};
use crate::expiration::{Base, Conditions, NewDeadline, Unit};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Deadline, Edit, Interest};
use darter_value::Hash;

const FLAGS: Flags = Flags::WRITE.and(Flags::FAST);
const KEYS: &[KeySpec] = &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))];
const COMPLEXITY: &str = "O(N) where N is the number of fields.";

/// Reply codes, one per field.
const NO_SUCH_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const NOT_ADMITTED: i64 = 0;
const DONE: i64 = 1;
const EXPIRED_AT_ONCE: i64 = 2;

macro_rules! expire_command {
    ($(#[$doc:meta])* $name:ident, $text:literal, $summary:literal, $time:expr, $unit:expr, $base:expr) => {
        $(#[$doc])*
        pub(super) static $name: Command = Command {
            name: $text,
            group: Group::Hash,
            since: "9.0.0",
            summary: $summary,
            complexity: COMPLEXITY,
            arity: Arity::AtLeast(6),
            flags: FLAGS,
            acl: Category::HASH,
            keys: KEYS,
            args: &[
                Arg::key("key"),
                $time,
                Arg::one_of(
                    "condition",
                    &[
                        Arg::word("nx", "NX"),
                        Arg::word("xx", "XX"),
                        Arg::word("gt", "GT"),
                        Arg::word("lt", "LT"),
                    ],
                )
                .optional(),
                FIELDS_ARG,
            ],
            handler: Handler::Keyed(|call, view| set_deadlines(call, view, $unit, $base)),
            ..Command::BASE
        };
    };
}

expire_command!(
    /// Lets fields live for seconds.
    HEXPIRE,
    "HEXPIRE",
    "Sets the time to live of fields of a hash, in seconds.",
    Arg::integer("seconds"),
    Unit::Seconds,
    Base::Now
);
expire_command!(
    /// Lets fields live for milliseconds.
    HPEXPIRE,
    "HPEXPIRE",
    "Sets the time to live of fields of a hash, in milliseconds.",
    Arg::integer("milliseconds"),
    Unit::Millis,
    Base::Now
);
expire_command!(
    /// Lets fields live until a second.
    HEXPIREAT,
    "HEXPIREAT",
    "Sets the time fields of a hash expire at, in seconds since the epoch.",
    Arg::unix_time("unix-time-seconds"),
    Unit::Seconds,
    Base::Epoch
);
expire_command!(
    /// Lets fields live until a millisecond.
    HPEXPIREAT,
    "HPEXPIREAT",
    "Sets the time fields of a hash expire at, in milliseconds since the epoch.",
    Arg::unix_time("unix-time-milliseconds"),
    Unit::Millis,
    Base::Epoch
);

/// Lets fields live as long as the key.
pub(super) static HPERSIST: Command = Command {
    name: "HPERSIST",
    group: Group::Hash,
    since: "9.0.0",
    summary: "Lets fields of a hash live until they are removed.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(5),
    flags: FLAGS,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key"), FIELDS_ARG],
    handler: Handler::Keyed(hpersist),
    ..Command::BASE
};

fn set_deadlines(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    unit: Unit,
    base: Base,
) -> ReplyResult {
    let fields_at = find_fields(call, 3)?;
    let conditions = Conditions::parse(call, 3..fields_at)?;
    let fields = fields_behind(call, fields_at + 1, 1)?;
    let time = call.integer(2)?;
    let millis = unit
        .to_millis(time)
        .filter(|millis| *millis >= 0)
        .and_then(|millis| millis.checked_add(base.millis(call.time_of_day())))
        .ok_or(ReplyError::InvalidExpireTime(call.command.name))?;
    let new = NewDeadline::at(millis, call.passed_until());
    let key = call.key(1);
    let (now, hasher) = (call.now.0, call.hasher);
    let mut keyspace = call.keyspace(view, &key);
    let mut found = Touched::new(call);
    let reply = &mut call.reply;
    let event = if new.passed { "hexpired" } else { "hexpire" };
    let expired = keyspace.tell(Interest::HASH, event).edit(&key, |hash: &mut Hash| {
        reply.array(fields.len());
        let (mut updated, mut expired) = (0, 0);
        for field in fields.iter() {
            let code = match hash.get(field, now) {
                None => NO_SUCH_FIELD,
                Some(old) if !conditions.admit(old.deadline.map(Deadline::millis), millis) => {
                    NOT_ADMITTED
                }
                Some(_) if new.passed => {
                    hash.remove(field, now);
                    found.note(field);
                    expired += 1;
                    EXPIRED_AT_ONCE
                }
                Some(_) => {
                    hash.set_deadline(field, Some(new.deadline), now, hasher);
                    found.note(field);
                    updated += 1;
                    DONE
                }
            };
            reply.integer(code);
        }
        Edit::counted(updated + expired, expired)
    })?;
    found.leave_deadline(call, new);
    match expired {
        Some(expired) => keyspace.count_expired_fields(expired),
        None => no_such_fields(call, fields.len()),
    }
    Ok(())
}

fn hpersist(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let fields = fields(call)?;
    let key = call.key(1);
    let (now, hasher) = (call.now.0, call.hasher);
    let mut keyspace = call.keyspace(view, &key);
    let mut persisting = Touched::new(call);
    let reply = &mut call.reply;
    let found = keyspace.tell(Interest::HASH, "hpersist").edit(&key, |hash: &mut Hash| {
        reply.array(fields.len());
        let mut changes = 0;
        for field in fields.iter() {
            let code = match hash.get(field, now).map(|field| field.deadline) {
                None => NO_SUCH_FIELD,
                Some(None) => NO_DEADLINE,
                Some(Some(_)) => {
                    hash.set_deadline(field, None, now, hasher);
                    persisting.note(field);
                    changes += 1;
                    DONE
                }
            };
            reply.integer(code);
        }
        Edit::counted(changes, ())
    })?;
    persisting.leave_no_deadline(call);
    if found.is_none() {
        no_such_fields(call, fields.len());
    }
    Ok(())
}

/// The reply when there is no hash.
pub(super) fn no_such_fields(call: &mut Call<'_>, count: usize) {
    call.reply.array(count);
    for _ in 0..count {
        call.reply.integer(NO_SUCH_FIELD);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_expire() {
        transcript(
            r"
            HEXPIRE h 10 FIELDS 2 a b => *2 :-2 :-2
            HSET h a 1 b 2 c 3      => :3
            HEXPIRE h 10 FIELDS 2 a nope => *2 :1 :-2
            HPEXPIRE h 20 FIELDS 1 b => *1 :1
            HTTL h FIELDS 4 a b c d => *4 :10 :0 :-1 :-2
            HPTTL h FIELDS 2 a b    => *2 :10000 :20
            HEXPIRETIME h FIELDS 1 a => *1 :1700000010
            HPEXPIRETIME h FIELDS 1 b => *1 :1700000000020
            @time +21
            HGET h b                => $-1
            HMGET h a b c           => *3 $1 1 $-1 $1 3
            HTTL h FIELDS 1 b       => *1 :-2
            HDEL h b                => :0
            HEXISTS h b             => :0
            HSET h b 4              => :1
            HTTL h FIELDS 1 b       => *1 :-1
            HPERSIST h FIELDS 3 a b x => *3 :1 :-1 :-2
            HTTL h FIELDS 1 a       => *1 :-1
            HEXPIRE h 0 FIELDS 2 a nope => *2 :2 :-2
            HEXPIREAT h 1 FIELDS 2 b c => *2 :2 :2
            EXISTS h                => :0
            HPERSIST h FIELDS 1 a   => *1 :-2
            ",
        );
    }

    #[test]
    fn setting_a_value_clears_the_deadline() {
        transcript(
            r"
            HSET h a 1              => :1
            HEXPIRE h 10 FIELDS 1 a => *1 :1
            HSET h a 2              => :0
            HTTL h FIELDS 1 a       => *1 :-1
            ",
        );
    }

    #[test]
    fn conditions_decide() {
        transcript(
            r"
            HSET h a 1 b 2          => :2
            HEXPIRE h 10 XX FIELDS 1 a => *1 :0
            HEXPIRE h 10 GT FIELDS 1 a => *1 :0
            HEXPIRE h 10 LT FIELDS 1 a => *1 :1
            HEXPIRE h 20 NX FIELDS 2 a b => *2 :0 :1
            HEXPIRE h 20 LT FIELDS 1 a => *1 :0
            HEXPIRE h 20 GT FIELDS 1 a => *1 :1
            HEXPIRE h 30 xx fields 1 a => *1 :1
            HTTL h FIELDS 2 a b     => *2 :30 :20
            HEXPIRE h 10 NX XX FIELDS 1 a => -ERR NX and XX, GT or LT options at the same time are not compatible
            HEXPIRE h 10 GT LT FIELDS 1 a => -ERR GT and LT options at the same time are not compatible
            HEXPIRE h 10 FOO FIELDS 1 a => -ERR Unsupported option FOO
            HEXPIRE h 10 1 a b      => -ERR numfields should be greater than 0 and match the provided number of fields
            HEXPIRE h 10 FIELDS 2 a => -ERR numfields should be greater than 0 and match the provided number of fields
            HEXPIRE h 10 FIELDS 0 a => -ERR numfields should be greater than 0 and match the provided number of fields
            HEXPIRE h 10 FIELDS -1 a => -ERR numfields should be greater than 0 and match the provided number of fields
            HEXPIRE h 10 FIELDS x a => -ERR value is not an integer or out of range
            HEXPIRE h x FIELDS 1 a  => -ERR value is not an integer or out of range
            HEXPIRE h -1 FIELDS 1 a => -ERR invalid expire time in 'hexpire' command
            HPEXPIREAT h 9223372036854775807 FIELDS 1 a => *1 :1
            HPEXPIRE h 9223372036854775807 FIELDS 1 a => -ERR invalid expire time in 'hpexpire' command
            HEXPIRE h 9223372036854775 FIELDS 1 a => -ERR invalid expire time in 'hexpire' command
            SET s v                 => +OK
            HEXPIRE s 10 FIELDS 1 a => -WRONGTYPE Operation against a key holding the wrong kind of value
            HPERSIST s FIELDS 1 a   => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
