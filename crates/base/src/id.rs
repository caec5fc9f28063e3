//! Distinct types for the numbers that must not be mixed up.

/// Number of cluster hash slots, fixed by the Redis cluster specification.
pub const SLOT_COUNT: u16 = 16_384;

/// A cluster hash slot, `0..16384`: CRC16 of the key (or of its hashtag) modulo 16384. Never a
/// position in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot numbered `number`, or `None` when it is not below [`SLOT_COUNT`].
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOT_COUNT { Some(Self(number)) } else { None }
    }

    /// The slot a CRC16 falls into.
    pub const fn from_crc16(crc: u16) -> Self {
        Self(crc % SLOT_COUNT)
    }

    /// `0..16384`.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// One shard: an owner of part of the keyspace. Dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index into a table of shards.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One worker thread. Dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// As an index into a table of workers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number given to `SELECT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u16);

impl DbIndex {
    /// As an index into a table of databases.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
