//! HSETEX.

use super::effects::{Touched, leave_pairs};
use super::fields::{fields_behind, find_fields, growth};
use super::set_options::{Expiration, Options, OptionsOf, deadline};
use crate::expiration::TIME_ARGS;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_resp::OwnedArgs;
use darter_shard::{Edit, Interest};
use darter_value::hash::{FieldExpiry, PreviousField};
use darter_value::{Hash, Text};

/// Sets fields with a deadline.
pub(super) static HSETEX: Command = Command {
    name: "HSETEX",
    group: Group::Hash,
    since: "9.0.0",
    summary: "Sets fields of a hash with a time to live, if conditions hold.",
    complexity: "O(N) where N is the number of fields set.",
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::one_of("key-condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
        Arg::one_of("fields-condition", &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")])
            .optional(),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0],
                TIME_ARGS[1],
                TIME_ARGS[2],
                TIME_ARGS[3],
                Arg::word("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
        Arg::block(
            "fields",
            &[
                Arg::integer("numfields"),
                Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
            ],
        )
        .token("FIELDS"),
    ],
    handler: Handler::Keyed(hsetex),
    ..Command::BASE
};

fn hsetex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let fields_at = find_fields(call, 2)?;
    let options = Options::parse(call, 2..fields_at, OptionsOf::Set)?;
    let texts = fields_behind(call, fields_at + 1, 2)?;
    let pairs = || (0..texts.len() / 2).map(|pair| (texts.at(2 * pair), texts.at(2 * pair + 1)));
    let key = call.key(1);
    let (now, growth) = (call.now.0, growth(call));
    let mut keyspace = call.keyspace(view, &key);
    let is_there = keyspace.peek_collection::<Hash>(&key)?.is_some();
    if !options.key.admits(is_there) {
        call.reply.integer(0);
        return Ok(());
    }
    let (expiry, passed) = match options.expiration {
        Expiration::At(time) => {
            let new = deadline(call, time)?;
            (FieldExpiry::At(new.deadline), new.passed)
        }
        Expiration::Keep => (FieldExpiry::Keep, false),
        Expiration::None | Expiration::Persist => (FieldExpiry::Clear, false),
    };
    let mut gone = Touched::new(call);
    let mut overwritten = OwnedArgs::new();
    let (done, expired) = keyspace.edit_or_create(&key, |hash: &mut Hash| {
        if !pairs().all(|(field, _)| options.fields.admits(hash.contains(field, now))) {
            return Edit::unchanged((false, 0));
        }
        let (mut changes, mut expired) = (0, 0);
        for (pair, (field, value)) in pairs().enumerate() {
            if passed {
                if hash.remove(field, now) {
                    gone.note(field);
                    changes += 1;
                }
                expired += 1;
            } else {
                changes += 1;
                let shared = texts.share(2 * pair + 1);
                let text = Text::new(value, shared.as_ref());
                if hash.set(field, text, expiry, now, growth) == PreviousField::Expired {
                    overwritten.push(field);
                    overwritten.push(value);
                    expired += 1;
                }
            }
        }
        Edit::counted(changes, (true, expired))
    })?;
    keyspace.count_expired_fields(expired);
    if passed {
        gone.leave_deletion(call);
    } else if done {
        leave_pairs(call, expiry, texts, overwritten.as_args());
    }
    if done {
        if expired > 0 && !passed {
            keyspace.note(Interest::HASH, "hexpired", &key);
        }
        keyspace.note(Interest::HASH, "hset", &key);
        if matches!(expiry, FieldExpiry::At(_)) {
            keyspace.note(Interest::HASH, "hexpire", &key);
        }
        if passed {
            keyspace.note(Interest::HASH, "hexpired", &key);
        }
    }
    call.reply.integer(i64::from(done));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn fields_are_set_with_a_deadline() {
        transcript(
            r"
            HSETEX h EX 10 FIELDS 2 a 1 b 2 => :1
            HTTL h FIELDS 2 a b     => *2 :10 :10
            HSETEX h KEEPTTL FIELDS 2 a 3 c 4 => :1
            HTTL h FIELDS 2 a c     => *2 :10 :-1
            HSETEX h FIELDS 1 a 5   => :1
            HTTL h FIELDS 1 a       => *1 :-1
            HMGET h a b c           => *3 $1 5 $1 2 $1 4
            HSETEX h FNX FIELDS 2 a 6 d 6 => :0
            HSETEX h FXX FIELDS 2 a 6 d 6 => :0
            HSETEX h FNX EX 5 FIELDS 1 d 6 => :1
            HSETEX h FXX FIELDS 2 a 7 d 7 => :1
            HSETEX h NX FIELDS 1 a 8 => :0
            HSETEX n XX FIELDS 1 a 8 => :0
            HSETEX n FXX FIELDS 1 a 8 => :0
            EXISTS n                => :0
            HSETEX n NX FNX FIELDS 1 a 8 => :1
            HSETEX n PXAT 1 FIELDS 1 a 9 => :1
            EXISTS n                => :0
            HSETEX n PXAT 1 FIELDS 1 a 9 => :1
            EXISTS n                => :0
            HMGET h a d             => *2 $1 7 $1 7
            ",
        );
    }

    #[test]
    fn malformed_calls_are_refused() {
        transcript(
            r"
            HSETEX h NX XX FIELDS 1 a 1 => -ERR syntax error
            HSETEX h FNX FXX FIELDS 1 a 1 => -ERR syntax error
            HSETEX h EX 10 KEEPTTL FIELDS 1 a 1 => -ERR syntax error
            HSETEX h KEEPTTL EX 10 FIELDS 1 a 1 => -ERR syntax error
            HSETEX h PERSIST FIELDS 1 a 1 => -ERR syntax error
            HSETEX h EX FIELDS 1 a 1 => -ERR syntax error
            HSETEX h EX x FIELDS 1 a 1 => -ERR value is not an integer or out of range
            HSETEX h EX -1 FIELDS 1 a 1 => -ERR invalid expire time in 'hsetex' command
            HSETEX h FIELDS 2 a 1   => -ERR numfields should be greater than 0 and match the provided number of fields
            HSETEX h FIELDS 1 a 1 b => -ERR numfields should be greater than 0 and match the provided number of fields
            HSETEX h FIELDS x a 1   => -ERR value is not an integer or out of range
            HSETEX h FIELDS 9223372036854775807 a 1 => -ERR numfields should be greater than 0 and match the provided number of fields
            SET s v                 => +OK
            HSETEX s EX x FIELDS 1 a 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
            EXISTS h                => :0
            ",
        );
    }
}
