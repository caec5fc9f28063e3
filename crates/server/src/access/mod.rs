//! Who clients are, and what they may do.
//!
//! There is one set of users, a value that is replaced as a whole and has a version ([`AccessControl`]). A session
//! keeps the user it is as it was when it looked the last time ([`Access`]); before commands of its are collected it
//! looks whether the version is still the same, which takes no lock, and takes the user anew if it is not. A
//! change is in force for every worker from the moment at which it is answered. What a user may do is decided
//! by [`darter_acl`]; a session whose user may do everything asks nothing.
//!
//! Who is to lose a connection, because the user is gone or the channels it listens to are not for it any more, is
//! told all workers by mail ([`Revocation`]).

mod control;
mod file;
mod refusal;
mod revocation;
mod session;

pub use control::AccessControl;
pub use file::UsersError;
pub use refusal::{reason_in_transaction, verbose_message};
pub use revocation::{Revocation, close_revoked};
pub use session::Access;
