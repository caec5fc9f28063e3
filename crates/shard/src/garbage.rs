//! Memory to be freed later, in slices.
//!
//! Freeing a big value or a whole database takes milliseconds to seconds, and whoever drops the last
//! reference pays. So DEL, SET over a value, expiry, RENAME over a value and FLUSHALL all only unlink
//! it and leave it here, and the shard's home worker frees a little at a time.

use std::collections::VecDeque;

use darter_structures::{Block, Drain, PayloadRef, good_size};
use darter_value::Object;

use crate::shard::Table;

/// What is to be freed, oldest first. Allocates nothing while there is none.
#[derive(Debug, Default)]
pub(crate) struct Garbage {
    objects: VecDeque<Object>,
    tables: VecDeque<Drain<Block<Object>>>,
    /// Good sizes of all `objects`.
    object_bytes: usize,
    /// Values ever kept here.
    kept: u64,
    /// Values freed of those. `freed_ever + objects.len() = kept`.
    freed_ever: u64,
    /// `kept` when a flushed table last left values here: these are gone when so many are freed. `flushed <= kept`.
    flushed: u64,
    /// Values freed here since the last time somebody asked.
    freed: u64,
}

impl Garbage {
    /// Drops a value, or keeps it to be dropped later if that takes long.
    #[inline]
    pub(crate) fn discard_value(&mut self, value: Option<Object>) {
        if let Some(object) = value
            && object.view().is_slow_to_drop()
        {
            self.object_bytes += bytes_of(&object);
            self.objects.push_back(object);
            self.kept += 1;
        }
    }

    /// Drops a block, or keeps its value to be dropped later if that takes long.
    #[inline]
    pub(crate) fn discard_block(&mut self, block: Block<Object>) {
        if let PayloadRef::Value(object) = block.view().payload()
            && object.is_slow_to_drop()
        {
            self.discard_value(block.into_value());
        }
    }

    /// Keeps a table to be dropped later, unless it is small.
    pub(crate) fn discard_table(&mut self, table: Table) {
        let is_small = table.segments_len() <= 1;
        let mut drain = table.into_drain();
        if is_small {
            while drain.slice(|block| self.discard_block(block)) {}
            self.flushed = self.kept;
        } else {
            self.tables.push_back(drain);
        }
    }

    /// Frees up to `budget` pieces, each of which takes some ten to some hundred microseconds; whether there is more.
    pub(crate) fn collect(&mut self, budget: usize) -> bool {
        for _ in 0..budget {
            if !self.collect_piece() {
                return false;
            }
        }
        !self.is_empty()
    }

    /// How many values were freed since the last call.
    pub(crate) const fn take_freed(&mut self) -> u64 {
        std::mem::replace(&mut self.freed, 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.tables.is_empty()
    }

    /// Whether there is something of a flushed table yet.
    pub(crate) fn has_flushed(&self) -> bool {
        !self.tables.is_empty() || self.freed_ever < self.flushed
    }

    /// Values, and databases each as one.
    pub(crate) fn len(&self) -> usize {
        self.objects.len() + self.tables.len()
    }

    /// Bytes of heap, in good sizes. O(flushed databases).
    pub(crate) fn bytes(&self) -> usize {
        let queue_bytes = |capacity: usize, element: usize| match capacity {
            0 => 0,
            capacity => good_size(capacity * element),
        };
        queue_bytes(self.objects.capacity(), size_of::<Object>())
            + queue_bytes(self.tables.capacity(), size_of::<Drain<Block<Object>>>())
            + self.object_bytes
            + self.tables.iter().map(Drain::bytes).sum::<usize>()
    }

    /// Frees one piece; whether there was one.
    fn collect_piece(&mut self) -> bool {
        if let Some(object) = self.objects.front_mut() {
            let bytes_before = bytes_of(object);
            if object.drop_slice() {
                self.object_bytes -= bytes_before - bytes_of(object);
            } else {
                self.object_bytes -= bytes_before;
                self.objects.pop_front();
                self.freed += 1;
                self.freed_ever += 1;
                if self.objects.is_empty() {
                    self.objects = VecDeque::new();
                }
            }
            return true;
        }
        let Some(mut drain) = self.tables.pop_front() else { return false };
        let has_more = drain.slice(|block| self.discard_block(block));
        self.flushed = self.kept;
        if has_more {
            self.tables.push_front(drain);
        } else if self.tables.is_empty() {
            self.tables = VecDeque::new();
        }
        true
    }

    /// Panics if the sums are wrong. O(garbage).
    pub(crate) fn check_invariants(&self) {
        let object_bytes: usize = self.objects.iter().map(bytes_of).sum();
        assert_eq!(object_bytes, self.object_bytes);
        assert_eq!(self.freed_ever + self.objects.len() as u64, self.kept);
        assert!(self.flushed <= self.kept);
    }
}

fn bytes_of(object: &Object) -> usize {
    object.view().heap_bytes()
}
