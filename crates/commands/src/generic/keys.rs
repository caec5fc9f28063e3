//! KEYS.

use darter_base::glob::{Case, glob_matches};
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Arg, Arity, Call, Category, Command, Flags, Group, Handler, Progress, ReplyError, Slice,
};
use darter_resp::{Args, Output, Protocol, ReplyWriter};
use darter_shard::{Boundary, Shard};

/// Every name that matches a pattern.
pub(super) static KEYS: Command = Command {
    name: "KEYS",
    group: Group::Generic,
    since: "1.0.0",
    summary: "The names of all keys that match a pattern.",
    complexity: "O(N) where N is the number of keys in the database; other commands run in between.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE.and(Category::DANGEROUS),
    args: &[Arg::pattern("pattern")],
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    handler: Handler::Sliced(keys),
    ..Command::BASE
};

fn keys(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    Ok(Box::new(Walk {
        pattern: call.args.at(1).to_vec(),
        all: call.args.at(1) == b"*",
        db: call.db,
        shard: ShardId(0),
        shard_count: call.router.shard_count(),
        boundary: Boundary::START,
        names: Output::new(),
        count: 0,
    }))
}

/// A walk over every key of a database, a few segments of one shard at a time.
struct Walk {
    pattern: Vec<u8>,
    /// Whether everything matches.
    all: bool,
    db: DbIndex,
    /// Where it is: the shards below are done.
    shard: ShardId,
    shard_count: u16,
    /// How far it is in that shard.
    boundary: Boundary,
    /// The names found, as bulk strings.
    names: Output,
    count: usize,
}

impl Slice for Walk {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress {
        let Self { pattern, all, names, count, .. } = self;
        let mut names = ReplyWriter::new(names, Protocol::Resp2);
        let next = shard.keyspace(self.db, now).for_each_slice(self.boundary, |name, _| {
            if *all || glob_matches(pattern, name, Case::Exact) {
                names.bulk(name);
                *count += 1;
            }
        });
        self.boundary = next.unwrap_or(Boundary::START);
        if next.is_none() {
            self.shard.0 += 1;
            if self.shard.0 == self.shard_count {
                return Progress::Done;
            }
        }
        Progress::On(self.shard)
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.array(self.count);
        reply.output().append(self.names.take());
    }

    fn coming_bytes(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn patterns_choose_names() {
        transcript(
            r#"
            KEYS *                  => *0
            MSET key_x 1 foo_a 2    => +OK
            KEYS foo*               => *1 $5 foo_a
            KEYS key_?              => *1 $5 key_x
            KEYS key_[a-w]          => *0
            KEYS [fk]oo_a           => *1 $5 foo_a
            KEYS foo_a              => *1 $5 foo_a
            KEYS ""                 => *0
            SET "" empty            => +OK
            KEYS ""                 => *1 $0
            DEL ""                  => :1
            DEL foo_a               => :1
            SET gone 1 PX 5         => +OK
            @time +50
            KEYS *                  => *1 $5 key_x
            @db 1
            KEYS *                  => *0
            KEYS                    => -ERR wrong number of arguments for 'keys' command
            "#,
        );
    }

    #[test]
    fn every_key_is_named_once() {
        for shard_count in [1, 4] {
            let mut bench = Bench::new(shard_count);
            bench.run("DEBUG POPULATE 5000 key");
            bench.run("DEBUG POPULATE 500 other");
            let mut names = names_in(&bench.run("KEYS key:*"));
            names.sort_unstable();
            let mut expected: Vec<String> =
                (0..5000).map(|number| format!("key:{number}")).collect();
            expected.sort_unstable();
            assert_eq!(names, expected);
            assert_eq!(names_in(&bench.run("KEYS *")).len(), 5500);
        }
    }
}
