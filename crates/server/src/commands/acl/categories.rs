//! ACL CAT.

use super::{BASE, HARMLESS, too_many_arguments};
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Category, Command, Entry};

/// The categories, or the commands of one.
pub(super) static CAT: SessionCommand = SessionCommand::alone(
    Command {
        name: "CAT",
        summary: "The categories of commands, or the commands of one.",
        complexity: "O(1) since the categories and commands are a fixed set.",
        arity: Arity::AtLeast(2),
        flags: HARMLESS,
        args: &[Arg::string("category").optional()],
        ..BASE
    },
    categories,
)
.within();

fn categories(call: &mut SessionCall<'_>) -> SessionResult {
    let names: Vec<&str> = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(too_many_arguments(call)),
        None => Category::ALL.names().collect(),
        Some(name) => {
            let unknown = || ServerError::UnknownCategory(name.to_vec());
            let category = Category::named(name).ok_or_else(unknown)?;
            let mut names = Vec::new();
            add_commands_of(category, call.shared.table.originals(), &mut names);
            names
        }
    };
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(Flow::Next)
}

fn add_commands_of<'t>(
    category: Category,
    entries: impl Iterator<Item = &'t Entry>,
    names: &mut Vec<&'t str>,
) {
    for entry in entries {
        if entry.command.categories().has(category) {
            names.push(&entry.full_name);
        }
        add_commands_of(category, entry.subcommands.iter(), names);
    }
}
