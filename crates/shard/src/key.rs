//! Keys, and the small answers about them.

use std::fmt;

use darter_base::UnixMillis;
use darter_structures::{Deadline, KeyHasher};

/// A key with its hash, computed once per command and used for prefetching, lookup and insertion.
///
/// The hash must come from the [`KeyHasher`] of the shard the key is used with.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The name.
    pub bytes: &'a [u8],
    /// Its hash.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// The key named `bytes`.
    #[inline]
    pub fn new(hasher: &KeyHasher, bytes: &'a [u8]) -> Self {
        Self { bytes, hash: hasher.hash(bytes) }
    }
}

/// What a write does to the key's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key lives until it is deleted.
    Clear,
    /// The deadline, if the key exists and has one, stays.
    Keep,
    /// The key lives until then. A deadline in the past is legal here: the key is simply expired at
    /// once; whether to delete instead is the command's decision.
    At(Deadline),
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// There is no such key.
    Absent,
    /// Until it is deleted.
    Unlimited,
    /// Until that time.
    Until(UnixMillis),
}

/// What was there before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// Nothing: the key is new.
    Absent,
    /// A value, now replaced.
    Present,
}

/// The key holds a value of another type than the operation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl fmt::Display for WrongType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the key holds a value of another type")
    }
}

impl std::error::Error for WrongType {}
