//! The data structures of a shard that need `unsafe` to be small and fast.
//!
//! * [`Table`]: the segmented hash table, one 8-byte word per entry. Serves the keyspace, and big
//!   collections.
//! * [`Block`]: one key with its value and deadline in a single heap allocation, which is what the
//!   keyspace's table points to.
//! * [`PackedList`], [`ForwardList`]: small things in one allocation; [`PackedOr`]: that, or something
//!   bigger, in one word. What collections are made of.
//! * [`Member`]: one member of a big set or sorted set, in a single heap allocation.
//! * [`RankedMembers`]: a big sorted set: a table of members and an ordered tree with ranks over them.
//! * [`IntegerSet`]: a small set of integers.
//! * [`Defragmentation`]: moving all of these together, so that the allocator can give memory back.
//! * [`move_bytes`]: moving a long buffer without copying it, and a long one of zeroes without writing it.
//! * [`good_size`]: what an allocation really costs, for exact accounting.
//! * [`KeyHasher`]: the seeded hash all tables of a process share.
//!
//! Nothing here knows what a value means, what an expired entry is, or which thread it runs on:
//! everything is a plain value that may be sent between threads and is used by one at a time.
//!
//! Read [`block`] first, then [`table`]; `docs/memory-layout.md` has the drawings.

mod allocation;
pub mod allocator;
pub mod block;
pub mod deadline;
pub mod defragmentation;
#[cfg(any(test, feature = "fuzzing"))]
pub mod exercise;
pub mod hasher;
pub mod integers;
pub mod member;
pub mod moving;
pub mod packed;
mod prefetch;
pub mod ranked;
pub mod size;
pub mod table;

pub use block::{
    BLOCK_PART_BYTES_MAX, Block, BlockRef, BlockValue, Kind, Payload, PayloadRef, Word, WordMut,
    WordRef,
};
pub use deadline::{Deadline, DeadlineOutOfRange};
pub use defragmentation::Defragmentation;
pub use hasher::KeyHasher;
pub use integers::IntegerSet;
pub use member::{Member, MemberRef};
pub use moving::{move_bytes, zeroes};
pub use packed::{ForwardList, Item, PackedList, PackedOr, PackedOrMut, PackedOrRef, Place};
pub use ranked::RankedMembers;
pub use size::good_size;
pub use table::{
    Drain, Entry, EntryView, Found, Hand, Judgement, Layout, Marks, Position, Table, Turned,
};
