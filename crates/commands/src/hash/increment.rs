//! HINCRBY and HINCRBYFLOAT.

use super::fields::growth;
use darter_base::extended::Extended;
use darter_base::number::{format_i64, parse_i64};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::Hash;
use darter_value::hash::{FieldExpiry, PreviousField};
use darter_value::integer::IntegerText;

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const KEYS: &[KeySpec] =
    &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))];

/// Adds an integer.
pub(super) static HINCRBY: Command = Command {
    name: "HINCRBY",
    group: Group::Hash,
    since: "2.0.0",
    summary: "Adds to the integer in a field of a hash, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: FLAGS,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::string("field"), Arg::integer("increment")],
    handler: Handler::Keyed(hincrby),
    ..Command::BASE
};

/// Adds a floating-point number.
pub(super) static HINCRBYFLOAT: Command = Command {
    name: "HINCRBYFLOAT",
    group: Group::Hash,
    since: "2.6.0",
    summary: "Adds to the floating-point number in a field of a hash, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: FLAGS,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::string("field"), Arg::double("increment")],
    handler: Handler::Keyed(hincrbyfloat),
    ..Command::BASE
};

fn hincrby(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let increment = call.integer(3)?;
    let mut sum = 0;
    update(call, view, "hincrby", |before| {
        let before = match before {
            None => 0,
            Some(text) => {
                parse_i64(text).ok_or(ReplyError::Text("ERR hash value is not an integer"))?
            }
        };
        sum = before.checked_add(increment).ok_or(ReplyError::IncrementOverflow)?;
        Ok(format_i64(sum).to_vec())
    })?;
    call.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let increment = Extended::parse(call.args.at(3)).ok_or(ReplyError::NotAFloat)?;
    if !increment.is_finite() {
        return Err(ReplyError::Text("ERR value is NaN or Infinity"));
    }
    let text = update(call, view, "hincrbyfloat", |before| {
        let before = match before {
            None => Extended::ZERO,
            Some(text) => {
                Extended::parse(text).ok_or(ReplyError::Text("ERR hash value is not a float"))?
            }
        };
        let sum = before + increment;
        if sum.is_finite() { Ok(sum.to_text()) } else { Err(ReplyError::IncrementNotFinite) }
    })?;
    call.reply.bulk(&text);
    Ok(())
}

/// Sets the field to what `change` makes of its value, which it returns. Its deadline stays.
fn update(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    event: &'static str,
    change: impl FnOnce(Option<&[u8]>) -> Result<Vec<u8>, ReplyError>,
) -> Result<Vec<u8>, ReplyError> {
    let (key, field) = (call.key(1), call.args.at(2));
    let (now, growth) = (call.now.0, growth(call));
    let mut keyspace = call.keyspace(view, &key);
    let changed =
        keyspace.tell(Interest::HASH, event).edit_or_create(&key, |hash: &mut Hash| {
            let mut text = IntegerText::new();
            let before = hash.get(field, now);
            let expires = before.is_some_and(|before| before.deadline.is_some());
            match change(before.map(|before| before.value.bytes(&mut text))) {
                Err(error) => Edit::unchanged(Err(error)),
                Ok(value) => {
                    let previous = hash.set(field, &value, FieldExpiry::Keep, now, growth);
                    Edit::changed(Ok((value, previous, expires)))
                }
            }
        })?;
    let (value, previous, expires) = changed?;
    keyspace.count_expired_fields(u64::from(previous == PreviousField::Expired));
    // The sum, since numbers with fractions may be added otherwise elsewhere, and a field that has expired is there
    // when this is run again.
    call.leave(|effects| {
        if expires {
            effects.add(&[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1", field, &value]);
        } else {
            effects.add(&[b"HSET", key.bytes, field, &value]);
        }
    });
    Ok(value)
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn integers_are_added() {
        transcript(
            r"
            HINCRBY h a 5           => :5
            HINCRBY h a -7          => :-2
            HGET h a                => $2 -2
            HSET h b 9223372036854775807 c x d 007 => :3
            HINCRBY h b 1           => -ERR increment or decrement would overflow
            HINCRBY h c 1           => -ERR hash value is not an integer
            HINCRBY h d 1           => -ERR hash value is not an integer
            HINCRBY h a x           => -ERR value is not an integer or out of range
            HINCRBY new a x         => -ERR value is not an integer or out of range
            EXISTS new              => :0
            SET s v                 => +OK
            HINCRBY s a 1           => -WRONGTYPE Operation against a key holding the wrong kind of value
            HINCRBY s a x           => -ERR value is not an integer or out of range
            ",
        );
    }

    #[test]
    fn floats_are_added() {
        transcript(
            r"
            HINCRBYFLOAT h a 10.5   => $4 10.5
            HINCRBYFLOAT h a 0.1    => $4 10.6
            HINCRBYFLOAT h b 3      => $1 3
            HSET h c x d 1e308 e 5.0e3 => :3
            HINCRBYFLOAT h c 1      => -ERR hash value is not a float
            HINCRBYFLOAT h e 200    => $4 5200
            HINCRBYFLOAT h a x      => -ERR value is not a valid float
            HINCRBYFLOAT h a inf    => -ERR value is NaN or Infinity
            HINCRBYFLOAT new a x    => -ERR value is not a valid float
            EXISTS new              => :0
            SET s v                 => +OK
            HINCRBYFLOAT s a 1      => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }

    #[test]
    fn the_deadline_stays_unless_it_has_passed() {
        transcript(
            r"
            HSET h a 1 b 1          => :2
            HPEXPIRE h 100 FIELDS 1 a => *1 :1
            HINCRBY h a 1           => :2
            HPTTL h FIELDS 1 a      => *1 :100
            HINCRBYFLOAT h a 1      => $1 3
            HPTTL h FIELDS 1 a      => *1 :100
            @time +101
            HINCRBY h a 1           => :1
            HPTTL h FIELDS 1 a      => *1 :-1
            ",
        );
    }
}
