//! Scripts: EVAL and its like, and the containers SCRIPT and FUNCTION. How scripts run is told in
//! [`crate::scripting`].

mod eval;
mod function;
mod function_dump;
#[expect(clippy::module_inception, reason = "named for the command")]
mod script;

use crate::scripting::change::CarryOut;
use crate::session_command::SessionCommand;
use darter_command_table::{Category, Command, Group, Handler};

/// How a command of the log that changes what code is known is carried out; `None` for others. Scripts are in logs of
/// Redis before 7.0 only.
pub fn code_change(command: &'static Command) -> Option<CarryOut> {
    let known: [(&SessionCommand, CarryOut); 6] = [
        (&function::DELETE, function::delete),
        (&function::FLUSH, function::flush),
        (&function::LOAD, function::load),
        (&function_dump::RESTORE, function_dump::restore),
        (&script::FLUSH, script::flush_again),
        (&script::LOAD, script::load_again),
    ];
    let found =
        known.into_iter().find(|(known, _)| std::ptr::eq(&raw const known.command, command));
    found.map(|(_, carry_out)| carry_out)
}

/// Every command of this folder, containers and their subcommands included.
pub static COMMANDS: &[&SessionCommand] = &[
    &eval::EVAL,
    &eval::EVALSHA,
    &eval::EVALSHA_RO,
    &eval::EVAL_RO,
    &eval::FCALL,
    &eval::FCALL_RO,
    &function::FUNCTION,
    &function::DELETE,
    &function_dump::DUMP,
    &function::FLUSH,
    &function::HELP,
    &function::KILL,
    &function::LIST,
    &function::LOAD,
    &function_dump::RESTORE,
    &function::STATS,
    &script::SCRIPT,
    &script::DEBUG,
    &script::EXISTS,
    &script::FLUSH,
    &script::HELP,
    &script::KILL,
    &script::LOAD,
    &script::SHOW,
];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Scripting,
    acl: Category::SCRIPTING,
    handler: Handler::Session,
    ..Command::BASE
};
