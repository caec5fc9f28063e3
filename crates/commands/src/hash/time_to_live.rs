//! HTTL, HPTTL, HEXPIRETIME and HPEXPIRETIME.

use super::expire::no_such_fields;
use super::fields::{FIELDS_ARG, fields_at_once};
use crate::expiration::{Base, Unit};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::Hash;

macro_rules! ttl_command {
    ($(#[$doc:meta])* $name:ident, $text:literal, $summary:literal, $unit:expr, $base:expr) => {
        $(#[$doc])*
        pub(super) static $name: Command = Command {
            name: $text,
            group: Group::Hash,
            since: "9.0.0",
            summary: $summary,
            complexity: "O(N) where N is the number of fields.",
            arity: Arity::AtLeast(5),
            flags: Flags::READONLY.and(Flags::FAST),
            acl: Category::HASH,
            keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
            args: &[Arg::key("key"), FIELDS_ARG],
            tips: &["nondeterministic_output"],
            handler: Handler::Keyed(|call, view| times(call, view, $unit, $base)),
            ..Command::BASE
        };
    };
}

ttl_command!(
    /// Seconds to live.
    HTTL,
    "HTTL",
    "How long fields of a hash live, in seconds.",
    Unit::Seconds,
    Base::Now
);
ttl_command!(
    /// Milliseconds to live.
    HPTTL,
    "HPTTL",
    "How long fields of a hash live, in milliseconds.",
    Unit::Millis,
    Base::Now
);
ttl_command!(
    /// Until which second.
    HEXPIRETIME,
    "HEXPIRETIME",
    "When fields of a hash expire, in seconds since the epoch.",
    Unit::Seconds,
    Base::Epoch
);
ttl_command!(
    /// Until which millisecond.
    HPEXPIRETIME,
    "HPEXPIRETIME",
    "When fields of a hash expire, in milliseconds since the epoch.",
    Unit::Millis,
    Base::Epoch
);

fn times(call: &mut Call<'_>, view: &mut ShardView<'_>, unit: Unit, base: Base) -> ReplyResult {
    let fields = fields_at_once(call, ReplyError::Syntax)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(hash) = keyspace.read_collection::<Hash>(&key)? else {
        no_such_fields(call, fields.len());
        return Ok(());
    };
    call.reply.array(fields.len());
    for field in fields.iter() {
        let time = match hash.get(field, call.now.0).map(|field| field.deadline) {
            None => -2,
            Some(None) => -1,
            Some(Some(deadline)) => {
                let millis = (deadline.millis() - base.millis(call.time_of_day())).max(0);
                match unit {
                    Unit::Millis => millis,
                    Unit::Seconds => (millis + 500) / 1000,
                }
            }
        };
        call.reply.integer(time);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn malformed_calls_are_refused() {
        transcript(
            r"
            HTTL h FIELDS 2 a b     => *2 :-2 :-2
            HTTL h FIELDS 2 a       => -ERR syntax error
            HTTL h FIELDS 0 a       => -ERR syntax error
            HTTL h FIELD 1 a        => -ERR syntax error
            HTTL h FIELDS x a       => -ERR value is not an integer or out of range
            SET s v                 => +OK
            HPTTL s FIELDS 1 a      => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
