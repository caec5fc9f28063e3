//! RDB files, and values in their format as DUMP and RESTORE exchange them.
//!
//! [`decode`] reads every type of value that Redis 2.8 to 8 and Valkey up to 9 write, and [`build`] makes a value
//! of the keyspace out of it. [`encode_value`] writes what Redis 7.0 reads, and newer types only for values that
//! need them. [`payload`] is the frame around one value: a version and a checksum. [`file`] is a whole file.
//!
//! **Everything that is read is hostile.** Bytes come from clients and files: a reader checks every length
//! against what is there, never allocates for a number that is only declared, checks the inner structure
//! of packed forms to the last byte, and refuses duplicates. It answers a value or [`Corrupt`], and
//! nothing in between; there is no recursion.
//!
//! Works on byte slices and streams; opens no files, knows no shards and no replies.
//!
//! Sources: the RDB file format as documented by Redis and by the packed forms' own descriptions
//! (ziplist, listpack, intset, zipmap), and payloads recorded from those servers.

#![forbid(unsafe_code)]

mod build;
mod compress;
mod decode;
mod encode;
mod encode_value;
#[cfg(any(test, feature = "fuzzing"))]
pub mod exercise;
pub mod file;
mod functions;
mod gradual;
mod hash_fields;
mod intset;
mod length;
mod listpack;
mod lzf;
pub mod payload;
mod plain;
mod reader;
mod stream;
mod stream_rest;
mod texts;
mod types;
mod writer;
mod ziplist;
mod zipmap;

pub use build::{Built, build};
pub use compress::Compressor;
use decode::decode_content;
pub use decode::{HashField, Value, decode};
pub use encode_value::encode_value;
pub use functions::{NoFunctions, decode_functions, encode_functions};
pub use gradual::Gradual;
pub use payload::Payload;
pub use plain::{
    Plain, StreamParts, encode_element, encode_field, encode_member, encode_text_head,
};
pub use reader::Corrupt;
pub use texts::Texts;
pub use types::Version;
