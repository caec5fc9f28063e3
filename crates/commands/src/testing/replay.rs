//! Commands of all kinds as chance would have it, while time passes: after each, what it left is done again on other
//! shards at a time at which nothing is due, and both must hold the same.

use super::Bench;
use crate::FAMILIES;
use darter_base::DbIndex;
use darter_command_table::{Command, Flags, Group};
use std::collections::BTreeSet;

/// Commands in all their forms. `{word}` stands for something that chance chooses; see [`Dice::fill`].
const FORMS: &str = "
    APPEND {k} {v}
    BITFIELD {k} SET u8 {n} {n}
    BITFIELD {k} OVERFLOW FAIL INCRBY u4 {n} {n}
    BITOP {bitop} {k} {k} {k}
    BITOP NOT {k} {k}
    BLMOVE {k} {k} {end} {end} 1
    BLMOVEM {k} {k} {end} {end} 1
    BLMOVEM {k} {k} {end} {end} 1 COUNT {n} OBO
    BLMOVEM {k} {k} {end} {end} 1 EXACTLY {n} BULK
    BLMPOP 1 2 {k} {k} {end} COUNT {n}
    BLPOP {k} {k} 1
    BRPOP {k} 1
    BRPOPLPUSH {k} {k} 1
    BZMPOP 1 2 {k} {k} {minmax} COUNT {n}
    BZPOPMAX {k} 1
    BZPOPMIN {k} {k} 1
    COPY {k} {k} {maybe:REPLACE}
    COPY {k} {k} DB {db} {maybe:REPLACE}
    DECR {k}
    DECRBY {k} {n}
    DEL {k} {k}
    DELEX {k} IFEQ {v}
    DELEX {k}
    DELIFEQ {k} {v}
    EXPIRE {k} {seconds} {maybe:NX}
    EXPIRE {k} {seconds} {maybe:GT}
    EXPIREAT {k} {at-seconds}
    FLUSHALL
    FLUSHDB
    GEOADD {k} {n} {n} {f}
    GEORADIUS {k} 10 10 10000 km STORE {k}
    GEORADIUSBYMEMBER {k} {f} 10000 km STOREDIST {k}
    GEOSEARCHSTORE {k} {k} FROMLONLAT 10 10 BYRADIUS 10000 km {maybe:STOREDIST}
    GETDEL {k}
    GETEX {k} PX {ms}
    GETEX {k} EX {seconds}
    GETEX {k} PXAT {at}
    GETEX {k} PERSIST
    GETEX {k}
    GETSET {k} {v}
    HDEL {k} {f} {f}
    HEXPIRE {k} {seconds} FIELDS 2 {f} {f}
    HEXPIREAT {k} {at-seconds} FIELDS 1 {f}
    HGETDEL {k} FIELDS 2 {f} {f}
    HGETEX {k} PX {ms} FIELDS 2 {f} {f}
    HGETEX {k} PXAT {at} FIELDS 2 {f} {f}
    HGETEX {k} PERSIST FIELDS 2 {f} {f}
    HINCRBY {k} {f} {n}
    HINCRBYFLOAT {k} {f} 0.1
    HMSET {k} {f} {v}
    HPERSIST {k} FIELDS 2 {f} {f}
    HPEXPIRE {k} {ms} FIELDS 3 {f} {f} {f}
    HPEXPIRE {k} {ms} {maybe:XX} FIELDS 2 {f} {f}
    HPEXPIRE {k} {ms} {maybe:LT} FIELDS 2 {f} {f}
    HPEXPIREAT {k} {at} FIELDS 2 {f} {f}
    HSET {k} {f} {v} {f} {v} {f} {v}
    HSET {k} {f} {n}
    HSETEX {k} PX {ms} FIELDS 2 {f} {v} {f} {n}
    HSETEX {k} PXAT {at} FIELDS 2 {f} {v} {f} {n}
    HSETEX {k} {maybe:FNX} KEEPTTL FIELDS 2 {f} {v} {f} {n}
    HSETEX {k} {maybe:FXX} FIELDS 1 {f} {v}
    HSETEX {k} {maybe:NX} EX {seconds} FIELDS 1 {f} {v}
    HSETNX {k} {f} {v}
    INCR {k}
    INCRBY {k} {n}
    INCRBYFLOAT {k} 0.1
    INCREX {k} BYINT {n} UBOUND 10 SATURATE
    INCREX {k} PX {ms} {maybe:ENX}
    INCREX {k} BYFLOAT 0.5 PXAT {at}
    INCREX {k} PERSIST
    LINSERT {k} BEFORE {v} {v}
    LMOVE {k} {k} {end} {end}
    LMOVEM {k} {k} {end} {end}
    LMOVEM {k} {k} {end} {end} COUNT {n} BULK
    LMOVEM {k} {k} {end} {end} EXACTLY {n} OBO
    LMPOP 2 {k} {k} {end} COUNT {n}
    LPOP {k} {n}
    LPOP {k}
    LPUSH {k} {v} {v}
    LPUSHX {k} {v}
    LREM {k} {n} {v}
    LSET {k} 0 {v}
    LTRIM {k} 0 {n}
    MOVE {k} {db}
    MSET {k} {v} {k} {v}
    MSETEX 2 {k} {v} {k} {v} PX {ms} {maybe:NX}
    MSETEX 2 {k} {v} {k} {v} PXAT {at}
    MSETEX 2 {k} {v} {k} {v} KEEPTTL {maybe:XX}
    MSETNX {k} {v} {k} {v}
    PERSIST {k}
    PEXPIRE {k} {ms} {maybe:XX}
    PEXPIRE {k} {ms} {maybe:LT}
    PEXPIREAT {k} {at}
    PFADD {k} {v} {f} {n}
    PFCOUNT {k}
    PFCOUNT {k} {k}
    PFDEBUG GETREG {k}
    PFDEBUG TODENSE {k}
    PFMERGE {k} {k} {k}
    PSETEX {k} {ms} {v}
    RENAME {k} {k}
    RENAMENX {k} {k}
    RESTORE {k} {ms} {dump} {maybe:REPLACE}
    RESTORE {k} 0 {dump} REPLACE FREQ 3
    RESTORE {k} {at} {dump} ABSTTL REPLACE IDLETIME 100
    RESTORE-ASKING {k} 0 {dump} REPLACE
    RPOP {k} {n}
    RPOPLPUSH {k} {k}
    RPUSH {k} {v} {v} {v}
    RPUSHX {k} {v}
    SADD {k} {f} {n} {v}
    SDIFFSTORE {k} {k} {k}
    SET {k} {v}
    SET {k} {n}
    SET {k} {v} EX {seconds}
    SET {k} {v} PX {ms} {maybe:GET}
    SET {k} {v} EXAT {at-seconds}
    SET {k} {v} PXAT {at} {maybe:XX}
    SET {k} {v} KEEPTTL {maybe:NX}
    SET {k} {v} IFEQ {v}
    SET {k} {v} IFNE {v} PX {ms}
    SETBIT {k} {n} 1
    SETEX {k} {seconds} {v}
    SETNX {k} {v}
    SETRANGE {k} {n} {v}
    SINTERSTORE {k} {k} {k}
    SMOVE {k} {k} {f}
    SORT {k} ALPHA STORE {k}
    SORT {k} BY nosort GET {k}*->a GET # STORE {k}
    SORT {k} BY *->{f} ALPHA STORE {k}
    SPOP {k}
    SPOP {k} {n}
    SREM {k} {f} {n}
    SUNIONSTORE {k} {k} {k}
    SWAPDB 0 1
    UNLINK {k}
    XACK {k} {g} {id} {id}
    XACKDEL {k} {g} {refs} IDS 2 {id} {id}
    XADD {k} * {f} {v}
    XADD {k} * {f} {v}
    XADD {k} * {f} {v} {f} {v}
    XADD {k} {n}-* {f} {v}
    XADD {k} {id} {f} {v}
    XADD {k} IDMP {f} {n} * {f} {v}
    XADD {k} IDMPAUTO {f} MAXLEN ~ {n} * {f} {v}
    XADD {k} MAXLEN ~ {n} * {f} {v}
    XADD {k} NOMKSTREAM MAXLEN {n} * {f} {v}
    XADD {k} {refs} MINID ~ {id} LIMIT 5 * {f} {v}
    XADD {k} {refs} MAXLEN ~ {n} LIMIT {n} * {f} {v}
    XADD {k} {refs} MAXLEN {n} {id} {f} {v}
    XAUTOCLAIM {k} {g} {c} {n} - COUNT 3 {maybe:JUSTID}
    XCLAIM {k} {g} {c} {n} {id} {id}
    XCLAIM {k} {g} {c} 0 {id} {id} {id} FORCE IDLE {n} RETRYCOUNT {n}
    XCLAIM {k} {g} {c} 0 {id} TIME {at} JUSTID LASTID {id}
    XDEL {k} {id} {id}
    XDELEX {k} {refs} IDS 2 {id} {id}
    XGROUP CREATE {k} {g} {start} MKSTREAM
    XGROUP CREATE {k} {g} {id} ENTRIESREAD {n}
    XGROUP CREATECONSUMER {k} {g} {c}
    XGROUP DELCONSUMER {k} {g} {c}
    XGROUP DESTROY {k} {g}
    XGROUP SETID {k} {g} {start}
    XREADGROUP GROUP {g} {c} COUNT {n} STREAMS {k} >
    XREADGROUP GROUP {g} {c} COUNT 2 STREAMS {k} >
    XREADGROUP GROUP {g} {c} NOACK STREAMS {k} >
    XREADGROUP GROUP {g} {c} BLOCK 10 STREAMS {k} {k} > >
    XREADGROUP GROUP {g} {c} STREAMS {k} 0
    XREADGROUP GROUP {g} {c} CLAIM {n} COUNT {n} STREAMS {k} >
    XCFGSET {k} IDMP-DURATION 1 IDMP-MAXSIZE 3
    XIDMPRECORD {k} {f} {n} {id}
    XNACK {k} {g} FAIL IDS 2 {id} {id}
    XNACK {k} {g} SILENT IDS 2 {id} {id} RETRYCOUNT {n} FORCE
    XSETID {k} {id} ENTRIESADDED 100 MAXDELETEDID {id}
    XTRIM {k} MAXLEN ~ {n}
    XTRIM {k} MINID {id} {refs}
    XTRIM {k} MAXLEN ~ {n} LIMIT {n} {refs}
    ZADD {k} {n} {f} {n} {f}
    ZADD {k} {maybe:NX} {n} {f}
    ZADD {k} {maybe:GT} CH INCR {n} {f}
    ZDIFFSTORE {k} 2 {k} {k}
    ZINCRBY {k} 0.1 {f}
    ZINTERSTORE {k} 2 {k} {k} AGGREGATE MAX
    ZMPOP 2 {k} {k} {minmax} COUNT {n}
    ZPOPMAX {k} {n}
    ZPOPMIN {k}
    ZRANGESTORE {k} {k} 0 {n}
    ZREM {k} {f} {f}
    ZREMRANGEBYLEX {k} - [b
    ZREMRANGEBYRANK {k} 0 1
    ZREMRANGEBYSCORE {k} 0 {n}
    ZUNIONSTORE {k} 2 {k} {k} WEIGHTS 0.3 2
    DUMP {k}
    EXISTS {k} {k}
    GET {k}
    HGETALL {k}
    HLEN {k}
    HRANDFIELD {k} 2
    KEYS *
    SRANDMEMBER {k} 2
    TTL {k}
    XREAD COUNT 2 STREAMS {k} 0
    XINFO STREAM {k} FULL
    ZSCORE {k} {f}
";

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).unwrap()]
    }

    /// A command of the form. Each kind of value has keys of its own most of the time, so that most commands find
    /// what they are about.
    fn fill(&mut self, form: &str, bench: &Bench, dumps: &[String]) -> String {
        let mut line = String::new();
        let own = kind_of(form);
        let mut rest = form;
        while let Some((before, tail)) = rest.split_once('{') {
            let (word, after) = tail.split_once('}').unwrap();
            line += before;
            line += &self.word(word, own, bench, dumps);
            rest = after;
        }
        line + rest
    }

    fn word(&mut self, word: &str, own: &str, bench: &Bench, dumps: &[String]) -> String {
        let now = bench.now.0;
        let around = |dice: &mut Self| dice.below(60).cast_signed() - 10;
        match word {
            "k" if self.below(20) == 0 => {
                self.one_of(&["s1", "l1", "h1", "z1", "x1", "m1"]).to_owned()
            }
            "k" if own.is_empty() => {
                let kind = self.one_of(&["s", "l", "h", "z", "x", "m"]);
                format!("{kind}{}", self.below(3))
            }
            "k" => format!("{own}{}", self.below(3)),
            "v" => self.one_of(&["a", "b", "v", "12", "a-value-that-is-longer"]).to_owned(),
            "f" => self.one_of(&["a", "b", "c", "3"]).to_owned(),
            "n" => self.below(12).to_string(),
            "ms" => (self.below(40) + 1).to_string(),
            "seconds" => self.below(3).to_string(),
            "at" => (now + around(self)).to_string(),
            "at-seconds" => (now / 1000 + self.below(3).cast_signed() - 1).to_string(),
            "db" => self.below(2).to_string(),
            "end" => self.one_of(&["LEFT", "RIGHT"]).to_owned(),
            "minmax" => self.one_of(&["MIN", "MAX"]).to_owned(),
            "bitop" => self.one_of(&["AND", "OR", "XOR", "ONE"]).to_owned(),
            "refs" => self.one_of(&["KEEPREF", "DELREF", "ACKED"]).to_owned(),
            "g" => self.one_of(&["g", "g", "g", "other"]).to_owned(),
            "c" => self.one_of(&["c", "d"]).to_owned(),
            "start" => self.one_of(&["0", "$"]).to_owned(),
            "id" => match self.below(3) {
                0 => format!("{}-{}", self.below(12), self.below(4)),
                1 => format!("{}-0", now + around(self)),
                _ => format!("{}", now - self.below(200).cast_signed()),
            },
            "dump" => match usize::try_from(self.below(20)) {
                Ok(index) if index < dumps.len() => format!("\"{}\"", dumps[index]),
                _ => "bad".to_owned(),
            },
            _ => {
                let word = word.strip_prefix("maybe:").unwrap();
                if self.below(2) == 0 { word.to_owned() } else { String::new() }
            }
        }
    }
}

/// The first letter of the keys a form is about most of the time.
fn kind_of(form: &str) -> &'static str {
    let name = form.split(' ').next().unwrap();
    let command = FAMILIES.iter().flat_map(|family| family.iter()).find(|it| it.name == name);
    match command.unwrap().group {
        Group::String | Group::Bitmap | Group::HyperLogLog => "s",
        Group::List => "l",
        Group::Hash => "h",
        Group::Set => "m",
        Group::SortedSet | Group::Geo => "z",
        Group::Stream => "x",
        _ => "",
    }
}

#[test]
fn every_command_that_writes_has_a_form() {
    let in_forms: BTreeSet<&str> =
        FORMS.lines().filter_map(|form| form.trim().split(' ').next()).collect();
    let writes = |command: &&&Command| {
        command.flags.has(Flags::WRITE)
            || command.subcommands.iter().any(|it| it.flags.has(Flags::WRITE))
    };
    for command in FAMILIES.iter().flat_map(|family| family.iter()).filter(writes) {
        assert!(in_forms.contains(command.name), "no form of {}", command.name);
    }
}

/// Runs commands and does again what they left; notes in `left` the forms that left anything.
fn run_by_chance(seed: u64, steps: usize, left: &mut BTreeSet<&str>) {
    let forms: Vec<&str> = FORMS.lines().map(str::trim).filter(|form| !form.is_empty()).collect();
    let mut dice = Dice(seed);
    let mut bench = Bench::new(if seed.is_multiple_of(2) { 1 } else { 3 });
    // Small nodes, so that some are trimmed.
    bench.limits.encodings.stream_node_entries_max = 4;
    let mut replica = bench.replica(2);
    let mut dumps: Vec<String> = Vec::new();
    let mut last = Vec::new();
    for step in 0..steps {
        let form = dice.one_of(&forms);
        // Most of what there is would be gone again and again.
        if (form.starts_with("FLUSH") || form.starts_with("SWAPDB")) && dice.below(8) > 0 {
            continue;
        }
        let line = dice.fill(form, &bench, &dumps);
        match dice.below(12) {
            0..=2 => bench.now.0 += dice.below(15).cast_signed(),
            3 => bench.expire(),
            4 => bench.now.0 += dice.below(700).cast_signed(),
            5 => bench.db = DbIndex(u16::try_from(dice.below(2)).unwrap()),
            _ => {}
        }
        replica.limits.replayed_at = Some(bench.now);
        let reply = bench.run(&line);
        if form.starts_with("DUMP") && reply.starts_with(b"$") && !reply.starts_with(b"$-1") {
            let payload = &reply[reply.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
            let text = payload[..payload.len() - 2].iter().map(|byte| format!("\\x{byte:02x}"));
            dumps.insert(0, text.collect());
            dumps.truncate(10);
        }
        let db = bench.db;
        let (recorded, shown) = bench.take_recorded();
        last.push(format!("[{}] {line} => {} ~> {shown}", db.0, super::shown(&reply)));
        if !recorded.is_empty() {
            left.insert(form);
        }
        replica.replay(&recorded);
        let (image, replayed) = (bench.image(), replica.image());
        if image != replayed {
            let differing =
                |(key, value): &(&(u16, String), &String)| replayed.get(key) != Some(value);
            let history = &last[last.len().saturating_sub(12)..];
            panic!(
                "seed {seed}, step {step}, at {}:\n{}\nis {:?}\nshould be {:?}",
                bench.now.0,
                history.join("\n"),
                replayed
                    .iter()
                    .filter(|(key, value)| image.get(key) != Some(value))
                    .collect::<Vec<_>>(),
                image.iter().filter(differing).collect::<Vec<_>>(),
            );
        }
    }
}

#[test]
fn what_commands_leave_leads_to_the_same_data() {
    let seeds = std::env::var("DARTER_REPLAY_SEEDS").ok().and_then(|text| text.parse().ok());
    let mut left = BTreeSet::new();
    for seed in 0..seeds.unwrap_or(20) {
        run_by_chance(seed, 1500, &mut left);
    }
    let forms = FORMS.lines().map(str::trim).filter(|form| !form.is_empty());
    let idle: Vec<&str> = forms.filter(|form| !left.contains(form)).collect();
    // Those that read find keys that have expired, which is recorded.
    assert!(idle.is_empty(), "these left nothing in all that time: {idle:?}");
}
