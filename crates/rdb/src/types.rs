//! Numbers of the format.

/// A version of the format, as its writer declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// What Redis 7.0 writes.
    pub const REDIS_7_0: Self = Self(10);
    /// What Redis 8.0 writes; before Valkey has parted from it, versions ended below this one.
    pub const REDIS_8_0: Self = Self(12);
    /// The last of Redis that is known here (8.8). Of types that came with it, those of streams are.
    pub const REDIS_MAX: Self = Self(14);
    /// What Valkey 9 writes. Valkey left the numbers before it to Redis when they parted.
    pub const VALKEY_9: Self = Self(80);

    /// Whether values of this version can be read.
    pub const fn is_known(self) -> bool {
        self.0 >= 1 && self.0 <= Self::REDIS_MAX.0 || self.0 == Self::VALKEY_9.0
    }

    /// Whether values of this version are worth a try: of one to come, what has the types of before can be read.
    pub const fn is_possible(self) -> bool {
        self.0 >= 1
    }

    /// Whether it is Redis's, of after Valkey has parted from it.
    pub const fn is_foreign(self) -> bool {
        self.0 >= Self::REDIS_8_0.0 && !self.is_valkey()
    }

    /// Whether types with equal numbers are Valkey's and not Redis's.
    pub const fn is_valkey(self) -> bool {
        self.0 >= Self::VALKEY_9.0
    }
}

pub(crate) const STRING: u8 = 0;
pub(crate) const LIST: u8 = 1;
pub(crate) const SET: u8 = 2;
pub(crate) const SORTED_SET_TEXT: u8 = 3;
pub(crate) const HASH: u8 = 4;
pub(crate) const SORTED_SET: u8 = 5;
/// Values of modules, as release candidates of Redis 4.0 wrote them, and since.
pub(crate) const MODULE_EARLY: u8 = 6;
pub(crate) const MODULE: u8 = 7;
pub(crate) const HASH_ZIPMAP: u8 = 9;
pub(crate) const LIST_ZIPLIST: u8 = 10;
pub(crate) const SET_INTSET: u8 = 11;
pub(crate) const SORTED_SET_ZIPLIST: u8 = 12;
pub(crate) const HASH_ZIPLIST: u8 = 13;
pub(crate) const LIST_QUICKLIST: u8 = 14;
pub(crate) const STREAM_1: u8 = 15;
pub(crate) const HASH_LISTPACK: u8 = 16;
pub(crate) const SORTED_SET_LISTPACK: u8 = 17;
pub(crate) const LIST_QUICKLIST_2: u8 = 18;
pub(crate) const STREAM_2: u8 = 19;
pub(crate) const SET_LISTPACK: u8 = 20;
pub(crate) const STREAM_3: u8 = 21;
/// Valkey: a hash with a deadline for each field. Redis has used the number for a form of its own.
pub(crate) const HASH_2_VALKEY: u8 = 22;
/// Redis 7.4 before its release: absolute deadlines.
pub(crate) const HASH_DEADLINES_EARLY: u8 = 22;
pub(crate) const HASH_LISTPACK_DEADLINES_EARLY: u8 = 23;
/// Redis 7.4: deadlines relative to the earliest.
pub(crate) const HASH_DEADLINES: u8 = 24;
pub(crate) const HASH_LISTPACK_DEADLINES: u8 = 25;
/// Redis 8.6: what producers have added is behind the groups.
pub(crate) const STREAM_4: u8 = 26;
/// Redis 8.8: what is pending with nobody is behind the consumers.
pub(crate) const STREAM_5: u8 = 27;

/// What the content of a value of this type is kept in, in the peers' words.
pub(crate) const fn form_name(kind: u8) -> &'static str {
    match kind {
        HASH_ZIPMAP => "Zipmap",
        SET_INTSET => "Intset",
        SORTED_SET_ZIPLIST => "Zset ziplist",
        HASH_ZIPLIST => "Hash ziplist",
        LIST_ZIPLIST | LIST_QUICKLIST => "Quicklist ziplist",
        LIST_QUICKLIST_2 => "Quicklist listpack",
        HASH_LISTPACK | HASH_LISTPACK_DEADLINES => "Hash listpack",
        SORTED_SET_LISTPACK => "Zset listpack",
        SET_LISTPACK => "Set listpack",
        STREAM_1 | STREAM_2 | STREAM_3 | STREAM_4 | STREAM_5 => "Stream listpack",
        _ => "Value",
    }
}

/// Whether `kind` is the type of a value in this version.
pub(crate) const fn is_value(kind: u8, version: Version) -> bool {
    let last = if version.is_valkey() { HASH_2_VALKEY } else { STREAM_5 };
    kind <= MODULE || kind >= HASH_ZIPMAP && kind <= last
}
