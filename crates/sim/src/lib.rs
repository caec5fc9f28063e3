//! The seeded scheduler: runs the real `darter-txn` on virtual workers and checks what clients saw.
//!
//! One seed is one schedule: it decides how many workers, shards and clients there are, what the
//! clients send, when they vanish, where each worker is interrupted and who runs next, and when
//! letters arrive. The same seed gives the same schedule, so a failure is its seed.
//!
//! Virtual workers are coroutines on one thread, and one runs at a time; they may be interrupted
//! before each look at a seat, inside each operation and around each letter. The cells, windows and
//! gatherings are those of the server; the shard is a toy. When everything has come to rest, the
//! clients' history must be strictly serialisable, every operation answered, and every shard back
//! in its seat. [`Defect`] breaks the protocol on purpose, to see that the checks notice.
//!
//! It does not simulate sockets, files, time or memory. Read [`schedule`] first.
//!
//! ```text
//! cargo run -p darter-sim -- --seed 42                      replay one schedule, with its trace
//! cargo run --release -p darter-sim -- --schedules 1000000  many, in minutes
//! ```

#![forbid(unsafe_code)]

pub mod check;
pub mod connection;
pub mod coverage;
pub mod defect;
pub mod history;
pub mod plan;
pub mod random;
pub mod schedule;
pub mod stage;
pub mod toy;
pub mod worker;
pub mod world;

pub use check::Failure;
pub use coverage::Coverage;
pub use defect::Defect;
pub use schedule::{Report, Simulator};
