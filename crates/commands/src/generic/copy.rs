//! COPY and MOVE.

use super::long_copy::copy_in_slices;
use darter_base::DbIndex;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, DatabaseUse, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_resp::Args;
use darter_shard::{Interest, ValueRef};
use darter_value::Copying;

/// Copies a value to another key.
pub(super) static COPY: Command = Command {
    name: "COPY",
    group: Group::Generic,
    since: "6.2.0",
    summary: "Copies the value of a key, and its time to live, to another key.",
    complexity: "O(N) where N is the number of elements of a collection; O(1) for strings.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::KEYSPACE,
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        KeySpec::at(2, Access::OVERWRITE.and(Access::UPDATE)),
    ],
    args: &[
        Arg::key("source"),
        Arg::key_by("destination", 1),
        Arg::integer("destination-db").token("DB").optional(),
        Arg::word("replace", "REPLACE").optional(),
    ],
    databases: DatabaseUse::Named(each_database),
    handler: Handler::Keyed(copy),
    slices: Some(copy_in_slices),
    ..Command::BASE
};

/// Moves a key to another database.
pub(super) static MOVE: Command = Command {
    name: "MOVE",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Moves a key to another database, unless that has such a key.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("db")],
    databases: DatabaseUse::Named(|_, visit| visit(2)),
    handler: Handler::Keyed(move_key),
    ..Command::BASE
};

/// Where a copy goes.
pub(super) struct Options {
    /// The database.
    pub(super) db: DbIndex,
    /// Whether it takes the place of another value.
    pub(super) replace: bool,
}

impl Options {
    pub(super) fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let mut options = Self { db: call.db, replace: false };
        let mut index = 3;
        while index < call.args.len() {
            if call.is_word(index, "REPLACE") {
                options.replace = true;
            } else if call.is_word(index, "DB") && index + 1 < call.args.len() {
                index += 1;
                options.db = call.db_index(index)?;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// Calls `visit` with the index of each destination database, since the rights to all of them are needed.
fn each_database(args: Args<'_>, visit: &mut dyn FnMut(usize)) {
    let is = |index: usize, word: &str| args[index].eq_ignore_ascii_case(word.as_bytes());
    let is_database = |index: usize| is(index, "DB") && index + 1 < args.len();
    let mut index = 3;
    while index < args.len() {
        index += match index {
            _ if is(index, "REPLACE") => 1,
            _ if is_database(index) => 2,
            // It will be refused as it is.
            _ => return,
        };
    }
    let mut index = 3;
    while index < args.len() {
        if is_database(index) {
            visit(index + 1);
            index += 1;
        }
        index += 1;
    }
}

fn copy(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let Options { db, replace } = Options::parse(call)?;
    let (from, to) = (call.key(1), call.key(2));
    if db == call.db && from.bytes == to.bytes {
        return Err(ReplyError::SameObject);
    }
    let mut keyspace = call.keyspace(view, &from);
    let value = keyspace.read(&from);
    let found = value.is_some();
    let elements = match value {
        Some(ValueRef::Object(object)) => Copying::elements_of(object),
        _ => 0,
    };
    let free = found && (replace || call.keyspace_in(view, &to, db).peek(&to).is_none());
    if free {
        call.in_one_piece(elements)?;
    }
    let copied = free
        && match call.keyspace(view, &from).copy(&from) {
            None => false,
            Some(detached) => {
                let mut keyspace = call.keyspace_in(view, &to, db);
                keyspace.tell(Interest::GENERIC, "copy_to").put(&to, detached);
                true
            }
        };
    call.reply.integer(i64::from(copied));
    Ok(())
}

fn move_key(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let db = call.db_index(2)?;
    if db == call.db {
        return Err(ReplyError::SameObject);
    }
    let key = call.key(1);
    let found = call.keyspace(view, &key).peek(&key).is_some();
    let free = found && call.keyspace_in(view, &key, db).peek(&key).is_none();
    let moved = free
        && match call.keyspace(view, &key).take(&key) {
            None => false,
            Some(detached) => {
                call.keyspace_in(view, &key, db).put(&key, detached);
                call.keyspace(view, &key).note(Interest::GENERIC, "move_from", &key);
                call.keyspace_in(view, &key, db).note(Interest::GENERIC, "move_to", &key);
                true
            }
        };
    call.reply.integer(i64::from(moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn copy_leaves_the_source_alone() {
        transcript(
            r"
            COPY a b                => :0
            SET a 1 EX 100          => +OK
            COPY a b                => :1
            MGET a b                => *2 $1 1 $1 1
            TTL b                   => :100
            SET a 2                 => +OK
            COPY a b                => :0
            COPY a b REPLACE        => :1
            GET b                   => $1 2
            TTL b                   => :-1
            COPY a a                => -ERR source and destination objects are the same
            COPY a a DB 0           => -ERR source and destination objects are the same
            COPY a a DB 3           => :1
            COPY a a DB 3           => :0
            COPY a a DB 3 REPLACE   => :1
            COPY a b replace db 4   => :1
            COPY a a DB 0 DB 5      => :1
            DBSIZE                  => :2
            @db 3
            GET a                   => $1 2
            @db 4
            KEYS *                  => *1 $1 b
            ",
        );
    }

    #[test]
    fn copy_refuses_malformed_options() {
        transcript(
            r"
            COPY a b DB             => -ERR syntax error
            COPY a b FOO            => -ERR syntax error
            COPY a b DB x           => -ERR value is not an integer or out of range
            COPY a b DB 16          => -ERR DB index is out of range
            COPY a b DB -1          => -ERR DB index is out of range
            COPY a b DB 9999999999  => -ERR value is out of range, value must between -2147483648 and 2147483647
            COPY a b DB 1 REPLACE REPLACE => :0
            ",
        );
    }

    #[test]
    fn big_copies_are_independent() {
        transcript(
            r"
            SETRANGE a 4000 x       => :4001
            COPY a b                => :1
            APPEND b y              => :4002
            STRLEN a                => :4001
            GETRANGE a 4000 -1      => $1 x
            GETRANGE b 4000 -1      => $2 xy
            ",
        );
    }

    #[test]
    fn move_needs_the_place_to_be_free() {
        transcript(
            r"
            MOVE a 1                => :0
            MOVE a 0                => -ERR source and destination objects are the same
            MOVE a 16               => -ERR DB index is out of range
            MOVE a x                => -ERR value is not an integer or out of range
            SET a 1 EX 100          => +OK
            MOVE a 1                => :1
            EXISTS a                => :0
            SET a 2                 => +OK
            MOVE a 1                => :0
            GET a                   => $1 2
            @db 1
            GET a                   => $1 1
            TTL a                   => :100
            ",
        );
    }
}
