//! What a loading thread is to do with its shards, in the order in which it was read.

use super::filler::Filler;
use darter_base::DbIndex;
use darter_command_table::Entry;
use darter_persistence::Refused;
use darter_rdb::Version;
use darter_rdb::file::{RawEntry, RawValue};
use darter_resp::{Args, Span};
use darter_shard::Shard;
use darter_txn::{Held, Router, View};
use std::borrow::Cow;
use std::ops::Range;

/// A batch is handed over when it has so many bytes, or so many tasks.
const BATCH_BYTES: usize = 128 << 10;
const BATCH_TASKS: usize = 4096;

/// Tasks whose keys are looked up together: enough to overlap the cache misses.
const WINDOW_TASKS: usize = 16;

/// Tasks, and the bytes they are about.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Arguments of commands, in `bytes`.
    spans: Vec<Span>,
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    /// Where in the file at hand it begins.
    at: u64,
    /// The place of its shard among those of the thread.
    place: usize,
    db: DbIndex,
    /// The only key it is about, in the batch's bytes; empty: there are others.
    key: Range<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A key is set.
    Set(Stored),
    /// A command is run; its arguments are at these spans.
    Run(&'static Entry, Range<usize>),
}

/// What a file says of a key.
#[derive(Debug)]
struct Stored {
    kind: u8,
    version: Version,
    content: Range<usize>,
    deadline_ms: Option<i64>,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
}

/// Where a task belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// Where in the file at hand it begins.
    pub(super) at: u64,
    /// The place of its shard among those of the thread.
    pub(super) place: usize,
    pub(super) db: DbIndex,
}

impl Batch {
    /// Adds a key as a file has it.
    pub(super) fn add_key(&mut self, address: Address, entry: &RawEntry<'_>) {
        let key = self.keep(&entry.key);
        let stored = Stored {
            kind: entry.value.kind,
            version: entry.value.version,
            content: self.keep(entry.value.content),
            deadline_ms: entry.deadline_ms,
            idle_seconds: entry.idle_seconds,
            frequency: entry.frequency,
        };
        self.add(address, key, What::Set(stored));
    }

    /// Adds a command.
    pub(super) fn add_command(&mut self, address: Address, entry: &'static Entry, args: Args<'_>) {
        let first = self.spans.len();
        for arg in args.iter() {
            let Range { start, end } = self.keep(arg);
            self.spans.push(Span { start, end });
        }
        let key = entry.single_key.map_or(0..0, |index| {
            let Span { start, end } = self.spans[first + usize::from(index)];
            start..end
        });
        self.add(address, key, What::Run(entry, first..self.spans.len()));
    }

    fn add(&mut self, Address { at, place, db }: Address, key: Range<usize>, what: What) {
        self.tasks.push(Task { at, place, db, key, what });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Whether it is to be handed over.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES || self.tasks.len() >= BATCH_TASKS
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Bytes of memory for it.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.tasks.capacity() * size_of::<Task>()
    }

    /// Does what is to be done.
    pub(super) fn run(
        &self,
        filler: &mut Filler,
        held: &mut [Held<Shard>],
        router: Router,
    ) -> Result<(), Refused> {
        for tasks in self.tasks.chunks(WINDOW_TASKS) {
            let mut hashes = [0; WINDOW_TASKS];
            for (task, hash) in tasks.iter().zip(&mut hashes) {
                if !task.key.is_empty() {
                    *hash = filler.shared.hasher.hash(&self.bytes[task.key.clone()]);
                    held[task.place].shard.prefetch(task.db, *hash);
                }
            }
            for (task, hash) in tasks.iter().zip(hashes) {
                held[task.place].shard.prefetch_entry(task.db, hash);
            }
            for (task, hash) in tasks.iter().zip(hashes) {
                let held = &mut held[task.place];
                let done = self.run_task(task, hash, filler, held, router);
                done.map_err(|reason| Refused { at: task.at, reason })?;
            }
        }
        Ok(())
    }

    fn run_task(
        &self,
        task: &Task,
        hash: u64,
        filler: &mut Filler,
        held: &mut Held<Shard>,
        router: Router,
    ) -> Result<(), String> {
        match &task.what {
            What::Set(stored) => {
                let value = RawValue {
                    kind: stored.kind,
                    content: &self.bytes[stored.content.clone()],
                    version: stored.version,
                };
                let entry = RawEntry {
                    key: Cow::Borrowed(&self.bytes[task.key.clone()]),
                    value,
                    deadline_ms: stored.deadline_ms,
                    idle_seconds: stored.idle_seconds,
                    frequency: stored.frequency,
                };
                // The empty key has not been looked at yet.
                let hash = if task.key.is_empty() { filler.shared.hasher.hash(b"") } else { hash };
                filler.set(&mut held.shard, task.db, hash, &entry)
            }
            What::Run(entry, spans) => {
                let args = Args::new(&self.bytes, &self.spans[spans.clone()]);
                filler.run(&mut View::one(held, router), entry, task.db, args)
            }
        }
    }
}
