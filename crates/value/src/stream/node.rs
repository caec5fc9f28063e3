//! Some entries of a stream in one allocation.
//!
//! ```text
//! +-------+--------------------+-------+-------+-- - -
//! | count | field names of the | entry | entry |
//! |       | first entry        |       |       |
//! +-------+--------------------+-------+-------+-- - -
//!
//! entry:  head  [delta]  [seq]  [count]  texts
//!
//! head:   bit 0     the entry is deleted
//!         bit 1     its fields are those of the first entry: only values follow
//!         bit 2     its milliseconds differ from those of the entry before
//!         bits 3-7  the delta, or 31: it follows as a number
//! delta:  bit 2 set: how many milliseconds later; then `seq` follows as a number
//!         bit 2 not set: how much greater the number within the millisecond is
//! texts:  values, or `count` times field and value
//!
//! text:   number 2 * length, then the bytes; or
//!         number 2 * n + 1, then an integer in n bytes, if the text is the one way to write it
//! number: 7 bits per byte, lowest first, the top bit set in all but the last
//! ```
//!
//! Ids count from the entry before, deleted ones included, the first from the node's own id. An entry that
//! was added with `*` and has the same two small fields as those before it takes 2 bytes and 1 per value
//! more than its values do.
//!
//! Deleting an entry sets a bit. Its bytes go with the node, when that has no entry left.

use crate::integer;
use crate::packing::item_of;
use darter_structures::{Defragmentation, Item, good_size};

use super::id::StreamId;

const DELETED: u8 = 1;
const SAME_FIELDS: u8 = 1 << 1;
const LATER: u8 = 1 << 2;
const DELTA_SHIFT: u32 = 3;
const DELTA_FOLLOWS: u8 = 31;

/// Most bytes of a number: 64 bits, 7 in each.
const NUMBER_BYTES_MAX: usize = 10;

/// See the [module](self). There is at least one entry, deleted or not.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Id of the first entry.
    pub(super) first: StreamId,
    /// Id of the last entry, deleted or not.
    pub(super) last: StreamId,
    /// Entries that are not deleted.
    pub(super) live: u32,
    /// All entries; 1 at least.
    count: u32,
    /// Where the first entry begins.
    entries_at: u32,
    /// The capacity is at most the good size of the length.
    data: Vec<u8>,
}

/// Where an entry is, and what its head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) id: StreamId,
    head: u8,
    head_at: u32,
    /// Where its texts begin, behind the count.
    texts_at: u32,
    /// Pairs of field and value.
    pub(super) fields: u32,
}

impl Spot {
    pub(super) const fn is_deleted(&self) -> bool {
        self.head & DELETED != 0
    }
}

impl Node {
    /// Longest data of a node: offsets in it have 32 bits.
    pub(super) const DATA_BYTES_MAX: usize = u32::MAX as usize / 2;

    /// A node of one entry.
    pub(super) fn new<'f>(
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Self {
        let mut data = Vec::new();
        push_number(&mut data, fields.clone().count() as u64);
        for (field, _) in fields.clone() {
            push_text(&mut data, field);
        }
        let entries_at = offset(data.len());
        let mut node = Self { first: id, last: id, live: 0, count: 0, entries_at, data };
        node.append(id, fields);
        node
    }

    /// Adds an entry, whose id is greater than all before (or that of a new node).
    pub(super) fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) {
        let mut head = 0;
        let later_ms = id.ms - self.last.ms;
        let delta = if later_ms == 0 {
            id.seq - self.last.seq
        } else {
            head |= LATER;
            later_ms
        };
        let same = self.has_fields(fields.clone().map(|(field, _)| field));
        if same {
            head |= SAME_FIELDS;
        }
        let short = u8::try_from(delta).ok().filter(|delta| *delta < DELTA_FOLLOWS);
        let len_before = self.data.len();
        push_bytes(&mut self.data, &[head | short.unwrap_or(DELTA_FOLLOWS) << DELTA_SHIFT]);
        if short.is_none() {
            push_number(&mut self.data, delta);
        }
        if later_ms > 0 {
            push_number(&mut self.data, id.seq);
        }
        if !same {
            push_number(&mut self.data, fields.clone().count() as u64);
        }
        for (field, value) in fields {
            if !same {
                push_text(&mut self.data, field);
            }
            push_text(&mut self.data, value);
        }
        debug_assert!(self.data.len() > len_before && self.data.len() <= Self::DATA_BYTES_MAX);
        self.last = id;
        self.count += 1;
        self.live += 1;
    }

    /// Whether the first entry has just these fields.
    fn has_fields<'f>(&self, fields: impl Iterator<Item = &'f [u8]>) -> bool {
        let mut reader = Reader { data: &self.data, at: 0 };
        let mut left = reader.number();
        for field in fields {
            if left == 0 || reader.text() != item_of(field) {
                return false;
            }
            left -= 1;
        }
        left == 0
    }

    /// Moves the data if `defragmentation` wants them moved.
    pub(super) fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        defragmentation.visit_bytes(&mut self.data);
    }

    /// Bytes of heap. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        good_size(self.data.capacity())
    }

    /// Length of the data in bytes.
    pub(super) fn data_len(&self) -> usize {
        self.data.len()
    }

    /// Number of entries, deleted ones included.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Every entry in order, deleted ones included.
    pub(super) fn spots(&self) -> Spots<'_> {
        let reader = Reader { data: &self.data, at: self.entries_at as usize };
        Spots { node: self, reader, before: self.first, left: self.count }
    }

    /// Where the entry `id` is, if it is there and not deleted.
    pub(super) fn find(&self, id: StreamId) -> Option<Spot> {
        let spot = self.spots().find(|spot| spot.id >= id)?;
        (spot.id == id && !spot.is_deleted()).then_some(spot)
    }

    /// Deletes the entry at `spot`, which is not deleted yet.
    pub(super) fn delete(&mut self, spot: Spot) {
        let head = &mut self.data[spot.head_at as usize];
        debug_assert_eq!(*head & DELETED, 0);
        *head |= DELETED;
        self.live -= 1;
    }

    /// Field and value of each pair of the entry at `spot`.
    pub(super) fn fields(&self, spot: Spot) -> Fields<'_> {
        let same = spot.head & SAME_FIELDS != 0;
        let mut names = Reader { data: &self.data, at: 0 };
        names.number();
        let texts = Reader { data: &self.data, at: spot.texts_at as usize };
        Fields { names: same.then_some(names), texts, left: spot.fields }
    }

    /// Number of fields of the first entry.
    fn fields_len(&self) -> u32 {
        let mut reader = Reader { data: &self.data, at: 0 };
        u32::try_from(reader.number()).expect("fields lie in the data")
    }

    pub(super) fn check_invariants(&self) {
        let spots: Vec<_> = self.spots().collect();
        assert_eq!(spots.len(), self.count as usize);
        assert_eq!(spots.first().map(|spot| spot.id), Some(self.first));
        assert_eq!(spots.last().map(|spot| spot.id), Some(self.last));
        assert!(spots.is_sorted_by(|left, right| left.id < right.id));
        let live = spots.iter().filter(|spot| !spot.is_deleted()).count();
        assert_eq!(live, self.live as usize);
        assert!(self.data.capacity() <= good_size(self.data.len()));
        for spot in spots {
            assert_eq!(self.fields(spot).count(), spot.fields as usize);
        }
    }
}

/// See [`Node::spots`].
#[derive(Clone, Debug)]
pub(super) struct Spots<'a> {
    node: &'a Node,
    reader: Reader<'a>,
    before: StreamId,
    left: u32,
}

impl Iterator for Spots<'_> {
    type Item = Spot;

    fn next(&mut self) -> Option<Spot> {
        self.left = self.left.checked_sub(1)?;
        let reader = &mut self.reader;
        let head_at = offset(reader.at);
        let head = reader.byte();
        let delta = match head >> DELTA_SHIFT {
            DELTA_FOLLOWS => reader.number(),
            short => u64::from(short),
        };
        let id = if head & LATER == 0 {
            StreamId::new(self.before.ms, self.before.seq + delta)
        } else {
            StreamId::new(self.before.ms + delta, reader.number())
        };
        let (fields, texts) = if head & SAME_FIELDS != 0 {
            let fields = self.node.fields_len();
            (fields, u64::from(fields))
        } else {
            let fields = reader.number();
            (u32::try_from(fields).expect("fields lie in the data"), fields * 2)
        };
        let texts_at = offset(reader.at);
        for _ in 0..texts {
            reader.skip_text();
        }
        self.before = id;
        Some(Spot { id, head, head_at, texts_at, fields })
    }
}

/// The pairs of an entry.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where field names come from if not from the entry itself.
    names: Option<Reader<'a>>,
    texts: Reader<'a>,
    left: u32,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.names {
            Some(names) => names.text(),
            None => self.texts.text(),
        };
        Some((field, self.texts.text()))
    }
}

/// Reads data that was written here.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn byte(&mut self) -> u8 {
        let byte = self.data[self.at];
        self.at += 1;
        byte
    }

    #[inline]
    fn number(&mut self) -> u64 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// The head of a text: its bytes, and whether they are an integer.
    #[inline]
    fn text_bytes(&mut self) -> (&'a [u8], bool) {
        let head = self.number();
        let len = usize::try_from(head >> 1).expect("texts lie in the data");
        let bytes = &self.data[self.at..self.at + len];
        self.at += len;
        (bytes, head & 1 != 0)
    }

    #[inline]
    fn text(&mut self) -> Item<'a> {
        let (bytes, is_integer) = self.text_bytes();
        if !is_integer {
            return Item::Bytes(bytes);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut widened = [if negative { 0xff } else { 0 }; 8];
        widened[..bytes.len()].copy_from_slice(bytes);
        Item::Integer(i64::from_le_bytes(widened))
    }

    #[inline]
    fn skip_text(&mut self) {
        self.text_bytes();
    }
}

/// Adds bytes, growing to the good size of what is there then. A `Vec` by itself would double, and an
/// allocator leaves a block where it is that is cut down to more than half.
fn push_bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    let len = data.len() + bytes.len();
    if data.capacity() < len {
        data.reserve_exact(good_size(len) - data.len());
    }
    data.extend_from_slice(bytes);
}

fn push_number(data: &mut Vec<u8>, mut number: u64) {
    let mut bytes = [0; NUMBER_BYTES_MAX];
    let mut len = 0;
    while number >= 0x80 {
        bytes[len] = 0x80 | number.to_le_bytes()[0];
        number >>= 7;
        len += 1;
    }
    bytes[len] = number.to_le_bytes()[0];
    push_bytes(data, &bytes[..=len]);
}

fn push_text(data: &mut Vec<u8>, text: &[u8]) {
    let Some(integer) = integer::from_canonical_text(text) else {
        push_number(data, 2 * text.len() as u64);
        push_bytes(data, text);
        return;
    };
    // Bits that the sign bit does not repeat, and one for the sign.
    let bits = 65 - (integer ^ (integer >> 63)).leading_zeros();
    let bytes = if integer == 0 { 0 } else { bits.div_ceil(8) };
    push_number(data, u64::from(2 * bytes + 1));
    push_bytes(data, &integer.to_le_bytes()[..bytes as usize]);
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the data of a node is limited")
}
