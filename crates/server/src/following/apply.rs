//! Carrying out what the primary says, over shards.
//!
//! Commands are carried out in the order of the stream, many at a time: the shards of all of them are held together, so
//! what others see is what the primary's clients could have seen, at some moment, of a transaction all or nothing. They
//! find what they found there, so nothing is due meanwhile ([`BEFORE_EVERYTHING`]). A replica's own log records them as
//! it records what clients do; its replicas are sent the bytes that came.

use super::shards::Access;
use crate::blocking::{Serving, serve_ready};
use crate::commands::connection::{PING, SELECT};
use crate::commands::error::ServerError;
use crate::commands::pubsub::publish::{PUBLISH, SPUBLISH};
use crate::commands::script::code_change;
use crate::commands::syncing::REPLCONF;
use crate::commands::transaction::{EXEC, MULTI};
use crate::dispatch::{Client, run_handler};
use crate::observed::{Author, Cause, Together, work_observed_for};
use crate::place::{Place, ShardSet};
use crate::pubsub::Kind;
use crate::saving::note_emptied;
use crate::scripting::WorkerScripts;
use crate::scripting::change::CodeChange;
use crate::shared::Shared;
use crate::tracking::Remember;
use darter_base::number::parse_u64;
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{
    BEFORE_EVERYTHING, CallLimits, Command, Entry, Handler, MemoryLimit, RdbVersions, ReplyError,
    ShardView,
};
use darter_commands::server::FLUSHALL;
use darter_replication::Units;
use darter_resp::{Args, Output, Protocol};
use darter_runtime::{ConnectionId, crash, wall_clock};
use std::cell::RefCell;

/// Commands whose shards are held together: enough to pay for the hand-over, few enough that others have them soon.
pub(super) const COMMANDS_AT_ONCE: usize = 64;

/// So many times is said that something could not be carried out; then less and less often.
const COMPLAINTS_EACH_MAX: u64 = 16;

/// Memory kept for replies that nobody hears.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

/// Carries out what the primary says. Lives on the thread that listens to it.
#[derive(Debug)]
pub(super) struct Applier {
    shared: &'static Shared,
    /// The database that the stream has selected.
    pub(super) db: DbIndex,
    /// Whether it is one that there is not: what is done there is done nowhere.
    is_elsewhere: bool,
    complaints: u64,
    /// Compiles functions.
    scripts: RefCell<WorkerScripts>,
    /// What the commands of a batch are, in their order; scratch.
    entries: Vec<Option<&'static Entry>>,
    /// Replies nobody hears.
    output: Output,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was carried out; whether the primary wants to hear how far this is.
    All { asks: bool },
    /// Nothing was: somebody else is followed now, or nobody.
    NotOurs,
}

/// What commands are run with.
struct Terms {
    limits: CallLimits,
    now: UnixMillis,
}

impl Applier {
    pub(super) fn new(shared: &'static Shared) -> Self {
        Self {
            shared,
            // What follows need not say it.
            db: shared.replication.selected(),
            is_elsewhere: false,
            complaints: 0,
            scripts: RefCell::default(),
            entries: Vec::new(),
            output: Output::new(),
        }
    }

    /// Carries out the units at the beginning of `window`, if `is_ours` says so while their shards are held, and adds their
    /// bytes to the stream.
    pub(super) fn apply(
        &mut self,
        access: &Access,
        units: &Units,
        window: &[u8],
        is_ours: impl Fn() -> bool,
    ) -> Applied {
        let shared = self.shared;
        let mut wanted = ShardSet::default();
        self.entries.clear();
        for args in units.commands(window) {
            match shared.table.find(args) {
                Ok(entry) => {
                    add_shards(shared, entry, args, &mut wanted);
                    self.entries.push(Some(entry));
                }
                Err(error) => {
                    self.complain(args, &error);
                    self.entries.push(None);
                }
            }
        }
        // Whoever changes whom is followed holds all shards.
        if wanted.as_slice().is_empty() {
            wanted.extend(shared.router().shards().take(1));
        }
        let applied = access.with(wanted.into_vec(), |view| {
            if !is_ours() {
                return Applied::NotOurs;
            }
            let asks = self.run_all(units, window, view);
            shared.replication.append(&window[..units.bytes()]);
            Applied::All { asks }
        });
        shared.journal.write_out(&shared.stopwatch);
        shared.replication.announce(shared);
        applied.unwrap_or(Applied::NotOurs)
    }

    /// Runs the commands; whether one asks how far this is.
    fn run_all(&mut self, units: &Units, window: &[u8], view: &mut ShardView<'_>) -> bool {
        let shared = self.shared;
        let now = wall_clock();
        let terms = Terms { limits: limits(shared, now), now };
        for shard in view.each() {
            shard.begin_replay(now);
        }
        let statistics = shared.follower_statistics();
        let (mut asks, mut together) = (false, None);
        let entries = std::mem::take(&mut self.entries);
        for (args, entry) in units.commands(window).zip(&entries) {
            let Some(entry) = *entry else { continue };
            crash::note_command(&entry.full_name, args.len());
            let begun = shared.stopwatch.now();
            let result = self.run_one(entry, args, &mut together, &mut asks, &terms, view);
            statistics.called(entry.counted_as, &result);
            let nanos = shared.stopwatch.nanos_between(begun, shared.stopwatch.now());
            statistics.took(entry.counted_as, nanos);
            if let Err(error) = result {
                self.complain(args, &error);
            }
        }
        self.entries = entries;
        for shard in view.each() {
            shard.end_replay();
        }
        crash::note_command("", 0);
        asks
    }

    /// Runs a command, or begins or ends what happens together.
    fn run_one(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        together: &mut Option<Together>,
        asks: &mut bool,
        terms: &Terms,
        view: &mut ShardView<'_>,
    ) -> Result<(), ReplyError> {
        let is = |other: &'static Command| std::ptr::eq(entry.command, other);
        if is(&MULTI.command) {
            *together = Some(Together::default());
        } else if is(&EXEC.command) {
            if let Some(together) = together.take() {
                together.tell(self.shared, ConnectionId::NOBODY);
            }
        } else if is(&REPLCONF.command) {
            *asks |= args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"GETACK"));
        } else {
            return self.run(entry, args, together.as_ref(), terms, view);
        }
        Ok(())
    }

    fn run(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        together: Option<&Together>,
        terms: &Terms,
        view: &mut ShardView<'_>,
    ) -> Result<(), ReplyError> {
        match entry.command.handler {
            Handler::Keyed(_) | Handler::AllShards(_) if self.is_elsewhere => {
                Err(ReplyError::DbIndexOutOfRange)
            }
            Handler::Keyed(_) | Handler::AllShards(_) => {
                self.run_over_shards(entry, args, together, terms, view)
            }
            // What only reads is in no stream; it does no harm, either.
            Handler::Sliced(_) => Ok(()),
            Handler::Session | Handler::Container => self.run_for_session(entry, args, together),
        }
    }

    fn run_over_shards(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        together: Option<&Together>,
        terms: &Terms,
        view: &mut ShardView<'_>,
    ) -> Result<(), ReplyError> {
        let (shared, db, output) = (self.shared, self.db, &mut self.output);
        let Terms { limits, now } = terms;
        let author = Author { id: ConnectionId::NOBODY, remember: Remember::default() };
        let (leaves_no_trace, imports) = (false, false);
        let protocol = Protocol::Resp2;
        let client = Client { db, protocol, author, leaves_no_trace, imports, stays_within: false };
        let cause = Cause { entry, args, db, by: None, together };
        let result = work_observed_for(shared, limits.interest, view, cause, |view, effects| {
            run_handler(
                entry.command,
                args,
                client,
                BEFORE_EVERYTHING,
                limits,
                shared,
                view,
                output,
                None,
                effects,
            )
        });
        self.output.clear(OUTPUT_BYTES_KEPT);
        if std::ptr::eq(entry.command, &raw const FLUSHALL) {
            note_emptied(shared, view, together.is_some(), *now);
        }
        if view.each().any(|shard| shard.has_ready()) {
            let limits = CallLimits { replayed_at: None, ..*limits };
            let serving = Serving { shared, now: *now, limits, carrier: None };
            for (to, mail) in serve_ready(view, &serving) {
                shared.send(to, mail);
            }
        }
        result
    }

    /// Runs a command that is not about keys.
    fn run_for_session(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        together: Option<&Together>,
    ) -> Result<(), ReplyError> {
        let (shared, command) = (self.shared, entry.command);
        let is = |other: &'static Command| std::ptr::eq(command, other);
        if is(&SELECT.command) {
            let index = parse_u64(args.at(1)).and_then(|index| u16::try_from(index).ok());
            let index = index.filter(|index| *index < shared.config.current().databases);
            self.is_elsewhere = index.is_none();
            self.db = DbIndex(index.ok_or(ReplyError::DbIndexOutOfRange)?);
            shared.replication.note_selected(self.db);
        } else if is(&PUBLISH.command) {
            shared.publish(Kind::Channel, args.at(1), args.at(2));
        } else if is(&SPUBLISH.command) {
            shared.publish(Kind::ShardChannel, args.at(1), args.at(2));
        } else if let Some(carry_out) = code_change(command) {
            let change = CodeChange::of_primary(shared, &self.scripts, args, self.db, together);
            carry_out(&change)?;
        } else if !is(&PING.command) {
            return Err(ServerError::NotFromPrimary.into());
        }
        Ok(())
    }

    /// Says that something could not be carried out, which should not be: the data are not the primary's any more.
    #[cold]
    fn complain(&mut self, args: Args<'_>, error: &ReplyError) {
        self.complaints += 1;
        if self.complaints <= COMPLAINTS_EACH_MAX || self.complaints.is_power_of_two() {
            tracing::error!(
                "== CRITICAL == This replica is sending an error to its primary: '{error}' after processing the \
                 command '{}'",
                args.at(0).escape_ascii()
            );
        }
    }
}

/// What commands of the primary depend on.
fn limits(shared: &Shared, now: UnixMillis) -> CallLimits {
    let limits = shared.call_limits();
    CallLimits {
        slices: false,
        keeps_expired: false,
        imports: false,
        // The primary says what goes.
        memory: MemoryLimit::NONE,
        // What was taken there is taken here, whatever the configuration says.
        rdb_versions: RdbVersions::Any,
        string_bytes_max: u64::MAX,
        replayed_at: Some(now),
        ..limits
    }
}

/// Adds the shards that a command needs.
fn add_shards(shared: &Shared, entry: &'static Entry, args: Args<'_>, shards: &mut ShardSet) {
    match entry.command.handler {
        Handler::Keyed(_) => match shared.place_of_keys(entry, args) {
            Place::Shard(shard, _) => shards.add(shard),
            Place::Several(several) => shards.extend(several),
            _ => shards.extend(shared.router().shards()),
        },
        Handler::AllShards(_) => shards.extend(shared.router().shards()),
        Handler::Sliced(_) | Handler::Session | Handler::Container => {}
    }
}
