//! Which keys, channels and databases a selector is about.

use crate::error::RuleError;
use darter_base::DbIndex;
use darter_base::glob::{Case, glob_matches};
use darter_command_table::Access;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What may be done to the keys of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAccess {
    pub reads: bool,
    pub writes: bool,
}

impl KeyAccess {
    /// Everything.
    pub const ALL: Self = Self { reads: true, writes: true };

    /// What a command needs for what it does to a key.
    pub const fn needed_for(access: Access) -> Self {
        Self {
            reads: access.has(Access::ACCESS),
            writes: access.has(Access::INSERT)
                || access.has(Access::DELETE)
                || access.has(Access::UPDATE),
        }
    }

    const fn covers(self, needed: Self) -> bool {
        (self.reads || !needed.reads) && (self.writes || !needed.writes)
    }
}

/// The keys of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Whether it is all of them; then there is no pattern.
    all: bool,
    /// With what may be done to the keys of each.
    patterns: Patterns<KeyAccess>,
}

impl Keys {
    /// All of them, for everything.
    pub fn allow_all(&mut self) {
        *self = Self { all: true, patterns: Patterns::default() };
    }

    /// None.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether it is all of them.
    pub const fn are_all(&self) -> bool {
        self.all
    }

    /// Adds what a rule `~pattern` or `%RW~pattern` says.
    pub fn add(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all {
            return Err(RuleError::KeysAfterAll);
        }
        let (access, pattern) = match rule {
            [b'~', pattern @ ..] => (KeyAccess::ALL, pattern),
            [b'%', rest @ ..] => split_access(rest)?,
            _ => return Err(RuleError::Syntax),
        };
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        let known = self.patterns.entry(pattern);
        known.reads |= access.reads;
        known.writes |= access.writes;
        Ok(())
    }

    /// Whether `needed` may be done to `key`.
    pub fn allow(&self, key: &[u8], needed: KeyAccess) -> bool {
        self.all
            || self.patterns.iter().any(|(pattern, access)| {
                access.covers(needed) && glob_matches(pattern, key, Case::Exact)
            })
    }

    /// Whether every key may be read.
    pub fn allow_reading_all(&self) -> bool {
        self.all || self.patterns.find(b"*").is_some_and(|access| access.reads)
    }

    /// As rules, each behind a space but the first.
    pub fn describe(&self) -> Vec<u8> {
        if self.all {
            return b"~*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self
            .patterns
            .iter()
            .map(|(pattern, access)| {
                let prefix: &[u8] = match (access.reads, access.writes) {
                    (true, true) => b"~",
                    (true, false) => b"%R~",
                    _ => b"%W~",
                };
                [prefix, pattern].concat()
            })
            .collect();
        rules.join(&b' ')
    }
}

/// Patterns in the order in which they were added, each once, with something about each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patterns<T> {
    listed: Vec<(Arc<[u8]>, T)>,
    /// Where each is in the list: rules may name very many.
    places: BTreeMap<Arc<[u8]>, usize>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), places: BTreeMap::new() }
    }
}

impl<T: Default> Patterns<T> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.listed.iter().map(|(pattern, about)| (&**pattern, about))
    }

    fn find(&self, pattern: &[u8]) -> Option<&T> {
        self.places.get(pattern).map(|place| &self.listed[*place].1)
    }

    /// What there is about a pattern, which is added if it is not there.
    fn entry(&mut self, pattern: &[u8]) -> &mut T {
        let place = if let Some(place) = self.places.get(pattern) {
            *place
        } else {
            let (pattern, place): (Arc<[u8]>, _) = (pattern.into(), self.listed.len());
            self.listed.push((Arc::clone(&pattern), T::default()));
            self.places.insert(pattern, place);
            place
        };
        &mut self.listed[place].1
    }
}

/// What stands behind the `%` of a rule: letters, `~`, and the pattern. Without a `~` the pattern is empty, as in
/// Redis.
fn split_access(rest: &[u8]) -> Result<(KeyAccess, &[u8]), RuleError> {
    let mut access = KeyAccess::default();
    let mut pattern: &[u8] = &[];
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'R' | b'r' if !access.reads => access.reads = true,
            b'W' | b'w' if !access.writes => access.writes = true,
            b'~' => {
                pattern = &rest[index + 1..];
                break;
            }
            _ => return Err(RuleError::Syntax),
        }
    }
    if access == KeyAccess::default() { Err(RuleError::Syntax) } else { Ok((access, pattern)) }
}

/// The channels of a selector, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Whether it is all of them; then there is no pattern.
    all: bool,
    patterns: Patterns<()>,
}

impl Channels {
    /// All of them.
    pub fn allow_all(&mut self) {
        *self = Self { all: true, patterns: Patterns::default() };
    }

    /// None.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether it is all of them.
    pub const fn are_all(&self) -> bool {
        self.all
    }

    /// Adds a pattern.
    pub fn add(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all {
            return Err(RuleError::ChannelsAfterAll);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        self.patterns.entry(pattern);
        Ok(())
    }

    /// Adds all of `other`.
    pub fn include_all(&mut self, other: &Self) {
        if other.all {
            self.allow_all();
        }
        if !self.all {
            for (pattern, ()) in other.patterns.iter() {
                self.patterns.entry(pattern);
            }
        }
    }

    /// Whether each pattern of `other` is one of these.
    pub fn contain(&self, other: &Self) -> bool {
        self.all
            || !other.all
                && other.patterns.iter().all(|(pattern, ())| self.patterns.find(pattern).is_some())
    }

    /// Whether a channel is one of them.
    pub fn allow(&self, channel: &[u8]) -> bool {
        self.all
            || self.patterns.iter().any(|(known, ())| glob_matches(known, channel, Case::Exact))
    }

    /// Whether somebody may subscribe to `pattern`: only to one that is written down as it is.
    pub fn allow_pattern(&self, pattern: &[u8]) -> bool {
        self.all || self.patterns.find(pattern).is_some()
    }

    /// As rules, each behind a space but the first; without any it is empty.
    pub fn describe(&self) -> Vec<u8> {
        if self.all {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> =
            self.patterns.iter().map(|(pattern, ())| [b"&", pattern].concat()).collect();
        rules.join(&b' ')
    }
}

/// The databases of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Databases {
    /// Whether it is all of them; then none is listed.
    all: bool,
    /// Ascending. Those that do not exist are kept, for a server that has more.
    listed: Vec<u32>,
}

impl Default for Databases {
    fn default() -> Self {
        Self { all: true, listed: Vec::new() }
    }
}

/// The highest number a database can have in a rule.
const DATABASE_MAX: u32 = i32::MAX as u32;

impl Databases {
    /// All of them.
    pub fn allow_all(&mut self) {
        *self = Self::default();
    }

    /// None.
    pub fn reset(&mut self) {
        *self = Self { all: false, listed: Vec::new() };
    }

    /// Whether it is all of them.
    pub const fn are_all(&self) -> bool {
        self.all
    }

    /// Those of `list`, numbers between commas, and no others.
    pub fn set(&mut self, list: &[u8]) -> Result<(), RuleError> {
        let mut listed = Vec::new();
        for number in list.split(|byte| *byte == b',') {
            listed.push(database(number)?);
        }
        listed.sort_unstable();
        listed.dedup();
        *self = Self { all: false, listed };
        Ok(())
    }

    /// Whether `db` is one of them.
    pub fn allow(&self, db: DbIndex) -> bool {
        self.all || self.listed.binary_search(&u32::from(db.0)).is_ok()
    }

    /// The rule that says so, if some are listed.
    pub fn describe(&self) -> Option<String> {
        let numbers: Vec<String> = self.listed.iter().map(u32::to_string).collect();
        (!numbers.is_empty()).then(|| format!("db={}", numbers.join(",")))
    }
}

/// A database's number as C reads it: behind spaces and a sign.
fn database(text: &[u8]) -> Result<u32, RuleError> {
    let text = text.trim_ascii_start();
    let is_negative = text.first() == Some(&b'-');
    let digits = if let [b'-' | b'+', digits @ ..] = text { digits } else { text };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(RuleError::Syntax);
    }
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    });
    match number {
        Some(0) => Ok(0),
        Some(number) if !is_negative && number <= DATABASE_MAX => Ok(number),
        _ => Err(RuleError::DatabaseOutOfRange),
    }
}

/// Whether there is something in `text` that no name or pattern may have, because it could not be told from what
/// is around it in a file.
pub fn has_spaces(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | b'\x0b'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: KeyAccess = KeyAccess { reads: true, writes: false };
    const WRITE: KeyAccess = KeyAccess { reads: false, writes: true };
    const NEITHER: KeyAccess = KeyAccess { reads: false, writes: false };

    #[test]
    fn patterns_of_keys_say_what_may_be_done() {
        let mut keys = Keys::default();
        for rule in ["~a*", "%R~r*", "%W~w*", "%rw~b*", "%RW~c"] {
            keys.add(rule.as_bytes()).unwrap();
        }
        assert_eq!(keys.describe(), b"~a* %R~r* %W~w* ~b* ~c");
        assert!(keys.allow(b"ax", KeyAccess::ALL) && keys.allow(b"b", KeyAccess::ALL));
        assert!(keys.allow(b"r", READ) && !keys.allow(b"r", WRITE));
        assert!(keys.allow(b"w", WRITE) && !keys.allow(b"w", KeyAccess::ALL));
        assert!(keys.allow(b"w", NEITHER) && !keys.allow(b"x", NEITHER));
        keys.add(b"%W~r*").unwrap();
        assert_eq!(keys.describe(), b"~a* ~r* %W~w* ~b* ~c");
        for wrong in ["%~a", "%RR~a", "%X~a", "%", "~a b", "~a\0"] {
            assert_eq!(keys.add(wrong.as_bytes()), Err(RuleError::Syntax), "{wrong}");
        }
        keys.allow_all();
        assert_eq!(keys.add(b"~x"), Err(RuleError::KeysAfterAll));
    }

    #[test]
    fn only_a_star_reads_all_keys() {
        let mut keys = Keys::default();
        for (rule, reads_all) in [("~**", false), ("%W~*", false), ("%R~*", true)] {
            keys.add(rule.as_bytes()).unwrap();
            assert_eq!(keys.allow_reading_all(), reads_all, "{rule}");
        }
    }

    #[test]
    fn patterns_to_subscribe_to_are_not_matched() {
        let mut channels = Channels::default();
        channels.add(b"foo*").unwrap();
        assert!(channels.allow(b"foobar") && !channels.allow(b"bar"));
        assert!(channels.allow_pattern(b"foo*") && !channels.allow_pattern(b"foobar"));
        let mut more = channels.clone();
        more.add(b"bar").unwrap();
        assert!(more.contain(&channels) && !channels.contain(&more));
        channels.allow_all();
        assert!(channels.contain(&more) && !more.contain(&channels));
        assert_eq!(channels.add(b"x"), Err(RuleError::ChannelsAfterAll));
    }

    #[test]
    fn databases_are_listed_in_order_and_once() {
        let mut databases = Databases::default();
        assert!(databases.allow(DbIndex(9)));
        databases.set(b"3,1,+2,1,2147483647").unwrap();
        assert_eq!(databases.describe().unwrap(), "db=1,2,3,2147483647");
        assert!(databases.allow(DbIndex(2)) && !databases.allow(DbIndex(0)));
        for wrong in ["", ",", "1,", ",1", "1,,2", "a", "1a", "-", "1 ,2"] {
            assert_eq!(databases.set(wrong.as_bytes()), Err(RuleError::Syntax), "{wrong}");
        }
        for wrong in ["-1", "2147483648", "99999999999999999999"] {
            let refused = databases.set(wrong.as_bytes());
            assert_eq!(refused, Err(RuleError::DatabaseOutOfRange), "{wrong}");
        }
        assert_eq!(
            databases.describe().unwrap(),
            "db=1,2,3,2147483647",
            "an error changes nothing"
        );
    }
}
