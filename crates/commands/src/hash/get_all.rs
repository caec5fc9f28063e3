//! HGETALL, HKEYS and HVALS.

use crate::long_read::{Read, in_one_piece, read_in_slices, read_steps};
use crate::reply::{write_element, write_item};
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_resp::ReplyWriter;
use darter_value::Hash;
use darter_value::hash::FieldRef;

const KEYS: &[KeySpec] = &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))];
const TIPS: &[&str] = &["nondeterministic_output_order"];

/// Everything.
pub(super) static HGETALL: Command = Command {
    name: "HGETALL",
    group: Group::Hash,
    since: "2.0.0",
    summary: "All fields of a hash with their values.",
    complexity: "O(N) where N is the number of fields.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key")],
    tips: TIPS,
    handler: Handler::Keyed(hgetall),
    slices: Some(|call| Ok(read_in_slices(call, Parts::Fields))),
    ..Command::BASE
};

/// All names.
pub(super) static HKEYS: Command = Command {
    name: "HKEYS",
    group: Group::Hash,
    since: "2.0.0",
    summary: "The names of all fields of a hash.",
    complexity: "O(N) where N is the number of fields.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key")],
    tips: TIPS,
    handler: Handler::Keyed(|call, view| one_of_each(call, view, Parts::Names)),
    slices: Some(|call| Ok(read_in_slices(call, Parts::Names))),
    ..Command::BASE
};

/// All values.
pub(super) static HVALS: Command = Command {
    name: "HVALS",
    group: Group::Hash,
    since: "2.0.0",
    summary: "The values of all fields of a hash.",
    complexity: "O(N) where N is the number of fields.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: KEYS,
    args: &[Arg::key("key")],
    tips: TIPS,
    handler: Handler::Keyed(|call, view| one_of_each(call, view, Parts::Values)),
    slices: Some(|call| Ok(read_in_slices(call, Parts::Values))),
    ..Command::BASE
};

fn hgetall(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(hash) = keyspace.read_collection::<Hash>(&key)? else {
        call.reply.map(0);
        return Ok(());
    };
    in_one_piece(call, hash, hash.len())?;
    let write = |reply: &mut ReplyWriter<'_>| {
        let mut count = 0;
        hash.for_each(call.now.0, |field| {
            Parts::Fields.write(reply, field);
            count += 1;
        });
        count
    };
    if hash.next_deadline().is_none() {
        call.reply.map(hash.len());
        write(&mut call.reply);
    } else {
        let deferred = call.reply.begin_deferred();
        let count = write(&mut call.reply);
        call.reply.end_map(deferred, count);
    }
    Ok(())
}

fn one_of_each(call: &mut Call<'_>, view: &mut ShardView<'_>, parts: Parts) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(hash) = keyspace.read_collection::<Hash>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    in_one_piece(call, hash, hash.len())?;
    let deferred = call.reply.begin_deferred();
    let mut count = 0;
    hash.for_each(call.now.0, |field| {
        parts.write(&mut call.reply, field);
        count += 1;
    });
    call.reply.end_array(deferred, count);
    Ok(())
}

/// What is shown of each field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// Both.
    Fields,
    Names,
    Values,
}

impl Parts {
    #[inline]
    fn write(self, reply: &mut ReplyWriter<'_>, field: FieldRef<'_>) {
        if self != Self::Values {
            write_item(reply, field.name);
        }
        if self != Self::Names {
            write_element(reply, field.value);
        }
    }
}

impl Read for Parts {
    type Collection = Hash;
    type At = u64;

    fn read(
        &self,
        hash: &Hash,
        at: u64,
        now: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<u64> {
        read_steps(at, (written, at_once), |from, written| {
            hash.for_each_slice(from, now.0, |field| {
                self.write(reply, field);
                *written += 1;
            })
        })
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        if *self == Self::Fields {
            reply.map(count);
        } else {
            reply.array(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn everything_is_read() {
        transcript(
            r"
            HGETALL h               => *0
            HKEYS h                 => *0
            HVALS h                 => *0
            HSET h a 1 b x          => :2
            HGETALL h               => *4 $1 a $1 1 $1 b $1 x
            HKEYS h                 => *2 $1 a $1 b
            HVALS h                 => *2 $1 1 $1 x
            SET s v                 => +OK
            HGETALL s               => -WRONGTYPE Operation against a key holding the wrong kind of value
            HKEYS s                 => -WRONGTYPE Operation against a key holding the wrong kind of value
            HVALS s                 => -WRONGTYPE Operation against a key holding the wrong kind of value
            @resp 3
            HGETALL h               => %2 $1 a $1 1 $1 b $1 x
            HGETALL nokey           => %0
            HPEXPIRE h 10 FIELDS 1 a => *1 :1
            @time +11
            HGETALL h               => %1 $1 b $1 x
            HKEYS h                 => *1 $1 b
            HVALS h                 => *1 $1 x
            ",
        );
    }
}
