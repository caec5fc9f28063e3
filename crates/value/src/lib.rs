//! What a value is: the types a key can hold, apart from where and under which key they are kept.
//!
//! Small strings and integers live inside the keyspace's blocks and reach a reader as
//! [`ValueRef::Bytes`] and [`ValueRef::Integer`]; everything bigger is an [`Object`] behind a
//! pointer. Each collection type is a module that adds a variant to `Object`.
//!
//! Knows nothing of keys, expiry, shards or the protocol. Read [`object`] first.

#![forbid(unsafe_code)]

pub mod bitmap;
pub mod copying;
pub mod element;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod integer;
pub mod large;
pub mod limits;
pub mod list;
pub mod object;
pub mod packing;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod view;

pub use copying::Copying;
pub use darter_structures::{BlockValue, Deadline, Item, KeyHasher};
pub use element::Element;
pub use hash::Hash;
pub use large::{LargeString, Text};
pub use limits::{EncodingLimits, NodeLimit, PackedLimits};
pub use list::{End, List};
pub use object::{Collection, Contents, Object, ObjectMut, ObjectRef};
pub use set::{Rules, Set, SetBoundary};
pub use sorted_set::{ScoreChange, SortedSet};
pub use stream::Stream;
pub use view::{Encoding, Type, ValueRef};
