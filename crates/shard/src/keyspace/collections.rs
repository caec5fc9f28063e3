//! Collections by their type.
//!
//! A handler asks for the type it works on: a key with another type is an error, an absent one is absent,
//! and a collection that lost its last element takes its key along. What an edit changed it says itself,
//! so that one that changed nothing costs no version, no event and no memory accounting beyond the lookup.

use darter_structures::{Payload, Position};
use darter_value::{Collection, ValueRef};

use super::{Keyspace, value_of};
use crate::key::{Expiry, Key, WrongType};
use crate::news::Interest;

/// What an edit of a collection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Edit<R> {
    /// Whether anything changed.
    changed: bool,
    /// How many changes it counts for since the last save.
    changes: u64,
    /// What else it has to say.
    result: R,
}

impl<R> Edit<R> {
    /// Nothing changed.
    pub const fn unchanged(result: R) -> Self {
        Self { changed: false, changes: 0, result }
    }

    /// One change.
    pub const fn changed(result: R) -> Self {
        Self { changed: true, changes: 1, result }
    }

    /// As many changes, maybe none.
    pub const fn counted(changes: u64, result: R) -> Self {
        Self { changed: changes > 0, changes, result }
    }

    /// A change that is counted elsewhere.
    pub const fn uncounted(result: R) -> Self {
        Self { changed: true, changes: 0, result }
    }
}

impl Keyspace<'_> {
    /// The collection at `key` for a command that reads it: counted as a hit or a miss and noted as an
    /// access.
    pub fn read_collection<T: Collection>(
        &mut self,
        key: &Key<'_>,
    ) -> Result<Option<&T>, WrongType> {
        self.read(key).map(collection_of).transpose()
    }

    /// As [`read_collection`](Self::read_collection), neither counted nor noted: for commands that look at
    /// a collection before they write it.
    pub fn peek_collection<T: Collection>(
        &mut self,
        key: &Key<'_>,
    ) -> Result<Option<&T>, WrongType> {
        self.peek(key).map(collection_of).transpose()
    }

    /// Lends the collection at `key` for writing; `None` if there is none. The key is deleted if the
    /// collection is empty afterwards. Noted as an access.
    pub fn edit<T: Collection, R>(
        &mut self,
        key: &Key<'_>,
        edit: impl FnOnce(&mut T) -> Edit<R>,
    ) -> Result<Option<R>, WrongType> {
        let Some(position) = self.locate(key) else { return Ok(None) };
        let _: &T = collection_of(value_of(self.database.table.view(position)))?;
        self.touch_changed(position);
        Ok(Some(self.edit_at(key, position, edit)))
    }

    /// As [`edit`](Self::edit), beginning with an empty collection if there is no key. It is created only
    /// if the collection has elements afterwards.
    pub fn edit_or_create<T: Collection, R>(
        &mut self,
        key: &Key<'_>,
        edit: impl FnOnce(&mut T) -> Edit<R>,
    ) -> Result<R, WrongType> {
        if let Some(position) = self.locate(key) {
            let _: &T = collection_of(value_of(self.database.table.view(position)))?;
            self.touch_changed(position);
            return Ok(self.edit_at(key, position, edit));
        }
        let mut collection = T::default();
        let Edit { changes, result, .. } = edit(&mut collection);
        if !collection.is_empty() {
            let payload = Payload::Value(collection.into_object());
            self.create(key, payload, Expiry::Clear);
            self.replaced(key, changes);
        }
        Ok(result)
    }

    /// Sets `key` to `collection`, whatever it was before (the STORE commands); deletes it if there are no
    /// elements. Counts one change, none if there neither was nor is anything.
    pub fn set_collection<T: Collection>(&mut self, key: &Key<'_>, collection: T, expiry: Expiry) {
        if collection.is_empty() {
            self.tell(Interest::GENERIC, "del").remove(key);
        } else {
            self.set_object(key, collection.into_object(), expiry);
        }
    }

    /// Exchanges the collection at `key`, which must be there, for what an edit would have made of it, and counts
    /// that as so many `changes`. What was there is freed later. The key is deleted if nothing is left.
    pub fn exchange_collection<T: Collection>(
        &mut self,
        key: &Key<'_>,
        collection: T,
        changes: u64,
    ) {
        let Some(position) = self.locate(key) else { return };
        if collection.is_empty() {
            self.remove_emptied(key, position);
            return self.replaced(key, changes);
        }
        let old_value = self.update_at(position, key, |block| {
            let deadline = block.view().deadline();
            block.replace(Payload::Value(collection.into_object()), deadline)
        });
        self.common.garbage.discard_value(old_value);
        self.touch_changed(position);
        self.changed(key, changes);
    }

    /// Deletes a key whose collection has lost its last element, or is about to be dropped as if it had.
    fn remove_emptied(&mut self, key: &Key<'_>, position: Position) {
        self.discard_at(position, key);
        if self.common.news.is_wanted() {
            self.common.news.empty(self.database.index, key.bytes);
        }
    }

    fn edit_at<T: Collection, R>(
        &mut self,
        key: &Key<'_>,
        position: Position,
        edit: impl FnOnce(&mut T) -> Edit<R>,
    ) -> R {
        let (Edit { changed, changes, result }, is_empty) =
            self.update_at(position, key, |mut block| {
                let object = block.value_mut().expect("the type was checked");
                let collection = T::of_mut(object).expect("the type was checked");
                let edited = edit(collection);
                let is_empty = collection.is_empty();
                (block, (edited, is_empty))
            });
        if is_empty {
            self.remove_emptied(key, position);
            if changed {
                self.replaced(key, changes);
            }
        } else if changed {
            self.changed(key, changes);
        }
        result
    }
}

/// The collection that a value is.
///
/// # Errors
/// When it is something else.
pub fn collection_of<T: Collection>(value: ValueRef<'_>) -> Result<&T, WrongType> {
    match value {
        ValueRef::Object(object) => T::of(object).ok_or(WrongType),
        ValueRef::Bytes(_) | ValueRef::Raw(_) | ValueRef::Integer(_) => Err(WrongType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{Shard, ShardOptions};
    use darter_base::{DbIndex, ShardId, UnixMillis};
    use darter_structures::KeyHasher;
    use darter_value::{EncodingLimits, End, List};

    fn push(list: &mut List) -> Edit<usize> {
        list.push(End::Back, b"1", EncodingLimits::default().list);
        Edit::counted(2, list.len())
    }

    fn pop(list: &mut List) -> Edit<usize> {
        list.remove_range(0..1, EncodingLimits::default().list);
        Edit::changed(list.len())
    }

    #[test]
    fn a_collection_is_there_while_it_has_elements() {
        let hasher = KeyHasher::new(1);
        let options = ShardOptions { databases: 1, hasher: hasher.clone() };
        let mut shard = Shard::new(ShardId(0), &options);
        let key = Key::new(&hasher, b"k");
        let mut keyspace = shard.keyspace(DbIndex(0), UnixMillis(0));
        let nothing = keyspace.edit_or_create(&key, |_: &mut List| Edit::unchanged(5));
        assert_eq!(nothing, Ok(5));
        assert_eq!(keyspace.edit(&key, push), Ok(None));
        assert!(keyspace.is_empty());
        let version = keyspace.watch(&key);
        assert_eq!(keyspace.edit_or_create(&key, push), Ok(1));
        assert_ne!(keyspace.version(&key), Some(version));
        let version = keyspace.version(&key);
        let looked = keyspace.edit(&key, |list: &mut List| Edit::unchanged(list.len()));
        assert_eq!((looked, keyspace.version(&key)), (Ok(Some(1)), version));
        assert_eq!(keyspace.edit(&key, push), Ok(Some(2)));
        assert_eq!(
            keyspace.read_collection(&key).map(|list: Option<&List>| list.unwrap().len()),
            Ok(2)
        );
        assert_eq!(keyspace.edit(&key, pop), Ok(Some(1)));
        assert_eq!(keyspace.edit(&key, pop), Ok(Some(0)));
        assert_eq!((keyspace.len(), keyspace.exists(&key)), (0, false));
        keyspace.set_string(&key, b"text", Expiry::Clear);
        assert_eq!(keyspace.edit_or_create(&key, push), Err(WrongType));
        assert_eq!(keyspace.edit(&key, push), Err(WrongType));
        assert!(keyspace.read_collection::<List>(&key).is_err());
        assert_eq!(shard.changes(), 7);
        shard.check_invariants();
    }
}
