//! EVAL, EVALSHA and FCALL.

use super::ahead::KeysAhead;
use super::engine::{KnownFunction, KnownScript, Loading, reply_error};
use super::host::{Running, ScriptHost};
use super::reach::{Learnt, Reach};
use super::store::Script;
use crate::apart::reborrow;
use crate::caller::Caller;
use crate::commands::error::ServerError;
use crate::observed::Together;
use crate::place::{Place, ShardSet};
use crate::session_command::{Flow, SessionCall, SessionResult};
use crate::shared::Shared;
use crate::watch::monitor::Lines;
use crate::worker::Core;
use darter_base::ShardId;
use darter_base::crc16::slot_of;
use darter_base::number::parse_i64;
use darter_command_table::{Entry, ReplyError, ShardView};
use darter_resp::{Args, ReplyWriter};
use darter_script::{Digest, Engine, RunArguments, ScriptError, ScriptFlags, script_header};
use std::rc::Rc;

/// How a command names the script it runs, and what the script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub named: Named,
    /// Whether the command is the form that may not write.
    pub read_only: bool,
}

/// How a script is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its text.
    ByText,
    /// By the SHA-1 of its text.
    ByDigest,
    /// By the name of a function.
    ByFunction,
}

/// What is run.
enum Found {
    Script(KnownScript),
    Function(Rc<KnownFunction>),
}

impl Found {
    fn reach(&self) -> &Learnt {
        match self {
            Self::Script(script) => &script.reach,
            Self::Function(known) => &known.function.reach,
        }
    }

    fn flags(&self) -> ScriptFlags {
        match self {
            Self::Script(script) => script.flags,
            Self::Function(known) => known.function.flags,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Script(script) => &script.name,
            Self::Function(known) => &known.function.name,
        }
    }
}

impl Core {
    /// Where a script runs: on the shards of its keys, or on all of them if it needs more.
    pub fn place_of_script(&self, entry: &'static Entry, args: Args<'_>, source: Source) -> Place {
        if self.reach_of(args, source).needs_all() {
            return Place::All;
        }
        match self.shared.place_of_keys(entry, args) {
            Place::Shard(shard, _) => Place::Gathered(vec![shard]),
            Place::Several(shards) => Place::Gathered(shards),
            place => place,
        }
    }

    /// What is known of the shards that the script these arguments name needs.
    pub fn reach_of(&self, args: Args<'_>, source: Source) -> Reach {
        if self.shared.router().shard_count() == 1 {
            return Reach::Unknown;
        }
        let scripts = &self.shared.scripts;
        let mut own = self.scripts.borrow_mut();
        let digest = match source.named {
            Named::ByText => Some(own.digest_of(args.at(1))),
            Named::ByDigest => Digest::parse(args.at(1)),
            Named::ByFunction => {
                return own.reach_of_function(scripts, args.at(1)).unwrap_or_default();
            }
        };
        digest
            .and_then(|digest| own.find(scripts, &digest))
            .map_or(Reach::Unknown, |script| script.reach.get())
    }
}

/// Runs a script over `view`.
pub fn run(call: &mut SessionCall<'_>, view: &mut ShardView<'_>, source: Source) -> SessionResult {
    let mut shown = Lines::default();
    if call.shared.monitors.any() {
        shown.add_script(call.session, call.entry, call.args, call.turn);
    }
    let result = run_shown(call, view, source, &mut shown);
    if !matches!(result, Ok(Flow::Defer)) {
        call.core.send_to_monitors(shown);
    }
    result
}

/// Runs a script, and adds what it calls to the lines for monitors.
fn run_shown(
    call: &mut SessionCall<'_>,
    view: &mut ShardView<'_>,
    source: Source,
    shown: &mut Lines,
) -> SessionResult {
    let key_count = key_count(call, source)?;
    let keys = call.args.head(3 + key_count).tail(3);
    let ahead = KeysAhead::begin(call.core, view, keys, call.session.db);
    let mut engine = call.core.scripts.borrow_mut().begin_run(call.core.worker)?;
    let result = find(call, &mut engine, source).and_then(|found| {
        ahead.go_on(view);
        run_found(call, view, source, &mut engine, &found, keys, shown)
    });
    let mut scripts = call.core.scripts.borrow_mut();
    scripts.end_run(engine);
    scripts.note_memory(call.statistics());
    result
}

/// How many of the arguments behind the third are keys.
fn key_count(call: &SessionCall<'_>, source: Source) -> Result<usize, ReplyError> {
    let args = call.args;
    let calls_function = source.named == Named::ByFunction;
    if source.named == Named::ByDigest && args.at(1).len() != Digest::DIGITS {
        return Err(ServerError::NoSuchScript.into());
    }
    if calls_function {
        let own = call.core.scripts.borrow();
        own.reach_of_function(&call.shared.scripts, args.at(1))
            .ok_or(ServerError::FunctionNotFound)?;
    }
    let count = parse_i64(args.at(2)).ok_or_else(|| {
        if calls_function {
            ServerError::ScriptKeysNotANumber.into()
        } else {
            ReplyError::NotAnInteger
        }
    })?;
    if count > i64::try_from(args.len() - 3).unwrap_or(i64::MAX) {
        return Err(ServerError::TooManyScriptKeys.into());
    }
    usize::try_from(count).map_err(|_| ServerError::NegativeScriptKeys.into())
}

/// The script the arguments name, compiled.
fn find(call: &SessionCall<'_>, engine: &mut Engine, source: Source) -> Result<Found, ReplyError> {
    let name = call.args.at(1);
    let scripts = &call.shared.scripts;
    let mut own = call.core.scripts.borrow_mut();
    match source.named {
        Named::ByFunction => {
            let mut loading = Loading::new(&call.shared.stopwatch);
            own.load_libraries(scripts, engine, &mut loading);
            Ok(Found::Function(own.function(name).ok_or(ServerError::FunctionNotFound)?))
        }
        Named::ByDigest => {
            let script = Digest::parse(name)
                .and_then(|digest| own.find(scripts, &digest))
                .ok_or(ServerError::NoSuchScript)?;
            engine.compile(script.digest, script.body()).map_err(reply_error)?;
            scripts.touch(&script);
            Ok(Found::Script(script))
        }
        Named::ByText => {
            let digest = own.digest_of(name);
            let script = match own.find(scripts, &digest) {
                Some(script) => script,
                None => add_script(call.shared, engine, digest, name, false)?,
            };
            engine.compile(script.digest, script.body()).map_err(reply_error)?;
            scripts.touch(&script);
            Ok(Found::Script(script))
        }
    }
}

/// Compiles a script and adds it to those of the server.
pub fn add_script(
    shared: &Shared,
    engine: &mut Engine,
    digest: Digest,
    text: &[u8],
    loaded: bool,
) -> Result<KnownScript, ReplyError> {
    let header = script_header(text).map_err(ReplyError::Line)?;
    engine.compile(digest, header.body).map_err(reply_error)?;
    let body_at = text.len() - header.body.len();
    let script = Script::new(digest, text, header.flags, body_at);
    Ok(Rc::new(shared.scripts.add(script, loaded)))
}

/// Refuses a script that says of itself what this server, as a replica, cannot give it; the command was asked as well, but that can be
/// a while ago, or behind a command of the same transaction that made it a replica.
fn refuse_on_replica(shared: &Shared, flags: ScriptFlags) -> Result<(), ReplyError> {
    let (following, is_legacy) = (&shared.following, flags.contains(ScriptFlags::LEGACY));
    if following.is_stale() && !flags.contains(ScriptFlags::ALLOW_STALE) {
        let error =
            if is_legacy { ServerError::StaleReplica } else { ServerError::ScriptStaleReplica };
        return Err(error.into());
    }
    if following.refuses_writes() && !is_legacy && !flags.contains(ScriptFlags::NO_WRITES) {
        return Err(ServerError::ScriptOnReadOnlyReplica.into());
    }
    Ok(())
}

fn run_found(
    call: &mut SessionCall<'_>,
    view: &mut ShardView<'_>,
    source: Source,
    engine: &mut Engine,
    found: &Found,
    keys: Args<'_>,
    shown: &mut Lines,
) -> SessionResult {
    let flags = found.flags();
    refuse_on_replica(call.shared, flags)?;
    let declares_no_writes = flags.contains(ScriptFlags::NO_WRITES);
    if source.read_only && !declares_no_writes && !flags.contains(ScriptFlags::LEGACY) {
        return Err(ServerError::ScriptMayWrite.into());
    }
    let may_go_on = [ScriptFlags::LEGACY, ScriptFlags::ALLOW_OOM, ScriptFlags::NO_WRITES];
    if !may_go_on.into_iter().any(|flag| flags.contains(flag))
        && !call.core.make_room(view, call.turn.now)
    {
        return Err(ReplyError::OutOfMemory);
    }
    let core = call.core;
    let declared = (core.shared.router().shard_count() > 1).then(|| {
        let mut declared = ShardSet::default();
        let router = core.shared.router();
        call.entry.command.each_key(call.args, |index| {
            declared.add(router.shard_of(slot_of(call.args.at(index))));
        });
        if declared.as_slice().is_empty() {
            // It runs there without keys.
            declared.add(ShardId(0));
        }
        declared
    });
    let running = Running {
        reach: found.reach(),
        flags,
        read_only: source.read_only || declares_no_writes,
        is_function: source.named == Named::ByFunction,
        name: found.name(),
        entry: call.entry,
        args: call.args,
        can_restart: !call.nested,
    };
    let (db, protocol) = (call.session.db, call.session.protocol);
    let name = found.name();
    let arguments = RunArguments { keys, args: call.args.tail(3 + keys.len()), name };
    // A run has fieldsets of its own, which end with it.
    let fieldsets = std::mem::take(&mut call.session.facts.fieldsets);
    let own = Together::default();
    let caller = Caller::new(core, call.session, call.id, call.turn)
        .nested(call.together.unwrap_or(&own))
        .by_script()
        .while_serving(reborrow(&mut call.meanwhile));
    let mut host = ScriptHost::new(caller, view, running, declared, shown);
    let mut reply = ReplyWriter::new(call.output, protocol);
    let result = match found {
        Found::Script(script) => engine.run(&script.digest, arguments, &mut host, &mut reply),
        Found::Function(known) => {
            engine.run_function(&known.compiled, arguments, &mut host, &mut reply)
        }
    };
    host.end();
    let restarts = host.restarts;
    let (own_errors, has_failed) = (engine.take_errors(), engine.take_failed());
    own.tell(core.shared, call.id);
    call.session.db = db;
    call.session.facts.fieldsets = fieldsets;
    if restarts {
        return Ok(Flow::Defer);
    }
    match result {
        Ok(()) => {
            if has_failed {
                call.statistics().failed(call.entry.counted_as);
            }
            for line in own_errors {
                call.statistics().error_of_script(&line);
            }
            Ok(Flow::Next)
        }
        Err(ScriptError { line, counted }) => {
            // That of a command has been counted where that ran.
            if !counted {
                call.statistics().error_of_script(&line);
            }
            call.statistics().failed(call.entry.counted_as);
            call.reply().error(line);
            Ok(Flow::Next)
        }
    }
}
