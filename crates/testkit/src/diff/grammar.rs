//! Random commands. The table at the end says which, and how often.

use std::sync::Arc;

use fastrand::Rng;

use super::documented::Documented;
use crate::request::{Command, words};

mod bitmaps;
mod documented;
mod hashes;
mod lists;
mod sets;
mod sorted_sets;
mod sorting;
mod streams;

/// Databases in use.
const DATABASES: u64 = 4;

/// Commands sent in one write.
pub type Batch = Vec<Command>;

/// A source of commands; the same seed and documentation give the same commands.
#[derive(Debug)]
pub struct Grammar {
    rng: Rng,
    /// The commands of the reference.
    documented: Arc<Documented>,
    /// Whether what is made will be queued: then it may be something that waits elsewhere.
    in_transaction: bool,
    /// Times to live handed out so far: no two are alike.
    times: u64,
    weight_total: u32,
}

impl Grammar {
    pub fn new(seed: u64, documented: Arc<Documented>) -> Self {
        let weight_total = rules().map(|rule| rule.weight).sum();
        let rng = Rng::with_seed(seed);
        Self { rng, documented, in_transaction: false, times: 0, weight_total }
    }

    /// The next commands to be sent together.
    pub fn batch(&mut self) -> Batch {
        if !self.documented.shapes.is_empty() && self.one_in(12) {
            return self.transaction();
        }
        let count = if self.rng.u8(0..3) == 0 { 1 } else { self.rng.usize(1..=32) };
        (0..count).map(|_| self.command()).collect()
    }

    /// Watched keys, commands that may change them, a transaction, and its end.
    fn transaction(&mut self) -> Batch {
        let mut batch = Batch::new();
        if self.one_in(2) {
            batch.push(self.over_keys(&["WATCH"]));
            batch.extend((0..self.rng.usize(0..3)).map(|_| self.command()));
            if self.one_in(6) {
                batch.push(words("UNWATCH"));
            }
        }
        batch.push(words("MULTI"));
        self.in_transaction = true;
        let count = self.rng.usize(0..10);
        batch.extend((0..count).map(|_| self.command()).filter(|it| !ends_transaction(it)));
        self.in_transaction = false;
        batch.push(words(if self.one_in(8) { "DISCARD" } else { "EXEC" }));
        batch
    }

    fn command(&mut self) -> Command {
        let documented = if !self.documented.shapes.is_empty() && self.one_in(4) {
            self.documented_command()
        } else {
            None
        };
        let (mut command, may_be_spoilt_at_all) =
            documented.unwrap_or_else(|| (self.ruled_command(), true));
        let may_be_spoilt = may_be_spoilt_at_all
            && may_be_spoilt(&command)
            && !(self.in_transaction && has_another_arity_now(&command));
        if self.rng.u8(0..12) == 0 && may_be_spoilt {
            self.spoil(&mut command);
        }
        if self.rng.u8(0..4) == 0 {
            command[0].make_ascii_lowercase();
        }
        command
    }

    fn ruled_command(&mut self) -> Command {
        let mut ticket = self.rng.u32(0..self.weight_total);
        for rule in rules() {
            if ticket < rule.weight {
                return (rule.make)(self);
            }
            ticket -= rule.weight;
        }
        unreachable!("a ticket is below the sum of the weights")
    }

    /// Makes an argument wrong, or one too few or too many. Nothing here makes a short time to live.
    fn spoil(&mut self, command: &mut Command) {
        const ODD: &[&[u8]] = &[
            b"",
            b"abc",
            b"-1",
            b"0",
            b"1.5",
            b" 1",
            b"+1",
            b"9223372036854775807",
            b"9223372036854775808",
            b"-9223372036854775808",
            b"NX",
            b"XX",
            b"GT",
            b"GET",
            b"KEEPTTL",
            b"PERSIST",
            b"EX",
            b"MATCH",
            b"DB",
            b"REPLACE",
            b"\x00",
            b"\xff",
        ];
        let mut odd = self.pick(ODD).to_vec();
        // Darter's deadlines end in the year 10889; the transcripts say so.
        let has_deadline = command.iter().any(|word| {
            word.eq_ignore_ascii_case(b"PEXPIREAT") || word.eq_ignore_ascii_case(b"PXAT")
        });
        if has_deadline && odd == b"9223372036854775807" {
            odd = b"9223372036854775808".to_vec();
        }
        // Counts of list elements may not be the least integer, as in Valkey 9; the transcripts say so.
        let is_list_search = command.first().is_some_and(|name| {
            name.eq_ignore_ascii_case(b"LREM") || name.eq_ignore_ascii_case(b"LPOS")
        });
        if is_list_search && odd == b"-9223372036854775808" {
            odd = b"-9223372036854775809".to_vec();
        }
        // Large scores are printed as Redis 7.2 and Valkey print them.
        if command[0].first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'z')) && odd.len() > 18
        {
            odd = b"7".to_vec();
        }
        match self.rng.u8(0..4) {
            0 if command.len() > 1 => {
                let at = self.rng.usize(1..command.len());
                command.remove(at);
            }
            1 if command.len() > 1 => {
                let at = self.rng.usize(1..command.len());
                command[at] = odd;
            }
            2 => command.insert(self.rng.usize(1..=command.len()), odd),
            _ => command.push(odd),
        }
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.rng.usize(0..from.len())]
    }

    fn one_in(&mut self, count: u8) -> bool {
        self.rng.u8(0..count) == 0
    }

    fn number(&mut self, least: i64, most: i64) -> Vec<u8> {
        self.rng.i64(least..=most).to_string().into_bytes()
    }

    /// A key out of few, so that commands meet.
    fn key(&mut self) -> Vec<u8> {
        const SPECIAL: &[&[u8]] =
            &[b"", b"\x00\xff", b"{t}1", b"{t}2", b"{u}1", b"x{t}", b"{}", b"a key\r\n"];
        match self.rng.u8(0..10) {
            0..=6 => format!("k{}", self.rng.u8(0..12)).into_bytes(),
            7 | 8 => self.pick(SPECIAL).to_vec(),
            _ => vec![b'L'; 300],
        }
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        let count = self.rng.usize(1..=6);
        (0..count).map(|_| self.key()).collect()
    }

    fn value(&mut self) -> Vec<u8> {
        const SPECIAL: &[&[u8]] = &[
            b"",
            b"9223372036854775807",
            b"-9223372036854775808",
            b"9223372036854775808",
            b"1.5",
            b"-0",
            b"007",
            b" 7",
            b"3.0e3",
            b"inf",
            b"\x00\x01\xff\r\n",
            b"hello world",
        ];
        const LENGTHS: &[usize] = &[1, 30, 43, 44, 45, 64, 200, 2047, 2048, 2049, 5000];
        match self.rng.u8(0..8) {
            0..=2 => self.number(-1000, 1000),
            3 => self.rng.i64(..).to_string().into_bytes(),
            4 => self.pick(SPECIAL).to_vec(),
            5 | 6 => format!("value-{}", self.rng.u16(..)).into_bytes(),
            _ => {
                let length = LENGTHS[self.rng.usize(0..LENGTHS.len())];
                vec![b'a' + self.rng.u8(0..26); length]
            }
        }
    }

    /// A relative time in seconds or milliseconds, unlike all others by far more than a run lasts.
    fn duration(&mut self, milliseconds: bool) -> Vec<u8> {
        self.times += 1;
        let seconds = 1_000_000 + self.times * 1_000;
        (if milliseconds { seconds * 1_000 } else { seconds }).to_string().into_bytes()
    }

    /// A point in time, centuries from now; some of them alike.
    fn instant(&mut self, milliseconds: bool) -> Vec<u8> {
        let seconds = 33_177_117_420 + self.rng.u64(0..5);
        (if milliseconds { seconds * 1_000 + self.rng.u64(0..3) } else { seconds })
            .to_string()
            .into_bytes()
    }

    /// `EX seconds` and the like, or nothing.
    fn expiry(&mut self, out: &mut Command) {
        let (name, time) = match self.rng.u8(0..10) {
            0 => (&b"EX"[..], self.duration(false)),
            1 => (&b"px"[..], self.duration(true)),
            2 => (&b"EXAT"[..], self.instant(false)),
            3 => (&b"PXAT"[..], self.instant(true)),
            _ => return,
        };
        out.extend([name.to_vec(), time]);
    }

    fn set(&mut self) -> Command {
        let mut command = vec![b"SET".to_vec(), self.key(), self.value()];
        self.expiry(&mut command);
        for option in [&b"NX"[..], b"XX", b"GET", b"KEEPTTL"] {
            if self.one_in(6) {
                let at = self.rng.usize(3..=command.len());
                command.insert(at, option.to_vec());
            }
        }
        command
    }

    fn getex(&mut self) -> Command {
        let mut command = vec![b"GETEX".to_vec(), self.key()];
        if self.one_in(4) {
            command.push(b"PERSIST".to_vec());
        } else {
            self.expiry(&mut command);
        }
        command
    }

    fn expire(&mut self) -> Command {
        let (name, time) = match self.rng.u8(0..4) {
            0 => (&b"EXPIRE"[..], self.duration(false)),
            1 => (&b"PEXPIRE"[..], self.duration(true)),
            2 => (&b"EXPIREAT"[..], self.instant(false)),
            _ => (&b"PEXPIREAT"[..], self.instant(true)),
        };
        let past = self.one_in(20);
        let time = if past { self.number(-5, 0) } else { time };
        let mut command = vec![name.to_vec(), self.key(), time];
        while self.one_in(3) {
            command.push(self.pick(&[&b"NX"[..], b"XX", b"GT", b"LT"]).to_vec());
        }
        command
    }

    fn copy(&mut self) -> Command {
        let mut command = vec![b"COPY".to_vec(), self.key(), self.key()];
        if self.one_in(2) {
            command.push(b"REPLACE".to_vec());
        }
        if self.one_in(3) {
            command.extend([b"DB".to_vec(), self.database()]);
        }
        command
    }

    fn database(&mut self) -> Vec<u8> {
        self.rng.u64(0..DATABASES).to_string().into_bytes()
    }

    fn pattern(&mut self) -> Vec<u8> {
        const PATTERNS: &[&[u8]] = &[
            b"*", b"k?", b"k[0-4]", b"k[^1]", b"*t*", b"{t}*", b"\\{t}1", b"", b"L*", b"[", b"k1*",
        ];
        self.pick(PATTERNS).to_vec()
    }

    fn scan(&mut self) -> Command {
        // All at once, because the order of keys is each server's own.
        let mut command = words("SCAN 0 COUNT 1000000");
        if self.one_in(2) {
            command.extend([b"MATCH".to_vec(), self.pattern()]);
        }
        if self.one_in(4) {
            command.extend([b"TYPE".to_vec(), self.pick(&[&b"string"[..], b"list"]).to_vec()]);
        }
        command
    }

    /// Only over keys nothing else writes: its cost grows with the product of the lengths.
    fn lcs(&mut self) -> Command {
        let mut command = words("LCS lcs{1} lcs{2}");
        for option in ["LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN 2"] {
            if self.one_in(3) {
                command.extend(words(option));
            }
        }
        command
    }

    fn lcs_values(&mut self) -> Command {
        let mut text = || {
            let length = self.rng.usize(0..60);
            (0..length).map(|_| b'a' + self.rng.u8(0..4)).collect::<Vec<u8>>()
        };
        vec![b"MSET".to_vec(), b"lcs{1}".to_vec(), text(), b"lcs{2}".to_vec(), text()]
    }

    fn pairs(&mut self, name: &str) -> Command {
        let mut command = words(name);
        for key in self.keys() {
            command.extend([key, self.value()]);
        }
        command
    }

    /// To where nobody listens.
    fn migrate(&mut self) -> Command {
        let mut command = words("MIGRATE 127.0.0.1 1");
        let several = self.one_in(2);
        command.push(if several { Vec::new() } else { self.key() });
        command.extend([self.database(), self.number(-5, 1000)]);
        for option in ["COPY", "REPLACE", "AUTH password", "AUTH2 user password"] {
            if self.one_in(6) {
                command.extend(words(option));
            }
        }
        if several {
            command.push(b"KEYS".to_vec());
            command.extend(self.keys());
        }
        command
    }

    /// A payload that is none.
    fn restore_nonsense(&mut self) -> Command {
        let mut command = self.over_key(&["RESTORE", "RESTORE-ASKING"], &[]);
        command.extend([self.number(-1, 2), self.value()]);
        for option in ["REPLACE", "ABSTTL", "IDLETIME 5", "IDLETIME -5", "FREQ 5", "FREQ 256"] {
            if self.one_in(6) {
                command.extend(words(option));
            }
        }
        command
    }

    /// A name, then keys.
    fn over_keys(&mut self, names: &[&str]) -> Command {
        let mut command = words(self.pick(names));
        command.extend(self.keys());
        command
    }

    /// A name, a key, then whatever `rest` makes.
    fn over_key(&mut self, names: &[&str], rest: &[fn(&mut Self) -> Vec<u8>]) -> Command {
        let mut command = words(self.pick(names));
        command.push(self.key());
        command.extend(rest.iter().map(|make| make(self)));
        command
    }
}

/// What follows would wait where it must not.
fn ends_transaction(command: &Command) -> bool {
    command[0].eq_ignore_ascii_case(b"RESET")
}

/// Whether a command with another argument, or one less, still has a reply that is the same on every server.
fn may_be_spoilt(command: &Command) -> bool {
    let pops_any = command[0] == b"SPOP";
    let is_lexical = command.get(1).is_some_and(|key| key.starts_with(sorted_sets::LEXICAL));
    !pops_any && !is_lexical
}

/// Whether later versions take one argument more, or less, so that what is refused when it is queued there runs
/// here, and fails alone.
fn has_another_arity_now(command: &Command) -> bool {
    ["COMMAND", "ZRANK", "ZREVRANK"]
        .iter()
        .any(|name| command[0].eq_ignore_ascii_case(name.as_bytes()))
}

/// A kind of command.
struct Rule {
    weight: u32,
    make: fn(&mut Grammar) -> Command,
}

/// Every rule, family by family.
fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        RULES,
        bitmaps::RULES,
        hashes::RULES,
        lists::RULES,
        sets::RULES,
        sorted_sets::RULES,
        sorting::RULES,
        streams::RULES,
    ]
    .into_iter()
    .flatten()
}

const RULES: &[Rule] = &[
    Rule { weight: 120, make: Grammar::set },
    Rule { weight: 80, make: |g| g.over_key(&["GET"], &[]) },
    Rule { weight: 40, make: Grammar::getex },
    Rule { weight: 30, make: |g| g.over_key(&["GETDEL"], &[]) },
    Rule { weight: 40, make: |g| g.over_key(&["GETSET", "SETNX", "APPEND"], &[Grammar::value]) },
    Rule { weight: 20, make: |g| g.over_key(&["SETEX"], &[|g| g.duration(false), Grammar::value]) },
    Rule { weight: 20, make: |g| g.over_key(&["PSETEX"], &[|g| g.duration(true), Grammar::value]) },
    Rule { weight: 60, make: |g| g.over_key(&["INCR", "DECR"], &[]) },
    Rule { weight: 40, make: |g| g.over_key(&["INCRBY", "DECRBY"], &[|g| g.number(-100, 100)]) },
    Rule {
        weight: 20,
        make: |g| g.over_key(&["INCRBYFLOAT"], &[|g| format!("{}e-2", g.rng.i8(..)).into_bytes()]),
    },
    Rule { weight: 20, make: |g| g.over_key(&["STRLEN"], &[]) },
    Rule {
        weight: 40,
        make: |g| {
            let bound = |g: &mut Grammar| g.number(-60, 60);
            g.over_key(&["GETRANGE", "SUBSTR"], &[bound, bound])
        },
    },
    Rule {
        weight: 30,
        make: |g| g.over_key(&["SETRANGE"], &[|g| g.number(0, 100), Grammar::value]),
    },
    Rule { weight: 50, make: |g| g.over_keys(&["MGET"]) },
    Rule { weight: 40, make: |g| g.pairs("MSET") },
    Rule { weight: 20, make: |g| g.pairs("MSETNX") },
    Rule { weight: 10, make: Grammar::lcs },
    Rule { weight: 5, make: Grammar::lcs_values },
    Rule { weight: 50, make: |g| g.over_keys(&["DEL", "UNLINK", "EXISTS", "TOUCH"]) },
    Rule { weight: 80, make: Grammar::expire },
    Rule { weight: 20, make: |g| g.over_key(&["PERSIST"], &[]) },
    Rule { weight: 60, make: |g| g.over_key(&["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"], &[]) },
    Rule { weight: 20, make: |g| g.over_key(&["TYPE"], &[]) },
    Rule { weight: 20, make: |g| g.over_key(&["OBJECT ENCODING", "OBJECT REFCOUNT"], &[]) },
    Rule { weight: 5, make: |g| g.over_key(&["MEMORY USAGE", "OBJECT IDLETIME"], &[]) },
    Rule { weight: 60, make: |g| g.over_key(&["RENAME", "RENAMENX"], &[Grammar::key]) },
    Rule { weight: 40, make: Grammar::copy },
    Rule { weight: 30, make: |g| g.over_key(&["MOVE"], &[Grammar::database]) },
    Rule { weight: 10, make: |g| vec![b"KEYS".to_vec(), g.pattern()] },
    Rule { weight: 10, make: Grammar::scan },
    Rule { weight: 10, make: |_| words("RANDOMKEY") },
    Rule { weight: 20, make: |_| words("DBSIZE") },
    Rule { weight: 20, make: |g| vec![b"SELECT".to_vec(), g.database()] },
    Rule { weight: 5, make: |g| vec![b"SWAPDB".to_vec(), g.database(), g.database()] },
    Rule { weight: 3, make: |g| words(g.pick(&["FLUSHDB", "FLUSHDB ASYNC", "FLUSHDB SYNC"])) },
    Rule { weight: 1, make: |g| words(g.pick(&["FLUSHALL", "FLUSHALL ASYNC"])) },
    Rule { weight: 5, make: |g| words(g.pick(&["HELLO 2", "HELLO 3", "HELLO 3", "RESET"])) },
    Rule { weight: 3, make: Grammar::migrate },
    Rule { weight: 3, make: Grammar::restore_nonsense },
    Rule { weight: 5, make: |g| vec![b"ECHO".to_vec(), g.value()] },
    Rule { weight: 5, make: |_| words("PING") },
    Rule { weight: 5, make: |g| g.over_keys(&["COMMAND GETKEYS MGET", "COMMAND GETKEYS DEL"]) },
    Rule { weight: 5, make: |g| g.over_key(&["NONSENSE", "OBJECT NONSENSE"], &[]) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_stream() {
        let stream = |seed| {
            let mut grammar = Grammar::new(seed, Arc::default());
            (0..100).map(|_| grammar.batch()).collect::<Vec<_>>()
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }
}
