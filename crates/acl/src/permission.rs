//! What is asked of a user's rules, and what they answer.

use darter_base::DbIndex;
use darter_command_table::Entry;
use darter_resp::Args;

/// A command that somebody wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which.
    pub entry: &'a Entry,
    /// With which arguments, the name at index 0.
    pub args: Args<'a>,
    /// The database that is selected.
    pub db: DbIndex,
    /// How many databases there are.
    pub databases: u16,
}

/// What a user lacks. What counts more when several selectors deny comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A database.
    Database,
    /// The command.
    Command,
    /// One of the keys.
    Key,
    /// One of the channels.
    Channel,
}

/// A user may not run a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What is lacking.
    pub reason: Reason,
    /// The argument it is about; 0 when it is none.
    pub index: usize,
}
