//! HRANDFIELD.
//!
//! It runs in slices, because a negative count asks for as many fields as it likes, repetitions included.
//! What a later slice picks from is the hash as it is then; if it is gone the reply ends there.

use crate::reply::{write_element, write_item};
use darter_base::crc16::slot_of;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, Progress,
    ReplyError, Slice,
};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Random, Shard};
use darter_value::Hash;
use darter_value::hash::FieldRef;
use std::collections::BTreeSet;

/// Some fields.
pub(super) static HRANDFIELD: Command = Command {
    name: "HRANDFIELD",
    group: Group::Hash,
    since: "6.2.0",
    summary: "Random fields of a hash.",
    complexity: "O(N) where N is the number of fields returned.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::block(
            "options",
            &[Arg::integer("count"), Arg::word("withvalues", "WITHVALUES").optional()],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Sliced(hrandfield),
    ..Command::BASE
};

/// Fields picked before others have their turn.
const PICKS_PER_SLICE: u64 = 2048;

/// What is asked for.
#[derive(Clone, Copy)]
enum Wanted {
    /// One field, not in an array.
    One,
    /// As many different fields, or all.
    Different(u64),
    /// As many fields, repeated or not.
    Any(u64),
}

fn hrandfield(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let mut with_values = false;
    let wanted = if call.args.len() == 2 {
        Wanted::One
    } else {
        let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
        if call.args.len() > 4 || (call.args.len() == 4 && !call.is_word(3, "WITHVALUES")) {
            return Err(ReplyError::Syntax);
        }
        with_values = call.args.len() == 4;
        if with_values && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
            return Err(ReplyError::OutOfRange);
        }
        if count < 0 {
            Wanted::Any(count.unsigned_abs())
        } else {
            Wanted::Different(count.unsigned_abs())
        }
    };
    let key = call.args.at(1);
    Ok(Box::new(Pick {
        key: key.to_vec(),
        shard: call.router.shard_of(slot_of(key)),
        db: call.db,
        wanted,
        with_values,
        protocol: call.reply.protocol(),
        fields: Output::new(),
        picked: 0,
        is_first: true,
        error: None,
    }))
}

/// One call of HRANDFIELD.
struct Pick {
    key: Vec<u8>,
    shard: ShardId,
    db: DbIndex,
    wanted: Wanted,
    with_values: bool,
    protocol: Protocol,
    /// The fields picked, as they are replied.
    fields: Output,
    picked: u64,
    is_first: bool,
    error: Option<ReplyError>,
}

impl Pick {
    fn write(&mut self, field: FieldRef<'_>) {
        let mut reply = ReplyWriter::new(&mut self.fields, self.protocol);
        if self.with_values && self.protocol == Protocol::Resp3 {
            reply.array(2);
        }
        write_item(&mut reply, field.name);
        if self.with_values {
            write_element(&mut reply, field.value);
        }
        self.picked += 1;
    }

    /// Picks `count` different fields, or all. All in one slice, for it is one state of the hash.
    fn pick_different(&mut self, hash: &Hash, count: u64, now: i64, random: &mut Random) {
        let len = hash.len() as u64;
        if hash.is_packed() || count.saturating_mul(2) > len {
            // Each field is taken with the chance that as many of the rest are needed (Knuth's
            // algorithm S): one walk, nothing remembered.
            let (mut needed, mut left) = (count, len);
            hash.for_each(now, |field| {
                let chance = u64::try_from(random.below(usize::try_from(left).unwrap_or(1)));
                if chance.unwrap_or(0) < needed {
                    self.write(field);
                    needed -= 1;
                }
                left = left.saturating_sub(1).max(1);
            });
            return;
        }
        let mut seen = BTreeSet::new();
        // Less than half are taken, so that most tries succeed.
        let mut tries = count.saturating_mul(20);
        while (seen.len() as u64) < count && tries > 0 {
            tries -= 1;
            let Some(field) = hash.random(random.next(), now) else { break };
            let darter_value::Item::Bytes(name) = field.name else { break };
            if seen.insert(name) {
                self.write(field);
            }
        }
    }
}

impl Slice for Pick {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, shard: &mut Shard, now: UnixMillis) -> Progress {
        let mut random = Random::new(shard.random());
        let name = std::mem::take(&mut self.key);
        let key = Key::new(shard.hasher(), &name);
        let hash = key;
        let mut keyspace = shard.keyspace(self.db, now);
        let found = if self.is_first {
            keyspace.read_collection::<Hash>(&hash)
        } else {
            keyspace.peek_collection::<Hash>(&hash)
        };
        self.is_first = false;
        let progress = match found {
            Err(_) if self.picked == 0 => {
                self.error = Some(ReplyError::WrongType);
                Progress::Done
            }
            Err(_) | Ok(None) => Progress::Done,
            Ok(Some(hash)) => match self.wanted {
                Wanted::One => {
                    if let Some(field) = hash.random(random.next(), now.0) {
                        self.write(field);
                    }
                    Progress::Done
                }
                Wanted::Different(count) => {
                    self.pick_different(hash, count, now.0, &mut random);
                    Progress::Done
                }
                Wanted::Any(count) => {
                    let end = count.min(self.picked + PICKS_PER_SLICE);
                    let mut ended = false;
                    while self.picked < end && !ended {
                        match hash.random(random.next(), now.0) {
                            Some(field) => self.write(field),
                            None => ended = true,
                        }
                    }
                    if ended || self.picked == count {
                        Progress::Done
                    } else {
                        Progress::On(self.shard)
                    }
                }
            },
        };
        self.key = name;
        progress
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if let Some(error) = self.error.take() {
            reply.error(error.line());
            return;
        }
        if matches!(self.wanted, Wanted::One) {
            if self.picked == 0 {
                reply.null();
                return;
            }
        } else {
            let picked = usize::try_from(self.picked).unwrap_or(usize::MAX);
            let is_flat = self.with_values && self.protocol == Protocol::Resp2;
            reply.array(if is_flat { 2 * picked } else { picked });
        }
        reply.output().append(self.fields.take());
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn shapes_are_those_of_redis() {
        transcript(
            r"
            HRANDFIELD h            => $-1
            HRANDFIELD h 3          => *0
            HRANDFIELD h -3 WITHVALUES => *0
            HSET h a 1              => :1
            HRANDFIELD h            => $1 a
            HRANDFIELD h 0          => *0
            HRANDFIELD h 5          => *1 $1 a
            HRANDFIELD h -3         => *3 $1 a $1 a $1 a
            HRANDFIELD h 5 WITHVALUES => *2 $1 a $1 1
            HRANDFIELD h -2 withvalues => *4 $1 a $1 1 $1 a $1 1
            HRANDFIELD h x          => -ERR value is not an integer or out of range
            HRANDFIELD h -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            HRANDFIELD h 9223372036854775807 WITHVALUES => -ERR value is out of range
            HRANDFIELD h 1 WITHSCORES => -ERR syntax error
            HRANDFIELD h 1 WITHVALUES x => -ERR syntax error
            SET s v                 => +OK
            HRANDFIELD s            => -WRONGTYPE Operation against a key holding the wrong kind of value
            HRANDFIELD s 1          => -WRONGTYPE Operation against a key holding the wrong kind of value
            @resp 3
            HRANDFIELD nokey        => _
            HRANDFIELD h -2 WITHVALUES => *2 *2 $1 a $1 1 *2 $1 a $1 1
            HRANDFIELD h 1          => *1 $1 a
            ",
        );
    }

    #[test]
    fn fields_are_different_and_as_many_as_asked_for() {
        for fields in [10, 600] {
            let mut bench = Bench::new(1);
            for field in 0..fields {
                bench.run(&format!("HSET h field:{field} {field}"));
            }
            for count in [1, 3, 9, 200, 400, 1000] {
                let mut names = names_in(&bench.run(&format!("HRANDFIELD h {count}")));
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), count.min(fields), "{count} of {fields}");
            }
            let names = names_in(&bench.run("HRANDFIELD h -5000"));
            assert_eq!(names.len(), 5000);
            let mut different = names.clone();
            different.sort_unstable();
            different.dedup();
            assert!(different.len() > fields * 9 / 10);
        }
    }
}
