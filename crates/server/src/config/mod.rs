//! The configuration: one row per parameter, from which everything else is derived.
//!
//! `CONFIG GET`, `CONFIG SET`, a line of a configuration file, an option of the command line, an
//! environment variable, `--help` and the generated reference all read the same rows. A row says
//! what the parameter is called, which values it takes, whether it can change while the server
//! runs, and which field of the typed [`Settings`] it sets; a row that sets none is accepted
//! without effect, and is documented so.
//!
//! * [`parameter`]: what a row is. Read this first, then a file of [`table`].
//! * [`value`]: the kinds of values, their text and their bounds.
//! * [`special`]: values that have a form of their own.
//! * [`settings`]: the typed result, which the rest of the server reads.
//! * [`store`]: the settings in force, and changing several of them at once; `search`: finding them by patterns.
//! * [`command_line`], [`line`](mod@line), [`files`] and [`load`]: what a server starts with, from all its sources.
//! * [`rewrite`]: writing the settings in force back into the file.
//! * [`reference`](mod@reference) makes `docs/configuration.md` of the rows, [`help`] the text of `--help`.
//! * [`memory_limit`]: what a percentage of memory refers to.

pub mod command_line;
mod files;
pub mod help;
pub mod line;
pub mod load;
pub mod memory_limit;
pub mod parameter;
pub mod reference;
pub mod rewrite;
mod search;
pub mod settings;
pub mod special;
pub mod store;
pub mod table;
pub mod title;
pub mod value;

pub use command_line::CommandLine;
pub use line::{Line, LoadError, Place};
pub use load::{Loaded, Loader, UserLine};
pub use parameter::{Change, Parameter, Support};
pub use settings::{
    Facility, LogFormat, LogLevel, LogSettings, LogTimestamp, OomScore, OomScoreMode, OutputLimit,
    OutputLimits, Permission, ProcessSettings, Settings, ShutdownRequest, Supervised,
};
pub use store::{ConfigStore, SetError};
pub use table::{Row, SECTIONS, rows};
pub use title::expand_title;
pub use value::{Kind, Value};
