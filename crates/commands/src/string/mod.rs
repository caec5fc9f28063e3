//! Commands on strings.

mod get;
mod set;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[&get::GET, &set::SET];
