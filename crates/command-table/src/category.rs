//! Access-control categories, by the names `ACL CAT` gives them.

use crate::flags::Flags;

/// A set of access-control categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Category(u32);

macro_rules! categories {
    ($($name:ident = $bit:literal, $text:literal;)*) => {
        impl Category {
            $(#[doc = concat!("The category `@", $text, "`.")]
            pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];
        }
    };
}

categories! {
    KEYSPACE = 0, "keyspace";
    READ = 1, "read";
    WRITE = 2, "write";
    SET = 3, "set";
    SORTED_SET = 4, "sortedset";
    LIST = 5, "list";
    HASH = 6, "hash";
    STRING = 7, "string";
    BITMAP = 8, "bitmap";
    HYPERLOGLOG = 9, "hyperloglog";
    GEO = 10, "geo";
    STREAM = 11, "stream";
    PUBSUB = 12, "pubsub";
    ADMIN = 13, "admin";
    FAST = 14, "fast";
    SLOW = 15, "slow";
    BLOCKING = 16, "blocking";
    DANGEROUS = 17, "dangerous";
    CONNECTION = 18, "connection";
    TRANSACTION = 19, "transaction";
    SCRIPTING = 20, "scripting";
}

impl Category {
    /// Every category there is.
    pub const ALL: Self = Self((1 << Self::NAMES.len()) - 1);

    /// No category.
    pub const NONE: Self = Self(0);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every category of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The categories that follow from the flags of a command that has these of its own (Redis, `setImplicitACLCategories`). What
    /// runs scripts is none that reads, as it is not known what a script does.
    #[must_use]
    pub const fn implied_by(flags: Flags, own: Self) -> Self {
        let mut implied = if flags.has(Flags::FAST) { Self::FAST } else { Self::SLOW };
        if flags.has(Flags::WRITE) {
            implied = implied.and(Self::WRITE);
        }
        if flags.has(Flags::READONLY) && !own.has(Self::SCRIPTING) {
            implied = implied.and(Self::READ);
        }
        if flags.has(Flags::ADMIN) {
            implied = implied.and(Self::ADMIN).and(Self::DANGEROUS);
        }
        if flags.has(Flags::PUBSUB) {
            implied = implied.and(Self::PUBSUB);
        }
        if flags.has(Flags::BLOCKING) {
            implied = implied.and(Self::BLOCKING);
        }
        implied
    }

    /// Published names of the categories in this set, without the `@`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(category, _)| self.has(*category)).map(|(_, name)| *name)
    }

    /// The category named `name` (without the `@`), in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
            .map(|(category, _)| *category)
    }
}
