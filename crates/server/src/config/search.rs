//! Finding parameters by name and by pattern, however many are asked for.
//!
//! A name is looked up. A pattern is compared with the names that can match it: those that begin as it does, have every
//! byte that it needs, and were not found before. What is left to compare of a hundred thousand patterns are those that
//! somebody has made for it.

use crate::config::table::{Row, names, row_named};
use darter_base::glob::{Case, glob_matches};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

/// Parameters that were found, by their names in lower case: how they are called in the answer, and their rows.
pub(super) type Found = BTreeMap<Vec<u8>, (Vec<u8>, Row)>;

/// Names that no pattern has matched yet, sorted.
struct Left {
    names: Vec<(&'static str, Row)>,
    /// What each has, by itself: of a pattern that needs what none has no more is looked at.
    bytes: Vec<ByteSet>,
    /// What no name has all of.
    hopeless: BTreeSet<ByteSet>,
}

/// What has a special meaning in a pattern.
const SPECIAL: &[u8] = b"*?[\\";

/// Parameters that one of `patterns` matches, each once. A literal name is answered as it was written; a hidden one is found
/// by nothing else.
pub(super) fn find(patterns: &[&[u8]]) -> Found {
    let mut found = Found::new();
    let mut left = Left::of_all();
    let mut compared = BTreeSet::new();
    for pattern in patterns {
        if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
            let Some(row) = row_named(pattern) else { continue };
            let lower = pattern.to_ascii_lowercase();
            if let Entry::Vacant(place) = found.entry(lower) {
                left.take(place.key());
                place.insert((pattern.to_vec(), row));
            }
        } else if !left.names.is_empty() && compared.insert(*pattern) {
            while let Some((name, row)) = left.take_matching(pattern) {
                found.insert(name.into(), (name.into(), row));
            }
        }
    }
    found
}

impl Left {
    fn of_all() -> Self {
        let visible = names().iter().filter(|(_, row)| !row.parameter.hidden);
        let names: Vec<_> = visible.copied().collect();
        let bytes = names.iter().map(|(name, _)| ByteSet::of(name.as_bytes())).collect();
        Self { names, bytes, hopeless: BTreeSet::new() }
    }

    /// Takes a name out, if it is there.
    fn take(&mut self, name: &[u8]) {
        if let Ok(place) = self.names.binary_search_by_key(&name, |(name, _)| name.as_bytes()) {
            self.names.remove(place);
            self.bytes.remove(place);
        }
    }

    /// Takes the first name out that a pattern matches.
    fn take_matching(&mut self, pattern: &[u8]) -> Option<(&'static str, Row)> {
        let needed = ByteSet::needed_by(pattern);
        if self.hopeless.contains(&needed) {
            return None;
        }
        let literal = pattern.iter().take_while(|byte| !SPECIAL.contains(byte)).count();
        let begin = pattern[..literal].to_ascii_lowercase();
        let from = self.names.partition_point(|(name, _)| name.as_bytes() < begin.as_slice());
        let begins = |(name, _): &(&str, Row)| name.as_bytes().starts_with(&begin);
        let to = from + self.names[from..].partition_point(begins);
        let candidates = self.bytes[from..to].iter().zip(from..);
        let mut candidates = candidates.filter(|(bytes, _)| bytes.has_all_of(needed));
        let mut is_hopeless = begin.is_empty();
        let found = candidates.find(|(_, place)| {
            is_hopeless = false;
            glob_matches(pattern, self.names[*place].0.as_bytes(), Case::Ignored)
        });
        let Some((_, place)) = found else {
            if is_hopeless {
                self.hopeless.insert(needed);
            }
            return None;
        };
        self.bytes.remove(place);
        Some(self.names.remove(place))
    }
}

/// Which bytes a text has somewhere, as far as names have them: a bit for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ByteSet(u64);

impl ByteSet {
    fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |bits, byte| bits | 1 << Self::bit(*byte)))
    }

    /// Those that whatever the pattern matches has, in either case. Behind a class or an escaped byte nobody looks.
    fn needed_by(pattern: &[u8]) -> Self {
        let plain = pattern.iter().take_while(|byte| !b"[\\".contains(byte));
        let plain = plain.filter(|byte| !SPECIAL.contains(byte));
        Self(plain.fold(0, |bits, byte| bits | 1 << Self::bit(*byte)))
    }

    const fn bit(byte: u8) -> u8 {
        match byte.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            digit @ b'0'..=b'9' => 26 + digit - b'0',
            b'-' => 36,
            b'_' => 37,
            // Of no name.
            _ => 38,
        }
    }

    const fn has_all_of(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let found = find(&patterns).into_values();
        found.map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn names_and_aliases_are_found_once() {
        assert_eq!(found(&["PORT", "port"]), ["PORT"]);
        assert_eq!(
            found(&["hash-max-*-value", "hash-max-listpack-value"]),
            ["hash-max-listpack-value", "hash-max-ziplist-value"]
        );
        assert_eq!(found(&["*", "PORT"]), found(&["*"]));
        assert!(found(&["PORT", "*"]).contains(&"PORT".to_owned()));
        assert_eq!(found(&["PORT", "*"]).len(), found(&["*"]).len());
        assert!(found(&["key-load-d*"]).is_empty());
        assert_eq!(found(&["key-load-delay"]), ["key-load-delay"]);
        assert!(found(&["nothing"]).is_empty());
        assert_eq!(found(&["*q?q*", "*qqq*", "*8*", "p?rt", "*8"]), ["port"]);
    }

    #[test]
    fn what_is_compared_less_often_finds_the_same() {
        let patterns = [
            "*",
            "*?",
            "?ORT",
            "[p]ort",
            "p[o]rt",
            "\\port*",
            "P\\ORT*",
            "*-M*",
            "maxmemory*",
            "*\\e*n",
            "a*[^z]",
            "[^",
            "",
            "*1*",
            "io-[a-z]*",
            "maxmemory?policy",
            "*\u{e9}*",
            "*max memory*",
            "[z-a]*",
            "tls-*-file",
            "*client*",
            "?",
            "????",
            "port[",
            "*[",
            "po*rt",
            "*_*",
            "MAX*\\-*",
        ];
        for pattern in patterns {
            let all = names().iter().filter(|(_, row)| !row.parameter.hidden);
            let matching = all
                .map(|(name, _)| *name)
                .filter(|name| glob_matches(pattern.as_bytes(), name.as_bytes(), Case::Ignored));
            let expected: Vec<&str> = matching.collect();
            if pattern.contains(['*', '?', '[']) {
                assert_eq!(found(&[pattern]), expected, "{pattern}");
            }
            // Beside others, what those have found is not lost and not found again.
            let both = found(&["m*", pattern, "m*"]);
            let mut together: Vec<String> = found(&["m*"]);
            together.extend(found(&[pattern]));
            together.sort();
            together.dedup();
            assert_eq!(both, together, "{pattern}");
        }
    }
}
