//! Commands on sets.

use super::{Grammar, Rule};
use crate::request::{Command, words};

impl Grammar {
    /// A key that mostly is a set.
    pub(super) fn set_key(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("set{}", self.rng.u8(0..5)).into_bytes() }
    }

    fn set_keys(&mut self) -> Vec<Vec<u8>> {
        let count = self.rng.usize(1..=4);
        (0..count).map(|_| self.set_key()).collect()
    }

    pub(super) fn set_member(&mut self) -> Vec<u8> {
        match self.rng.u8(0..12) {
            0 => self.value(),
            1..6 => self.number(-20, 20),
            6 => format!("many-{}", self.rng.u16(0..700)).into_bytes(),
            _ => format!("m{}", self.rng.u8(0..10)).into_bytes(),
        }
    }

    fn over_set(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(self.pick(names));
        command.push(self.set_key());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    fn over_set_members(&mut self, names: &[&str]) -> Command {
        let mut command = self.over_set(names, &[]);
        let many = self.one_in(15);
        let count = if many { self.rng.usize(1..300) } else { self.rng.usize(1..5) };
        let integers = self.one_in(3);
        for _ in 0..count {
            let member = if integers { self.number(-300, 300) } else { self.set_member() };
            command.push(member);
        }
        command
    }

    fn set_algebra(&mut self) -> Command {
        let mut command = words(self.pick(&["SINTER", "SUNION", "SDIFF"]));
        command.extend(self.set_keys());
        command
    }

    fn stored_set_algebra(&mut self) -> Command {
        let mut command = words(self.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]));
        command.push(self.set_key());
        command.extend(self.set_keys());
        command
    }

    fn count_intersection(&mut self) -> Command {
        let keys = self.set_keys();
        let mut command = words("SINTERCARD");
        command.push(keys.len().to_string().into_bytes());
        command.extend(keys);
        if self.one_in(2) {
            command.extend([b"LIMIT".to_vec(), self.number(0, 5)]);
        }
        command
    }

    fn random_members(&mut self) -> Command {
        let mut command = self.over_set(&["SRANDMEMBER"], &[]);
        if self.one_in(2) {
            command.push(self.number(-5, 5));
        }
        command
    }

    fn scan_members(&mut self) -> Command {
        let mut command = self.over_set(&["SSCAN"], &[]);
        command.extend(words("0 COUNT 1000000"));
        if self.one_in(2) {
            command.extend([b"MATCH".to_vec(), self.pattern()]);
        }
        command
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule { weight: 100, make: |g| g.over_set_members(&["SADD", "SADD", "SREM"]) },
    Rule { weight: 30, make: |g| g.over_set(&["SISMEMBER"], &[Grammar::set_member]) },
    Rule { weight: 30, make: |g| g.over_set_members(&["SMISMEMBER"]) },
    Rule { weight: 30, make: |g| g.over_set(&["SMEMBERS", "SCARD"], &[]) },
    Rule { weight: 20, make: |g| g.over_set(&["SMOVE"], &[Grammar::set_key, Grammar::set_member]) },
    Rule { weight: 60, make: Grammar::set_algebra },
    Rule { weight: 40, make: Grammar::stored_set_algebra },
    Rule { weight: 20, make: Grammar::count_intersection },
    Rule { weight: 20, make: Grammar::random_members },
    // All of them: which ones fewer would be is each server's own.
    Rule { weight: 3, make: |g| g.over_set(&["SPOP"], &[|_| b"100000".to_vec()]) },
    Rule { weight: 20, make: Grammar::scan_members },
    Rule { weight: 20, make: |g| g.over_set(&["RENAME", "COPY"], &[Grammar::set_key]) },
    Rule { weight: 10, make: |g| g.over_set(&["TYPE", "OBJECT ENCODING"], &[]) },
    Rule { weight: 5, make: |g| g.over_set(&["DEL"], &[]) },
];
