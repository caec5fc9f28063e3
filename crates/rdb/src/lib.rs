//! Values in the format of RDB files, as DUMP and RESTORE exchange them.
//!
//! [`decode`] reads every type of value that Redis 2.8 to 8 and Valkey up to 9 write, [`encode`] writes what
//! Redis 7.0 reads, and newer types only for values that need them. [`payload`] is the frame around one
//! value: a version and a checksum.
//!
//! **Everything that is read is hostile.** Bytes come from clients and files: a reader checks every length
//! against what is there, never allocates for a number that is only declared, checks the inner structure
//! of packed forms to the last byte, and refuses duplicates. It answers a value or [`Corrupt`], and
//! nothing in between; there is no recursion.
//!
//! Works on byte slices; knows no files, keys, shards or replies. Collections are handed over as plain
//! sequences ([`Value`]), because whoever makes values of them also knows up to which size they are compact.
//!
//! Sources: the RDB file format as documented by Redis and by the packed forms' own descriptions
//! (ziplist, listpack, intset, zipmap), and payloads recorded from those servers.

#![forbid(unsafe_code)]

mod decode;
mod encode;
#[cfg(any(test, feature = "fuzzing"))]
pub mod exercise;
mod functions;
mod intset;
mod listpack;
mod lzf;
pub mod payload;
mod reader;
mod stream;
mod texts;
mod types;
mod writer;
mod ziplist;
mod zipmap;

pub use decode::{HashField, Value, decode};
pub use encode::{
    encode_hash, encode_list, encode_set, encode_sorted_set, encode_stream, encode_string,
};
pub use functions::{NoFunctions, decode_functions, encode_functions};
pub use payload::Payload;
pub use reader::Corrupt;
pub use texts::Texts;
pub use types::Version;
