//! RDB files: what is around the values.
//!
//! ```text
//! REDIS and 4 digits, or VALKEY and 3: the version        ff, checksum of all before, 8 (little end first;
//! record ...                                                  0: none; the checksum not before version 5)
//!
//! fa name value          an auxiliary field                f7 ...            data of a module
//! fe index               keys of this database follow      f5 library        functions
//! fb keys expiring       how many they are                 f4, f3            slots of a cluster
//!
//! [fc milliseconds, 8 | fd seconds, 4]  [f8 idle seconds | f9 frequency]  type key content       a key
//! ```
//!
//! **Writing** is appending records to a vector ([`push_entry`] and its like), so that several shards can make
//! chunks of one file at the same time; [`Checksum`] goes along with whoever puts them in a row. **Reading**
//! is [`Reader`], which cuts a stream into records with bounded memory and leaves the values undecoded:
//! [`RawValue::decode`] does that, wherever there is a thread for it.
//!
//! Sources: the formats of Redis 2.4 to 8.0 and of Valkey 7.2 to 9.1, as those servers write and read them.

mod checksum;
mod error;
mod opcodes;
mod parts;
mod reader;
mod skip;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use checksum::Checksum;
pub use error::{During, ReadError, Why};
pub use parts::{Parts, is_long};
pub use reader::{RawEntry, RawValue, Reader, Record};
pub use write::{
    Entry, Hint, push_aux, push_database, push_end, push_entry, push_function, push_header,
    push_select,
};
