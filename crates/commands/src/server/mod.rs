//! Commands on whole databases.

mod database;

use darter_command_table::Command;

/// Every command of the group that works on data; the rest of it belongs to the crates whose state
/// it shows.
pub static COMMANDS: &[&Command] =
    &[&database::DBSIZE, &database::FLUSHALL, &database::FLUSHDB, &database::SWAPDB];
