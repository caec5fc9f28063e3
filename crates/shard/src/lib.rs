//! One shard: part of the keyspace as a plain value.
//!
//! A [`Shard`] owns its databases, their memory accounting, expiry, the versions of watched keys and the queues of
//! those who wait for keys.
//! It is synchronous, takes the time as a parameter, and is `Send`: whoever holds the box works on
//! it, one thread at a time, without locks. Commands see one database through a [`Keyspace`].
//!
//! It knows nothing of other shards, of the protocol, of transactions or of sockets.
//!
//! Read [`shard`] first, then [`keyspace`].

#![forbid(unsafe_code)]

pub mod access;
mod databases;
pub mod eviction;
mod garbage;
pub mod key;
pub mod keyspace;
pub mod news;
pub mod random;
pub mod shard;
mod snapshot;
pub mod statistics;
pub mod waiters;
mod watch;

pub use access::{AccessNotes, LfuOptions};
pub use darter_structures::{Deadline, DeadlineOutOfRange, KeyHasher, Layout};
pub use darter_value::{
    Collection, Encoding, EncodingLimits, LargeString, NodeLimit, Object, ObjectRef, PackedLimits,
    Type, ValueRef,
};
pub use eviction::{EvictionOrder, EvictionPolicy};
pub use key::{Expiry, Key, Lifetime, Previous, WrongType};
pub use keyspace::{
    Boundary, DeadlineEstimate, Detached, Edit, Kept, Keyspace, NotNoted, SCAN_CURSOR_BITS,
    collection_of,
};
pub use news::{Event, Gone, Interest, Loss, News};
pub use random::Random;
pub use shard::{ExpireProgress, FlushScope, Shard, ShardOptions};
pub use snapshot::{Chunk, SnapshotContents};
pub use statistics::Statistics;
pub use waiters::{ReadyQueue, Waiter, Wanted};
pub use watch::{LatestVersion, Reading, Version};
