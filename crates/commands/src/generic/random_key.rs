//! RANDOMKEY.

use darter_command_table::{
    Arity, Call, Category, Command, Flags, Group, Handler, ReplyResult, ShardView,
};

/// Some key.
pub(super) static RANDOMKEY: Command = Command {
    name: "RANDOMKEY",
    group: Group::Generic,
    since: "1.0.0",
    summary: "The name of some key, each as likely as any other.",
    complexity: "O(1)",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    handler: Handler::AllShards(randomkey),
    ..Command::BASE
};

fn randomkey(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    loop {
        let total: usize = view.each().map(|shard| shard.keyspace(call.db, call.now).len()).sum();
        if total == 0 {
            call.reply.null();
            return Ok(());
        }
        // A shard as likely as it has keys, then one of its keys.
        let random = view.first().random();
        let mut place = scale(random, total);
        for shard in view.each() {
            let random = shard.random();
            let mut keyspace = shard.keyspace(call.db, call.now);
            if place >= keyspace.len() {
                place -= keyspace.len();
                continue;
            }
            if let Some(name) = keyspace.random_key(random) {
                call.reply.bulk(name);
                return Ok(());
            }
            // All of its keys turned out to be expired, and are gone now: look again.
            break;
        }
    }
}

/// `random` as a number below `limit`, evenly but for the rounding.
fn scale(random: u64, limit: usize) -> usize {
    let scaled = (u128::from(random) * limit as u128) >> 64;
    usize::try_from(scaled).expect("below the limit, which is a usize")
}
