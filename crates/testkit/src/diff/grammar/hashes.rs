//! Commands on hashes.

use super::{Grammar, Rule};
use crate::request::{Command, words};

impl Grammar {
    /// A key that mostly is a hash.
    pub(super) fn hash(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("h{}", self.rng.u8(0..4)).into_bytes() }
    }

    pub(super) fn field(&mut self) -> Vec<u8> {
        match self.rng.u8(0..12) {
            0 => self.value(),
            1..4 => self.number(0, 9),
            4 => format!("many-{}", self.rng.u16(0..700)).into_bytes(),
            _ => format!("f{}", self.rng.u8(0..8)).into_bytes(),
        }
    }

    fn over_hash(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(self.pick(names));
        command.push(self.hash());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    fn set_fields(&mut self) -> Command {
        let mut command = self.over_hash(&["HSET", "HSET", "HMSET"], &[]);
        let count = if self.one_in(20) { self.rng.usize(1..200) } else { self.rng.usize(1..5) };
        for _ in 0..count {
            command.extend([self.field(), self.value()]);
        }
        command
    }

    fn over_fields(&mut self, names: &[&str]) -> Command {
        let mut command = self.over_hash(names, &[]);
        let count = self.rng.usize(1..5);
        command.extend((0..count).map(|_| self.field()));
        command
    }

    fn random_fields(&mut self) -> Command {
        let mut command = self.over_hash(&["HRANDFIELD"], &[]);
        if self.one_in(2) {
            command.push(self.number(-5, 5));
            if self.one_in(2) {
                command.push(b"WITHVALUES".to_vec());
            }
        }
        command
    }

    fn scan_fields(&mut self) -> Command {
        let mut command = self.over_hash(&["HSCAN"], &[]);
        command.extend(words("0 COUNT 1000000"));
        if self.one_in(2) {
            command.extend([b"MATCH".to_vec(), self.pattern()]);
        }
        command
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule { weight: 100, make: Grammar::set_fields },
    Rule { weight: 60, make: |g| g.over_hash(&["HGET", "HEXISTS", "HSTRLEN"], &[Grammar::field]) },
    Rule { weight: 40, make: |g| g.over_fields(&["HMGET", "HDEL"]) },
    Rule { weight: 30, make: |g| g.over_hash(&["HGETALL", "HKEYS", "HVALS", "HLEN"], &[]) },
    Rule { weight: 20, make: |g| g.over_hash(&["HSETNX"], &[Grammar::field, Grammar::value]) },
    Rule {
        weight: 30,
        make: |g| g.over_hash(&["HINCRBY"], &[Grammar::field, |g| g.number(-100, 100)]),
    },
    Rule {
        weight: 20,
        make: |g| {
            let float = |g: &mut Grammar| format!("{}e-2", g.rng.i8(..)).into_bytes();
            g.over_hash(&["HINCRBYFLOAT"], &[Grammar::field, float])
        },
    },
    Rule { weight: 20, make: Grammar::random_fields },
    Rule { weight: 20, make: Grammar::scan_fields },
    Rule { weight: 20, make: |g| g.over_hash(&["RENAME", "COPY"], &[Grammar::hash]) },
    Rule { weight: 10, make: |g| g.over_hash(&["TYPE", "OBJECT ENCODING"], &[]) },
    Rule { weight: 10, make: |g| g.over_hash(&["DEL"], &[]) },
];
