//! Values that live behind a pointer.

use darter_structures::{BlockValue, Deadline, Defragmentation, Kind, Word, WordMut, WordRef};

use crate::hash::Hash;
use crate::large::LargeString;
use crate::list::List;
use crate::set::Set;
use crate::sorted_set::SortedSet;
use crate::stream::Stream;
use crate::view::{Encoding, Type};

/// What every value behind a pointer tells about itself.
pub trait Contents {
    /// The type, as a client sees it.
    fn value_type(&self) -> Type;

    /// How it is kept, in Redis's words.
    fn encoding(&self) -> Encoding;

    /// Bytes of heap beyond its own size, in good sizes. O(1).
    fn heap_bytes(&self) -> usize;

    /// Whether to drop it piece by piece, with [`drop_slice`](Self::drop_slice), rather than where it is
    /// found to be unneeded. O(1).
    fn is_slow_to_drop(&self) -> bool;

    /// Moves what of its allocations `defragmentation` wants moved, some hundred at most. Nothing else changes.
    fn defragment(&mut self, defragmentation: &mut Defragmentation);

    /// Drops a part of it, which takes some ten microseconds; whether to call again before dropping
    /// the rest. It is fit for nothing else from then on.
    fn drop_slice(&mut self) -> bool;
}

/// A type of values that have elements: one that is empty when made, and whose key does not exist
/// while it has none.
pub trait Collection: Contents + Default {
    /// The collection, if the object is one of this type.
    fn of(object: ObjectRef<'_>) -> Option<&Self>;

    /// Likewise for writing.
    fn of_mut(object: ObjectMut<'_>) -> Option<&mut Self>;

    /// The object of this collection.
    fn into_object(self) -> Object;

    /// Whether it has no element.
    fn is_empty(&self) -> bool;

    /// How many ordinary elements one of its elements is as much work as, on average: more than one where they are
    /// long. O(1).
    fn weight(&self) -> usize;
}

/// How many ordinary elements one of `count` is as much work as that take so many bytes together and are ordinary up to
/// `ordinary_bytes`. Of few bytes nobody asks.
pub(crate) const fn weight_of(bytes: usize, count: usize, ordinary_bytes: usize) -> usize {
    const FEW_BYTES: usize = 256 << 10;
    if bytes <= FEW_BYTES || count == 0 { 1 } else { 1 + bytes / count / ordinary_bytes }
}

/// Up to this length an element is as much work as any other.
const ORDINARY_BYTES: usize = 1024;

/// Moves every allocation that defragmentation may ask for, in several visits where there are many; what it costs stays.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn move_everything(contents: &mut (impl Contents + ?Sized)) {
    let bytes = contents.heap_bytes();
    for seed in 0..3 {
        contents.defragment(&mut Defragmentation::of_everything(seed));
    }
    assert_eq!(contents.heap_bytes(), bytes);
}

/// Declares [`Object`], what it is when it is borrowed, and how it passes on what is asked of it.
macro_rules! objects {
    ($($(#[$doc:meta])* $place:literal: $variant:ident($contents:ty),)*) => {
        /// A value too big, or too structured, to live inside a block of the keyspace. Each variant is one
        /// word, which a block keeps as it is.
        #[derive(Clone, Debug)]
        pub enum Object {
            $($(#[$doc])* $variant($contents),)*
        }

        /// An [`Object`], borrowed for reading.
        #[derive(Clone, Copy, Debug)]
        pub enum ObjectRef<'a> {
            $($(#[$doc])* $variant(&'a $contents),)*
        }

        /// An [`Object`], borrowed for writing.
        #[derive(Debug)]
        pub enum ObjectMut<'a> {
            $($(#[$doc])* $variant(&'a mut $contents),)*
        }

        impl Object {
            /// Borrows it for reading.
            pub fn view(&self) -> ObjectRef<'_> {
                match self { $(Self::$variant(contents) => ObjectRef::$variant(contents),)* }
            }

            /// See [`Contents::drop_slice`].
            pub fn drop_slice(&mut self) -> bool {
                match self { $(Self::$variant(contents) => contents.drop_slice(),)* }
            }
        }

        impl ObjectRef<'_> {
            /// A copy, in one piece; see [`Copying`](crate::Copying).
            pub fn to_object(self) -> Object {
                match self { $(Self::$variant(contents) => Object::$variant(contents.clone()),)* }
            }

            /// The type, as a client sees it.
            pub fn value_type(self) -> Type {
                match self { $(Self::$variant(contents) => contents.value_type(),)* }
            }

            /// How it is kept, in Redis's words.
            pub fn encoding(self) -> Encoding {
                match self { $(Self::$variant(contents) => contents.encoding(),)* }
            }

            /// See [`Contents::heap_bytes`].
            #[inline]
            pub fn heap_bytes(self) -> usize {
                match self { $(Self::$variant(contents) => Contents::heap_bytes(contents),)* }
            }

            /// See [`Contents::is_slow_to_drop`].
            pub fn is_slow_to_drop(self) -> bool {
                match self { $(Self::$variant(contents) => contents.is_slow_to_drop(),)* }
            }
        }

        impl BlockValue for Object {
            const HAS_STAMP: bool = true;
            const KINDS: &'static [Kind] = &[$(Kind::of::<$contents>()),*];

            type Ref<'a> = ObjectRef<'a>;
            type Mut<'a> = ObjectMut<'a>;

            #[inline]
            fn into_word(self) -> Word {
                match self { $(Self::$variant(contents) => Word::new($place, contents),)* }
            }

            #[inline]
            fn from_word(word: Word) -> Self {
                match word.place() {
                    $($place => Self::$variant(word.into_value()),)*
                    _ => unreachable!("there is no such kind"),
                }
            }

            #[inline]
            fn by_ref(word: WordRef<'_>) -> ObjectRef<'_> {
                match word.place() {
                    $($place => ObjectRef::$variant(word.get()),)*
                    _ => unreachable!("there is no such kind"),
                }
            }

            #[inline]
            fn by_mut(word: WordMut<'_>) -> ObjectMut<'_> {
                match word.place() {
                    $($place => ObjectMut::$variant(word.get()),)*
                    _ => unreachable!("there is no such kind"),
                }
            }

            fn to_owned(object: ObjectRef<'_>) -> Self {
                object.to_object()
            }

            #[inline]
            fn heap_bytes(object: ObjectRef<'_>) -> usize {
                object.heap_bytes()
            }

            #[inline]
            fn is_collection(object: ObjectRef<'_>) -> bool {
                !matches!(object, ObjectRef::Large(_))
            }

            fn defragment(object: ObjectMut<'_>, defragmentation: &mut Defragmentation) {
                match object { $(ObjectMut::$variant(contents) => contents.defragment(defragmentation),)* }
            }

            #[inline]
            fn next_deadline(object: ObjectRef<'_>) -> Option<Deadline> {
                if let ObjectRef::Hash(hash) = object { hash.next_deadline() } else { None }
            }

            #[inline]
            fn holds_deadlines(object: ObjectRef<'_>) -> bool {
                if let ObjectRef::Hash(hash) = object { hash.holds_deadlines() } else { false }
            }
        }
    };
}

objects! {
    /// A string of more than [`LargeString::BYTES_MIN`] bytes.
    0: Large(LargeString),
    /// A list.
    1: List(List),
    /// A hash.
    2: Hash(Hash),
    /// A stream.
    3: Stream(Stream),
    /// A set.
    4: Set(Set),
    /// A sorted set.
    5: SortedSet(SortedSet),
}

/// Makes a [`Collection`] of the type of a variant.
macro_rules! collection {
    ($contents:ident) => {
        impl Collection for $contents {
            #[inline]
            fn of(object: ObjectRef<'_>) -> Option<&Self> {
                if let ObjectRef::$contents(contents) = object { Some(contents) } else { None }
            }

            #[inline]
            fn of_mut(object: ObjectMut<'_>) -> Option<&mut Self> {
                if let ObjectMut::$contents(contents) = object { Some(contents) } else { None }
            }

            fn into_object(self) -> Object {
                Object::$contents(self)
            }

            #[inline]
            fn is_empty(&self) -> bool {
                self.len() == 0
            }

            fn weight(&self) -> usize {
                weight_of(Contents::heap_bytes(self), self.len(), ORDINARY_BYTES)
            }
        }
    };
}

collection!(List);
collection!(Hash);
collection!(Set);
collection!(SortedSet);
