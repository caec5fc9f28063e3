//! The command families: one folder each, one `static` per command beside its handler.
//!
//! A handler checks arguments, works on the keyspaces of the view it was given and writes its
//! reply. It knows no socket, no session, no thread and no clock. Read [`string`] first.

#![forbid(unsafe_code)]
#![allow(clippy::unnecessary_wraps, reason = "every handler has the same signature")]

pub mod bitmap;
mod expiration;
pub mod generic;
pub mod hyperloglog;
#[cfg_attr(not(test), expect(dead_code, reason = "the families that need it come next"))]
mod index_range;
mod many_keys;
mod reply;
pub mod server;
pub mod stream;
pub mod string;
#[cfg(test)]
mod testing;

use darter_command_table::Command;

/// Every family, in the order of the documentation.
pub static FAMILIES: &[&[&Command]] = &[
    bitmap::COMMANDS,
    generic::COMMANDS,
    hyperloglog::COMMANDS,
    server::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
];
