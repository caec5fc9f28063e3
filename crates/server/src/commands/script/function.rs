//! FUNCTION, but for DUMP and RESTORE.

use super::{BASE, script};
use crate::commands::error::ServerError;
use crate::scripting::change::{CarryOut, CodeChange};
use crate::scripting::library::add;
use crate::scripting::store::{Libraries, Library};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::glob::{Case, glob_matches};
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};
use darter_resp::ReplyWriter;
use std::sync::Arc;

/// Commands about functions.
pub(super) static FUNCTION: SessionCommand = SessionCommand::container(Command {
    name: "FUNCTION",
    since: "7.0.0",
    summary: "A container for commands about functions.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    acl: Command::BASE.acl,
    subcommands: &[
        &DELETE.command,
        &super::function_dump::DUMP.command,
        &FLUSH.command,
        &HELP.command,
        &KILL.command,
        &LIST.command,
        &LOAD.command,
        &super::function_dump::RESTORE.command,
        &STATS.command,
    ],
    handler: Command::BASE.handler,
    ..BASE
});

/// Where changes go in a cluster.
pub(super) const EVERYWHERE: &[&str] =
    &["request_policy:all_shards", "response_policy:all_succeeded"];

/// Deletes a library.
pub(super) static DELETE: SessionCommand = SessionCommand::alone(
    Command {
        name: "DELETE",
        since: "7.0.0",
        summary: "Deletes a library and its functions.",
        complexity: "O(1)",
        arity: Arity::Exactly(3),
        flags: Flags::WRITE.and(Flags::NOSCRIPT),
        args: &[Arg::string("library-name")],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| answer(call, delete),
)
.within();

/// Deletes all libraries.
pub(super) static FLUSH: SessionCommand = SessionCommand::alone(
    Command {
        name: "FLUSH",
        since: "7.0.0",
        summary: "Deletes all libraries and functions.",
        complexity: "O(N) where N is the number of functions deleted",
        arity: Arity::AtLeast(2),
        flags: Flags::WRITE.and(Flags::NOSCRIPT),
        args: &[Arg::one_of(
            "flush-type",
            &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")],
        )
        .optional()],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| answer(call, flush),
)
.within();

/// Explains the others.
pub(super) static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "7.0.0",
        summary: "Explains the subcommands.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| {
        call.help(
            "FUNCTION",
            &[
                "LOAD [REPLACE] <library code>",
                "    Load a library; with REPLACE in place of the one of its name.",
                "DELETE <library name>",
                "    Delete a library and its functions.",
                "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
                "    Show the libraries, and their text with WITHCODE.",
                "STATS",
                "    Show the function that takes too long, and how many there are.",
                "KILL",
                "    Stop the function that takes too long.",
                "FLUSH [ASYNC|SYNC]",
                "    Delete all libraries.",
                "DUMP",
                "    Show all libraries in the form that RESTORE takes.",
                "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
                "    Load dumped libraries beside those there are, in their place, or in place of",
                "    those of the same name.",
            ],
        )
    },
)
.within();

/// Stops the function that is busy.
pub(super) static KILL: SessionCommand = SessionCommand::alone(
    Command {
        name: "KILL",
        since: "7.0.0",
        summary: "Stops the function that takes too long.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        ..BASE
    },
    |call| script::stop(call, true),
)
.within();

/// Shows libraries.
pub(super) static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        since: "7.0.0",
        summary: "Shows the libraries and their functions.",
        complexity: "O(N) where N is the number of functions",
        arity: Arity::AtLeast(2),
        flags: Flags::NOSCRIPT,
        args: &[
            Arg::string("library-name-pattern").token("LIBRARYNAME").optional(),
            Arg::word("withcode", "WITHCODE").optional(),
        ],
        tips: &["nondeterministic_output_order"],
        ..BASE
    },
    list,
)
.within();

/// Loads a library.
pub(super) static LOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOAD",
        since: "7.0.0",
        summary: "Loads a library of functions.",
        complexity: "O(1) (considering compilation time is redundant)",
        arity: Arity::AtLeast(3),
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT),
        args: &[Arg::word("replace", "REPLACE").optional(), Arg::string("function-code")],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| answer(call, load),
)
.within();

/// Shows what runs.
pub(super) static STATS: SessionCommand = SessionCommand::alone(
    Command {
        name: "STATS",
        since: "7.0.0",
        summary: "Shows the function that takes too long, and how many functions there are.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..BASE
    },
    stats,
)
.within();

fn list(call: &mut SessionCall<'_>) -> SessionResult {
    let mut pattern: Option<&[u8]> = None;
    let mut with_code = false;
    let mut options = call.args.tail(2).iter();
    while let Some(option) = options.next() {
        if !with_code && option.eq_ignore_ascii_case(b"WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && option.eq_ignore_ascii_case(b"LIBRARYNAME") {
            pattern = Some(options.next().ok_or(ServerError::LibraryNameMissing)?);
        } else {
            return Err(ServerError::FunctionListOption(option.to_vec()).into());
        }
    }
    let libraries = call.shared.scripts.libraries();
    let shown: Vec<&Arc<Library>> = libraries
        .iter()
        .filter(|library| {
            pattern.is_none_or(|pattern| glob_matches(pattern, &library.name, Case::Ignored))
        })
        .collect();
    let mut reply = call.reply();
    reply.array(shown.len());
    for library in shown {
        show(&mut reply, library, with_code);
    }
    Ok(Flow::Next)
}

fn show(reply: &mut ReplyWriter<'_>, library: &Library, with_code: bool) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        match &function.description {
            Some(description) => reply.bulk(description),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let names = function.flags.names();
        reply.set(names.clone().count());
        for name in names {
            reply.simple(name);
        }
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.text);
    }
}

/// Carries out a command that changes libraries, for a client.
pub(super) fn answer(call: &mut SessionCall<'_>, carry_out: CarryOut) -> SessionResult {
    match carry_out(&CodeChange::of_call(call))? {
        Some(name) => call.reply().bulk(&name),
        None => call.reply().ok(),
    }
    Ok(Flow::Next)
}

pub(super) fn delete(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    let name = change.args.at(2);
    change.change(&[b"FUNCTION", b"DELETE", name], |libraries| match libraries.find(name) {
        None if !change.is_replayed() => Err(ServerError::LibraryNotFound.into()),
        _ => {
            libraries.remove(name);
            Ok(())
        }
    })?;
    Ok(None)
}

pub(super) fn flush(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    let args = change.args;
    if args.len() > 3 {
        let subcommand = args.at(1).to_vec();
        return Err(ServerError::SubcommandArguments { command: "FUNCTION", subcommand }.into());
    }
    if !script::is_flush(args) {
        return Err(ServerError::FunctionFlushMode.into());
    }
    change.change(&[b"FUNCTION", b"FLUSH"], |libraries| {
        *libraries = Libraries::default();
        Ok(())
    })?;
    Ok(None)
}

pub(super) fn load(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    let args = change.args;
    let text = args.at(args.len() - 1);
    let mut replaces = change.is_replayed();
    for option in args.head(args.len() - 1).tail(2).iter() {
        if !option.eq_ignore_ascii_case(b"REPLACE") {
            return Err(ServerError::FunctionLoadOption(option.to_vec()).into());
        }
        replaces = true;
    }
    let check = |libraries: &Libraries, name: &[u8]| {
        if !replaces && libraries.find(name).is_some() {
            return Err(ServerError::LibraryExists(name.to_vec()).into());
        }
        Ok(())
    };
    let library = Arc::new(change.compiled(text, check)?);
    change.change(&[b"FUNCTION", b"LOAD", b"REPLACE", text], |libraries| {
        check(libraries, &library.name)?;
        add(libraries, &library)
    })?;
    Ok(Some(library.name.clone()))
}

fn stats(call: &mut SessionCall<'_>) -> SessionResult {
    let libraries = call.shared.scripts.libraries();
    let running = call.shared.scripts.busy.list().into_iter().find(|script| script.is_function);
    let core = call.core;
    let mut reply = call.reply();
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(script) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(script.name.as_bytes());
            reply.bulk(b"command");
            reply.array(script.command.len());
            for word in &script.command {
                reply.bulk(word);
            }
            reply.bulk(b"duration_ms");
            let elapsed = core.nanos_since(script.begun);
            reply.integer(i64::try_from(elapsed / 1_000_000).unwrap_or(i64::MAX));
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(i64::try_from(libraries.iter().len()).unwrap_or(i64::MAX));
    reply.bulk(b"functions_count");
    reply.integer(i64::try_from(libraries.function_count()).unwrap_or(i64::MAX));
    Ok(Flow::Next)
}
