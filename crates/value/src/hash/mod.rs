//! Hashes.
//!
//! A small hash is one [`ForwardList`] of field, value, field, value ...; a big one, or one with a field that
//! expires, is a [`FieldTable`]. It never becomes small again, as in Redis and Valkey. Expired fields are
//! invisible to everything but [`Hash::len`], as in Valkey, until the shard's expiry hand removes them.

use darter_structures::{
    Deadline, Defragmentation, ForwardList, Item, KeyHasher, Layout, PackedOr, PackedOrMut,
    PackedOrRef,
};

use crate::element::Element;
use crate::large::Text;
use crate::limits::PackedLimits;
use crate::object::Contents;
use crate::packing::item_of;
use crate::view::{Encoding, Type};

mod fields;

use fields::FieldTable;

/// Fields with a value each. One word.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    form: PackedOr<FieldTable, false>,
}

/// What whoever adds fields must know: from which size on a hash is a table, and how that hashes.
#[derive(Clone, Copy, Debug)]
pub struct HashGrowth<'a> {
    /// `hash-max-listpack-entries`, `hash-max-listpack-value`.
    pub limits: PackedLimits,
    /// The hasher of the process.
    pub hasher: &'a KeyHasher,
}

/// What setting a value does to the field's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldExpiry {
    /// There is none afterwards.
    Clear,
    /// It stays.
    Keep,
    /// This is the new one.
    At(Deadline),
}

/// What was there before a field was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousField {
    /// Nothing.
    Absent,
    /// Nothing any more: it had expired.
    Expired,
    /// A value, now replaced.
    Present,
}

/// What removing expired fields in slices has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldRemoval {
    /// Fields removed.
    pub fields: usize,
    /// Whether the hand is on its way through the table, so that there may be more ahead of it.
    pub midway: bool,
}

/// What a field holds, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct FieldValue<'a> {
    /// Its value.
    pub value: Element<'a>,
    /// When it expires.
    pub deadline: Option<Deadline>,
}

/// A field, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct FieldRef<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires.
    pub deadline: Option<Deadline>,
}

/// Field and value.
const PAIR: usize = 2;

impl Hash {
    /// Makes a table of a small hash if one of `texts`, fields and values about to be set, is too long for
    /// it, or if there are too many of them.
    pub fn prepare<'t>(
        &mut self,
        texts: impl ExactSizeIterator<Item = &'t [u8]>,
        growth: HashGrowth<'_>,
    ) {
        let PackedOrRef::Packed(list) = self.form.as_ref() else { return };
        let (limits, mut bytes) = (growth.limits, list.used_bytes());
        let too_many = texts.len() / PAIR > limits.entries_max as usize;
        let too_long = texts.into_iter().any(|text| {
            bytes = bytes.saturating_add(text.len()).saturating_add(ENTRY_OVERHEAD_BYTES);
            text.len() > limits.value_bytes_max as usize || bytes > ForwardList::BYTES_MAX
        });
        if too_many || too_long {
            self.make_table(growth.hasher);
        }
    }

    /// Sets a field. O(1) for tables, O(fields) for small hashes.
    pub fn set<'v>(
        &mut self,
        field: &[u8],
        value: impl Into<Text<'v>>,
        expiry: FieldExpiry,
        now_ms: i64,
        growth: HashGrowth<'_>,
    ) -> PreviousField {
        let value = value.into();
        let (limits, value_bytes) = (growth.limits, value.bytes().len());
        let longest = field.len().max(value_bytes);
        if let PackedOrRef::Packed(list) = self.form.as_ref()
            && (matches!(expiry, FieldExpiry::At(_))
                || longest > limits.value_bytes_max as usize
                || !list.has_room(field.len() + value_bytes + 2 * ENTRY_OVERHEAD_BYTES))
        {
            self.make_table(growth.hasher);
        }
        let previous = match self.form.as_mut() {
            PackedOrMut::Packed(list) => set_packed(list, field, value.bytes()),
            PackedOrMut::Big(table) => return table.set(field, value, expiry, now_ms),
        };
        if self.len() > limits.entries_max as usize {
            self.make_table(growth.hasher);
        }
        previous
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8], now_ms: i64) -> bool {
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => {
                let found = list.find(item_of(field), PAIR);
                if let Some(place) = found {
                    list.remove_range(place, PAIR);
                }
                found.is_some()
            }
            PackedOrMut::Big(table) => table.remove(field, now_ms),
        }
    }

    /// Sets or clears the deadline of a field; whether the field is there.
    pub fn set_deadline(
        &mut self,
        field: &[u8],
        deadline: Option<Deadline>,
        now_ms: i64,
        hasher: &KeyHasher,
    ) -> bool {
        if self.form.is_packed() {
            if self.get(field, now_ms).is_none() || deadline.is_none() {
                return self.get(field, now_ms).is_some();
            }
            self.make_table(hasher);
        }
        match self.form.as_mut() {
            PackedOrMut::Packed(_) => false,
            PackedOrMut::Big(table) => table.set_deadline(field, deadline, now_ms),
        }
    }

    /// Removes expired fields, opening at most `budget` segments of the table, and names each to `tell`.
    pub fn expire_slice(
        &mut self,
        now_ms: i64,
        budget: usize,
        tell: impl FnMut(&[u8]),
    ) -> FieldRemoval {
        match self.form.as_mut() {
            PackedOrMut::Packed(_) => FieldRemoval::default(),
            PackedOrMut::Big(table) => table.expire_slice(now_ms, budget, tell),
        }
    }

    /// A field that has not expired.
    #[inline]
    pub fn get(&self, field: &[u8], now_ms: i64) -> Option<FieldValue<'_>> {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                let place = list.next(list.find(item_of(field), PAIR)?);
                Some(FieldValue { value: Element::Packed(list.get(place)), deadline: None })
            }
            PackedOrRef::Big(table) => table.get(field, now_ms),
        }
    }

    /// Whether there is such a field that has not expired.
    pub fn contains(&self, field: &[u8], now_ms: i64) -> bool {
        self.get(field, now_ms).is_some()
    }

    /// Number of fields, expired ones included that have not been removed yet.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => list.len() / PAIR,
            PackedOrRef::Big(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the table of a big hash is laid out; see [`Table::layout`](darter_structures::Table::layout).
    pub fn table_layout(&self, counts_fill: bool) -> Option<Layout> {
        match self.form.as_ref() {
            PackedOrRef::Packed(_) => None,
            PackedOrRef::Big(table) => Some(table.layout(counts_fill)),
        }
    }

    /// Whether fields can be addressed by index at no great cost: [`nth`](Self::nth).
    pub fn is_packed(&self) -> bool {
        self.form.is_packed()
    }

    /// The field with this index of a small hash; `None` past the end, or if it is a table.
    pub fn nth(&self, index: usize) -> Option<FieldRef<'_>> {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                let place = list.seek(index * PAIR)?;
                let value = Element::Packed(list.get(list.next(place)));
                Some(FieldRef { name: list.get(place), value, deadline: None })
            }
            PackedOrRef::Big(_) => None,
        }
    }

    /// Some field that has not expired, each about as likely as any other, chosen by `random`; `None` if
    /// none was met in some tries.
    pub fn random(&self, random: u64, now_ms: i64) -> Option<FieldRef<'_>> {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                let len = (list.len() / PAIR) as u128;
                let index = (u128::from(random) * len) >> 64;
                self.nth(usize::try_from(index).ok()?)
            }
            PackedOrRef::Big(table) => table.random(random, now_ms),
        }
    }

    /// Visits every field that has not expired.
    pub fn for_each<'h>(&'h self, now_ms: i64, mut visit: impl FnMut(FieldRef<'h>)) {
        let mut boundary = Some(0);
        while let Some(from) = boundary {
            boundary = self.for_each_slice(from, now_ms, &mut visit);
        }
    }

    /// Visits the next few hundred fields that have not expired (all of a small hash) and returns where to go
    /// on, `None` at the end; begin with 0. Each field that is there throughout is visited once.
    pub fn for_each_slice<'h>(
        &'h self,
        boundary: u64,
        now_ms: i64,
        mut visit: impl FnMut(FieldRef<'h>),
    ) -> Option<u64> {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                for_each_pair(list, visit);
                None
            }
            PackedOrRef::Big(table) => table.for_each_slice(boundary, now_ms, &mut visit),
        }
    }

    /// One step of a scan: see the table's. A small hash is visited whole.
    pub fn scan<'h>(
        &'h self,
        cursor: u64,
        count: usize,
        now_ms: i64,
        visit: impl FnMut(FieldRef<'h>),
    ) -> u64 {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                for_each_pair(list, visit);
                0
            }
            PackedOrRef::Big(table) => table.scan(cursor, count, now_ms, visit),
        }
    }

    /// When a field may expire next: nothing expires before. `None` if no field has a deadline.
    #[inline]
    pub fn next_deadline(&self) -> Option<Deadline> {
        match self.form.as_ref() {
            PackedOrRef::Packed(_) => None,
            PackedOrRef::Big(table) => table.next_deadline(),
        }
    }

    /// Whether some field has a deadline, passed or not.
    #[inline]
    pub fn holds_deadlines(&self) -> bool {
        match self.form.as_ref() {
            PackedOrRef::Packed(_) => false,
            PackedOrRef::Big(table) => table.holds_deadlines(),
        }
    }

    /// An empty table for a copy of a hash that is one; `None` for the compact form.
    pub(crate) fn emptied(&self) -> Option<Self> {
        let PackedOrRef::Big(table) = self.form.as_ref() else { return None };
        Some(Self { form: PackedOr::big(Box::new(table.emptied())) })
    }

    /// Copies the next few hundred fields of a table into `copy`, made by [`emptied`](Self::emptied), and returns
    /// where to go on.
    pub(crate) fn copy_slice(&self, boundary: u64, copy: &mut Self) -> Option<u64> {
        let (PackedOrRef::Big(table), PackedOrMut::Big(copy)) =
            (self.form.as_ref(), copy.form.as_mut())
        else {
            return None;
        };
        table.for_each_slice(boundary, i64::MIN, &mut |field| copy.add(field))
    }

    /// Panics if the hash contradicts itself. O(n).
    pub fn check_invariants(&self) {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                list.check_invariants();
                assert!(list.len().is_multiple_of(PAIR));
            }
            PackedOrRef::Big(table) => table.check_invariants(),
        }
    }

    fn make_table(&mut self, hasher: &KeyHasher) {
        if let PackedOrRef::Packed(list) = self.form.as_ref() {
            let mut table = FieldTable::new(hasher);
            for_each_pair(list, |field| table.add(field));
            self.form = PackedOr::big(Box::new(table));
        }
    }
}

/// Most bytes an entry has beside its text.
const ENTRY_OVERHEAD_BYTES: usize = 10;

fn for_each_pair<'l>(list: &'l ForwardList, mut visit: impl FnMut(FieldRef<'l>)) {
    let mut items = list.iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        visit(FieldRef { name, value: Element::Packed(value), deadline: None });
    }
}

fn set_packed(list: &mut ForwardList, field: &[u8], value: &[u8]) -> PreviousField {
    let name = item_of(field);
    if let Some(place) = list.find(name, PAIR) {
        list.replace(list.next(place), item_of(value));
        return PreviousField::Present;
    }
    list.push_back_pair(name, item_of(value));
    PreviousField::Absent
}

impl Contents for Hash {
    fn value_type(&self) -> Type {
        Type::Hash
    }

    fn encoding(&self) -> Encoding {
        if self.form.is_packed() { Encoding::Listpack } else { Encoding::Hashtable }
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => list.heap_bytes(),
            PackedOrRef::Big(table) => table.heap_bytes(),
        }
    }

    fn is_slow_to_drop(&self) -> bool {
        match self.form.as_ref() {
            PackedOrRef::Packed(_) => false,
            PackedOrRef::Big(table) => table.is_slow_to_drop(),
        }
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => list.defragment(defragmentation),
            PackedOrMut::Big(table) => table.defragment(defragmentation),
        }
    }

    fn drop_slice(&mut self) -> bool {
        match self.form.as_mut() {
            PackedOrMut::Packed(_) => false,
            PackedOrMut::Big(table) => table.drop_slice(),
        }
    }
}

#[cfg(test)]
mod tests;
