//! Big hashes: a table of fields.
//!
//! ```text
//!  FieldTable ──► Table ──► word ──► Block: field, value inline or Large, deadline
//! ```
//!
//! A field is the block that the keyspace keeps a key in: name, value and deadline in one allocation, with
//! integers as integers, and long values behind a pointer that replies can share. The table finds expired
//! fields as it finds expired keys.

use std::mem;

use darter_structures::defragmentation::PARTS_PER_VISIT;
use darter_structures::{
    Block, BlockRef, BlockValue, Deadline, Defragmentation, Drain, Item, KeyHasher, Kind, Layout,
    Marks, Payload, PayloadRef, Position, Table, Word, WordMut, WordRef, good_size,
};

use super::{FieldExpiry, FieldRef, FieldRemoval, FieldValue, PreviousField};
use crate::element::Element;
use crate::integer::{IntegerText, from_canonical_text};
use crate::large::{LargeString, Text};
use crate::packing::bytes_of;

type Field = Block<LargeString>;

/// Fields above which dropping takes long enough to be noticed by others.
const QUICK_DROP_FIELDS_MAX: usize = 512;

/// Expired fields met before looking for a random one is given up.
const RANDOM_TRIES: u64 = 100;

#[derive(Debug)]
pub(super) enum FieldTable {
    /// As it serves.
    Whole(Table<Field>, Hand),
    /// While it is being dropped.
    Drained(Drain<Field>),
}

/// Where the expiry hand of this table stands: a hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hand(u64);

impl FieldTable {
    pub(super) fn new(hasher: &KeyHasher) -> Self {
        Self::Whole(Table::new(hasher.clone()), Hand::default())
    }

    /// Adds a field that is known to be absent.
    pub(super) fn add(&mut self, field: FieldRef<'_>) {
        let mut text = IntegerText::new();
        let name = bytes_of(field.name, &mut text);
        let payload = match field.value {
            Element::Packed(Item::Bytes(bytes)) => payload_of_text(bytes.into()),
            Element::Packed(Item::Integer(integer)) => Payload::Integer(integer),
            Element::Large(string) => Payload::Value(string.clone()),
        };
        let block = Block::new(name, payload, field.deadline);
        let table = self.table_mut();
        let hash = table.hasher().hash(name);
        table.insert(hash, block, Marks::NONE);
    }

    pub(super) fn set(
        &mut self,
        field: &[u8],
        value: Text<'_>,
        expiry: FieldExpiry,
        now_ms: i64,
    ) -> PreviousField {
        let table = self.table_mut();
        let hash = table.hasher().hash(field);
        let payload = payload_of(value);
        let Some(found) = table.lookup(hash, field) else {
            let deadline = match expiry {
                FieldExpiry::At(deadline) => Some(deadline),
                FieldExpiry::Clear | FieldExpiry::Keep => None,
            };
            table.insert(hash, Block::new(field, payload, deadline), Marks::NONE);
            return PreviousField::Absent;
        };
        let position = found.position;
        let old_deadline = found.view.deadline();
        let is_expired = old_deadline.is_some_and(|deadline| deadline.is_due(now_ms));
        let deadline = match expiry {
            FieldExpiry::Clear => None,
            FieldExpiry::Keep => old_deadline.filter(|_| !is_expired),
            FieldExpiry::At(deadline) => Some(deadline),
        };
        table.update(position, |block| block.replace(payload, deadline));
        if is_expired { PreviousField::Expired } else { PreviousField::Present }
    }

    pub(super) fn remove(&mut self, field: &[u8], now_ms: i64) -> bool {
        let Some(position) = self.find(field, now_ms) else { return false };
        self.table_mut().remove(position);
        true
    }

    pub(super) fn set_deadline(
        &mut self,
        field: &[u8],
        deadline: Option<Deadline>,
        now_ms: i64,
    ) -> bool {
        let Some(position) = self.find(field, now_ms) else { return false };
        self.table_mut().update(position, |block| (block.with_deadline(deadline), ()));
        true
    }

    pub(super) fn expire_slice(
        &mut self,
        now_ms: i64,
        budget: usize,
        mut tell: impl FnMut(&[u8]),
    ) -> FieldRemoval {
        let Self::Whole(table, hand) = self else { return FieldRemoval::default() };
        let mut removed = 0;
        table.expire_slice(&mut hand.0, now_ms, budget, |block| {
            tell(block.view().key());
            removed += 1;
            None
        });
        FieldRemoval { fields: removed, midway: hand.0 != 0 }
    }

    #[inline]
    pub(super) fn get(&self, field: &[u8], now_ms: i64) -> Option<FieldValue<'_>> {
        let table = self.table();
        let found = table.lookup(table.hasher().hash(field), field)?;
        let FieldRef { value, deadline, .. } = visible(found.view, now_ms)?;
        Some(FieldValue { value, deadline })
    }

    pub(super) fn len(&self) -> usize {
        self.table().len()
    }

    pub(super) fn random(&self, random: u64, now_ms: i64) -> Option<FieldRef<'_>> {
        let table = self.table();
        (0..RANDOM_TRIES).find_map(|step| {
            let position = table.random(random.wrapping_add(step))?;
            visible(table.view(position), now_ms)
        })
    }

    pub(super) fn for_each_slice<'t>(
        &'t self,
        boundary: u64,
        now_ms: i64,
        visit: &mut impl FnMut(FieldRef<'t>),
    ) -> Option<u64> {
        self.table().for_each_slice(boundary, |view| {
            if let Some(field) = visible(view, now_ms) {
                visit(field);
            }
        })
    }

    pub(super) fn scan<'t>(
        &'t self,
        cursor: u64,
        count: usize,
        now_ms: i64,
        mut visit: impl FnMut(FieldRef<'t>),
    ) -> u64 {
        self.table().scan(cursor, count, |view| {
            if let Some(field) = visible(view, now_ms) {
                visit(field);
            }
        })
    }

    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        let table = self.table();
        if table.deadlines_len() == 0 {
            // The bound would stay until the hand comes by.
            return None;
        }
        Deadline::new(table.next_deadline_ms()?).ok()
    }

    #[inline]
    pub(super) fn holds_deadlines(&self) -> bool {
        self.table().deadlines_len() > 0
    }

    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        let bytes = match self {
            Self::Whole(table, _) => table.bytes(),
            Self::Drained(drain) => drain.bytes(),
        };
        good_size(size_of::<Self>()) + bytes
    }

    pub(super) fn is_slow_to_drop(&self) -> bool {
        match self {
            Self::Whole(table, _) => {
                table.len() > QUICK_DROP_FIELDS_MAX
                    || table.bytes() > crate::large::QUICK_DROP_BYTES_MAX
            }
            Self::Drained(_) => true,
        }
    }

    pub(super) fn drop_slice(&mut self) -> bool {
        if let Self::Whole(table, _) = self {
            let empty = Table::new(table.hasher().clone());
            *self = Self::Drained(mem::replace(table, empty).into_drain());
        }
        match self {
            Self::Whole(..) => false,
            Self::Drained(drain) => drain.slice(drop),
        }
    }

    pub(super) fn check_invariants(&self) {
        self.table().check_invariants();
    }

    fn find(&self, field: &[u8], now_ms: i64) -> Option<Position> {
        let table = self.table();
        let found = table.lookup(table.hasher().hash(field), field)?;
        visible(found.view, now_ms).map(|_| found.position)
    }

    #[inline]
    fn table(&self) -> &Table<Field> {
        match self {
            Self::Whole(table, _) => table,
            Self::Drained(_) => unreachable!("a hash that is being dropped is used no more"),
        }
    }

    #[inline]
    fn table_mut(&mut self) -> &mut Table<Field> {
        match self {
            Self::Whole(table, _) => table,
            Self::Drained(_) => unreachable!("a hash that is being dropped is used no more"),
        }
    }
}

impl FieldTable {
    /// Moves some fields, from a random one on.
    pub(super) fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        self.table_mut().defragment_some(PARTS_PER_VISIT, defragmentation);
    }

    /// See [`Table::layout`].
    pub(super) fn layout(&self, counts_fill: bool) -> Layout {
        self.table().layout(counts_fill)
    }

    /// An empty one.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.table().hasher())
    }
}

impl Clone for FieldTable {
    /// O(fields), at once; see [`Copying`](crate::copying::Copying).
    fn clone(&self) -> Self {
        let mut clone = self.emptied();
        let mut boundary = Some(0);
        while let Some(from) = boundary {
            boundary = self.for_each_slice(from, i64::MIN, &mut |field| clone.add(field));
        }
        clone
    }
}

impl BlockValue for LargeString {
    const KINDS: &'static [Kind] = &[Kind::of::<Self>()];

    type Ref<'a> = &'a Self;
    type Mut<'a> = &'a mut Self;

    fn into_word(self) -> Word {
        Word::new(0, self)
    }

    fn from_word(word: Word) -> Self {
        word.into_value()
    }

    fn by_ref(word: WordRef<'_>) -> &Self {
        word.get()
    }

    fn by_mut(word: WordMut<'_>) -> &mut Self {
        word.get()
    }

    fn to_owned(string: &Self) -> Self {
        string.clone()
    }

    fn heap_bytes(string: &Self) -> usize {
        crate::object::Contents::heap_bytes(string)
    }

    fn is_collection(_: &Self) -> bool {
        false
    }

    fn defragment(string: &mut Self, defragmentation: &mut Defragmentation) {
        crate::object::Contents::defragment(string, defragmentation);
    }
}

/// The field, unless it has expired.
#[inline]
fn visible(view: BlockRef<'_, LargeString>, now_ms: i64) -> Option<FieldRef<'_>> {
    let deadline = view.deadline();
    if deadline.is_some_and(|deadline| deadline.is_due(now_ms)) {
        return None;
    }
    let value = match view.payload() {
        PayloadRef::Bytes(bytes) => Element::Packed(Item::Bytes(bytes)),
        PayloadRef::Integer(integer) => Element::Packed(Item::Integer(integer)),
        PayloadRef::Value(string) => Element::Large(string),
    };
    Some(FieldRef { name: Item::Bytes(view.key()), value, deadline })
}

/// A value as a block keeps it.
fn payload_of(value: Text<'_>) -> Payload<'_, LargeString> {
    match from_canonical_text(value.bytes()) {
        Some(integer) => Payload::Integer(integer),
        None => payload_of_text(value),
    }
}

fn payload_of_text(value: Text<'_>) -> Payload<'_, LargeString> {
    if value.bytes().len() > LargeString::BYTES_MIN {
        return Payload::Value(LargeString::of(value));
    }
    Payload::Bytes(value.bytes())
}
