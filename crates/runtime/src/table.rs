//! A table whose positions are reused and whose keys are not.

/// A position together with how often it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) position: u32,
    pub(crate) generation: u32,
}

/// Values by [`Key`]: O(1) insert, look-up and removal. Values are boxed: the table itself stays 16
/// bytes a position and growing it moves no value.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    /// Positions without a value.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Of the value here, or of the next one to come.
    generation: u32,
    value: Option<Box<T>>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The key the next [`Table::insert`] will use.
    pub(crate) fn next_key(&mut self) -> Key {
        if self.free.is_empty() {
            let position = u32::try_from(self.slots.len()).expect("fewer than 2^32 connections");
            self.slots.push(Slot { generation: 0, value: None });
            self.free.push(position);
        }
        let position = self.free[self.free.len() - 1];
        Key { position, generation: self.slots[position as usize].generation }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let key = self.next_key();
        self.free.pop();
        self.slots[key.position as usize].value = Some(Box::new(value));
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.position as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.position);
        Some(*value)
    }

    /// Takes a value out for a while: its key is that of nothing until [`Table::give_back`].
    pub(crate) fn lend(&mut self, key: Key) -> Option<Box<T>> {
        let slot = self.slots.get_mut(key.position as usize)?;
        if slot.generation == key.generation { slot.value.take() } else { None }
    }

    /// Puts a value back that was lent.
    pub(crate) fn give_back(&mut self, key: Key, value: Box<T>) {
        let slot = &mut self.slots[key.position as usize];
        assert!(
            slot.value.is_none() && slot.generation == key.generation,
            "the position of a lent value is kept free"
        );
        slot.value = Some(value);
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.position as usize)?;
        if slot.generation == key.generation { slot.value.as_deref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.position as usize)?;
        if slot.generation == key.generation { slot.value.as_deref_mut() } else { None }
    }

    /// The key of whatever value is at `position`.
    pub(crate) fn key_at(&self, position: usize) -> Option<Key> {
        let slot = self.slots.get(position)?;
        slot.value.as_ref()?;
        let position = u32::try_from(position).ok()?;
        Some(Key { position, generation: slot.generation })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().zip(0..).filter_map(|(slot, position)| {
            let key = Key { position, generation: slot.generation };
            slot.value.as_deref().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_value_without_naming_the_next_one() {
        let mut table = Table::new();
        let expected = table.next_key();
        let first = table.insert("first");
        assert_eq!(first, expected);
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_eq!(second.position, first.position);
        assert_eq!(table.get(first), None);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&"second"));
        assert_eq!(table.key_at(0), Some(second));
        assert_eq!(table.count(), 1);
    }

    #[test]
    fn a_lent_value_keeps_its_key() {
        let mut table = Table::new();
        let key = table.insert(1);
        let value = table.lend(key).unwrap();
        assert_eq!((table.get(key), table.key_at(0)), (None, None));
        assert!(table.lend(key).is_none());
        assert_eq!(table.remove(key), None);
        assert_ne!(table.insert(2).position, key.position);
        table.give_back(key, value);
        assert_eq!(table.remove(key), Some(1));
    }

    #[test]
    fn iteration_skips_positions_without_a_value() {
        let mut table = Table::new();
        let keys: Vec<Key> = (0..5).map(|number| table.insert(number)).collect();
        table.remove(keys[1]);
        table.remove(keys[4]);
        assert_eq!(table.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(table.count(), 3);
        assert_eq!(table.key_at(1), None);
        assert_eq!(table.key_at(9), None);
    }
}
