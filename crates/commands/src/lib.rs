//! The command families: one folder each, one `static` per command beside its handler.
//!
//! A handler checks arguments, works on the keyspaces of the view it was given and writes its
//! reply. It knows no socket, no session, no thread and no clock. Read [`string`] first.

#![forbid(unsafe_code)]
#![allow(clippy::unnecessary_wraps, reason = "every handler has the same signature")]

pub mod bitmap;
mod effects;
mod element_scan;
mod expiration;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
mod index_range;
mod joint;
mod kept_call;
pub mod list;
mod long_read;
mod many_keys;
mod operands;
mod picks;
mod reply;
pub mod server;
pub mod set;
pub mod sorted_set;
mod sorting;
pub mod stream;
pub mod string;
#[cfg(test)]
mod testing;

use darter_command_table::Command;

/// Every family, in the order of the documentation.
pub static FAMILIES: &[&[&Command]] = &[
    bitmap::COMMANDS,
    generic::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    list::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
];
