//! The shard of the simulator: a few registers, and operations that tell much about what they saw.

use crate::stage::{preemption_point, tick};
use darter_base::id::SLOT_COUNT;
use darter_base::{ShardId, Slot};
use darter_txn::{Router, View};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// How many keys there are.
pub const KEY_COUNT: usize = 6;
/// How many an operation may name, each once.
pub const KEYS_PER_OP_MAX: usize = 3;

/// A key, `0..KEY_COUNT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u8);

impl Key {
    /// As an index into [`Values`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Keys are spread evenly over the slots, so that they meet all or most shards.
    pub fn shard(self, router: Router) -> ShardId {
        let stride = usize::from(SLOT_COUNT).div_ceil(KEY_COUNT);
        let number = u16::try_from(self.index() * stride).expect("below SLOT_COUNT, a u16");
        router.shard_of(Slot::new(number).expect("below SLOT_COUNT"))
    }
}

/// The value of every key; all begin as 0.
pub type Values = [i64; KEY_COUNT];

/// What an operation answers, one number per key; unused ones are 0.
pub type Reply = [i64; KEYS_PER_OP_MAX];

/// What to do with each of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Answer the values (GET, MGET).
    Read,
    /// Set all to the operation's value, which is unique; answer nothing (SET, MSET).
    Write,
    /// Set all to the operation's value, answer the old ones (GETSET).
    Exchange,
    /// Add one to each, answer the new values (INCR).
    Increment,
    /// Each gets the value of the one before it, the first that of the last; answer the old values
    /// (the like of RENAME, LMOVE).
    Rotate,
}

/// One operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    pub verb: Verb,
    keys: [Key; KEYS_PER_OP_MAX],
    /// 1..=[`KEYS_PER_OP_MAX`]
    key_count: usize,
    pub value: i64,
}

impl Op {
    /// An operation on `keys`, of which there are 1 to [`KEYS_PER_OP_MAX`], all different.
    pub fn new(verb: Verb, keys: &[Key], value: i64) -> Self {
        let mut op = Self { verb, keys: [Key(0); KEYS_PER_OP_MAX], key_count: keys.len(), value };
        op.keys[..keys.len()].copy_from_slice(keys);
        op
    }

    /// The keys, in the order the client named them.
    pub fn keys(&self) -> &[Key] {
        &self.keys[..self.key_count]
    }

    /// The shards of the keys, ascending, each once.
    pub fn shards_ascending(&self, router: Router) -> Vec<ShardId> {
        let mut shards = self.shards(router);
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// The shards of the keys, in that order, perhaps with repetitions.
    pub fn shards(&self, router: Router) -> Vec<ShardId> {
        self.keys().iter().map(|key| key.shard(router)).collect()
    }

    /// The only shard, if there is but one.
    pub fn only_shard(&self, router: Router) -> Option<ShardId> {
        let first = self.keys[0].shard(router);
        self.keys().iter().all(|key| key.shard(router) == first).then_some(first)
    }

    /// Runs the operation: reads all keys, then writes those it changes.
    pub fn apply(&self, registers: &mut impl Registers) -> Reply {
        let count = self.key_count;
        let mut old = [0; KEYS_PER_OP_MAX];
        for (old, key) in old.iter_mut().zip(self.keys()) {
            *old = registers.read(*key);
        }
        let mut new = old;
        match self.verb {
            Verb::Read => return old,
            Verb::Write | Verb::Exchange => new[..count].fill(self.value),
            Verb::Increment => new[..count].iter_mut().for_each(|value| *value += 1),
            Verb::Rotate => new[..count].rotate_right(1),
        }
        for (new, key) in new.iter().zip(self.keys()) {
            registers.write(*key, *new);
        }
        match self.verb {
            Verb::Read | Verb::Exchange | Verb::Rotate => old,
            Verb::Write => [0; KEYS_PER_OP_MAX],
            Verb::Increment => new,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.verb)?;
        for key in self.keys() {
            write!(formatter, " k{}", key.0)?;
        }
        if matches!(self.verb, Verb::Write | Verb::Exchange) {
            write!(formatter, " := {}", self.value)?;
        }
        Ok(())
    }
}

/// Where values are kept.
pub trait Registers {
    fn read(&mut self, key: Key) -> i64;
    fn write(&mut self, key: Key, value: i64);
}

/// The model: all keys in one place.
impl Registers for Values {
    fn read(&mut self, key: Key) -> i64 {
        self[key.index()]
    }

    fn write(&mut self, key: Key, value: i64) {
        self[key.index()] = value;
    }
}

/// Which operation of which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpId {
    pub client: usize,
    pub index: usize,
}

/// That an operation ran, and when: known to the simulator, not to any client.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    pub id: OpId,
    pub tick: u32,
}

/// Everything that ran in this schedule, in order.
pub type ExecutionLog = Rc<RefCell<Vec<Execution>>>;

/// One shard.
#[derive(Debug)]
pub struct Toy {
    /// Which shard it is; never changes, and is checked when the schedule is over.
    pub id: ShardId,
    /// Only the shard's own keys are ever touched.
    pub values: Values,
    log: ExecutionLog,
}

impl Toy {
    /// A shard whose operations are written to `log`.
    pub fn new(id: ShardId, log: &ExecutionLog) -> Self {
        Self { id, values: Values::default(), log: Rc::clone(log) }
    }

    /// Notes that the operation runs now.
    pub fn note(&self, id: OpId) {
        self.log.borrow_mut().push(Execution { id, tick: tick() });
    }
}

/// Runs an operation over shards that are held for it; may be interrupted anywhere.
pub fn execute(op: &Op, id: OpId, view: &mut View<'_, Toy>) -> Reply {
    preemption_point();
    view.first().note(id);
    op.apply(&mut Spread { view })
}

/// The registers of all shards of a view.
struct Spread<'a, 'b> {
    view: &'a mut View<'b, Toy>,
}

impl Spread<'_, '_> {
    fn register(&mut self, key: Key) -> &mut i64 {
        let router = self.view.router();
        &mut self.view.shard(key.shard(router)).values[key.index()]
    }
}

impl Registers for Spread<'_, '_> {
    fn read(&mut self, key: Key) -> i64 {
        *self.register(key)
    }

    fn write(&mut self, key: Key, value: i64) {
        preemption_point();
        *self.register(key) = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_txn::Routing;

    #[test]
    fn each_verb_does_what_it_says() {
        let keys = [Key(4), Key(1), Key(2)];
        let mut values = Values::default();
        assert_eq!(Op::new(Verb::Write, &keys, 7).apply(&mut values), [0; 3]);
        assert_eq!(values, [0, 7, 7, 0, 7, 0]);
        assert_eq!(Op::new(Verb::Increment, &keys[..2], 0).apply(&mut values), [8, 8, 0]);
        assert_eq!(Op::new(Verb::Exchange, &keys[2..], 3).apply(&mut values), [7, 0, 0]);
        assert_eq!(Op::new(Verb::Increment, &keys[..1], 0).apply(&mut values), [9, 0, 0]);
        assert_eq!(Op::new(Verb::Rotate, &keys, 0).apply(&mut values), [9, 8, 3]);
        assert_eq!(Op::new(Verb::Read, &keys, 0).apply(&mut values), [3, 9, 8]);
    }

    #[test]
    fn keys_meet_most_shards() {
        for (shard_count, met) in [(1, 1), (2, 2), (3, 3), (6, 6), (8, 6)] {
            let router = Router::new(shard_count, 1, Routing::Auto);
            let mut shards: Vec<ShardId> = (0..6).map(|key| Key(key).shard(router)).collect();
            shards.dedup();
            assert_eq!(shards.len(), met, "{shard_count} shards");
        }
    }
}
