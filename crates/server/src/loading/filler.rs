//! Doing what a file says to shards: setting keys, and running commands again.

use super::snapshot::{Loaded, Present};
use crate::dispatch::{Client, run_handler};
use crate::observed::Author;
use crate::shared::Shared;
use crate::tracking::Remember;
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{CallLimits, Entry, ShardView};
use darter_rdb::file::RawEntry;
use darter_rdb::{Built, Corrupt, build};
use darter_resp::{Args, Output, Protocol};
use darter_runtime::ConnectionId;
use darter_shard::{Deadline, Expiry, Key, Previous, Shard};
use darter_value::Rules;

/// Memory kept for replies that nobody hears.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

/// How files are taken.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What happens to keys that are there already.
    pub present: Present,
    /// The time: what has expired by then is left out.
    pub now: UnixMillis,
    /// What commands depend on.
    pub limits: CallLimits,
}

/// Fills shards. Each thread has one.
#[derive(Debug)]
pub(super) struct Filler {
    pub(super) shared: &'static Shared,
    pub(super) terms: Terms,
    pub(super) loaded: Loaded,
    /// Replies nobody hears.
    output: Output,
}

impl Filler {
    pub(super) fn new(shared: &'static Shared, terms: Terms) -> Self {
        Self { shared, terms, loaded: Loaded::default(), output: Output::new() }
    }

    /// Sets a key as a file has it, in its shard.
    pub(super) fn set(
        &mut self,
        shard: &mut Shard,
        db: DbIndex,
        hash: u64,
        entry: &RawEntry<'_>,
    ) -> Result<(), String> {
        let now = self.terms.now;
        let shown = || String::from_utf8_lossy(&entry.key).into_owned();
        if entry.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now.0) {
            self.loaded.expired += 1;
            return Ok(());
        }
        let expiry = match entry.deadline_ms.map(Deadline::new) {
            None => Expiry::Clear,
            Some(Ok(deadline)) => Expiry::At(deadline),
            Some(Err(_)) => return Err(format!("the deadline of key {:?} is too late", shown())),
        };
        let kind = entry.value.kind;
        let damaged = |flaw: Corrupt| {
            let found = flaw.describe(kind);
            tracing::warn!("{found}: key {:?} is refused", shown());
            format!("the value of key {:?} is damaged: {found}", shown())
        };
        let hasher = &self.shared.hasher;
        let rules = Rules { limits: &self.terms.limits.encodings, hasher };
        let key = Key { bytes: &entry.key, hash };
        let mut keyspace = shard.keyspace(db, now);
        let previous = if let Some(text) = entry.value.text() {
            keyspace.set_string(&key, &text.map_err(damaged)?, expiry)
        } else {
            let Some(value) = entry.value.decode().map_err(damaged)? else {
                tracing::info!("skipping empty key: {}", entry.key.escape_ascii());
                self.loaded.empty += 1;
                return Ok(());
            };
            match build(value, rules, now) {
                Built::Text(text) => keyspace.set_string(&key, &text, expiry),
                Built::Object(object) => keyspace.set_object(&key, object, expiry),
                Built::Nothing => {
                    self.loaded.expired += 1;
                    return Ok(());
                }
            }
        };
        if self.terms.present == Present::Refused && previous == Previous::Present {
            return Err(format!("key {:?} comes twice", shown()));
        }
        if let Some(seconds) = entry.idle_seconds {
            keyspace.set_idle_seconds(&key, u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        if let Some(counter) = entry.frequency {
            keyspace.set_frequency(&key, counter);
        }
        self.loaded.keys += 1;
        Ok(())
    }

    /// Runs a command over the shards of `view`, which it needs.
    pub(super) fn run(
        &mut self,
        view: &mut ShardView<'_>,
        entry: &'static Entry,
        db: DbIndex,
        args: Args<'_>,
    ) -> Result<(), String> {
        let author = Author { id: ConnectionId::NOBODY, remember: Remember::default() };
        let (leaves_no_trace, imports) = (false, false);
        let protocol = Protocol::Resp2;
        let client = Client { db, protocol, author, leaves_no_trace, imports, stays_within: false };
        let result = run_handler(
            entry.command,
            args,
            client,
            self.terms.now,
            &self.terms.limits,
            self.shared,
            view,
            &mut self.output,
            None,
            None,
        );
        self.output.clear(OUTPUT_BYTES_KEPT);
        result.map_err(|error| format!("{} answers: {error}", entry.full_name))
    }
}
