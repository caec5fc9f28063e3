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
//! * [`special`]: values of several words that have a form of their own.
//! * [`settings`]: the typed result, which the rest of the server reads.
//! * [`store`]: the settings in force, and changing several of them at once.
//! * [`bind`]: addresses to listen on.
//! * [`directive`]: a line of a configuration file.
//! * [`mod@reference`] makes `docs/configuration.md` of the rows.

pub mod bind;
pub mod directive;
pub mod parameter;
pub mod reference;
pub mod settings;
pub mod special;
pub mod store;
pub mod table;
pub mod value;

pub use bind::BindWord;
pub use directive::Directive;
pub use parameter::{Change, Parameter};
pub use settings::{LogLevel, OutputLimit, OutputLimits, Permission, Settings};
pub use store::{ConfigStore, SetError};
pub use table::{Row, SECTIONS, rows};
pub use value::{Kind, Value};
