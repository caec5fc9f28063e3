//! Users and rules: who may run which command on which keys, channels and databases.
//!
//! A [`User`] is what `ACL SETUSER` makes of its rules, one after the other. What the rules come to is kept as
//! it is asked for: a bit for each command, patterns with their access, and a word about each kind of thing that
//! all of it is allowed. So a question costs no allocation, and a user that may do everything is asked
//! nothing at all. The rules about commands are kept as well, since their order is what `ACL LIST` shows and files
//! keep. [`Users`] is all of them, a value that is replaced as a whole; [`AccessLog`] remembers who was refused what.
//!
//! This crate knows no socket, session, file or clock, and no particular command. It follows Valkey 9.1,
//! whose texts these are. Read [`user`] first, then [`selector`].

#![forbid(unsafe_code)]

pub mod commands;
pub mod error;
pub mod listed;
pub mod log;
pub mod password;
pub mod patterns;
pub mod permission;
pub mod selector;
pub mod user;
pub mod users;

pub use error::{ChangeError, RuleError};
pub use listed::Listed;
pub use log::{AccessLog, Context, LogEntry, Refused};
pub use password::PasswordHash;
pub use permission::{Asked, Denial, Reason};
pub use selector::Selector;
pub use user::{DEFAULT_USER, User};
pub use users::{ChannelDefault, Rules, Users};

#[cfg(test)]
mod tests;
