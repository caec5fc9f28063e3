//! HGETEX.

use super::effects::Touched;
use super::fields::{FIELDS_ARG, fields_behind, find_fields, write_value};
use super::set_options::{Expiration, Options, OptionsOf, deadline};
use crate::expiration::TIME_ARGS;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::Hash;

/// Values, and what becomes of their deadlines.
pub(super) static HGETEX: Command = Command {
    name: "HGETEX",
    group: Group::Hash,
    since: "9.0.0",
    summary: "The values of fields of a hash, whose time to live is set or cleared.",
    complexity: "O(N) where N is the number of fields.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))
        .notes("RW and UPDATE because it changes the TTL")],
    args: &[
        Arg::key("key"),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0],
                TIME_ARGS[1],
                TIME_ARGS[2],
                TIME_ARGS[3],
                Arg::word("persist", "PERSIST"),
            ],
        )
        .optional(),
        FIELDS_ARG,
    ],
    handler: Handler::Keyed(hgetex),
    ..Command::BASE
};

fn hgetex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let fields_at = find_fields(call, 2)?;
    let options = Options::parse(call, 2..fields_at, OptionsOf::Get)?;
    let fields = fields_behind(call, fields_at + 1, 1)?;
    let key = call.key(1);
    let (now, hasher) = (call.now.0, call.hasher);
    let mut keyspace = call.keyspace(view, &key);
    // Another type comes before a malformed time, as in Valkey.
    keyspace.read_collection::<Hash>(&key)?;
    let new = match options.expiration {
        Expiration::At(time) => Some(deadline(call, time)?),
        Expiration::None | Expiration::Keep | Expiration::Persist => None,
    };
    let persist = matches!(options.expiration, Expiration::Persist);
    let mut touched = Touched::new(call);
    let reply = &mut call.reply;
    let event = match new {
        None => "hpersist",
        Some(new) if new.passed => "hexpired",
        Some(_) => "hexpire",
    };
    let expired = keyspace.tell(Interest::HASH, event).edit(&key, |hash: &mut Hash| {
        reply.array(fields.len());
        let (mut updated, mut expired) = (0, 0);
        for field in fields.iter() {
            let found = hash.get(field, now);
            write_value(reply, found);
            let Some(found) = found else { continue };
            match new {
                Some(new) if new.passed => {
                    hash.remove(field, now);
                    touched.note(field);
                    expired += 1;
                }
                Some(new) => {
                    hash.set_deadline(field, Some(new.deadline), now, hasher);
                    touched.note(field);
                    updated += 1;
                }
                None if persist && found.deadline.is_some() => {
                    hash.set_deadline(field, None, now, hasher);
                    touched.note(field);
                    updated += 1;
                }
                None => {}
            }
        }
        Edit::counted(updated + expired, expired)
    })?;
    match new {
        Some(new) => touched.leave_deadline(call, new),
        None => touched.leave_no_deadline(call),
    }
    if let Some(expired) = expired {
        keyspace.count_expired_fields(expired);
    } else {
        call.reply.array(fields.len());
        fields.iter().for_each(|_| call.reply.null());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn values_are_read_and_deadlines_changed() {
        transcript(
            r"
            HGETEX h FIELDS 2 a b   => *2 $-1 $-1
            HSET h a 1 b 2          => :2
            HGETEX h FIELDS 2 a x   => *2 $1 1 $-1
            HGETEX h EX 10 FIELDS 1 a => *1 $1 1
            HTTL h FIELDS 2 a b     => *2 :10 :-1
            HGETEX h FIELDS 1 a     => *1 $1 1
            HTTL h FIELDS 1 a       => *1 :10
            HGETEX h PERSIST FIELDS 2 a b => *2 $1 1 $1 2
            HTTL h FIELDS 1 a       => *1 :-1
            HGETEX h PXAT 1700000000500 FIELDS 1 b => *1 $1 2
            HPTTL h FIELDS 1 b      => *1 :500
            HGETEX h EXAT 1 FIELDS 2 a b => *2 $1 1 $1 2
            EXISTS h                => :0
            HGETEX h EX 10 PX 10 FIELDS 1 a => -ERR syntax error
            HGETEX h PERSIST EX 10 FIELDS 1 a => -ERR syntax error
            HGETEX h EX FIELDS 1 a  => -ERR syntax error
            HGETEX h KEEPTTL FIELDS 1 a => -ERR syntax error
            HGETEX h EX x FIELDS 1 a => -ERR value is not an integer or out of range
            HGETEX h EX -1 FIELDS 1 a => -ERR invalid expire time in 'hgetex' command
            HGETEX h FIELDS 2 a     => -ERR numfields should be greater than 0 and match the provided number of fields
            HGETEX h EX 10 a b      => -ERR numfields should be greater than 0 and match the provided number of fields
            SET s v                 => +OK
            HGETEX s EX x FIELDS 1 a => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
