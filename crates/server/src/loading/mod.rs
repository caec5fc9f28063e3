//! Filling the shards with what files hold: at the start, and for DEBUG RELOAD and DEBUG LOADAOF.
//!
//! ```text
//!   the reader                          loading threads, as many as workers
//!   cuts a file into keys or commands   decode, build, insert; or run commands
//!   +---------------------------+       +-------------------------------+
//!   | snapshot::load,           | batch |  some of the shards           |
//!   | journal::recover          | ----> |                               |
//!   |           Crew            |       +-------------------------------+
//!   +---------------------------+       |  others                       |
//!                                       +-------------------------------+
//! ```
//!
//! One thread reads, since a file is one sequence; what takes longer, making values and finding their places, is
//! done by as many threads as there are workers ([`crew`]). What concerns one shard reaches it in the order of the
//! file. What concerns several is done by the reader, which asks for all shards first.
//!
//! At the start ([`start`]) this goes on while clients can connect already: nobody but the loader has the shards then,
//! commands that need them are refused ([`crate::admission`]), and INFO tells how far it is ([`progress`]).

mod batch;
mod budget;
mod crew;
mod filler;
mod progress;
pub mod snapshot;
mod start;

pub use crew::{Crew, with_crew};
pub use filler::Terms;
pub use progress::{LoadProgress, Loading};
pub use start::AtStart;
