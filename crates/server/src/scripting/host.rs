//! What a running script meets: this server.

use super::busy::BusyScript;
use super::engine::log;
use super::reach::{Learnt, Reach};
use crate::caller::Caller;
use crate::commands::error::ServerError;
use crate::mail::ShardPost;
use crate::place::ShardSet;
use crate::request::Request;
use crate::session_command::Flow;
use crate::shared::Shared;
use crate::watch::Cost;
use crate::watch::monitor::Lines;
use darter_acl::Context;
use darter_base::ShardId;
use darter_command_table::{Entry, Flags, ReplyError, ShardView};
use darter_resp::{Args, Output, Protocol, ReplyWriter};
use darter_runtime::{Ticks, crash};
use darter_script::{Host, LogLevel, Permission, ScriptFlags, Verdict};
use darter_shard::Shard;
use darter_txn::{Held, View};
use std::time::Duration;

/// What a script that has written may spend on waiting for a shard it did not declare.
const ESCALATION_MAX: Duration = Duration::from_millis(5);

/// After how long a script lets its worker serve others, and for how long it runs between two times, in
/// nanoseconds.
const SERVES_AFTER_NANOS: u64 = 1_000_000;
const SERVES_EVERY_NANOS: u64 = 50_000;

/// How long a script that has written may go on while the server is about to end, in nanoseconds.
const WRITER_GRACE_NANOS: u64 = 3_000_000_000;

/// Lines for monitors that are kept, at most, in bytes.
const SHOWN_BYTES: usize = 64 * 1024;

/// Why a script that is being restarted was stopped; nobody sees it.
const RESTARTS: &str = "restarts";

/// The server, for one run of a script. Everything it needs is borrowed for that long.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one run")]
pub struct ScriptHost<'a, 'c, 'v> {
    pub caller: Caller<'c>,
    pub view: &'a mut ShardView<'v>,
    pub script: Running<'a>,
    /// What it called, for monitors: kept for a moment, because it may begin again.
    shown: &'a mut Lines,
    /// The shards of the keys it declared; `None` with only one shard.
    declared: Option<ShardSet>,
    /// The shards of `view`, ascending; empty if it spans all.
    held: Vec<ShardId>,
    /// Shards it got on the way, ascending.
    more: Vec<Held<Shard>>,
    /// Whether it has used a shard it did not declare.
    strayed: bool,
    /// Whether it has done what cannot be taken back.
    pub acted: bool,
    wrote: bool,
    /// Whether it is to begin again with all shards.
    pub restarts: bool,
    begun: Ticks,
    is_busy: bool,
    /// When others are served again, in nanoseconds since it began.
    serves_at_nanos: u64,
    /// Whether others have been served.
    has_served: bool,
    /// When it first saw that the server is about to end, likewise.
    ends_since_nanos: Option<u64>,
}

/// What runs.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// Which shards it needs, as far as is known.
    pub reach: &'a Learnt,
    pub flags: ScriptFlags,
    /// Whether it may not write.
    pub read_only: bool,
    pub is_function: bool,
    pub name: &'a str,
    /// The command that called it.
    pub entry: &'static Entry,
    pub args: Args<'a>,
    /// Whether it can begin again: it is no part of a transaction.
    pub can_restart: bool,
}

impl<'a, 'c, 'v> ScriptHost<'a, 'c, 'v> {
    /// About to run a script over `view`, which spans the shards of the keys it declares.
    pub fn new(
        caller: Caller<'c>,
        view: &'a mut ShardView<'v>,
        script: Running<'a>,
        declared: Option<ShardSet>,
        shown: &'a mut Lines,
    ) -> Self {
        let shard_count = usize::from(caller.core.shared.router().shard_count());
        let held = if view.shard_count() == shard_count {
            Vec::new()
        } else {
            view.each().map(|shard| shard.id()).collect()
        };
        let begun = caller.core.shared.stopwatch.now();
        Self {
            caller,
            view,
            script,
            shown,
            declared,
            held,
            more: Vec::new(),
            strayed: false,
            acted: false,
            wrote: false,
            restarts: false,
            begun,
            is_busy: false,
            serves_at_nanos: SERVES_AFTER_NANOS,
            has_served: false,
            ends_since_nanos: None,
        }
    }

    /// Ends the run: gives back what it got on the way, and notes what was learnt.
    pub fn end(&mut self) {
        let core = self.caller.core;
        core.settle(self.view);
        if !self.more.is_empty() {
            // Clients may wait for keys there.
            let mut view = View::several(&mut self.more, core.shared.router());
            core.serve(&mut view, self.caller.turn.now);
            core.settle(&mut view);
        }
        for held in self.more.drain(..) {
            core.shared.cells.put_back(held, &ShardPost(&core.post));
        }
        if self.is_busy {
            core.shared.scripts.busy.end(core.worker);
        }
        if self.strayed {
            self.script.reach.learn(Reach::Wide);
        } else if self.acted && self.script.reach.get() == Reach::Tried {
            self.script.reach.learn(Reach::Confined);
        }
    }

    /// Nanoseconds since it began.
    pub fn nanos(&self) -> u64 {
        let watch = &self.caller.core.shared.stopwatch;
        watch.nanos_between(self.begun, watch.now())
    }

    /// The command a script calls, if scripts may call it.
    fn admit(&self, args: Args<'_>) -> Result<&'static Entry, ReplyError> {
        let entry = match self.caller.core.admit_part(self.caller.session, args) {
            Ok(entry) => entry,
            Err(ReplyError::UnknownCommand { .. } | ReplyError::UnknownSubcommand { .. }) => {
                return Err(ServerError::ScriptCommandUnknown.into());
            }
            Err(ReplyError::WrongArity(_)) => return Err(ServerError::ScriptCommandArity.into()),
            Err(ReplyError::NoPermission(line)) => {
                return Err(ReplyError::NoPermission(in_script(&line)));
            }
            Err(error) => return Err(error),
        };
        let flags = entry.command.flags;
        if flags.has(Flags::NOSCRIPT) {
            return Err(ServerError::ScriptCommandDenied.into());
        }
        if self.script.read_only && (flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)) {
            return Err(ServerError::ScriptReadOnly.into());
        }
        if let Some(error) = self.caller.core.refusal_in_script(entry, self.wrote) {
            return Err(error);
        }
        Ok(entry)
    }

    /// Counts a command that the script may not call.
    #[cold]
    fn count_refusal(&self, args: Args<'_>, error: &ReplyError) {
        let Caller { core, session, turn, .. } = &self.caller;
        core.count_refusal(session, args, error, Context::Lua, turn.now);
    }

    /// Runs a command that scripts may call.
    fn run(
        &mut self,
        entry: &'static Entry,
        args: Args<'_>,
        output: &mut Output,
    ) -> Result<(), Stop> {
        let flags = entry.command.flags;
        let acts = [Flags::WRITE, Flags::MAY_REPLICATE, Flags::PUBSUB, Flags::ADMIN]
            .into_iter()
            .any(|flag| flags.has(flag));
        let over_more = self.prepare(entry, args, acts)?;
        if flags.has(Flags::DENYOOM) && !self.may_use_memory(over_more) {
            return Err(Stop::Refused(ReplyError::OutOfMemory));
        }
        if acts {
            let core = self.caller.core;
            if self.is_busy && !core.shared.scripts.busy.may_write(core.worker) {
                return Err(Stop::Killed);
            }
            self.acted = true;
            self.wrote |= flags.has(Flags::WRITE);
        }
        let core = self.caller.core;
        let begun = core.shared.stopwatch.now();
        let request = Request { entry, args, bytes: args.bytes(), stays: false };
        if core.shared.monitors.any() {
            self.shown.add_of_script(self.caller.session, entry, args, self.caller.turn);
            // A script that begins again shall not be shown twice, but it can call very much.
            if self.shown.bytes() > SHOWN_BYTES {
                self.show();
            }
        }
        let unsent_before = output.len();
        let flow = if over_more {
            let router = core.shared.router();
            let mut view = View::several(&mut self.more, router);
            self.caller.run(request, &mut view, output)
        } else {
            self.caller.run(request, self.view, output)
        };
        let nanos = core.nanos_since(begun);
        core.statistics().took(entry.counted_as, nanos);
        core.statistics().nested_nanos.add(nanos);
        let reply_bytes = output.len().saturating_sub(unsent_before);
        let cost = Cost { nanos, request_bytes: request.bytes, reply_bytes };
        if core.thresholds.get().is_notable(cost) {
            core.log(self.caller.session, entry, args, cost, self.caller.turn.now);
        }
        if matches!(flow, Ok(Flow::Later(_) | Flow::Defer | Flow::Wait)) {
            // Its answer comes from elsewhere, and a script cannot wait.
            return Err(Stop::Refused(ServerError::ScriptCommandDenied.into()));
        }
        Ok(())
    }

    /// Whether a command that may need memory may run: what has begun to write is not stopped half way.
    fn may_use_memory(&mut self, over_more: bool) -> bool {
        let core = self.caller.core;
        if self.wrote || self.script.flags.contains(ScriptFlags::ALLOW_OOM) {
            return true;
        }
        let now = self.caller.turn.now;
        if over_more {
            let mut view = View::several(&mut self.more, core.shared.router());
            core.make_room(&mut view, now)
        } else {
            core.make_room(self.view, now)
        }
    }

    /// Sees to it that the shards of a command are held; whether they are those got on the way.
    fn prepare(&mut self, entry: &'static Entry, args: Args<'_>, acts: bool) -> Result<bool, Stop> {
        let Some(declared) = &self.declared else { return Ok(false) };
        let mut several = ShardSet::default();
        let single = self.caller.core.shard_of_single_key(entry, args);
        if single.is_none() {
            self.caller.core.add_shards_of(entry, args, &mut several);
        }
        let needed = single.as_ref().map_or(several.as_slice(), std::slice::from_ref);
        let all_in =
            |shards: &[ShardId]| needed.iter().all(|shard| shards.binary_search(shard).is_ok());
        self.strayed |= !all_in(declared.as_slice());
        if self.held.is_empty() {
            return Ok(false);
        }
        let can_restart = self.script.can_restart && !self.acted;
        if !all_in(&self.held) {
            if can_restart {
                self.script.reach.learn(Reach::Wide);
                return Err(Stop::Restarts);
            }
            return self.escalate(needed).map(|()| true);
        }
        if acts && can_restart && self.script.reach.get() == Reach::Unknown {
            self.script.reach.learn(Reach::Tried);
            return Err(Stop::Restarts);
        }
        Ok(false)
    }

    /// Takes the shards `needed` beside those that are held. Nobody waits while holding shards, so this only
    /// asks again for a little while: who has a shard without waiting gives it back by then.
    fn escalate(&mut self, needed: &[ShardId]) -> Result<(), Stop> {
        let core = self.caller.core;
        let limit = u64::try_from(ESCALATION_MAX.as_nanos()).unwrap_or(u64::MAX);
        for shard in needed {
            let Err(place) = self.more.binary_search_by_key(shard, |held| held.id) else {
                continue;
            };
            if self.held.binary_search(shard).is_ok() {
                // Neither view spans all it needs.
                return Err(Stop::Refused(ServerError::ScriptStrayed.into()));
            }
            let begun = core.shared.stopwatch.now();
            loop {
                if let Some(held) = core.shared.cells.cell(*shard).try_take() {
                    self.more.insert(place, held);
                    break;
                }
                if core.nanos_since(begun) > limit {
                    return Err(Stop::Refused(ServerError::ScriptStrayed.into()));
                }
                std::hint::spin_loop();
            }
        }
        Ok(())
    }

    /// Makes the script known as one that takes too long.
    fn become_busy(&mut self) {
        self.is_busy = true;
        let core = self.caller.core;
        let nanos = self.nanos();
        let shards = self.view.each().map(|shard| shard.id()).collect();
        tracing::warn!(
            client = self.caller.session.client_id,
            script = self.script.name,
            "Slow script detected: still in execution after {} milliseconds. You can try killing the \
             script using the {} KILL command.",
            nanos / 1_000_000,
            if self.script.is_function { "FUNCTION" } else { "SCRIPT" }
        );
        core.shared.scripts.busy.begin(
            BusyScript {
                worker: core.worker,
                is_function: self.script.is_function,
                name: self.script.name.to_owned(),
                command: self.script.args.iter().map(<[u8]>::to_vec).collect(),
                begun: self.begun,
                shards,
            },
            self.wrote,
        );
    }

    /// Shows monitors what it has called so far.
    fn show(&mut self) {
        self.caller.core.send_to_monitors(std::mem::take(self.shown));
    }

    /// Lets the worker serve its other connections once.
    #[cold]
    fn serve_others(&mut self, becomes_busy: bool) {
        self.show();
        if let Some(meanwhile) = &mut self.caller.meanwhile {
            let again = becomes_busy || !std::mem::replace(&mut self.has_served, true);
            meanwhile.serve_others(again);
            crash::note_client(self.caller.session.client_id);
            crash::note_command(&self.script.entry.full_name, self.script.args.len());
        }
        self.serves_at_nanos = self.nanos().saturating_add(SERVES_EVERY_NANOS);
    }

    const fn killed(&self) -> &'static str {
        if self.script.is_function {
            "Script killed by user with FUNCTION KILL."
        } else {
            "Script killed by user with SCRIPT KILL."
        }
    }
}

/// What scripts hear of a refusal.
fn in_script(line: &[u8]) -> Vec<u8> {
    let message = line.strip_prefix(b"NOPERM ").unwrap_or(line);
    [b"ERR ACL failure in script: ", message].concat()
}

/// Why a command was not run.
enum Stop {
    /// The script begins again.
    Restarts,
    /// The script is killed.
    Killed,
    /// The command fails.
    Refused(ReplyError),
}

impl Host for ScriptHost<'_, '_, '_> {
    fn call(&mut self, args: Args<'_>, protocol: Protocol, output: &mut Output) -> Verdict {
        let entry = match self.admit(args) {
            Ok(entry) => entry,
            Err(error) => {
                self.count_refusal(args, &error);
                ReplyWriter::new(output, protocol).error(error.line());
                return Verdict::Continue;
            }
        };
        let spoken = std::mem::replace(&mut self.caller.session.protocol, protocol);
        let result = self.run(entry, args, output);
        self.caller.session.protocol = spoken;
        match result {
            Ok(()) => Verdict::Continue,
            Err(Stop::Refused(error)) => {
                self.count_refusal(args, &error);
                output.clear(usize::MAX);
                ReplyWriter::new(output, protocol).error(error.line());
                Verdict::Continue
            }
            Err(Stop::Restarts) => {
                self.restarts = true;
                Verdict::Stop(RESTARTS)
            }
            Err(Stop::Killed) => Verdict::Stop(self.killed()),
        }
    }

    fn permission(&mut self, args: Args<'_>) -> Permission {
        match self.caller.core.admit_part(self.caller.session, args) {
            Ok(_) => Permission::Allowed,
            Err(
                ReplyError::UnknownCommand { .. }
                | ReplyError::UnknownSubcommand { .. }
                | ReplyError::WrongArity(_),
            ) => Permission::UnknownCommand,
            Err(_) => Permission::Denied,
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        log(level, message);
    }

    fn nanos(&mut self) -> u64 {
        ScriptHost::nanos(self)
    }

    fn poll(&mut self) -> Verdict {
        let core = self.caller.core;
        let is_ending = |shared: &Shared| {
            shared.running.get().is_some_and(|running| running.shutdown.has_begun())
                && !shared.departure.waits()
        };
        if is_ending(core.shared) {
            let nanos = ScriptHost::nanos(self);
            let since = *self.ends_since_nanos.get_or_insert(nanos);
            if !self.wrote || nanos.saturating_sub(since) > WRITER_GRACE_NANOS {
                return Verdict::Stop("Script stopped because the server is shutting down.");
            }
        }
        let nanos = ScriptHost::nanos(self);
        let becomes_busy = !self.is_busy && nanos > core.busy_script_nanos.get();
        if becomes_busy {
            self.become_busy();
        }
        if becomes_busy || nanos > self.serves_at_nanos {
            self.serve_others(becomes_busy);
        }
        if self.is_busy && core.shared.scripts.busy.stops(core.worker) {
            return Verdict::Stop(self.killed());
        }
        Verdict::Continue
    }
}
