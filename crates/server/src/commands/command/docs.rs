//! COMMAND DOCS: what a command is for and what its arguments are. redis-cli's hints come from here.

use super::BASE;
use super::info::write_names;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, ArgKind, Arity, Command, Entry};
use darter_resp::ReplyWriter;

/// What some commands are for.
pub(super) static DOCS: SessionCommand = SessionCommand::alone(
    Command {
        name: "DOCS",
        since: "7.0.0",
        summary: "What some commands, or all, are for and what their arguments are.",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("command-name").optional().multiple()],
        tips: &["nondeterministic_output_order"],
        ..BASE
    },
    docs,
)
.within();

fn docs(call: &mut SessionCall<'_>) -> SessionResult {
    let names = call.args.tail(2);
    let table = &call.shared.table;
    let entries: Vec<&Entry> = if names.is_empty() {
        table.commands().iter().collect()
    } else {
        names.iter().filter_map(|name| table.full_named(name)).collect()
    };
    let mut reply = call.reply();
    reply.map(entries.len());
    for entry in entries {
        reply.bulk(entry.full_name.as_bytes());
        write(&mut reply, entry);
    }
    Ok(Flow::Next)
}

fn write(reply: &mut ReplyWriter<'_>, entry: &Entry) {
    let command = entry.command;
    let count = 4
        + usize::from(command.deprecated.is_some() || command.is_internal)
        + 2 * usize::from(command.deprecated.is_some())
        + usize::from(!command.history.is_empty())
        + usize::from(!command.args.is_empty())
        + usize::from(!entry.subcommands.is_empty());
    reply.map(count);
    for (name, text) in
        [("summary", command.summary), ("since", command.since), ("group", command.group.name())]
    {
        pair(reply, name, text);
    }
    pair(reply, "complexity", command.complexity);
    let flags = [(command.deprecated.is_some(), "deprecated"), (command.is_internal, "syscmd")];
    let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, name)| name);
    if flags.clone().next().is_some() {
        reply.bulk(b"doc_flags");
        write_names(reply, flags);
    }
    if let Some(deprecated) = command.deprecated {
        pair(reply, "deprecated_since", deprecated.since);
        pair(reply, "replaced_by", deprecated.replaced_by);
    }
    if !command.history.is_empty() {
        reply.bulk(b"history");
        reply.set(command.history.len());
        for (since, change) in command.history {
            reply.array(2);
            reply.bulk(since.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !command.args.is_empty() {
        reply.bulk(b"arguments");
        write_args(reply, command.args);
    }
    if !entry.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(entry.subcommands.len());
        for subcommand in &entry.subcommands {
            reply.bulk(subcommand.full_name.as_bytes());
            write(reply, subcommand);
        }
    }
}

fn pair(reply: &mut ReplyWriter<'_>, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn write_args(reply: &mut ReplyWriter<'_>, args: &[Arg]) {
    reply.array(args.len());
    for arg in args {
        write_arg(reply, arg);
    }
}

fn write_arg(reply: &mut ReplyWriter<'_>, arg: &Arg) {
    let parts = match arg.kind {
        ArgKind::OneOf(parts) | ArgKind::Block(parts) => Some(parts),
        _ => None,
    };
    let flags = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ];
    let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, name)| name);
    // Either the parts or the text shown for it.
    let count = 3
        + usize::from(matches!(arg.kind, ArgKind::Key(_) | ArgKind::KeyPattern(_)))
        + usize::from(arg.token.is_some())
        + usize::from(arg.since.is_some())
        + usize::from(flags.clone().next().is_some());
    reply.map(count);
    pair(reply, "name", arg.name);
    pair(reply, "type", arg.kind.name());
    if parts.is_none() {
        pair(reply, "display_text", arg.display_text);
    }
    if let ArgKind::Key(spec) | ArgKind::KeyPattern(spec) = arg.kind {
        reply.bulk(b"key_spec_index");
        reply.integer(spec.into());
    }
    if let Some(token) = arg.token {
        pair(reply, "token", token);
    }
    if let Some(since) = arg.since {
        pair(reply, "since", since);
    }
    if flags.clone().next().is_some() {
        reply.bulk(b"flags");
        write_names(reply, flags);
    }
    if let Some(parts) = parts {
        reply.bulk(b"arguments");
        write_args(reply, parts);
    }
}
