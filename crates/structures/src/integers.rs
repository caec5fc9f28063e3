//! A small set of integers, in ascending order.
//!
//! ```text
//!  narrow   [i16 i16 i16 ...]      every member fits 16 bits
//!  middle   [i32 i32 i32 ...]
//!  wide     [i64 i64 i64 ...]
//! ```
//!
//! Members are as wide as the widest that was ever added needs, as in Redis's `intset`: two bytes for most
//! sets, where a packed list needs three to eleven and a scan from its front instead of a binary search. The
//! set does not become narrower again: that would have to look at every member for a gain nobody notices.
//!
//! Insertion moves the members behind, O(len), so the owner bounds `len` (`set-max-intset-entries`).

use crate::size::good_size;

/// A set of integers. See the [module](self).
#[derive(Clone, Debug)]
pub struct IntegerSet {
    members: Members,
}

/// Strictly ascending; `None` of them is ever empty but at the beginning.
#[derive(Clone, Debug)]
enum Members {
    Narrow(Vec<i16>),
    Middle(Vec<i32>),
    Wide(Vec<i64>),
}

impl IntegerSet {
    /// An empty set, which allocates nothing.
    pub const fn new() -> Self {
        Self { members: Members::Narrow(Vec::new()) }
    }

    /// Adds a member; whether it was absent. O(len).
    pub fn insert(&mut self, member: i64) -> bool {
        self.widen_for(member);
        match &mut self.members {
            Members::Narrow(members) => insert(members, member),
            Members::Middle(members) => insert(members, member),
            Members::Wide(members) => insert(members, member),
        }
    }

    /// Removes a member; whether it was there. O(len).
    pub fn remove(&mut self, member: i64) -> bool {
        let found = self.find(member);
        if let Some(index) = found {
            self.remove_at(index);
        }
        found.is_some()
    }

    /// Removes and returns the member at `index` in ascending order. O(len).
    ///
    /// # Panics
    /// If there is none.
    pub fn remove_at(&mut self, index: usize) -> i64 {
        match &mut self.members {
            Members::Narrow(members) => remove_at(members, index),
            Members::Middle(members) => remove_at(members, index),
            Members::Wide(members) => remove_at(members, index),
        }
    }

    /// Whether `member` is in the set. O(log len).
    pub fn contains(&self, member: i64) -> bool {
        self.find(member).is_some()
    }

    /// The member at `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        match &self.members {
            Members::Narrow(members) => members.get(index).copied().map(i64::from),
            Members::Middle(members) => members.get(index).copied().map(i64::from),
            Members::Wide(members) => members.get(index).copied(),
        }
    }

    /// All members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + '_ {
        (0..self.len()).map(|index| self.get(index).expect("below the length"))
    }

    /// Number of members.
    pub const fn len(&self) -> usize {
        match &self.members {
            Members::Narrow(members) => members.len(),
            Members::Middle(members) => members.len(),
            Members::Wide(members) => members.len(),
        }
    }

    /// Whether there is no member.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap, in good sizes.
    pub fn heap_bytes(&self) -> usize {
        let bytes = match &self.members {
            Members::Narrow(members) => members.capacity() * 2,
            Members::Middle(members) => members.capacity() * 4,
            Members::Wide(members) => members.capacity() * 8,
        };
        if bytes == 0 { 0 } else { good_size(bytes) }
    }

    /// Panics if the set contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.iter().is_sorted_by(|left, right| left < right));
    }

    fn find(&self, member: i64) -> Option<usize> {
        match &self.members {
            Members::Narrow(members) => members.binary_search(&member.try_into().ok()?).ok(),
            Members::Middle(members) => members.binary_search(&member.try_into().ok()?).ok(),
            Members::Wide(members) => members.binary_search(&member).ok(),
        }
    }

    /// Makes all members as wide as this one needs.
    fn widen_for(&mut self, member: i64) {
        let (needs_wide, needs_middle) =
            (i32::try_from(member).is_err(), i16::try_from(member).is_err());
        let widened = match &self.members {
            Members::Narrow(members) if needs_wide => Members::Wide(widen(members)),
            Members::Middle(members) if needs_wide => Members::Wide(widen(members)),
            Members::Narrow(members) if needs_middle => Members::Middle(widen(members)),
            _ => return,
        };
        self.members = widened;
    }
}

impl Default for IntegerSet {
    fn default() -> Self {
        Self::new()
    }
}

fn widen<Narrow: Copy + Into<Wide>, Wide>(members: &[Narrow]) -> Vec<Wide> {
    members.iter().map(|member| (*member).into()).collect()
}

/// Inserts a member that fits, with room for half as many again when the buffer is full, because most sets
/// are small and keep their size.
fn insert<T: Ord + TryFrom<i64>>(members: &mut Vec<T>, member: i64) -> bool {
    let Ok(member) = T::try_from(member) else { unreachable!("widened before") };
    let Err(index) = members.binary_search(&member) else { return false };
    if members.len() == members.capacity() {
        let element_bytes = size_of::<T>();
        let wanted = (members.len() + members.len() / 2).max(members.len() + 1) * element_bytes;
        members.reserve_exact(good_size(wanted) / element_bytes - members.len());
    }
    members.insert(index, member);
    true
}

fn remove_at<T: Into<i64>>(members: &mut Vec<T>, index: usize) -> i64 {
    let member = members.remove(index).into();
    if members.len() < members.capacity() / 4 {
        members.shrink_to(members.len() * 2);
    }
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_operations_match_the_model() {
        crate::exercise::for_seeds(40, 8_000, crate::exercise::integers);
    }

    #[test]
    fn members_of_every_width_live_together() {
        let mut set = IntegerSet::new();
        assert!(set.insert(5) && !set.insert(5));
        assert_eq!(set.heap_bytes(), 8);
        for member in [i64::from(i16::MIN), 40_000, -3, i64::MAX, i64::MIN, 5_000_000_000] {
            assert!(set.insert(member) && !set.insert(member));
            set.check_invariants();
        }
        assert_eq!(set.iter().next(), Some(i64::MIN));
        assert_eq!(set.iter().next_back(), Some(i64::MAX));
        assert!(set.contains(-3) && !set.contains(-4));
        assert!(set.remove(-3) && !set.remove(-3));
        assert_eq!(set.remove_at(0), i64::MIN);
        assert_eq!(set.len(), 5);
        assert_eq!((set.get(0), set.get(5)), (Some(i64::from(i16::MIN)), None));
    }

    #[test]
    fn a_number_too_wide_for_the_set_is_absent() {
        let mut set = IntegerSet::new();
        set.insert(1);
        assert!(!set.contains(1 << 40) && !set.remove(1 << 40));
        assert!(!set.contains(65_537));
    }
}
