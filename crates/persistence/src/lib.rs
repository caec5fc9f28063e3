//! The files of the log: Redis's directory of a manifest, a base and incremental files, with checksums in lines
//! that Redis ignores.
//!
//! ```text
//! appendonlydir/
//!   appendonly.aof.manifest        which files there are, in order
//!   appendonly.aof.1.base.rdb      everything at one instant, the position where the log begins
//!   appendonly.aof.1.incr.aof      what has changed since: a header, then chunks, at consecutive positions
//!   appendonly.aof.2.incr.aof      ... what has changed since the file before ends
//! ```
//!
//! The log is one sequence of bytes: groups, each a command or a whole transaction in RESP, in the one order in
//! which they happened. A [`Position`] is a place in it: how many bytes came before, and a checksum over them.
//! Every file says at which position it begins, so that files can be neither missing nor exchanged without
//! being noticed. `docs/persistence.md` has the format of the lines.
//!
//! Nothing here starts threads, reads clocks or knows commands other than MULTI and EXEC. Read [`Log`] first, which changes the
//! set of files, then [`Appender`], then [`recover`]. Files are trusted in nothing.

#![forbid(unsafe_code)]

mod appender;
mod error;
mod examination;
mod line;
mod log;
pub mod manifest;
mod place;
mod position;
mod recovery;
mod source;
mod sync;
mod upgrade;

pub use appender::{AppendError, Appender, SyncHandle};
pub use error::{LogError, Refused, Spot, Why};
pub use examination::{Examination, Finding, Report};
pub use log::{BaseFormat, Log, Resumed};
pub use manifest::{Entry, FileKind, Manifest, Seal};
pub use place::Place;
pub use position::{Link, LogId, Position};
pub use recovery::{Options, Recipient, Recovered, Tail, Torn, recover};
