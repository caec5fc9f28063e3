//! How a table is laid out, for those who look inside.

use super::word::{BUCKET_SLOTS, Bucket};
use super::{Entry, Table};

/// Sizes of a table, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Entries.
    pub entries: usize,
    /// Segments.
    pub segments: usize,
    /// Buckets of all segments.
    pub buckets: usize,
    /// Entries that found no room in their segment.
    pub in_overflow: usize,
    /// How many buckets have how many entries, from none to all slots; all 0 where it was not counted.
    pub fill: [usize; BUCKET_SLOTS + 1],
}

impl Layout {
    /// Entries that all buckets have room for.
    pub const fn slots(&self) -> usize {
        self.buckets * BUCKET_SLOTS
    }

    /// Adds another table.
    pub fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.segments += other.segments;
        self.buckets += other.buckets;
        self.in_overflow += other.in_overflow;
        for (sum, buckets) in self.fill.iter_mut().zip(other.fill) {
            *sum += buckets;
        }
    }
}

impl<E: Entry> Table<E> {
    /// How it is laid out. O(1) but for segments that overflow, of which there are practically none; O(buckets) if it is also
    /// to be counted how full these are.
    pub fn layout(&self, counts_fill: bool) -> Layout {
        let segments = self.directory.segments();
        let mut layout = Layout {
            entries: self.len,
            segments,
            buckets: segments * self.directory.segment_buckets(),
            in_overflow: self.overflow.len(),
            fill: [0; BUCKET_SLOTS + 1],
        };
        let mut index = if counts_fill { 0 } else { self.directory.len() };
        while index < self.directory.len() {
            for bucket in self.directory.buckets(index) {
                layout.fill[filled(bucket)] += 1;
            }
            index += self.directory.span_of(index);
        }
        layout
    }
}

fn filled(bucket: &Bucket) -> usize {
    bucket.0.iter().filter(|word| !word.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Block, Payload};
    use crate::hasher::KeyHasher;
    use crate::table::Marks;
    use std::convert::Infallible;

    type Entries = Table<Block<Infallible>>;

    #[test]
    fn every_entry_is_in_a_bucket_that_is_counted() {
        let hasher = KeyHasher::new(3);
        let mut table = Entries::new(hasher.clone());
        assert_eq!(table.layout(true), Layout::default());
        for number in 0..5000_u32 {
            let name = number.to_string();
            let block = Block::new(name.as_bytes(), Payload::Integer(1), None);
            table.insert(hasher.hash(name.as_bytes()), block, Marks::NONE);
            if number.is_power_of_two() || number == 4999 {
                let layout = table.layout(true);
                assert_eq!(layout.entries, table.len());
                assert_eq!(layout.fill.iter().sum::<usize>(), layout.buckets);
                let in_buckets = layout.fill.iter().enumerate().map(|(len, count)| len * count);
                assert_eq!(in_buckets.sum::<usize>() + layout.in_overflow, layout.entries);
                assert!(layout.slots() >= layout.entries);
            }
        }
        assert!(table.layout(false).segments > 8);
    }
}
