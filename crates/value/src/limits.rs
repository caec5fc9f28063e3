//! Up to which size a collection is kept in its compact form: configuration, handed to whatever adds
//! elements.

use crate::stream::IdempotenceLimits;

/// The limits of one type's compact form. A limit beyond 32 bits counts as the largest number of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLimits {
    /// Most elements (fields of a hash, members of a set).
    pub entries_max: u32,
    /// Longest element in bytes (field, value, member).
    pub value_bytes_max: u32,
}

/// The size of a list's nodes (`list-max-listpack-size`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLimit {
    /// As many bytes.
    Bytes(u32),
    /// As many elements, and not above 8 KiB.
    Count(u32),
}

/// The limits of every type, and what else of values is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingLimits {
    /// `hash-max-listpack-entries`, `hash-max-listpack-value`.
    pub hash: PackedLimits,
    /// `list-max-listpack-size`.
    pub list: NodeLimit,
    /// `set-max-intset-entries`.
    pub intset_entries_max: u32,
    /// `set-max-listpack-entries`, `set-max-listpack-value`.
    pub set: PackedLimits,
    /// `zset-max-listpack-entries`, `zset-max-listpack-value`.
    pub sorted_set: PackedLimits,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_bytes_max: u32,
    /// `stream-node-max-bytes`; 0: no limit.
    pub stream_node_bytes_max: u32,
    /// `stream-node-max-entries`; 0: no limit.
    pub stream_node_entries_max: u32,
    /// `stream-idmp-duration`, `stream-idmp-maxsize`.
    pub idempotence: IdempotenceLimits,
}

/// The size of a node whose elements are limited by number.
const COUNTED_NODE_BYTES_MAX: usize = 8192;

impl NodeLimit {
    /// The limit that `list-max-listpack-size` means: a number of elements if positive, else a step of 4, 8,
    /// 16, 32 and 64 KiB for -1 to -5. As in Redis, 0 is one element, and what is below -5 is -5.
    pub fn of_parameter(size: i32) -> Self {
        match size {
            1.. => Self::Count(size.unsigned_abs()),
            0 => Self::Count(1),
            _ => Self::Bytes(4096 << (size.unsigned_abs().min(5) - 1)),
        }
    }

    /// Whether a node of `bytes` and `count` elements is above the limit.
    #[inline]
    pub const fn is_exceeded_by(self, bytes: usize, count: usize) -> bool {
        match self {
            Self::Bytes(bytes_max) => bytes > bytes_max as usize,
            Self::Count(count_max) => bytes > COUNTED_NODE_BYTES_MAX || count > count_max as usize,
        }
    }

    /// Whether an element of `bytes` gets a node of its own.
    #[inline]
    pub const fn is_too_big(self, bytes: usize) -> bool {
        match self {
            Self::Bytes(bytes_max) => bytes > bytes_max as usize,
            Self::Count(_) => bytes > COUNTED_NODE_BYTES_MAX,
        }
    }

    /// Half the limit.
    pub const fn halved(self) -> Self {
        match self {
            Self::Bytes(bytes_max) => Self::Bytes(bytes_max / 2),
            Self::Count(count_max) => Self::Count(count_max / 2),
        }
    }
}

impl Default for EncodingLimits {
    /// Redis's defaults.
    fn default() -> Self {
        let packed = |entries_max| PackedLimits { entries_max, value_bytes_max: 64 };
        Self {
            hash: packed(512),
            list: NodeLimit::of_parameter(-2),
            intset_entries_max: 512,
            set: packed(128),
            sorted_set: packed(128),
            hll_sparse_bytes_max: 3000,
            stream_node_bytes_max: 4096,
            stream_node_entries_max: 100,
            idempotence: IdempotenceLimits { duration_s: 100, ids_max: 100 },
        }
    }
}
