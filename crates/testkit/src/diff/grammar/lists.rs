//! Commands on lists.

use super::{Grammar, Rule};
use crate::request::{Command, words};

const ENDS: &[&[u8]] = &[b"LEFT", b"RIGHT"];

impl Grammar {
    /// A key that mostly is a list.
    pub(super) fn list(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("l{}", self.rng.u8(0..4)).into_bytes() }
    }

    /// An element out of few, mostly, so that searches find some.
    pub(super) fn element(&mut self) -> Vec<u8> {
        if self.one_in(3) { self.value() } else { self.number(0, 9) }
    }

    fn index(&mut self) -> Vec<u8> {
        match self.rng.u8(0..6) {
            0 => self.number(-600, 600),
            _ => self.number(-6, 6),
        }
    }

    fn push(&mut self) -> Command {
        let name = self.pick(&["LPUSH", "RPUSH", "RPUSH", "LPUSHX", "RPUSHX"]);
        let mut command = vec![name.as_bytes().to_vec(), self.list()];
        let count = if self.one_in(10) { self.rng.usize(1..200) } else { self.rng.usize(1..6) };
        command.extend((0..count).map(|_| self.element()));
        command
    }

    fn pop(&mut self) -> Command {
        let name = self.pick(&["LPOP", "RPOP"]);
        let mut command = vec![name.as_bytes().to_vec(), self.list()];
        if self.one_in(3) {
            command.push(self.number(0, 8));
        }
        command
    }

    fn pop_many(&mut self) -> Command {
        let count = self.rng.usize(1..4);
        let mut command = vec![b"LMPOP".to_vec(), count.to_string().into_bytes()];
        command.extend((0..count).map(|_| self.list()));
        command.push(self.pick(ENDS).to_vec());
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(1, 8)]);
        }
        command
    }

    fn position(&mut self) -> Command {
        let mut command = vec![b"LPOS".to_vec(), self.list(), self.element()];
        if self.one_in(2) {
            command.extend([b"RANK".to_vec(), self.number(-3, 3)]);
        }
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(0, 4)]);
        }
        if self.one_in(3) {
            command.extend([b"MAXLEN".to_vec(), self.number(0, 12)]);
        }
        command
    }

    fn over_list(&mut self, name: &str, rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(name);
        command.push(self.list());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    fn insert(&mut self) -> Command {
        let side = self.pick(&[&b"BEFORE"[..], b"AFTER"]).to_vec();
        let mut command = self.over_list("LINSERT", &[]);
        command.extend([side, self.element(), self.element()]);
        command
    }

    fn move_element(&mut self) -> Command {
        if self.one_in(2) {
            return self.over_list("RPOPLPUSH", &[Self::list]);
        }
        let end = |g: &mut Self| g.pick(ENDS).to_vec();
        self.over_list("LMOVE", &[Self::list, end, end])
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule { weight: 100, make: Grammar::push },
    Rule { weight: 60, make: Grammar::pop },
    Rule { weight: 20, make: Grammar::pop_many },
    Rule { weight: 40, make: |g| g.over_list("LRANGE", &[Grammar::index, Grammar::index]) },
    Rule { weight: 20, make: |g| g.over_list("LTRIM", &[Grammar::index, Grammar::index]) },
    Rule { weight: 30, make: |g| g.over_list("LINDEX", &[Grammar::index]) },
    Rule { weight: 20, make: |g| g.over_list("LLEN", &[]) },
    Rule { weight: 30, make: |g| g.over_list("LSET", &[Grammar::index, Grammar::element]) },
    Rule { weight: 20, make: |g| g.over_list("LREM", &[|g| g.number(-3, 3), Grammar::element]) },
    Rule { weight: 30, make: Grammar::position },
    Rule { weight: 30, make: Grammar::insert },
    Rule { weight: 40, make: Grammar::move_element },
    Rule { weight: 20, make: |g| g.over_list("RENAME", &[Grammar::list]) },
    Rule { weight: 20, make: |g| g.over_list("COPY", &[Grammar::list]) },
    Rule { weight: 10, make: |g| g.over_list("TYPE", &[]) },
    Rule { weight: 10, make: |g| g.over_list("DEL", &[]) },
];
