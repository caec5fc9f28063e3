//! Patterns that channels are matched against.
//!
//! A channel can only match a pattern that begins, up to its first special character, as the channel
//! does. So patterns lie under that literal beginning, and a channel is looked up once for each length
//! such beginnings have: `user:1:*` and ten thousand like it cost one look-up, not ten thousand
//! matches. Patterns that begin with a star all lie under nothing and are all tried.

use super::directory::{Audience, Audiences};
use darter_base::WorkerId;
use darter_base::glob::{Case, glob_matches};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Patterns with subscribers.
#[derive(Debug, Default)]
pub struct Patterns {
    /// By the literal beginning. No inner map is empty.
    by_beginning: HashMap<Box<[u8]>, Audiences>,
    /// How many beginnings there are of each length.
    lengths: BTreeMap<usize, usize>,
    count: usize,
}

/// The part of a pattern that stands for itself.
fn beginning(pattern: &[u8]) -> &[u8] {
    let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    &pattern[..pattern.iter().position(special).unwrap_or(pattern.len())]
}

impl Patterns {
    /// How many different ones there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Counts a subscriber of `pattern` on `worker`.
    pub fn add(&mut self, pattern: &Arc<[u8]>, worker: WorkerId) {
        let beginning = beginning(pattern);
        if !self.by_beginning.contains_key(beginning) {
            self.by_beginning.insert(beginning.into(), HashMap::new());
            *self.lengths.entry(beginning.len()).or_default() += 1;
        }
        let siblings = self.by_beginning.get_mut(beginning).expect("it was just put there");
        let before = siblings.len();
        siblings.entry(Arc::clone(pattern)).or_default().add(worker);
        self.count += siblings.len() - before;
    }

    /// Counts one less.
    pub fn remove(&mut self, pattern: &[u8], worker: WorkerId) {
        let beginning = beginning(pattern);
        let Some(siblings) = self.by_beginning.get_mut(beginning) else { return };
        let Some(audience) = siblings.get_mut(pattern) else { return };
        if !audience.remove(worker) {
            return;
        }
        siblings.remove(pattern);
        self.count -= 1;
        if siblings.is_empty() {
            self.by_beginning.remove(beginning);
            let same_length = self.lengths.get_mut(&beginning.len()).expect("it was counted");
            *same_length -= 1;
            if *same_length == 0 {
                self.lengths.remove(&beginning.len());
            }
        }
    }

    /// Calls `visit` with every pattern that matches `channel`.
    pub fn each_match<'a>(
        &'a self,
        channel: &[u8],
        mut visit: impl FnMut(&'a Arc<[u8]>, &'a Audience),
    ) {
        for (&length, _) in self.lengths.range(..=channel.len()) {
            let Some(siblings) = self.by_beginning.get(&channel[..length]) else { continue };
            for (pattern, audience) in siblings {
                if glob_matches(pattern, channel, Case::Exact) {
                    visit(pattern, audience);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &Patterns, channel: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        patterns.each_match(channel, |pattern, _| {
            found.push(String::from_utf8_lossy(pattern).into_owned());
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn patterns_are_found_as_a_walk_over_all_would_find_them() {
        let texts: &[&[u8]] = &[
            b"*",
            b"",
            b"user:*",
            b"user:1:*",
            b"user:1:?",
            b"us[e]r:*",
            b"u\\ser:1:a",
            b"user:1:a",
            b"*:a",
            b"news",
            b"[",
            b"user:1:a*",
        ];
        let mut patterns = Patterns::default();
        for text in texts {
            patterns.add(&Arc::from(*text), WorkerId(0));
        }
        assert_eq!(patterns.count(), texts.len());
        for channel in [&b"user:1:a"[..], b"user:1:", b"user:", b"news", b"", b"n", b"[", b"x:a"] {
            let mut expected: Vec<String> = texts
                .iter()
                .filter(|text| glob_matches(text, channel, Case::Exact))
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect();
            expected.sort_unstable();
            assert_eq!(matches(&patterns, channel), expected, "{}", channel.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_is_forgotten_with_its_last_subscriber() {
        let mut patterns = Patterns::default();
        let pattern: Arc<[u8]> = Arc::from(&b"a*"[..]);
        patterns.add(&pattern, WorkerId(0));
        patterns.add(&pattern, WorkerId(1));
        assert_eq!(patterns.count(), 1);
        patterns.remove(&pattern, WorkerId(0));
        assert_eq!(matches(&patterns, b"abc"), ["a*"]);
        patterns.remove(&pattern, WorkerId(1));
        assert!(matches(&patterns, b"abc").is_empty());
        assert_eq!(patterns.count(), 0);
        assert!(patterns.by_beginning.is_empty() && patterns.lengths.is_empty());
        patterns.remove(&pattern, WorkerId(1));
    }
}
