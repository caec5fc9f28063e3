//! Where the keys of a command are, and what happens to them: the published key-spec language.
//!
//! Source: the Redis documentation page "Command key specifications". A spec finds where its keys
//! begin, then which arguments from there on are keys. Arguments come from clients, so every
//! position is checked against the argument count, and every count is bounded by it.

use darter_base::number::parse_i64;
use darter_resp::Args;

/// What a command does to the keys of one spec. The first group is exclusive; the second says what
/// happens to the data of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u16);

impl Access {
    /// Reads the value; changes nothing.
    pub const READ_ONLY: Self = Self(1 << 0);
    /// Changes a value that was there, depending on it.
    pub const READ_WRITE: Self = Self(1 << 1);
    /// Writes without regard to what was there.
    pub const OVERWRITE: Self = Self(1 << 2);
    /// Deletes the key.
    pub const REMOVE: Self = Self(1 << 3);
    /// Returns, copies or uses the data of the value.
    pub const ACCESS: Self = Self(1 << 4);
    /// Changes data that may depend on the value.
    pub const UPDATE: Self = Self(1 << 5);
    /// Adds data and never changes or deletes what was there.
    pub const INSERT: Self = Self(1 << 6);
    /// Deletes data of the value.
    pub const DELETE: Self = Self(1 << 7);
    /// Looks like a key, routes like a key, and is none (`SPUBLISH`).
    pub const NOT_KEY: Self = Self(1 << 8);
    /// The spec may miss keys.
    pub const INCOMPLETE: Self = Self(1 << 9);
    /// What happens depends on the arguments.
    pub const VARIABLE: Self = Self(1 << 10);

    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::READ_ONLY, "RO"),
        (Self::READ_WRITE, "RW"),
        (Self::OVERWRITE, "OW"),
        (Self::REMOVE, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
        (Self::NOT_KEY, "not_key"),
        (Self::INCOMPLETE, "incomplete"),
        (Self::VARIABLE, "variable_flags"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Published names, in the order `COMMAND INFO` lists them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

/// Where the keys of a spec begin.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument; the command's name is argument 0.
    Index(usize),
    /// After this word, searched from argument `from` on (from the end backwards if negative).
    Keyword { word: &'static str, from: i32 },
    /// Cannot be said.
    Unknown,
}

/// Which arguments from the beginning on are keys.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// Every `step`-th argument from the beginning to `last`, which counts from the beginning, or
    /// from the last argument if negative (-1 is the last). With `last` -1, only the first
    /// `1/limit` of the rest are keys when `limit` is above 1.
    Range { last: i32, step: usize, limit: usize },
    /// An argument holds the number of keys.
    Count { at: usize, first: usize, step: usize },
    /// Cannot be said.
    Unknown,
}

/// Where some of a command's keys are, and what happens to them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Where they begin.
    pub begin: Begin,
    /// How they go on.
    pub find: Find,
    /// What happens to them.
    pub access: Access,
    /// A remark for `COMMAND DOCS`.
    pub notes: Option<&'static str>,
}

impl KeySpec {
    /// One key, at argument `index`.
    pub const fn at(index: usize, access: Access) -> Self {
        Self::range(index, 0, 1, access)
    }

    /// Every `step`-th argument from `index` to `last` (see [`Find::Range`]).
    pub const fn range(index: usize, last: i32, step: usize, access: Access) -> Self {
        Self {
            begin: Begin::Index(index),
            find: Find::Range { last, step, limit: 0 },
            access,
            notes: None,
        }
    }

    /// As many keys as argument `at` says, directly behind it.
    pub const fn counted(at: usize, access: Access) -> Self {
        Self {
            begin: Begin::Index(at),
            find: Find::Count { at: 0, first: 1, step: 1 },
            access,
            notes: None,
        }
    }

    /// With a remark for `COMMAND DOCS`.
    #[must_use]
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    /// The argument index of the key if the spec always names exactly one.
    pub const fn single(&self) -> Option<usize> {
        match (self.begin, self.find) {
            (Begin::Index(index), Find::Range { last: 0, .. }) => Some(index),
            _ => None,
        }
    }

    /// Calls `visit` with the argument index of each key. Indices are below `args.len()`. A spec
    /// that the arguments do not fit (a missing keyword, a count that is no number or exceeds what
    /// is there) names no key and answers `false`.
    pub fn each_key(&self, args: Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        let Some(begin) = self.begin_in(args) else { return false };
        match self.find {
            Find::Range { last, step, limit } => {
                let Some(last) = last_of_range(args.len(), begin, last, limit) else {
                    return false;
                };
                (begin..=last).step_by(step).for_each(visit);
                true
            }
            Find::Count { at, first, step } => {
                let Some(count) = args.get(begin + at).and_then(parse_i64) else { return false };
                let Ok(count) = usize::try_from(count) else { return false };
                let first = begin + first;
                let room = args.len().saturating_sub(first).div_ceil(step);
                if count > room {
                    return false;
                }
                (0..count).for_each(|key| visit(first + key * step));
                true
            }
            Find::Unknown => false,
        }
    }

    fn begin_in(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => (index < args.len()).then_some(index),
            Begin::Keyword { word, from } => {
                let is_word = |index: &usize| args[*index].eq_ignore_ascii_case(word.as_bytes());
                let from_end = usize::try_from(from.unsigned_abs()).ok()?;
                let found = if from < 0 {
                    (1..=args.len().checked_sub(from_end)?).rev().find(is_word)?
                } else {
                    (from_end..args.len()).find(is_word)?
                };
                (found + 1 < args.len()).then_some(found + 1)
            }
            Begin::Unknown => None,
        }
    }
}

/// Index of the last argument of a range, or `None` if it lies before `begin` or past the end.
fn last_of_range(count: usize, begin: usize, last: i32, limit: usize) -> Option<usize> {
    let offset = usize::try_from(last.unsigned_abs()).ok()?;
    let last = if last >= 0 {
        begin.checked_add(offset)?
    } else if limit <= 1 {
        count.checked_sub(offset)?
    } else {
        begin.checked_add(((count - begin) / limit).checked_sub(offset)?)?
    };
    (last >= begin && last < count).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_resp::OwnedArgs;

    fn keys(spec: KeySpec, line: &str) -> Option<Vec<usize>> {
        let mut args = OwnedArgs::new();
        line.split(' ').for_each(|arg| args.push(arg.as_bytes()));
        let mut found = Vec::new();
        spec.each_key(args.as_args(), |index| found.push(index)).then_some(found)
    }

    const ACCESS: Access = Access::READ_ONLY;

    #[test]
    fn ranges_follow_the_published_examples() {
        assert_eq!(keys(KeySpec::at(1, ACCESS), "GET k"), Some(vec![1]));
        assert_eq!(keys(KeySpec::at(1, ACCESS), "GET"), None);
        assert_eq!(keys(KeySpec::range(1, -1, 1, ACCESS), "MGET a b c"), Some(vec![1, 2, 3]));
        assert_eq!(keys(KeySpec::range(1, -1, 2, ACCESS), "MSET a 1 b 2"), Some(vec![1, 3]));
        assert_eq!(keys(KeySpec::range(1, -1, 2, ACCESS), "MSET a 1 b"), Some(vec![1, 3]));
        assert_eq!(keys(KeySpec::range(1, 1, 1, ACCESS), "RENAME a b"), Some(vec![1, 2]));
        assert_eq!(keys(KeySpec::range(1, 1, 1, ACCESS), "RENAME a"), None);
        assert_eq!(keys(KeySpec::range(1, -2, 1, ACCESS), "BLPOP a b 0"), Some(vec![1, 2]));
    }

    #[test]
    fn keywords_are_found_from_either_end() {
        let streams = |from| KeySpec {
            begin: Begin::Keyword { word: "STREAMS", from },
            find: Find::Range { last: -1, step: 1, limit: 2 },
            access: ACCESS,
            notes: None,
        };
        assert_eq!(keys(streams(1), "XREAD COUNT 2 streams a b 0 0"), Some(vec![4, 5]));
        assert_eq!(keys(streams(1), "XREAD COUNT 2"), None);
        assert_eq!(keys(streams(1), "XREAD STREAMS"), None);
        assert_eq!(keys(streams(-2), "X KEYS STREAMS a b"), Some(vec![3]));
    }

    #[test]
    fn hostile_counts_name_no_key() {
        let spec = KeySpec::counted(1, ACCESS);
        assert_eq!(keys(spec, "SINTERCARD 2 a b LIMIT 1"), Some(vec![2, 3]));
        assert_eq!(keys(spec, "SINTERCARD 0 a"), Some(vec![]));
        for count in ["3", "-1", "9223372036854775807", "x", "", "-9223372036854775808"] {
            assert_eq!(keys(spec, &format!("SINTERCARD {count} a b")), None, "{count:?}");
        }
    }
}
