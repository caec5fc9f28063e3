//! What a command is: one declaration from which everything else is derived.
//!
//! A command is a `static` [`Command`] beside its handler. Lookup and arity errors, `COMMAND` and
//! its subcommands, access-control categories, which keys and so which shards it touches, whether
//! it may run at all in a given state: all of it is read from that value, and no name is compared
//! with a string anywhere after [`Table::find`]. This crate knows no particular command, no socket
//! and no session. Read [`command`] first, then [`call`], which is what a handler is given.

#![forbid(unsafe_code)]

pub mod arg;
pub mod call;
pub mod category;
pub mod command;
pub mod effects;
pub mod error;
pub mod flags;
pub mod key_spec;
pub mod table;
pub mod wait;

pub use arg::{Arg, ArgKind};
pub use call::{
    BEFORE_EVERYTHING, Call, CallLimits, ELEMENTS_IN_ONE_PIECE, MemoryLimit, RdbVersions, ShardView,
};
pub use category::Category;
pub use command::{
    Arity, BeginSlices, ChannelUse, Command, DatabaseUse, Deprecation, EachDatabase, Group,
    Handler, LeftWatch, Progress, Slice,
};
pub use effects::{Effects, Unlinks};
pub use error::{ReplyError, ReplyResult, until_nul};
pub use flags::Flags;
pub use key_spec::{Access, Begin, Find, KeySpec};
pub use table::{CommandId, Entry, Found, Rename, RenameError, Table};
pub use wait::{Wait, WaitSlot, Waits};
