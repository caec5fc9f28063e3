//! Commands on bitmaps and HLLs, which are strings.

use super::{Grammar, Rule};
use crate::request::{Command, words};

impl Grammar {
    pub(super) fn bit_offset(&mut self) -> Vec<u8> {
        match self.rng.u8(0..12) {
            0 => self.number(0, 40_000),
            1 => self.number(-3, 3),
            _ => self.number(0, 300),
        }
    }

    fn bit_range(&mut self, out: &mut Command) {
        if self.one_in(2) {
            out.extend([self.number(-60, 60), self.number(-60, 60)]);
            if self.one_in(2) {
                out.push(self.pick(&[&b"BIT"[..], b"BYTE", b"bit"]).to_vec());
            }
        }
    }

    fn bitcount(&mut self) -> Command {
        let mut command = self.over_key(&["BITCOUNT"], &[]);
        self.bit_range(&mut command);
        command
    }

    fn bitpos(&mut self) -> Command {
        let mut command = self.over_key(&["BITPOS"], &[|g| g.number(0, 1)]);
        if self.one_in(4) {
            command.push(self.number(-60, 60));
        } else {
            self.bit_range(&mut command);
        }
        command
    }

    fn bitop(&mut self) -> Command {
        let mut command = words("BITOP");
        command.push(self.pick(&[&b"AND"[..], b"OR", b"XOR", b"NOT", b"and"]).to_vec());
        command.push(self.key());
        if command[1] == b"NOT" {
            command.push(self.key());
        } else {
            command.extend(self.keys());
        }
        command
    }

    fn bitfield(&mut self) -> Command {
        let mut command = self.over_key(&["BITFIELD", "BITFIELD", "BITFIELD_RO"], &[]);
        for _ in 0..self.rng.usize(0..4) {
            if self.one_in(3) {
                command.push(b"OVERFLOW".to_vec());
                command.push(self.pick(&[&b"WRAP"[..], b"SAT", b"FAIL"]).to_vec());
            }
            let name = self.pick(&[&b"GET"[..], b"SET", b"INCRBY"]);
            let width = self.rng.u8(1..=64);
            let sign = if self.one_in(2) && width < 64 { 'u' } else { 'i' };
            command.extend([name.to_vec(), format!("{sign}{width}").into_bytes()]);
            let multiple = if self.one_in(3) { "#" } else { "" };
            command.push(format!("{multiple}{}", self.rng.u8(0..30)).into_bytes());
            if name != b"GET" {
                let value = if self.one_in(3) {
                    self.rng.i64(..).to_string().into_bytes()
                } else {
                    self.number(-300, 300)
                };
                command.push(value);
            }
        }
        command
    }

    /// A key that mostly is an HLL.
    pub(super) fn hyperloglog(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("hll{}", self.rng.u8(0..4)).into_bytes() }
    }

    fn pfadd(&mut self) -> Command {
        let mut command = words("PFADD");
        command.push(self.hyperloglog());
        let count = if self.one_in(20) { self.rng.usize(0..600) } else { self.rng.usize(0..5) };
        command.extend((0..count).map(|_| self.rng.u16(..).to_string().into_bytes()));
        command
    }

    fn over_hyperloglogs(&mut self, names: &[&str]) -> Command {
        let mut command = words(self.pick(names));
        let count = self.rng.usize(1..4);
        command.extend((0..count).map(|_| self.hyperloglog()));
        command
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        weight: 40,
        make: |g| g.over_key(&["SETBIT"], &[Grammar::bit_offset, |g| g.number(0, 1)]),
    },
    Rule { weight: 30, make: |g| g.over_key(&["GETBIT"], &[Grammar::bit_offset]) },
    Rule { weight: 30, make: Grammar::bitcount },
    Rule { weight: 30, make: Grammar::bitpos },
    Rule { weight: 30, make: Grammar::bitop },
    Rule { weight: 40, make: Grammar::bitfield },
    Rule { weight: 40, make: Grammar::pfadd },
    Rule { weight: 30, make: |g| g.over_hyperloglogs(&["PFCOUNT", "PFMERGE"]) },
    Rule { weight: 10, make: |g| vec![b"GET".to_vec(), g.hyperloglog()] },
    Rule {
        weight: 10,
        make: |g| {
            let mut command =
                words(g.pick(&["PFDEBUG ENCODING", "PFDEBUG DECODE", "PFDEBUG TODENSE"]));
            command.push(g.hyperloglog());
            command
        },
    },
    Rule { weight: 3, make: |g| vec![b"DEL".to_vec(), g.hyperloglog()] },
];
