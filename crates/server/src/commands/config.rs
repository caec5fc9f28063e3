//! CONFIG: the configuration of the running server.

use crate::commands::error::ServerError;
use crate::config::SetError;
use crate::config::rewrite::{Append, Rewriting};
use crate::config::table::row_named;
use crate::saving::Purpose;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler, ReplyError, ShardView};
use darter_resp::Args;
use std::sync::Arc;

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&CONFIG, &GET, &HELP, &RESETSTAT, &REWRITE, &SET];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands about the configuration.
pub static CONFIG: SessionCommand = SessionCommand::container(Command {
    name: "CONFIG",
    group: Group::Server,
    since: "2.0.0",
    summary: "A container for commands about the configuration.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&GET.command, &HELP.command, &RESETSTAT.command, &REWRITE.command, &SET.command],
    ..Command::BASE
});

/// The values of parameters.
static GET: SessionCommand = SessionCommand::alone(
    Command {
        name: "GET",
        summary: "The values of parameters.",
        complexity: "O(N) where N is the number of parameters and patterns",
        arity: Arity::AtLeast(3),
        args: &[Arg::string("parameter").multiple()],
        history: &[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")],
        ..BASE
    },
    get,
)
.within();

fn get(call: &mut SessionCall<'_>) -> SessionResult {
    let patterns: Vec<&[u8]> = call.args.tail(2).iter().collect();
    let found = call.shared.config.matching(&patterns);
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(&name);
        reply.bulk(&value);
    }
    Ok(Flow::Next)
}

/// Sets parameters.
static SET: SessionCommand = SessionCommand::all_shards_if(
    Command {
        name: "SET",
        summary: "Sets parameters, all of them or none.",
        complexity: "O(N) where N is the number of parameters",
        arity: Arity::AtLeast(4),
        args: &[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        history: &[("7.0.0", "Added the ability to set multiple parameters in one call.")],
        secret: Some(is_secret_of_set),
        ..BASE
    },
    concerns_shards,
    set,
)
.within();

/// The values of parameters that are secret.
fn is_secret_of_set(args: Args<'_>, index: usize) -> bool {
    index >= 3
        && index % 2 == 1
        && row_named(args.at(index - 1)).is_some_and(|row| row.parameter.secret)
}

/// Whether a parameter is set that shards have to know of at once: how much they may use, whether keys may be evicted for it,
/// what they note of accesses, and whether what they do is recorded.
fn concerns_shards(args: Args<'_>) -> bool {
    const NAMES: [&[u8]; 6] = [
        b"maxmemory",
        b"maxmemory-policy",
        b"import-mode",
        b"lfu-log-factor",
        b"lfu-decay-time",
        b"appendonly",
    ];
    let names = args.tail(2).iter().step_by(2);
    names.into_iter().any(|name| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Whether a parameter cannot be set while data are being loaded.
fn waits_for_data(name: &[u8]) -> bool {
    row_named(name).is_some_and(|row| row.parameter.waits_for_data)
}

fn set(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let args: Vec<&[u8]> = call.args.tail(2).iter().collect();
    let (pairs, []) = args.as_chunks::<2>() else { return Err(ReplyError::Syntax) };
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    let config = &call.shared.config;
    let protected = config.current().protected_configs.allows(call.session.is_local());
    let shared = call.shared;
    if shared.loading.is_under_way() && pairs.iter().any(|(name, _)| waits_for_data(name)) {
        return Err(ServerError::Loading.into());
    }
    let password = config.current().requirepass.clone();
    let result = config.set(&pairs, protected, |settings| {
        if let Err(error) = shared.journal.prepare(settings) {
            tracing::warn!(%error, "Unable to turn on AOF");
            return Err(("appendonly", "Unable to turn on AOF. Check server logs.".to_owned()));
        }
        shared.running.get().map_or(Ok(()), |running| (running.apply)(settings))
    });
    match result {
        Ok(()) => {
            shared.follow_password(&password);
            if concerns_shards(call.args) {
                let limits = call.shared.call_limits();
                call.shared.follow_memory_settings(&limits, view);
                // A part of a transaction may still be followed by a pause, which holds this back.
                if !call.nested && limits.memory.is_set() {
                    call.shared.make_room(&limits, view, call.turn.now);
                }
                follow_log(call, view);
            }
            call.ok()
        }
        Err(SetError::Unknown(name)) => Err(ServerError::UnknownParameter(name).into()),
        Err(SetError::Refused { name, reason }) => {
            Err(ServerError::ParameterRefused { name, reason }.into())
        }
    }
}

/// Begins a log or ends it, if that is what was set.
fn follow_log(call: &SessionCall<'_>, view: &mut ShardView<'_>) {
    let shared = call.shared;
    let is_on = shared.config.current().journal.is_on;
    if is_on && !shared.journal.is_attached() {
        // A log never begins with a part of a transaction.
        let can_begin = !call.nested && !shared.journal.is_ending();
        let begun = can_begin
            && shared
                .saving
                .begin(shared, view, Purpose::LogBase, Vec::new(), call.turn.now)
                .is_ok();
        if !begun {
            shared.journal.ask_for_base();
        }
    } else if !is_on {
        shared.saving.give_up_base();
        shared.journal.detach(shared);
    }
}

/// Sets the counters that INFO shows back to zero.
static RESETSTAT: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "RESETSTAT",
        summary: "Sets the counters that INFO shows back to zero.",
        arity: Arity::Exactly(2),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..BASE
    },
    reset_statistics,
)
.within();

fn reset_statistics(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    for shard in view.each() {
        shard.reset_statistics();
    }
    call.shared.reset_statistics();
    call.ok()
}

/// Writes the configuration to its file.
static REWRITE: SessionCommand = SessionCommand::alone(
    Command {
        name: "REWRITE",
        since: "2.8.0",
        summary: "Writes the configuration to its file.",
        arity: Arity::Exactly(2),
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..BASE
    },
    |call| rewrite_config(call, Append::Changed),
)
.within();

/// Writes the configuration to the file the server was started with.
pub(super) fn rewrite_config(call: &mut SessionCall<'_>, append: Append) -> SessionResult {
    let file = &call.shared.identity.config_file;
    if file.is_empty() {
        return Err(ServerError::NoConfigFile.into());
    }
    let (values, version) = call.shared.config.values_and_version();
    let users = call.shared.acl.users();
    let is_in_file = call.shared.config.current().user_file.is_some();
    let users =
        if is_in_file { Vec::new() } else { users.iter().map(|user| user.line()).collect() };
    let rewriting = Rewriting { path: file.into(), values, users, version, append };
    call.ask_own_worker(Question::Rewrite(Arc::new(rewriting)))
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "5.0.0",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("CONFIG", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];
