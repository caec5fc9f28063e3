//! Lists.
//!
//! A small list is one [`PackedList`]; a big one is a [`Quicklist`]: a queue of packed lists. Which one is
//! Redis's decision: by the size that a listpack of the same elements would have, checked before elements
//! are added, and against half of it after some were removed. The owner says when
//! ([`List::prepare`], [`List::settle`]), since Redis does not do it everywhere.

use std::ops::{ControlFlow, Range};

use darter_structures::{Defragmentation, Item, PackedList, PackedOr, PackedOrMut, PackedOrRef};

use crate::element::Element;
use crate::large::Text;
use crate::limits::NodeLimit;
use crate::object::Contents;
use crate::packing::item_of;
use crate::view::{Encoding, Type};

mod quicklist;

use quicklist::Quicklist;

/// Elements in order, cheap to add and remove at both ends. One word.
#[derive(Clone, Debug, Default)]
pub struct List {
    form: PackedOr<Quicklist>,
}

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element's, `LEFT`.
    Front,
    /// The last element's, `RIGHT`.
    Back,
}

/// What a listpack has beside its entries: its header and its end. Counted for Redis's limits.
const LISTPACK_BYTES: usize = 7;

impl List {
    /// Makes a big list of a small one if it will be one with `count` more elements of `bytes` together.
    pub fn prepare(&mut self, bytes: usize, count: usize, limit: NodeLimit) {
        if let PackedOrMut::Packed(list) = self.form.as_mut()
            && limit.is_exceeded_by(
                list.used_bytes().saturating_add(LISTPACK_BYTES).saturating_add(bytes),
                list.len() + count,
            )
        {
            let list = std::mem::take(list);
            self.form = PackedOr::big(Box::new(Quicklist::of(list)));
        }
    }

    /// Makes a small list of a big one that has become small: a single packed list of at most half the
    /// limit, so that a list near the limit does not change its form all the time.
    pub fn settle(&mut self, limit: NodeLimit) {
        if let PackedOrMut::Big(list) = self.form.as_mut()
            && let Some(only) = list.only_packed()
            && !limit.halved().is_exceeded_by(only.used_bytes() + LISTPACK_BYTES, only.len())
        {
            let only = std::mem::take(only);
            self.form = PackedOr::packed(only);
        }
    }

    /// Adds an element at an end. [`prepare`](Self::prepare) comes first.
    #[inline]
    pub fn push<'t>(&mut self, end: End, text: impl Into<Text<'t>>, limit: NodeLimit) {
        let text = text.into();
        match (self.form.as_mut(), end) {
            (PackedOrMut::Packed(list), End::Front) => list.push_front(item_of(text.bytes())),
            (PackedOrMut::Packed(list), End::Back) => list.push_back(item_of(text.bytes())),
            (PackedOrMut::Big(list), end) => list.push(end, text, limit),
        }
    }

    /// Adds an element before the one with this index, at most the length. [`prepare`](Self::prepare)
    /// comes first.
    pub fn insert<'t>(&mut self, index: usize, text: impl Into<Text<'t>>, limit: NodeLimit) {
        let text = text.into();
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => {
                let place = list.seek(index).unwrap_or_else(|| list.end());
                list.insert(place, item_of(text.bytes()));
            }
            PackedOrMut::Big(list) => list.insert(index, text, limit),
        }
    }

    /// Exchanges the element with this index, if there is one; whether there is.
    /// [`prepare`](Self::prepare) comes first.
    pub fn replace<'t>(
        &mut self,
        index: usize,
        text: impl Into<Text<'t>>,
        limit: NodeLimit,
    ) -> bool {
        let text = text.into();
        if index >= self.len() {
            return false;
        }
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => {
                let place = list.seek(index).expect("below the length");
                list.replace(place, item_of(text.bytes()));
            }
            PackedOrMut::Big(list) => {
                list.remove_range(index..index + 1, limit);
                list.insert(index, text, limit);
            }
        }
        true
    }

    /// Removes the elements of a range, which must be within the list.
    pub fn remove_range(&mut self, range: Range<usize>, limit: NodeLimit) {
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => {
                if let Some(place) = list.seek(range.start) {
                    list.remove_range(place, range.len());
                }
            }
            PackedOrMut::Big(list) => list.remove_range(range, limit),
        }
    }

    /// Removes up to `count` elements equal to `bytes`, those nearest to `end`; how many. O(n).
    pub fn remove_equal(&mut self, end: End, bytes: &[u8], count: usize) -> usize {
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => remove_equal(list, end, item_of(bytes), count),
            PackedOrMut::Big(list) => list.remove_equal(end, item_of(bytes), count),
        }
    }

    /// Removes every element.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether it is in its small form.
    pub fn is_packed(&self) -> bool {
        self.form.is_packed()
    }

    /// An empty list in the big form for a copy of one that has it; `None` for the small form.
    pub(crate) fn emptied(&self) -> Option<Self> {
        let PackedOrRef::Big(_) = self.form.as_ref() else { return None };
        Some(Self { form: PackedOr::big(Box::default()) })
    }

    /// Copies up to `count` nodes from the node `from` on to the end of `copy`, made by
    /// [`emptied`](Self::emptied); the node to go on with.
    pub(crate) fn copy_nodes(&self, from: usize, count: usize, copy: &mut Self) -> usize {
        match (self.form.as_ref(), copy.form.as_mut()) {
            (PackedOrRef::Big(list), PackedOrMut::Big(copy)) => list.copy_nodes(from, count, copy),
            _ => from,
        }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => list.len(),
            PackedOrRef::Big(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element with this index. Small lists and the ends of big ones take no search to speak of; the
    /// middle of a big one costs some nanoseconds per node of 8 KiB before it.
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                list.seek(index).map(|place| Element::Packed(list.get(place)))
            }
            PackedOrRef::Big(list) => list.get(index),
        }
    }

    /// The element at an end.
    pub fn at_end(&self, end: End) -> Option<Element<'_>> {
        match end {
            End::Front => self.get(0),
            End::Back => self.get(self.len().checked_sub(1)?),
        }
    }

    /// Visits elements from the one with index `from` on, away from `end`, until told to stop.
    #[inline]
    pub fn walk<'l>(
        &'l self,
        end: End,
        from: usize,
        mut visit: impl FnMut(Element<'l>) -> ControlFlow<()>,
    ) {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => {
                let _ = walk(list, end, from, &mut |item| visit(Element::Packed(item)));
            }
            PackedOrRef::Big(list) => list.walk(end, from, visit),
        }
    }

    /// Visits every element, in order.
    pub fn for_each<'l>(&'l self, mut visit: impl FnMut(Element<'l>)) {
        self.walk(End::Front, 0, |element| {
            visit(element);
            ControlFlow::Continue(())
        });
    }

    /// Panics if the list contradicts itself. O(n).
    pub fn check_invariants(&self) {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => list.check_invariants(),
            PackedOrRef::Big(list) => list.check_invariants(),
        }
    }
}

impl Contents for List {
    fn value_type(&self) -> Type {
        Type::List
    }

    fn encoding(&self) -> Encoding {
        if self.form.is_packed() { Encoding::Listpack } else { Encoding::Quicklist }
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match self.form.as_ref() {
            PackedOrRef::Packed(list) => list.heap_bytes(),
            PackedOrRef::Big(list) => list.heap_bytes(),
        }
    }

    fn is_slow_to_drop(&self) -> bool {
        match self.form.as_ref() {
            PackedOrRef::Packed(_) => false,
            PackedOrRef::Big(list) => list.is_slow_to_drop(),
        }
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        match self.form.as_mut() {
            PackedOrMut::Packed(list) => list.defragment(defragmentation),
            PackedOrMut::Big(list) => list.defragment(defragmentation),
        }
    }

    fn drop_slice(&mut self) -> bool {
        match self.form.as_mut() {
            PackedOrMut::Packed(_) => false,
            PackedOrMut::Big(list) => list.drop_slice(),
        }
    }
}

/// Visits the entries of a packed list from the one with index `from` on, away from `end`.
#[inline]
fn walk<'l>(
    list: &'l PackedList,
    end: End,
    from: usize,
    visit: &mut impl FnMut(Item<'l>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(mut place) = list.seek(from) else { return ControlFlow::Continue(()) };
    match end {
        End::Front => list.iter_from(place).try_for_each(visit),
        End::Back => loop {
            visit(list.get(place))?;
            match list.previous(place) {
                Some(before) => place = before,
                None => return ControlFlow::Continue(()),
            }
        },
    }
}

/// Removes up to `count` entries equal to `item`, those nearest to `end`; how many.
fn remove_equal(list: &mut PackedList, end: End, item: Item<'_>, count: usize) -> usize {
    let equal = list.iter().filter(|own| *own == item).count();
    let removed = equal.min(count);
    if removed == 0 {
        return 0;
    }
    // Which of the equal ones stay: those before, or those from `removed` on.
    let (first, last) = match end {
        End::Front => (0, removed),
        End::Back => (equal - removed, equal),
    };
    let mut seen = 0;
    let stays = |own: &Item<'_>| {
        if *own != item {
            return true;
        }
        seen += 1;
        !(first < seen && seen <= last)
    };
    *list = list.iter().filter(stays).collect();
    removed
}

#[cfg(test)]
mod tests;
