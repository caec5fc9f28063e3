//! Commands on streams. Ids are given, never made from the clock, and idle times are not compared.

use super::{Grammar, Rule};
use crate::request::{Command, words};

impl Grammar {
    /// A key that mostly is a stream.
    pub(super) fn stream(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("s{}", self.rng.u8(0..3)).into_bytes() }
    }

    fn over_stream(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(self.pick(names));
        command.push(self.stream());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    pub(super) fn entry_id(&mut self) -> Vec<u8> {
        match self.rng.u8(0..8) {
            0 => self.number(0, 60),
            1 => format!("{}-0", self.rng.u8(0..60)).into_bytes(),
            _ => format!("{}-{}", self.rng.u8(0..60), self.rng.u8(0..4)).into_bytes(),
        }
    }

    pub(super) fn bound(&mut self) -> Vec<u8> {
        match self.rng.u8(0..5) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 => [&b"("[..], &self.entry_id()].concat(),
            _ => self.entry_id(),
        }
    }

    pub(super) fn group(&mut self) -> Vec<u8> {
        format!("g{}", self.rng.u8(0..3)).into_bytes()
    }

    pub(super) fn consumer(&mut self) -> Vec<u8> {
        format!("c{}", self.rng.u8(0..3)).into_bytes()
    }

    fn trim(&mut self, out: &mut Command) {
        let (name, threshold) = if self.one_in(2) {
            (&b"MAXLEN"[..], self.number(0, 150))
        } else {
            (&b"MINID"[..], self.entry_id())
        };
        out.push(name.to_vec());
        let operator = self.pick(&[&b""[..], b"=", b"~"]);
        if !operator.is_empty() {
            out.push(operator.to_vec());
        }
        out.push(threshold);
        if operator == b"~" && self.one_in(2) {
            out.extend([b"LIMIT".to_vec(), self.number(0, 200)]);
        }
    }

    fn xadd(&mut self) -> Command {
        let mut command = self.over_stream(&["XADD"], &[]);
        if self.one_in(8) {
            command.push(b"NOMKSTREAM".to_vec());
        }
        if self.one_in(8) {
            self.trim(&mut command);
        }
        // Mostly above all others, so that it is accepted.
        self.times += 1;
        let id = match self.rng.u8(0..10) {
            0 => self.entry_id(),
            1 => format!("{}-*", self.rng.u8(0..60)).into_bytes(),
            2 => format!("{}-*", 100 + self.times).into_bytes(),
            _ => format!("{}-{}", 100 + self.times, self.rng.u8(0..3)).into_bytes(),
        };
        command.push(id);
        for _ in 0..self.rng.usize(1..4) {
            let field = if self.one_in(6) { self.value() } else { vec![b'a' + self.rng.u8(0..3)] };
            command.extend([field, self.value()]);
        }
        command
    }

    fn xtrim(&mut self) -> Command {
        let mut command = self.over_stream(&["XTRIM"], &[]);
        self.trim(&mut command);
        command
    }

    fn xrange(&mut self) -> Command {
        let names = ["XRANGE", "XREVRANGE"];
        let mut command = self.over_stream(&names, &[Self::bound, Self::bound]);
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(-1, 10)]);
        }
        command
    }

    fn xread(&mut self) -> Command {
        let mut command = words("XREAD");
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(0, 5)]);
        }
        command.push(b"STREAMS".to_vec());
        let count = self.rng.usize(1..4);
        command.extend((0..count).map(|_| self.stream()).collect::<Vec<_>>());
        for _ in 0..count {
            let id = if self.one_in(4) { b"$".to_vec() } else { self.entry_id() };
            command.push(id);
        }
        command
    }

    fn xreadgroup(&mut self) -> Command {
        let mut command = words("XREADGROUP GROUP");
        command.extend([self.group(), self.consumer()]);
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(0, 5)]);
        }
        if self.one_in(6) {
            command.push(b"NOACK".to_vec());
        }
        command.push(b"STREAMS".to_vec());
        command.push(self.stream());
        let id = if self.one_in(4) { self.entry_id() } else { b">".to_vec() };
        command.push(id);
        command
    }

    fn over_group(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = self.over_stream(names, &[Self::group]);
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    fn xclaim(&mut self) -> Command {
        let mut command = self.over_group(&["XCLAIM"], &[Self::consumer]);
        command.push(b"0".to_vec());
        let count = self.rng.usize(1..4);
        command.extend((0..count).map(|_| self.pending_id()).collect::<Vec<_>>());
        for option in ["JUSTID", "FORCE", "RETRYCOUNT 3", "TIME 1000", "LASTID 20-0"] {
            if self.one_in(5) {
                command.extend(words(option));
            }
        }
        command
    }

    /// An id as XADD makes them.
    pub(super) fn pending_id(&mut self) -> Vec<u8> {
        let recent = self.times.saturating_sub(self.rng.u64(0..40));
        format!("{}-{}", 100 + recent, self.rng.u8(0..3)).into_bytes()
    }

    fn xautoclaim(&mut self) -> Command {
        let mut command = self.over_group(&["XAUTOCLAIM"], &[Self::consumer]);
        command.extend([b"0".to_vec(), self.entry_id()]);
        if self.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.number(1, 5)]);
        }
        if self.one_in(3) {
            command.push(b"JUSTID".to_vec());
        }
        command
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule { weight: 150, make: Grammar::xadd },
    Rule { weight: 10, make: Grammar::xtrim },
    Rule { weight: 50, make: Grammar::xrange },
    Rule { weight: 20, make: |g| g.over_stream(&["XLEN", "TYPE", "EXISTS"], &[]) },
    Rule {
        weight: 30,
        make: |g| g.over_stream(&["XDEL"], &[Grammar::pending_id, Grammar::entry_id]),
    },
    Rule { weight: 5, make: |g| g.over_stream(&["DEL", "OBJECT ENCODING"], &[]) },
    Rule { weight: 30, make: Grammar::xread },
    Rule { weight: 60, make: Grammar::xreadgroup },
    Rule { weight: 40, make: |g| g.over_group(&["XGROUP CREATE"], &[Grammar::entry_id]) },
    Rule { weight: 5, make: |g| g.over_group(&["XGROUP SETID"], &[Grammar::entry_id]) },
    Rule { weight: 3, make: |g| g.over_group(&["XGROUP DESTROY"], &[]) },
    Rule {
        weight: 10,
        make: |g| {
            g.over_group(&["XGROUP CREATECONSUMER", "XGROUP DELCONSUMER"], &[Grammar::consumer])
        },
    },
    Rule {
        weight: 30,
        make: |g| g.over_group(&["XACK"], &[Grammar::pending_id, Grammar::pending_id]),
    },
    Rule { weight: 20, make: |g| g.over_group(&["XPENDING"], &[]) },
    Rule { weight: 20, make: Grammar::xclaim },
    Rule { weight: 20, make: Grammar::xautoclaim },
];
