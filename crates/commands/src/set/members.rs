//! SADD, SREM, SMOVE, and asking for members.

use super::rules;
use crate::long_read::{Read, in_one_piece, read_in_slices, read_steps};
use crate::reply::write_item;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_resp::ReplyWriter;
use darter_shard::{Edit, Interest};
use darter_value::{Item, Set, SetBoundary};

/// Adds members.
pub(super) static SADD: Command = Command {
    name: "SADD",
    group: Group::Set,
    since: "1.0.0",
    summary: "Adds members to a set, which is created if there is none.",
    complexity: "O(N) where N is the number of members to add.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    handler: Handler::Keyed(sadd),
    ..Command::BASE
};

/// Number of members.
pub(super) static SCARD: Command = Command {
    name: "SCARD",
    group: Group::Set,
    since: "1.0.0",
    summary: "The number of members of a set.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(scard),
    ..Command::BASE
};

/// Whether something is a member.
pub(super) static SISMEMBER: Command = Command {
    name: "SISMEMBER",
    group: Group::Set,
    since: "1.0.0",
    summary: "Whether something is a member of a set.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::string("member")],
    handler: Handler::Keyed(sismember),
    ..Command::BASE
};

/// Every member.
pub(super) static SMEMBERS: Command = Command {
    name: "SMEMBERS",
    group: Group::Set,
    since: "1.0.0",
    summary: "All members of a set.",
    complexity: "O(N) where N is the number of members.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Keyed(smembers),
    slices: Some(|call| Ok(read_in_slices(call, Members))),
    ..Command::BASE
};

/// Which of some things are members.
pub(super) static SMISMEMBER: Command = Command {
    name: "SMISMEMBER",
    group: Group::Set,
    since: "6.2.0",
    summary: "Which of several things are members of a set.",
    complexity: "O(N) where N is the number of things asked for.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::string("member").multiple()],
    handler: Handler::Keyed(smismember),
    ..Command::BASE
};

/// Moves a member.
pub(super) static SMOVE: Command = Command {
    name: "SMOVE",
    group: Group::Set,
    since: "1.0.0",
    summary: "Moves a member from one set to another.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::SET,
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.and(Access::INSERT)),
    ],
    args: &[Arg::key("source"), Arg::key_by("destination", 1), Arg::string("member")],
    handler: Handler::Keyed(smove),
    ..Command::BASE
};

/// Removes members.
pub(super) static SREM: Command = Command {
    name: "SREM",
    group: Group::Set,
    since: "1.0.0",
    summary: "Removes members from a set, which goes with its last member.",
    complexity: "O(N) where N is the number of members to remove.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    handler: Handler::Keyed(srem),
    ..Command::BASE
};

fn sadd(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let args = call.args;
    let added = call.keyspace(view, &key).tell(Interest::SET, "sadd").edit_or_create(
        &key,
        |set: &mut Set| {
            let rules = rules(call);
            set.expect(args.at(2), args.len() - 2, rules);
            let members = (2..args.len()).map(|index| Item::Bytes(args.at(index)));
            let added = members.filter(|member| set.add(*member, rules)).count();
            Edit::counted(added as u64, added)
        },
    )?;
    write_count(call, added);
    Ok(())
}

fn srem(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let args = call.args;
    let removed =
        call.keyspace(view, &key).tell(Interest::SET, "srem").edit(&key, |set: &mut Set| {
            let members = (2..args.len()).map(|index| Item::Bytes(args.at(index)));
            let removed = members.filter(|member| set.remove(*member)).count();
            Edit::counted(removed as u64, removed)
        })?;
    write_count(call, removed.unwrap_or(0));
    Ok(())
}

fn smove(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (from, to) = (call.key(1), call.key(2));
    let member = Item::Bytes(call.args.at(3));
    let mut keyspace = call.keyspace(view, &from);
    let Some(source) = keyspace.peek_collection::<Set>(&from)? else {
        write_count(call, 0);
        return Ok(());
    };
    let is_member = source.contains(member);
    call.keyspace(view, &to).peek_collection::<Set>(&to)?;
    if is_member && from.bytes != to.bytes {
        call.keyspace(view, &from).tell(Interest::SET, "srem").edit(&from, |set: &mut Set| {
            set.remove(member);
            Edit::changed(())
        })?;
        call.keyspace(view, &from).settle_events();
        call.keyspace(view, &to).tell(Interest::SET, "sadd").edit_or_create(
            &to,
            |set: &mut Set| {
                let rules = rules(call);
                set.expect(call.args.at(3), 1, rules);
                Edit::counted(u64::from(set.add(member, rules)), ())
            },
        )?;
    }
    write_count(call, usize::from(is_member));
    Ok(())
}

fn scard(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let len = call.keyspace(view, &key).read_collection::<Set>(&key)?.map_or(0, Set::len);
    write_count(call, len);
    Ok(())
}

fn sismember(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let member = Item::Bytes(call.args.at(2));
    let mut keyspace = call.keyspace(view, &key);
    let is_member = keyspace.read_collection::<Set>(&key)?.is_some_and(|set| set.contains(member));
    write_count(call, usize::from(is_member));
    Ok(())
}

fn smismember(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<Set>(&key)?;
    call.reply.array(call.args.len() - 2);
    for index in 2..call.args.len() {
        let member = Item::Bytes(call.args.at(index));
        let is_member = set.is_some_and(|set| set.contains(member));
        call.reply.integer(i64::from(is_member));
    }
    Ok(())
}

fn smembers(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<Set>(&key)?;
    let len = set.map_or(0, Set::len);
    if let Some(set) = set {
        in_one_piece(call, set, len)?;
    }
    call.reply.set(len);
    if let Some(set) = set {
        set.for_each(|member| write_item(&mut call.reply, member));
    }
    Ok(())
}

/// SMEMBERS of a big set.
struct Members;

impl Read for Members {
    type Collection = Set;
    type At = SetBoundary;

    fn read(
        &self,
        set: &Set,
        at: SetBoundary,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<SetBoundary> {
        read_steps(at, (written, at_once), |from, written| {
            set.for_each_slice(from, |member| {
                write_item(reply, member);
                *written += 1;
            })
        })
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.set(count);
    }
}

fn write_count(call: &mut Call<'_>, count: usize) {
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn members_come_and_go() {
        transcript(
            r#"
            SADD s 1 2 3 2          => :3
            SADD s 3                => :0
            SCARD s                 => :3
            SMEMBERS s              => *3 $1 1 $1 2 $1 3
            OBJECT ENCODING s       => $6 intset
            SISMEMBER s 2           => :1
            SISMEMBER s 02          => :0
            SADD s x                => :1
            OBJECT ENCODING s       => $8 listpack
            SMISMEMBER s x 1 y 01   => *4 :1 :1 :0 :0
            SREM s 1 1 y            => :1
            SREM s 2 3 x            => :3
            EXISTS s                => :0
            SREM s 2                => :0
            SMISMEMBER s 1 2        => *2 :0 :0
            SMEMBERS s              => *0
            SADD e ""               => :1
            SISMEMBER e ""          => :1
            TYPE e                  => +set
            @resp 3
            SMEMBERS e              => ~1 $0
            SMEMBERS none           => ~0
            "#,
        );
    }

    #[test]
    fn a_member_moves_between_sets() {
        transcript(
            r"
            SADD a 1 2 x            => :3
            SMOVE a b 1             => :1
            SMOVE a b 1             => :0
            SMOVE a b x             => :1
            SMEMBERS a              => *1 $1 2
            SMEMBERS b              => *2 $1 1 $1 x
            SMOVE a a 2             => :1
            SMOVE a a 3             => :0
            SMOVE none b 1          => :0
            SADD b 2                => :1
            SMOVE a b 2             => :1
            EXISTS a                => :0
            SCARD b                 => :3
            SET t 1                 => +OK
            SMOVE none t 1          => :0
            SMOVE b t zz            => -WRONGTYPE Operation against a key holding the wrong kind of value
            SMOVE t b 1             => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }

    #[test]
    fn other_types_are_refused() {
        transcript(
            r"
            SET t 1                 => +OK
            SADD t 1                => -WRONGTYPE Operation against a key holding the wrong kind of value
            SREM t 1                => -WRONGTYPE Operation against a key holding the wrong kind of value
            SCARD t                 => -WRONGTYPE Operation against a key holding the wrong kind of value
            SISMEMBER t 1           => -WRONGTYPE Operation against a key holding the wrong kind of value
            SMISMEMBER t 1          => -WRONGTYPE Operation against a key holding the wrong kind of value
            SMEMBERS t              => -WRONGTYPE Operation against a key holding the wrong kind of value
            SADD s                  => -ERR wrong number of arguments for 'sadd' command
            ",
        );
    }
}
