//! Commands on sorted sets, geo among them.

use super::{Grammar, Rule};
use crate::request::{Command, words};

/// Keys with this prefix hold members of score 0 only: elsewhere the order of members by their bytes means
/// nothing.
pub(super) const LEXICAL: &[u8] = b"zl";

impl Grammar {
    /// A key that mostly is a sorted set.
    pub(super) fn sorted_set(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.key() } else { format!("z{}", self.rng.u8(0..5)).into_bytes() }
    }

    pub(super) fn lexical(&mut self) -> Vec<u8> {
        [LEXICAL, &[b'0' + self.rng.u8(0..2)]].concat()
    }

    /// Halves, so that every format prints them alike.
    pub(super) fn score(&mut self) -> Vec<u8> {
        match self.rng.u8(0..20) {
            0 => self.pick(&[&b"inf"[..], b"-inf", b"+inf", b"1e3"]).to_vec(),
            1..5 => format!("{}.5", self.rng.i8(..)).into_bytes(),
            _ => self.number(-10, 10),
        }
    }

    pub(super) fn sorted_member(&mut self) -> Vec<u8> {
        match self.rng.u8(0..12) {
            0 => self.value(),
            1..4 => self.number(-9, 9),
            4 => format!("many-{}", self.rng.u16(0..400)).into_bytes(),
            _ => format!("m{}", self.rng.u8(0..12)).into_bytes(),
        }
    }

    pub(super) fn score_bound(&mut self) -> Vec<u8> {
        let score = match self.rng.u8(0..5) {
            0 => self.pick(&[&b"inf"[..], b"-inf", b"+inf"]).to_vec(),
            _ => self.score(),
        };
        if self.one_in(3) { [b"(", &score[..]].concat() } else { score }
    }

    pub(super) fn lexical_bound(&mut self) -> Vec<u8> {
        match self.rng.u8(0..5) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            _ => {
                let begin = self.pick(&[&b"["[..], b"("]);
                [begin, &self.sorted_member()[..]].concat()
            }
        }
    }

    fn over_sorted(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(self.pick(names));
        command.push(self.sorted_set());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }

    fn zadd(&mut self) -> Command {
        let mut command = self.over_sorted(&["ZADD"], &[]);
        for option in [&b"NX"[..], b"XX", b"GT", b"LT", b"CH"] {
            if self.one_in(8) {
                command.push(option.to_vec());
            }
        }
        if self.one_in(12) {
            command.push(b"INCR".to_vec());
            command.extend([self.score(), self.sorted_member()]);
            return command;
        }
        let many = self.one_in(20);
        let count = if many { self.rng.usize(1..120) } else { self.rng.usize(1..5) };
        for _ in 0..count {
            command.extend([self.score(), self.sorted_member()]);
        }
        command
    }

    fn zadd_lexical(&mut self) -> Command {
        let mut command = vec![b"ZADD".to_vec(), self.lexical()];
        for _ in 0..self.rng.usize(1..5) {
            command.extend([b"0".to_vec(), self.sorted_member()]);
        }
        command
    }

    fn maybe_with_scores(&mut self, command: &mut Command) {
        if self.one_in(2) {
            command.push(b"WITHSCORES".to_vec());
        }
    }

    fn maybe_limit(&mut self, command: &mut Command) {
        if self.one_in(3) {
            command.extend([b"LIMIT".to_vec(), self.number(0, 4), self.number(-1, 4)]);
        }
    }

    fn by_rank(&mut self) -> Command {
        let bound: fn(&mut Self) -> Vec<u8> = |g| g.number(-12, 12);
        let mut command = self.over_sorted(&["ZRANGE", "ZREVRANGE"], &[bound, bound]);
        if command[0] == b"ZRANGE" && self.one_in(4) {
            command.push(b"REV".to_vec());
        }
        self.maybe_with_scores(&mut command);
        command
    }

    fn by_score(&mut self) -> Command {
        let names = ["ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGE"];
        let mut command = self.over_sorted(&names, &[Self::score_bound, Self::score_bound]);
        if command[0] == b"ZRANGE" {
            command.push(b"BYSCORE".to_vec());
            if self.one_in(2) {
                command.push(b"REV".to_vec());
            }
        }
        self.maybe_with_scores(&mut command);
        self.maybe_limit(&mut command);
        command
    }

    fn by_bytes(&mut self) -> Command {
        let mut command = words(self.pick(&["ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZRANGE"]));
        command.extend([self.lexical(), self.lexical_bound(), self.lexical_bound()]);
        if command[0] == b"ZRANGE" {
            command.push(b"BYLEX".to_vec());
            if self.one_in(2) {
                command.push(b"REV".to_vec());
            }
        }
        self.maybe_limit(&mut command);
        command
    }

    fn range_store(&mut self) -> Command {
        let mut command = vec![b"ZRANGESTORE".to_vec(), self.sorted_set(), self.sorted_set()];
        if self.one_in(2) {
            command.extend([self.number(-6, 6), self.number(-6, 6)]);
        } else {
            command.extend([self.score_bound(), self.score_bound(), b"BYSCORE".to_vec()]);
            self.maybe_limit(&mut command);
        }
        if self.one_in(3) {
            command.push(b"REV".to_vec());
        }
        command
    }

    /// Number of keys, keys, and how their scores become one.
    fn sources(&mut self, command: &mut Command, has_weights: bool) {
        let count = self.rng.usize(1..=3);
        command.push(count.to_string().into_bytes());
        for _ in 0..count {
            let key = if self.one_in(6) {
                format!("set{}", self.rng.u8(0..5)).into_bytes()
            } else {
                self.sorted_set()
            };
            command.push(key);
        }
        if has_weights && self.one_in(3) {
            command.push(b"WEIGHTS".to_vec());
            for _ in 0..count {
                command.push(self.score());
            }
        }
        if has_weights && self.one_in(3) {
            command.push(b"AGGREGATE".to_vec());
            command.push(self.pick(&[&b"SUM"[..], b"MIN", b"MAX"]).to_vec());
        }
    }

    fn sorted_algebra(&mut self) -> Command {
        let name = self.pick(&["ZUNION", "ZINTER", "ZDIFF"]);
        let mut command = words(name);
        self.sources(&mut command, name != "ZDIFF");
        self.maybe_with_scores(&mut command);
        command
    }

    fn stored_sorted_algebra(&mut self) -> Command {
        let name = self.pick(&["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]);
        let mut command = words(name);
        command.push(self.sorted_set());
        self.sources(&mut command, name != "ZDIFFSTORE");
        command
    }

    fn count_sorted_intersection(&mut self) -> Command {
        let mut command = words("ZINTERCARD");
        self.sources(&mut command, false);
        if self.one_in(2) {
            command.extend([b"LIMIT".to_vec(), self.number(0, 5)]);
        }
        command
    }

    fn pop_sorted(&mut self) -> Command {
        if self.one_in(3) {
            let mut command = words("ZMPOP");
            self.sources(&mut command, false);
            command.push(self.pick(&[&b"MIN"[..], b"MAX"]).to_vec());
            if self.one_in(2) {
                command.extend([b"COUNT".to_vec(), self.number(1, 4)]);
            }
            return command;
        }
        let mut command = self.over_sorted(&["ZPOPMIN", "ZPOPMAX"], &[]);
        if self.one_in(2) {
            command.push(self.number(0, 4));
        }
        command
    }

    fn random_sorted(&mut self) -> Command {
        let mut command = self.over_sorted(&["ZRANDMEMBER"], &[]);
        if self.one_in(2) {
            command.push(self.number(-5, 5));
            self.maybe_with_scores(&mut command);
        }
        command
    }

    fn scan_sorted(&mut self) -> Command {
        let mut command = self.over_sorted(&["ZSCAN"], &[]);
        command.extend(words("0 COUNT 1000000"));
        if self.one_in(2) {
            command.extend([b"MATCH".to_vec(), self.pattern()]);
        }
        command
    }

    pub(super) fn place(&mut self) -> Vec<u8> {
        format!("g{}", self.rng.u8(0..2)).into_bytes()
    }

    fn geoadd(&mut self) -> Command {
        let mut command = vec![b"GEOADD".to_vec(), self.place()];
        for option in [&b"NX"[..], b"XX", b"CH"] {
            if self.one_in(8) {
                command.push(option.to_vec());
            }
        }
        for _ in 0..self.rng.usize(1..4) {
            command.extend([self.number(-180, 180), self.number(-85, 85), self.sorted_member()]);
        }
        command
    }

    fn geosearch(&mut self) -> Command {
        let mut command = vec![b"GEOSEARCH".to_vec(), self.place()];
        command.extend(words("FROMLONLAT"));
        command.extend([self.number(-180, 180), self.number(-85, 85)]);
        if self.one_in(2) {
            command.extend([b"BYRADIUS".to_vec(), self.number(0, 9_000), b"km".to_vec()]);
        } else {
            command.extend([b"BYBOX".to_vec(), self.number(0, 9_000), self.number(0, 9_000)]);
            command.push(b"km".to_vec());
        }
        command.push(self.pick(&[&b"ASC"[..], b"DESC"]).to_vec());
        if self.one_in(3) {
            command.extend([b"COUNT".to_vec(), self.number(1, 4)]);
        }
        if self.one_in(3) {
            command.push(self.pick(&[&b"WITHDIST"[..], b"WITHHASH"]).to_vec());
        }
        command
    }

    fn geo_look(&mut self) -> Command {
        let name = self.pick(&["GEODIST", "GEOHASH"]);
        let mut command = vec![name.as_bytes().to_vec(), self.place()];
        command.extend([self.sorted_member(), self.sorted_member()]);
        if name == "GEODIST" && self.one_in(2) {
            command.push(self.pick(&[&b"m"[..], b"km", b"ft", b"mi"]).to_vec());
        }
        command
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule { weight: 120, make: Grammar::zadd },
    Rule { weight: 30, make: |g| g.over_sorted(&["ZREM"], &[Grammar::sorted_member]) },
    Rule {
        weight: 30,
        make: |g| g.over_sorted(&["ZINCRBY"], &[Grammar::score, Grammar::sorted_member]),
    },
    Rule {
        weight: 40,
        make: |g| g.over_sorted(&["ZSCORE", "ZRANK", "ZREVRANK"], &[Grammar::sorted_member]),
    },
    Rule {
        weight: 20,
        make: |g| g.over_sorted(&["ZMSCORE"], &[Grammar::sorted_member, Grammar::sorted_member]),
    },
    Rule { weight: 20, make: |g| g.over_sorted(&["ZCARD", "TYPE", "OBJECT ENCODING"], &[]) },
    Rule {
        weight: 20,
        make: |g| g.over_sorted(&["ZCOUNT"], &[Grammar::score_bound, Grammar::score_bound]),
    },
    Rule { weight: 50, make: Grammar::by_rank },
    Rule { weight: 50, make: Grammar::by_score },
    Rule { weight: 20, make: Grammar::zadd_lexical },
    Rule { weight: 30, make: Grammar::by_bytes },
    Rule {
        weight: 10,
        make: |g| {
            let name = g.pick(&["ZLEXCOUNT", "ZREMRANGEBYLEX"]);
            vec![name.as_bytes().to_vec(), g.lexical(), g.lexical_bound(), g.lexical_bound()]
        },
    },
    Rule {
        weight: 10,
        make: |g| {
            let bound: fn(&mut Grammar) -> Vec<u8> = |g| g.number(-5, 5);
            g.over_sorted(&["ZREMRANGEBYRANK"], &[bound, bound])
        },
    },
    Rule {
        weight: 10,
        make: |g| {
            g.over_sorted(&["ZREMRANGEBYSCORE"], &[Grammar::score_bound, Grammar::score_bound])
        },
    },
    Rule { weight: 30, make: Grammar::range_store },
    Rule { weight: 40, make: Grammar::sorted_algebra },
    Rule { weight: 30, make: Grammar::stored_sorted_algebra },
    Rule { weight: 10, make: Grammar::count_sorted_intersection },
    Rule { weight: 30, make: Grammar::pop_sorted },
    Rule { weight: 20, make: Grammar::random_sorted },
    Rule { weight: 20, make: Grammar::scan_sorted },
    Rule { weight: 20, make: |g| g.over_sorted(&["RENAME", "COPY"], &[Grammar::sorted_set]) },
    Rule { weight: 5, make: |g| g.over_sorted(&["DEL"], &[]) },
    Rule { weight: 30, make: Grammar::geoadd },
    Rule { weight: 30, make: Grammar::geosearch },
    Rule { weight: 20, make: Grammar::geo_look },
];
