//! DEBUG POPULATE.

use super::{FLAGS, wrong_arguments};
use darter_base::crc16::slot_of;
use darter_base::number::format_u64;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Arg, Arity, Call, Command, Flags, Group, Handler, Progress, ReplyError, Slice,
};
use darter_resp::{Args, ReplyWriter};
use darter_shard::{Expiry, Key, Shard};
use darter_txn::Router;

/// Makes many keys.
pub static POPULATE: Command = Command {
    name: "POPULATE",
    group: Group::Server,
    summary: "Makes string keys numbered from 0, those apart that are there already.",
    complexity: "O(N) where N is the number of keys; other commands run in between.",
    arity: Arity::AtLeast(2),
    flags: FLAGS.and(Flags::WRITE),
    args: &[
        Arg::integer("count"),
        Arg::string("prefix").optional(),
        Arg::integer("size").optional(),
    ],
    handler: Handler::Sliced(populate),
    ..Command::BASE
};

/// Keys looked at in a slice. Each of them is looked at once for every shard.
const KEYS_PER_SLICE: u64 = 1024;

fn populate(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    if !matches!(call.args.len(), 3..=5) {
        return Err(wrong_arguments(call));
    }
    let positive = |index| {
        let number = call.integer(index).ok().and_then(|number| u64::try_from(number).ok());
        number.ok_or(ReplyError::Text("ERR value is out of range, must be positive"))
    };
    let end = positive(2)?;
    let size = if call.args.len() == 5 { positive(4)? } else { 0 };
    if size > call.limits.string_bytes_max {
        return Err(ReplyError::StringTooLong);
    }
    Ok(Box::new(Population {
        prefix: call.args.get(3).unwrap_or(b"key").to_vec(),
        size: usize::try_from(size).map_err(|_| ReplyError::StringTooLong)?,
        db: call.db,
        router: call.router,
        next: 0,
        end,
        shard: ShardId(0),
    }))
}

/// A command under way: a run of keys in each of the shards, then the next run.
struct Population {
    prefix: Vec<u8>,
    /// Bytes of each value; 0 for what its number takes.
    size: usize,
    db: DbIndex,
    router: Router,
    /// Where the present run begins. Below it all is done.
    next: u64,
    end: u64,
    /// The shard to do the run in. It is done in those below.
    shard: ShardId,
}

impl Slice for Population {
    fn begin(&self) -> Progress {
        if self.end == 0 { Progress::Done } else { Progress::On(self.shard) }
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress {
        let run_end = self.next.saturating_add(KEYS_PER_SLICE).min(self.end);
        for number in self.next..run_end {
            let number = format_u64(number);
            let name = [&self.prefix, b":".as_slice(), &number].concat();
            if self.router.shard_of(slot_of(&name)) != self.shard {
                continue;
            }
            let key = Key::new(shard.hasher(), &name);
            let mut keyspace = shard.keyspace(self.db, now);
            if keyspace.peek(&key).is_none() {
                let mut value = [b"value:".as_slice(), &number].concat();
                if self.size > 0 {
                    value.resize(self.size, 0);
                }
                keyspace.set_string(&key, &value, Expiry::Clear);
            }
        }
        self.shard.0 += 1;
        if self.shard.0 == self.router.shard_count() {
            self.shard.0 = 0;
            self.next = run_end;
            if run_end == self.end {
                return Progress::Done;
            }
        }
        Progress::On(self.shard)
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.ok();
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn populate_makes_numbered_keys() {
        transcript(
            r"
            SET key:1 mine              => +OK
            DEBUG POPULATE 3000         => +OK
            DBSIZE                      => :3000
            MGET key:0 key:1 key:2999   => *3 $7 value:0 $4 mine $10 value:2999
            DEBUG POPULATE 2 foo        => +OK
            GET foo:1                   => $7 value:1
            DEBUG POPULATE 2 foo 3      => +OK
            GET foo:1                   => $7 value:1
            DEBUG POPULATE 2 bar 3      => +OK
            GET bar:1                   => $3 val
            DEBUG POPULATE 1 baz 9      => +OK
            GET baz:0                   => $9 value:0\x00\x00
            DEBUG POPULATE 0            => +OK
            DEBUG POPULATE -1           => -ERR value is out of range, must be positive
            DEBUG POPULATE x            => -ERR value is out of range, must be positive
            DEBUG POPULATE 1 a -1       => -ERR value is out of range, must be positive
            DEBUG POPULATE 1 a 1 1      => -ERR unknown subcommand or wrong number of arguments for 'POPULATE'. Try DEBUG HELP.
            ",
        );
    }
}
