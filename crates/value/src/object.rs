//! Values that live behind a pointer.

use darter_structures::{BlockValue, Deadline};

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

    /// Drops a part of it, which takes some ten microseconds; whether to call again before dropping
    /// the rest. It is fit for nothing else from then on.
    fn drop_slice(&mut self) -> bool;
}

/// A type of values that have elements: one that is empty when made, and whose key does not exist
/// while it has none.
pub trait Collection: Contents + Default {
    /// The collection, if the object is one of this type.
    fn of(object: &Object) -> Option<&Self>;

    /// Likewise for writing.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    /// The object of this collection.
    fn into_object(self) -> Object;

    /// Whether it has no element.
    fn is_empty(&self) -> bool;
}

/// Declares [`Object`] and how it passes on what is asked of it.
macro_rules! objects {
    ($($(#[$doc:meta])* $variant:ident($contents:ty),)*) => {
        /// A value too big, or too structured, to live inside a block of the keyspace. Each variant is one
        /// word, so that an object takes 16 bytes.
        #[derive(Clone, Debug)]
        pub enum Object {
            $($(#[$doc])* $variant($contents),)*
        }

        impl Object {
            /// The type, as a client sees it.
            pub fn value_type(&self) -> Type {
                match self { $(Self::$variant(contents) => contents.value_type(),)* }
            }

            /// How it is kept, in Redis's words.
            pub fn encoding(&self) -> Encoding {
                match self { $(Self::$variant(contents) => contents.encoding(),)* }
            }

            /// See [`Contents::is_slow_to_drop`].
            pub fn is_slow_to_drop(&self) -> bool {
                match self { $(Self::$variant(contents) => contents.is_slow_to_drop(),)* }
            }

            /// See [`Contents::drop_slice`].
            pub fn drop_slice(&mut self) -> bool {
                match self { $(Self::$variant(contents) => contents.drop_slice(),)* }
            }
        }

        impl BlockValue for Object {
            const HAS_STAMP: bool = true;

            #[inline]
            fn heap_bytes(&self) -> usize {
                match self { $(Self::$variant(contents) => Contents::heap_bytes(contents),)* }
            }

            #[inline]
            fn is_collection(&self) -> bool {
                !matches!(self, Self::Large(_))
            }

            #[inline]
            fn next_deadline(&self) -> Option<Deadline> {
                if let Self::Hash(hash) = self { hash.next_deadline() } else { None }
            }

            #[inline]
            fn holds_deadlines(&self) -> bool {
                if let Self::Hash(hash) = self { hash.holds_deadlines() } else { false }
            }
        }
    };
}

objects! {
    /// A string of more than [`LargeString::BYTES_MIN`] bytes.
    Large(LargeString),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A stream.
    Stream(Stream),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
}

const _: () = assert!(size_of::<Object>() == 16);

/// Makes a [`Collection`] of the type of a variant.
macro_rules! collection {
    ($contents:ident) => {
        impl Collection for $contents {
            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                if let Object::$contents(contents) = object { Some(contents) } else { None }
            }

            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                if let Object::$contents(contents) = object { Some(contents) } else { None }
            }

            fn into_object(self) -> Object {
                Object::$contents(self)
            }

            #[inline]
            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

collection!(List);
collection!(Hash);
collection!(Set);
collection!(SortedSet);
