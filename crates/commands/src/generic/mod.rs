//! Commands on keys of any type.

mod delete;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[&delete::DEL];
