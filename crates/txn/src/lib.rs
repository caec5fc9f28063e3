//! Who may touch which shard, and when: the only concurrency in the engine.
//!
//! A shard is a value in a box, and to lock a shard is to own its box. A [`Cell`] is the seat the
//! box rests in while nobody holds it, together with the queue of those who found it taken. Three
//! ways lead to a shard:
//!
//! * [`Window`] runs one-shard operations of one connection in program order: it takes the shards
//!   that are free, and posts an operation whose shard is out to that shard's inbox. It never
//!   waits while it holds.
//! * [`Gathering`] is the coordinator for an operation over several shards: it takes them in
//!   ascending order and may hold while it waits, because everybody who waits takes in that order.
//! * Whoever gives a shard back ([`Cell::put_back`]) first runs what was queued meanwhile, or hands
//!   the box to a coordinator that reserved it.
//!
//! An operation may also wait for what others will write, outside of any lock. A [`Claim`] says which of
//! those that find it ready answers it.
//!
//! The crate is generic over the shard, over the work that is posted and over how letters travel
//! between workers, so the same code runs in the server, under loom, and in the seeded simulator.
//! It knows no command names, no protocol, no sockets and no clocks. `docs/transactions.md`
//! argues why this is deadlock-free and strictly serialisable. Read [`cell`] first.

#![forbid(unsafe_code)]

pub mod cell;
pub mod claim;
pub mod gathering;
pub mod route;
mod sync;
#[cfg(all(test, not(loom)))]
mod testing;
pub mod view;
pub mod window;

pub use cell::{Carrier, Cell, Cells, DRAIN_BATCHES_MAX, Letter, Ticket, Work};
pub use claim::{Answered, Claim, Ending, Fruitless, Trial};
pub use gathering::{Gathering, Step};
pub use route::{Router, Routing};
pub use view::{Held, View};
pub use window::{Outcome, Program, Window};
