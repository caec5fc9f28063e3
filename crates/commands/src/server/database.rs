//! DBSIZE, FLUSHDB, FLUSHALL and SWAPDB.

use darter_base::DbIndex;
use darter_command_table::{
    Arg, Arity, Call, Category, Command, DatabaseUse, Flags, Group, Handler, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::FlushScope;

/// How many keys there are.
pub(super) static DBSIZE: Command = Command {
    name: "DBSIZE",
    group: Group::Server,
    since: "1.0.0",
    summary: "The number of keys in the database.",
    complexity: "O(1)",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    handler: Handler::AllShards(dbsize),
    ..Command::BASE
};

const FLUSH_ARGS: &[Arg] = &[Arg::one_of(
    "flush-type",
    &[Arg::word("async", "ASYNC").since("4.0.0"), Arg::word("sync", "SYNC").since("6.2.0")],
)
.optional()];

const FLUSH_HISTORY: &[(&str, &str)] = &[
    ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
    ("6.2.0", "Added the `SYNC` flushing mode modifier."),
];

/// Empties all databases.
pub static FLUSHALL: Command = Command {
    name: "FLUSHALL",
    group: Group::Server,
    since: "1.0.0",
    summary: "Deletes every key of every database.",
    complexity: "O(1); the memory is freed in slices afterwards, with SYNC before the reply.",
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    acl: Category::KEYSPACE.and(Category::DANGEROUS),
    args: FLUSH_ARGS,
    history: FLUSH_HISTORY,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    databases: DatabaseUse::All,
    handler: Handler::AllShards(flushall),
    ..Command::BASE
};

/// Empties the database.
pub static FLUSHDB: Command = Command {
    name: "FLUSHDB",
    group: Group::Server,
    since: "1.0.0",
    summary: "Deletes every key of the database.",
    complexity: "O(1); the memory is freed in slices afterwards, with SYNC before the reply.",
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    acl: Category::KEYSPACE.and(Category::DANGEROUS),
    args: FLUSH_ARGS,
    history: FLUSH_HISTORY,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Handler::AllShards(flushdb),
    ..Command::BASE
};

/// Exchanges two databases.
pub(super) static SWAPDB: Command = Command {
    name: "SWAPDB",
    group: Group::Server,
    since: "4.0.0",
    summary: "Exchanges the contents of two databases.",
    complexity: "O(N) where N is the number of watched keys in either.",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::KEYSPACE.and(Category::DANGEROUS),
    args: &[Arg::integer("index1"), Arg::integer("index2")],
    databases: DatabaseUse::Named(|_, visit| [1, 2].into_iter().for_each(visit)),
    handler: Handler::AllShards(swapdb),
    ..Command::BASE
};

fn dbsize(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let keys: usize = view.each().map(|shard| shard.keyspace(call.db, call.now).len()).sum();
    call.reply.integer(keys.cast_signed() as i64);
    Ok(())
}

fn flushall(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    flush(call, view, FlushScope::All)
}

fn flushdb(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let scope = FlushScope::Database(call.db);
    flush(call, view, scope)
}

/// SYNC and ASYNC are the same here: the keys are gone. Whether the reply waits until their memory is free is decided where
/// it is sent, and nobody else waits either way.
fn flush(call: &mut Call<'_>, view: &mut ShardView<'_>, scope: FlushScope) -> ReplyResult {
    match call.args.len() {
        1 => {}
        2 if call.is_word(1, "SYNC") || call.is_word(1, "ASYNC") => {}
        _ => return Err(ReplyError::Syntax),
    }
    let flushed: usize = view.each().map(|shard| shard.flush(scope)).sum();
    if flushed == 0 {
        // It is done again all the same, as in Redis: elsewhere there may be something.
        let args = call.args;
        call.leave(|effects| effects.add_with(&[], args.iter()));
    }
    call.reply.ok();
    Ok(())
}

fn swapdb(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let index = |at: usize, error: &'static str| {
        call.integer_within(at, i64::from(i32::MIN), i64::from(i32::MAX))
            .map_err(|_| ReplyError::Text(error))
    };
    let left = index(1, "ERR invalid first DB index")?;
    let right = index(2, "ERR invalid second DB index")?;
    let known = |number: i64| match u16::try_from(number) {
        Ok(number) if number < call.limits.databases => Ok(DbIndex(number)),
        _ => Err(ReplyError::DbIndexOutOfRange),
    };
    let (left, right) = (known(left)?, known(right)?);
    if left != right {
        for shard in view.each() {
            shard.swap_databases(left, right, call.now);
        }
    }
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn databases_are_flushed_alone_or_together() {
        transcript(
            r"
            MSET a 1 b 2 c 3        => +OK
            @db 1
            MSET a 1 d 2            => +OK
            DBSIZE                  => :2
            FLUSHDB                 => +OK
            DBSIZE                  => :0
            @db 0
            DBSIZE                  => :3
            FLUSHDB async           => +OK
            SET a 1                 => +OK
            FLUSHALL SYNC           => +OK
            DBSIZE                  => :0
            FLUSHALL                => +OK ~> FLUSHALL
            FLUSHDB ASYNC           => +OK ~> FLUSHDB ASYNC
            FLUSHDB FOO             => -ERR syntax error
            FLUSHALL SYNC ASYNC     => -ERR syntax error
            ",
        );
    }

    #[test]
    fn databases_are_exchanged() {
        transcript(
            r"
            SET a 0                 => +OK
            @db 1
            SET b 1                 => +OK
            SWAPDB 0 1              => +OK
            KEYS *                  => *1 $1 a
            @db 0
            KEYS *                  => *1 $1 b
            SWAPDB 1 1              => +OK
            SWAPDB x 1              => -ERR invalid first DB index
            SWAPDB 1 x              => -ERR invalid second DB index
            SWAPDB 99999999999 1    => -ERR invalid first DB index
            SWAPDB 0 16             => -ERR DB index is out of range
            SWAPDB -1 0             => -ERR DB index is out of range
            SWAPDB 0                => -ERR wrong number of arguments for 'swapdb' command
            ",
        );
    }
}
