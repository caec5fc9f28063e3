//! Things in the order in which they were named, each once, with something about each: there may be very many.

use std::collections::BTreeMap;

/// Adding and removing one is O(log n).
#[derive(Clone, Debug)]
pub struct Listed<K, V> {
    /// By numbers that grow.
    by_number: BTreeMap<u64, (K, V)>,
    /// The number of each.
    numbers: BTreeMap<K, u64>,
}

impl<K, V> Default for Listed<K, V> {
    fn default() -> Self {
        Self { by_number: BTreeMap::new(), numbers: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V> Listed<K, V> {
    /// Adds one behind the others, which is not there.
    pub(crate) fn push(&mut self, key: K, about: V) {
        let number = self.by_number.last_key_value().map_or(0, |(number, _)| number + 1);
        let before = self.numbers.insert(key.clone(), number);
        assert!(before.is_none(), "each is there once");
        self.by_number.insert(number, (key, about));
    }

    /// Whether it is there.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.numbers.contains_key(key)
    }

    /// Removes one; whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let number = self.numbers.remove(key);
        number.is_some_and(|number| self.by_number.remove(&number).is_some())
    }

    /// The first one that is not less than `key`.
    pub(crate) fn first_from(&self, key: &K) -> Option<&K> {
        self.numbers.range(key..).next().map(|(key, _)| key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// All of them in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.by_number.values().map(|(key, about)| (key, about))
    }
}

impl<K: Ord + Clone, V: PartialEq> PartialEq for Listed<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone, V: Eq> Eq for Listed<K, V> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&'static str]) -> Listed<&'static str, usize> {
        let mut listed = Listed::default();
        for key in keys {
            listed.push(*key, key.len());
        }
        listed
    }

    #[test]
    fn what_is_removed_leaves_the_others_in_their_order() {
        let mut some = listed(&["c", "a", "b"]);
        assert_eq!(some.len(), 3);
        assert!(some.remove(&"a") && !some.remove(&"a") && !some.contains(&"a"));
        assert_eq!(some, listed(&["c", "b"]));
        assert_ne!(some, listed(&["b", "c"]));
        some.push("a", 1);
        assert_eq!(some, listed(&["c", "b", "a"]));
        assert!(some.remove(&"a"));
        some.push("d", 1);
        assert_eq!(some, listed(&["c", "b", "d"]));
        assert_eq!((some.first_from(&"ca"), some.first_from(&"e")), (Some(&"d"), None));
    }
}
