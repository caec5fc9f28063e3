//! Commands on whole databases.

mod database;
pub mod debug;
pub mod memory;

pub use database::{FLUSHALL, FLUSHDB};

use darter_command_table::Command;

/// Every command of the group that works on data; the rest of it belongs to the crates whose state
/// it shows. Subcommands of containers that live there are in [`debug`] and [`memory`].
pub static COMMANDS: &[&Command] = &[&database::DBSIZE, &FLUSHALL, &FLUSHDB, &database::SWAPDB];
