//! The command families: one folder each, one `static` per command beside its handler.
//!
//! A handler checks arguments, works on the keyspaces of the view it was given and writes its
//! reply. It knows no socket, no session, no thread and no clock. Read [`string`] first.

#![forbid(unsafe_code)]

pub mod generic;
pub mod reply;
pub mod string;

use darter_command_table::Command;

/// Every family, in the order of the documentation.
pub static FAMILIES: &[&[&Command]] = &[generic::COMMANDS, string::COMMANDS];
