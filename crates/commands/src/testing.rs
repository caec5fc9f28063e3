//! Transcripts: command lines with the replies they must get, run straight on shards.
//!
//! ```text
//! SET k v EX 10     => +OK
//! @time +3000
//! TTL k             => :7
//! MGET k nokey      => *2 $1 v $-1
//! ```
//!
//! A reply is written as its RESP lines with a space for each line end. A line is split into words as
//! an inline request is, quotes and escapes included. Lines that begin with `@` change the client or
//! the clock: `@time +MILLIS`, `@expire` (what is due goes), `@db NUMBER`, `@resp 2|3`, `@max BYTES` (the longest string),
//! `@1` and `@4` (this line only over that many shards), `@unrecorded` (what follows makes data that is not recorded).
//! Every transcript runs over one shard, and over four of which a command is
//! lent those that its key-specs name, so that a spec that leaves a key out is found.
//!
//! What a command leaves to be done again can be said as well, a semicolon between several commands, their database
//! in brackets in front if it is not the client's:
//!
//! ```text
//! SET k v EX 10     => +OK  ~> SET k v PXAT 1700000010000
//! GET k             => $1 v ~>
//! ```
//!
//! Whether a transcript says that or not, what all of it left is done again in the end over other shards, at a time
//! at which nothing is due, and has to lead to the same data.

pub(crate) mod image;
pub(crate) mod recording;
mod replay;

use crate::FAMILIES;
use crate::server::{debug, memory};
use darter_base::crc16::slot_of;
use darter_base::split_args::split_args;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Arity, Call, CallLimits, Command, Effects, Entry, Flags, Handler, MemoryLimit, ReplyResult,
    ShardView, Table, Unlinks,
};
use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter};
use darter_shard::{EncodingLimits, Interest, KeyHasher, News, Shard, ShardOptions};
use darter_txn::{Held, Router, Routing, View};
use recording::Recorded;

/// What the server has, for the subcommands that are here.
static CONTAINERS: &[&Command] = &[
    &Command {
        name: "DEBUG",
        arity: Arity::AtLeast(2),
        subcommands: &[&debug::DIGEST, &debug::DIGEST_VALUE, &debug::OBJECT, &debug::POPULATE],
        ..Command::BASE
    },
    &Command {
        name: "MEMORY",
        arity: Arity::AtLeast(2),
        subcommands: &[&memory::USAGE],
        ..Command::BASE
    },
];

/// When transcripts begin.
pub(crate) const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// One client of a server made of nothing but shards.
#[derive(Debug)]
pub(crate) struct Bench {
    table: Table,
    shards: Vec<Held<Shard>>,
    router: Router,
    hasher: KeyHasher,
    pub(crate) now: UnixMillis,
    pub(crate) db: DbIndex,
    pub(crate) protocol: Protocol,
    pub(crate) limits: CallLimits,
    /// What commands left since it was taken out.
    recorded: Vec<Recorded>,
    /// Whether that leads to all of the data.
    is_recorded: bool,
}

impl Bench {
    pub(crate) fn new(shard_count: u16) -> Self {
        let router = Router::new(shard_count, 1, Routing::Auto);
        let hasher = KeyHasher::new(u64::from(shard_count));
        let options = ShardOptions { databases: 16, hasher: hasher.clone() };
        let seat = |id| Held { id, shard: Box::new(Shard::new(id, &options)) };
        Self {
            table: Table::new(&[FAMILIES, &[CONTAINERS]].concat()),
            shards: router.shards().map(seat).collect(),
            router,
            hasher,
            now: START,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            recorded: Vec::new(),
            is_recorded: true,
            limits: CallLimits {
                interest: Interest::NONE,
                tracked_keys_max: 0,
                rdb_versions: darter_command_table::RdbVersions::Known,
                memory: MemoryLimit::NONE,
                slices: false,
                by_script: false,
                stays_within: false,
                keeps_expired: false,
                imports: false,
                is_saving: false,
                checks_payloads: true,
                replayed_at: None,
                string_bytes_max: 512 << 20,
                databases: 16,
                encodings: EncodingLimits::default(),
            },
        }
    }

    /// The reply to a command line.
    pub(crate) fn run(&mut self, line: &str) -> Vec<u8> {
        let mut args = OwnedArgs::new();
        for word in split_args(line.as_bytes()).expect("balanced quotes") {
            args.push(&word);
        }
        self.run_args(args.as_args())
    }

    /// The reply to a command.
    pub(crate) fn run_args(&mut self, args: Args<'_>) -> Vec<u8> {
        let mut output = Output::new();
        let result = match self.table.find(args) {
            Ok(entry) => {
                let ids = self.shards_for(entry, args);
                let (mut lent, kept) =
                    self.shards.drain(..).partition::<Vec<_>, _>(|held| ids.contains(&held.id));
                let mut effects = Effects::new(Unlinks::ALL);
                let changes_before = changes(&lent);
                for held in &mut lent {
                    held.shard.observe(self.limits.interest.and(Interest::GONE));
                }
                let view = View::several(&mut lent, self.router);
                let call = Call {
                    command: entry.command,
                    args,
                    reply: ReplyWriter::new(&mut output, self.protocol),
                    db: self.db,
                    now: self.now,
                    limits: &self.limits,
                    hasher: &self.hasher,
                    router: self.router,
                    waits: None,
                    effects: Some(&mut effects),
                };
                let result = run_handler(call, view);
                let has_changed = changes_before != changes(&lent);
                let mut news = News::default();
                for held in &mut lent {
                    news.join(held.shard.take_news());
                    held.shard.observe(Interest::NONE);
                }
                assert!(
                    result.is_ok() || !(has_changed || effects.replace_command()),
                    "{args:?} changed something before its error"
                );
                let has_changed = has_changed && entry.command.flags.has(Flags::WRITE);
                self.shards = lent.into_iter().chain(kept).collect();
                self.shards.sort_by_key(|held| held.id);
                for held in &self.shards {
                    held.shard.check_invariants();
                }
                self.record(news, Some((args, has_changed)), &effects);
                result
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            assert!(output.is_empty(), "{args:?} wrote a reply before its error");
            ReplyWriter::new(&mut output, self.protocol).error(error.line());
        }
        let mut reply = Vec::new();
        while !output.is_empty() {
            reply.extend_from_slice(output.first_chunk());
            output.advance(output.first_chunk().len());
        }
        reply
    }

    fn shards_for(&self, entry: &Entry, args: Args<'_>) -> Vec<ShardId> {
        let reaches_beyond = entry.command.reaches_beyond.is_some_and(|it| it(args));
        if reaches_beyond || !matches!(entry.command.handler, Handler::Keyed(_)) {
            return self.router.shards().collect();
        }
        let mut ids = Vec::new();
        entry.command.each_key(args, |index| {
            ids.push(self.router.shard_of(slot_of(args.at(index))));
        });
        if ids.is_empty() {
            ids.push(ShardId(0));
        }
        ids
    }

    fn direct(&mut self, directive: &str) {
        let (name, value) = directive.split_once(' ').unwrap_or((directive, ""));
        match name {
            "@time" => self.now.0 += value.parse::<i64>().expect("milliseconds"),
            "@expire" => self.expire(),
            "@unrecorded" => self.is_recorded = false,
            "@db" => self.db.0 = value.parse().expect("a database"),
            "@resp" if value == "3" => self.protocol = Protocol::Resp3,
            "@resp" => self.protocol = Protocol::Resp2,
            "@max" => self.limits.string_bytes_max = value.parse().expect("bytes"),
            _ => panic!("no directive {directive}"),
        }
    }
}

/// Changes that shards count.
fn changes(shards: &[Held<Shard>]) -> u64 {
    shards.iter().map(|held| held.shard.changes()).sum()
}

fn run_handler(mut call: Call<'_>, mut view: ShardView<'_>) -> ReplyResult {
    match call.command.handler {
        Handler::Keyed(handler) | Handler::AllShards(handler) => handler(&mut call, &mut view),
        Handler::Sliced(begin) => {
            let mut slice = begin(&call)?;
            slice.run_whole(call.args, &mut view, call.now, call.effects.as_deref_mut());
            slice.finish(&mut call.reply);
            Ok(())
        }
        Handler::Session | Handler::Container => unreachable!("not a command of this crate"),
    }
}

/// A reply as transcripts show it.
pub(crate) fn shown(reply: &[u8]) -> String {
    let body = reply.strip_suffix(b"\r\n").expect("a reply ends a line");
    let mut shown = String::new();
    let mut rest = body;
    while let Some((first, tail)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            shown.push(' ');
            rest = &rest[2..];
        } else {
            match first {
                b'\'' | b'"' => shown.push(char::from(*first)),
                _ => shown.extend(first.escape_ascii().map(char::from)),
            }
            rest = tail;
        }
    }
    shown
}

/// The bulk strings in a reply, in order.
pub(crate) fn names_in(reply: &[u8]) -> Vec<String> {
    let text = str::from_utf8(reply).expect("ASCII names");
    let mut lines = text.split("\r\n");
    let mut names = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') {
            names.extend(lines.next().map(str::to_owned));
        }
    }
    names
}

/// Runs a transcript over one shard and over four.
#[track_caller]
pub(crate) fn transcript(text: &str) {
    for shard_count in [1, 4] {
        let mut bench = Bench::new(shard_count);
        let mut all_recorded = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = match line.split_once(' ') {
                Some(("@1", _)) if shard_count != 1 => continue,
                Some(("@4", _)) if shard_count != 4 => continue,
                Some(("@1" | "@4", line)) => line.trim(),
                _ => line,
            };
            if line.starts_with('@') {
                bench.direct(line);
                continue;
            }
            let (command, expected) = line.split_once("=>").expect("a command => its reply");
            let (expected, left) = match expected.split_once("~>") {
                Some((expected, left)) => (expected, Some(left)),
                None => (expected, None),
            };
            all_recorded.extend(bench.take_recorded().0);
            let reply = shown(&bench.run(command));
            assert_eq!(
                reply.trim(),
                expected.trim(),
                "{} over {shard_count} shards",
                command.trim()
            );
            let (recorded, shown) = bench.take_recorded();
            if let Some(left) = left {
                assert_eq!(shown, left.trim(), "what {} leaves", command.trim());
            }
            all_recorded.extend(recorded);
        }
        if bench.is_recorded {
            all_recorded.extend(bench.take_recorded().0);
            let mut replica = bench.replica(5 - shard_count);
            replica.replay(&all_recorded);
            assert_eq!(replica.image(), bench.image(), "what is done again leads to the same data");
        }
    }
}
