//! RANDOMKEY.

use darter_command_table::{
    Arity, Call, Category, Command, Flags, Group, Handler, ReplyResult, ShardView,
};

/// Keys that are looked at before one is taken that has expired, while these stay; as many as in Redis.
const EXPIRED_KEYS_TRIED_MAX: u32 = 100;

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
    let mut attempts = 0;
    loop {
        attempts += 1;
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
            if let Some(name) = keyspace.random_key(random, attempts >= EXPIRED_KEYS_TRIED_MAX) {
                call.reply.bulk(name);
                return Ok(());
            }
            // All of its keys turned out to be expired, and are gone now, or this one was and stays: look again.
            break;
        }
    }
}

/// `random` as a number below `limit`, evenly but for the rounding.
fn scale(random: u64, limit: usize) -> usize {
    let scaled = (u128::from(random) * limit as u128) >> 64;
    usize::try_from(scaled).expect("below the limit, which is a usize")
}

#[cfg(test)]
mod tests {
    use super::scale;
    use crate::testing::Bench;
    use std::collections::BTreeMap;

    #[test]
    fn every_key_comes_up_about_equally_often() {
        for shard_count in [1, 4] {
            let mut bench = Bench::new(shard_count);
            assert_eq!(bench.run("RANDOMKEY"), b"$-1\r\n");
            for number in 0..20 {
                bench.run(&format!("SET key:{number} v"));
            }
            let mut counts = BTreeMap::<Vec<u8>, u32>::new();
            for _ in 0..20_000 {
                *counts.entry(bench.run("RANDOMKEY")).or_default() += 1;
            }
            assert_eq!(counts.len(), 20);
            // How even it is within a shard is the table's affair.
            assert!(counts.values().all(|count| *count > 20), "{counts:?}");
        }
    }

    #[test]
    fn expired_keys_do_not_come_up() {
        for shard_count in [1, 4] {
            let mut bench = Bench::new(shard_count);
            for number in 0..20 {
                bench.run(&format!("SET key:{number} v PX 10"));
            }
            bench.run("SET lasting v");
            bench.now.0 += 11;
            for _ in 0..10 {
                assert_eq!(bench.run("RANDOMKEY"), b"$7\r\nlasting\r\n");
            }
            bench.run("DEL lasting");
            assert_eq!(bench.run("RANDOMKEY"), b"$-1\r\n");
        }
    }

    #[test]
    fn scaled_numbers_stay_below_the_limit() {
        assert_eq!(scale(u64::MAX, 10), 9);
        assert_eq!(scale(0, 10), 0);
        assert_eq!(scale(u64::MAX, 1), 0);
        assert_eq!(scale(u64::MAX, usize::MAX), usize::MAX - 1);
    }
}
