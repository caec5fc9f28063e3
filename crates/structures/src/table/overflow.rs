//! Entries that found no room in their segment although it must not grow.
//!
//! Hashes that agree in bucket and tag have only two buckets between them, so seventeen of them cannot
//! be stored; with random hashes that practically never happens, but a flood of chosen keys could be
//! made to. Splitting would not separate them and would grow the table without bound. So they go to a
//! list of their segment, searched one by one: such a flood costs its own segment time, and no memory.

use super::word::Word;
use crate::size::good_size;

/// The overflow lists of a table, by segment. Allocates nothing while there are none.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// Sorted by `first_hash`; no list is empty.
    lists: Vec<List>,
    /// Good sizes of the words of all lists.
    word_bytes: usize,
}

#[derive(Debug)]
struct List {
    /// The first hash of the segment.
    first_hash: u64,
    words: Vec<Word>,
}

impl Overflow {
    /// The list of the segment whose first hash is `first_hash`.
    pub(super) fn words(&self, first_hash: u64) -> &[Word] {
        self.place(first_hash).map_or(&[], |place| &self.lists[place].words)
    }

    /// As [`words`](Self::words), for writing.
    pub(super) fn words_mut(&mut self, first_hash: u64) -> &mut [Word] {
        match self.place(first_hash) {
            Ok(place) => &mut self.lists[place].words,
            Err(_) => &mut [],
        }
    }

    /// Adds to the list; its place there.
    pub(super) fn push(&mut self, first_hash: u64, word: Word) -> usize {
        let place = self.place(first_hash).unwrap_or_else(|place| {
            self.lists.insert(place, List { first_hash, words: Vec::new() });
            place
        });
        let words = &mut self.lists[place].words;
        self.word_bytes -= words_bytes(words);
        words.push(word);
        self.word_bytes += words_bytes(words);
        words.len() - 1
    }

    /// Removes from the list, moving its last word to the place of the removed one; whether the list
    /// is gone.
    pub(super) fn swap_remove(&mut self, first_hash: u64, at: usize) -> bool {
        let Ok(place) = self.place(first_hash) else { return true };
        let words = &mut self.lists[place].words;
        words.swap_remove(at);
        if words.is_empty() {
            self.take(first_hash);
            return true;
        }
        false
    }

    /// Removes the whole list, but for words left empty by a panic during an update.
    pub(super) fn take(&mut self, first_hash: u64) -> Vec<Word> {
        let Ok(place) = self.place(first_hash) else { return Vec::new() };
        let mut words = self.lists.remove(place).words;
        self.word_bytes -= words_bytes(&words);
        if self.lists.is_empty() {
            self.lists = Vec::new();
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// Removes some list; for taking a table apart.
    pub(super) fn pop(&mut self) -> Option<Vec<Word>> {
        let first_hash = self.lists.last()?.first_hash;
        Some(self.take(first_hash))
    }

    /// Words of all lists. O(lists).
    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.words.len()).sum()
    }

    /// Bytes of heap, in good sizes. O(1).
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        match self.lists.capacity() {
            0 => 0,
            capacity => good_size(capacity * size_of::<List>()) + self.word_bytes,
        }
    }

    /// Panics unless the lists are sorted, and each belongs to one of `first_hashes`.
    pub(super) fn check_invariants(&self, mut first_hashes: impl FnMut(u64) -> bool) {
        assert!(self.lists.is_sorted_by(|a, b| a.first_hash < b.first_hash));
        for list in &self.lists {
            assert!(!list.words.is_empty());
            assert!(first_hashes(list.first_hash), "an overflow list without its segment");
        }
        let word_bytes = self.lists.iter().map(|list| words_bytes(&list.words)).sum::<usize>();
        assert_eq!(word_bytes, self.word_bytes);
    }

    fn place(&self, first_hash: u64) -> Result<usize, usize> {
        self.lists.binary_search_by_key(&first_hash, |list| list.first_hash)
    }
}

fn words_bytes(words: &Vec<Word>) -> usize {
    if words.capacity() == 0 { 0 } else { good_size(words.capacity() * size_of::<Word>()) }
}
