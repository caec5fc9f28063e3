//! SCRIPT.

use super::BASE;
use crate::commands::error::ServerError;
use crate::scripting::busy::NotStopped;
use crate::scripting::change::CodeChange;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};
use darter_resp::Args;
use darter_script::Digest;

/// Commands about scripts.
pub(super) static SCRIPT: SessionCommand = SessionCommand::container(Command {
    name: "SCRIPT",
    since: "2.6.0",
    summary: "A container for commands about scripts.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    acl: Command::BASE.acl,
    subcommands: &[
        &DEBUG.command,
        &EXISTS.command,
        &FLUSH.command,
        &HELP.command,
        &KILL.command,
        &LOAD.command,
        &SHOW.command,
    ],
    handler: Command::BASE.handler,
    ..BASE
});

const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// There is no debugger.
pub(super) static DEBUG: SessionCommand = SessionCommand::alone(
    Command {
        name: "DEBUG",
        since: "3.2.0",
        summary: "Sets the mode of the debugger, of which there is none.",
        complexity: "O(1)",
        arity: Arity::AtLeast(3),
        flags: Flags::NOSCRIPT,
        args: &[Arg::one_of(
            "mode",
            &[Arg::word("yes", "YES"), Arg::word("sync", "SYNC"), Arg::word("no", "NO")],
        )],
        ..BASE
    },
    |call| {
        let mode = call.args.at(2);
        if mode.eq_ignore_ascii_case(b"no") {
            return call.ok();
        }
        let known = mode.eq_ignore_ascii_case(b"yes") || mode.eq_ignore_ascii_case(b"sync");
        Err(if known { ServerError::NoScriptDebugger } else { ServerError::ScriptDebugMode }.into())
    },
)
.within();

/// Whether scripts are known.
pub(super) static EXISTS: SessionCommand = SessionCommand::alone(
    Command {
        name: "EXISTS",
        since: "2.6.0",
        summary: "Tells which of these scripts are known.",
        complexity: "O(N) with N being the number of scripts to check",
        arity: Arity::AtLeast(3),
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        args: &[Arg::string("sha1").multiple()],
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        ..BASE
    },
    |call| {
        let digests = call.args.tail(2);
        let scripts = &call.shared.scripts;
        let mut reply = call.reply();
        reply.array(digests.len());
        for digits in digests.iter() {
            let known = Digest::parse(digits).is_some_and(|digest| scripts.find(&digest).is_some());
            reply.integer(i64::from(known));
        }
        Ok(Flow::Next)
    },
)
.within();

/// Forgets all scripts.
pub(super) static FLUSH: SessionCommand = SessionCommand::alone(
    Command {
        name: "FLUSH",
        since: "2.6.0",
        summary: "Forgets all scripts.",
        complexity: "O(N) with N being the number of scripts",
        arity: Arity::AtLeast(2),
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        args: &[Arg::one_of(
            "flush-type",
            &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")],
        )
        .optional()
        .since("6.2.0")],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| {
        if !is_flush(call.args) {
            return Err(ServerError::ScriptFlushMode.into());
        }
        call.shared.scripts.flush();
        call.ok()
    },
)
.within();

/// Whether the arguments of a flush are right: none, or how it is done, which makes no difference here.
pub(super) fn is_flush(args: Args<'_>) -> bool {
    match args.len() {
        2 => true,
        3 => {
            let mode = args.at(2);
            mode.eq_ignore_ascii_case(b"ASYNC") || mode.eq_ignore_ascii_case(b"SYNC")
        }
        _ => false,
    }
}

/// Explains the others.
pub(super) static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "5.0.0",
        summary: "Explains the subcommands.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| {
        call.help(
            "SCRIPT",
            &[
                "DEBUG (YES|SYNC|NO)",
                "    Set the mode of the debugger, of which there is none.",
                "EXISTS <sha1> [<sha1> ...]",
                "    Tell which of these scripts are known.",
                "FLUSH [ASYNC|SYNC]",
                "    Forget all scripts.",
                "KILL",
                "    Stop the script that takes too long.",
                "LOAD <script>",
                "    Make a script known without running it.",
                "SHOW <sha1>",
                "    Show the text of a script.",
            ],
        )
    },
)
.within();

/// Stops the script that is busy.
pub(super) static KILL: SessionCommand = SessionCommand::alone(
    Command {
        name: "KILL",
        since: "2.6.0",
        summary: "Stops the script that takes too long.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        ..BASE
    },
    |call| stop(call, false),
)
.within();

/// Stops the busy scripts of one kind.
pub(super) fn stop(call: &mut SessionCall<'_>, functions: bool) -> SessionResult {
    match call.shared.scripts.busy.stop(functions) {
        Ok(()) => call.ok(),
        Err(NotStopped::NotBusy) => Err(ServerError::NoBusyScript.into()),
        Err(NotStopped::Wrote) => Err(ServerError::BusyScriptWrote.into()),
        Err(NotStopped::OtherKind { is_function }) => Err(ServerError::Busy { is_function }.into()),
    }
}

/// Makes a script known.
pub(super) static LOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOAD",
        since: "2.6.0",
        summary: "Makes a script known without running it.",
        complexity: "O(N) with N being the length in bytes of the script body.",
        arity: Arity::Exactly(3),
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        args: &[Arg::string("script")],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| {
        let digest = CodeChange::of_call(call).add_script(call.args.at(2))?;
        call.reply().bulk(digest.to_string().as_bytes());
        Ok(Flow::Next)
    },
)
.within();

/// Does that again.
pub(super) fn load_again(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    change.add_script(change.args.at(2)).map(|_| None)
}

/// Forgets all scripts again.
pub(super) fn flush_again(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    change.shared.scripts.flush();
    Ok(None)
}

/// The text of a script.
pub(super) static SHOW: SessionCommand = SessionCommand::alone(
    Command {
        name: "SHOW",
        since: "8.0.0",
        summary: "Shows the text of a script.",
        complexity: "O(1).",
        arity: Arity::Exactly(3),
        flags: Flags::NOSCRIPT.and(Flags::STALE),
        args: &[Arg::string("sha1")],
        ..BASE
    },
    |call| {
        let script = Digest::parse(call.args.at(2))
            .and_then(|digest| call.shared.scripts.find(&digest))
            .ok_or(ServerError::NoSuchScript)?;
        call.reply().bulk(script.text());
        Ok(Flow::Next)
    },
)
.within();
