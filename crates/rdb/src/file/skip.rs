//! Reading over numbers, strings and values without decoding them.
//!
//! What is here must agree with `decode` about where a value ends, and about nothing else: whether the bytes in
//! between are right is found when they are decoded.

use std::io::Read;
use std::ops::Range;

use super::error::Why;
use super::source::Source;
use crate::length::{Bytes, Length, length_or_special};
use crate::types::{
    HASH, HASH_2_VALKEY, HASH_DEADLINES, HASH_DEADLINES_EARLY, HASH_LISTPACK,
    HASH_LISTPACK_DEADLINES, HASH_LISTPACK_DEADLINES_EARLY, HASH_ZIPLIST, HASH_ZIPMAP, LIST,
    LIST_QUICKLIST, LIST_QUICKLIST_2, LIST_ZIPLIST, SET, SET_INTSET, SET_LISTPACK, SORTED_SET,
    SORTED_SET_LISTPACK, SORTED_SET_TEXT, SORTED_SET_ZIPLIST, STREAM_1, STREAM_2, STREAM_3,
    STREAM_4, STREAM_5, STRING, Version,
};

/// An id of a stream where it is not written as two numbers, and a time.
const RAW_ID_BYTES: u64 = 16;
const MILLIS_BYTES: u64 = 8;
const SCORE_BYTES: u64 = 8;

/// Parts of what modules write, each with its kind before it.
mod module {
    pub(super) const END: u64 = 0;
    pub(super) const SIGNED: u64 = 1;
    pub(super) const UNSIGNED: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}

impl<R: Read> Bytes for Source<R> {
    type Error = Why;

    fn take_array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Why> {
        self.array()
    }

    fn no_number(&self) -> Why {
        Why::Number
    }
}

impl<R: Read> Source<R> {
    pub(super) fn number(&mut self) -> Result<u64, Why> {
        match length_or_special(self)? {
            Length::Plain(number) => Ok(number),
            Length::Special(_) => Err(Why::Number),
        }
    }

    fn numbers(&mut self, count: usize) -> Result<(), Why> {
        (0..count).try_for_each(|_| self.number().map(drop))
    }

    /// A string; where it is in the record, as it is written.
    pub(super) fn string(&mut self) -> Result<Range<usize>, Why> {
        let start = self.record_len();
        match length_or_special(self)? {
            Length::Plain(len) => self.skip(len)?,
            Length::Special(0) => self.skip(1)?,
            Length::Special(1) => self.skip(2)?,
            Length::Special(2) => self.skip(4)?,
            Length::Special(3) => {
                let packed_len = self.number()?;
                self.number()?;
                self.skip(packed_len)?;
            }
            Length::Special(_) => return Err(Why::String),
        }
        Ok(start..self.record_len())
    }

    fn strings(&mut self, count: usize) -> Result<(), Why> {
        (0..count).try_for_each(|_| self.string().map(drop))
    }

    /// As many times as is declared, something that has at least one byte: a count that is too high ends with
    /// the file.
    fn times(&mut self, skip: impl Fn(&mut Self) -> Result<(), Why>) -> Result<(), Why> {
        for _ in 0..self.number()? {
            skip(self)?;
        }
        Ok(())
    }

    /// The content of a value of type `kind`.
    pub(super) fn value(&mut self, kind: u8, version: Version) -> Result<(), Why> {
        match kind {
            STRING | HASH_ZIPMAP | LIST_ZIPLIST | SET_INTSET | SORTED_SET_ZIPLIST
            | HASH_ZIPLIST | HASH_LISTPACK | SORTED_SET_LISTPACK | SET_LISTPACK => self.strings(1),
            LIST | SET | LIST_QUICKLIST => self.times(|source| source.strings(1)),
            HASH => self.times(|source| source.strings(2)),
            SORTED_SET => self.times(|source| {
                source.strings(1)?;
                source.skip(SCORE_BYTES)
            }),
            SORTED_SET_TEXT => self.times(|source| {
                source.strings(1)?;
                source.score_text()
            }),
            LIST_QUICKLIST_2 => self.times(|source| {
                source.number()?;
                source.strings(1)
            }),
            STREAM_1 | STREAM_2 | STREAM_3 => self.stream(kind),
            STREAM_4 | STREAM_5 if !version.is_valkey() => self.stream(kind),
            HASH_2_VALKEY if version.is_valkey() => self.times(|source| {
                source.strings(2)?;
                source.skip(MILLIS_BYTES)
            }),
            HASH_DEADLINES_EARLY | HASH_DEADLINES if !version.is_valkey() => {
                if kind == HASH_DEADLINES {
                    self.skip(MILLIS_BYTES)?;
                }
                self.times(|source| {
                    source.number()?;
                    source.strings(2)
                })
            }
            HASH_LISTPACK_DEADLINES_EARLY if !version.is_valkey() => self.strings(1),
            HASH_LISTPACK_DEADLINES if !version.is_valkey() => {
                self.skip(MILLIS_BYTES)?;
                self.strings(1)
            }
            _ => Err(Why::of_type(kind, version)),
        }
    }

    fn score_text(&mut self) -> Result<(), Why> {
        match self.byte()? {
            // Not a number, and the infinities.
            253..=255 => Ok(()),
            len => self.skip(len.into()),
        }
    }

    fn stream(&mut self, kind: u8) -> Result<(), Why> {
        self.times(|source| source.strings(2))?;
        // Length and last id; first and greatest deleted id, entries added.
        self.numbers(if kind == STREAM_1 { 3 } else { 8 })?;
        self.times(|source| {
            source.strings(1)?;
            // Last id; entries read.
            source.numbers(if kind == STREAM_1 { 2 } else { 3 })?;
            source.times(|pending| {
                pending.skip(RAW_ID_BYTES + MILLIS_BYTES)?;
                pending.numbers(1)
            })?;
            source.times(|consumer| {
                consumer.strings(1)?;
                // Seen at; active at.
                consumer.skip(if kind >= STREAM_3 { 2 * MILLIS_BYTES } else { MILLIS_BYTES })?;
                consumer.times(|pending| pending.skip(RAW_ID_BYTES))
            })?;
            if kind >= STREAM_5 {
                source.times(|given_back| given_back.skip(RAW_ID_BYTES))?;
            }
            Ok(())
        })?;
        if kind >= STREAM_4 { self.producers() } else { Ok(()) }
    }

    /// What producers have added to a stream.
    fn producers(&mut self) -> Result<(), Why> {
        // For how long and how many are known.
        self.numbers(2)?;
        self.times(|producer| {
            producer.strings(1)?;
            producer.times(|added| {
                added.strings(1)?;
                added.numbers(2)
            })
        })?;
        // How many were ever added, and how many again.
        self.numbers(2)
    }

    /// What a module has written, its id read already.
    pub(super) fn module_data(&mut self, module: u64) -> Result<(), Why> {
        loop {
            match self.number()? {
                module::END => return Ok(()),
                module::SIGNED | module::UNSIGNED => self.numbers(1)?,
                module::FLOAT => self.skip(4)?,
                module::DOUBLE => self.skip(8)?,
                module::STRING => self.strings(1)?,
                _ => return Err(Why::ModuleData(module_name(module))),
            }
        }
    }

    /// What a module has written outside of keys; its name.
    pub(super) fn module_aux(&mut self) -> Result<String, Why> {
        let module = self.number()?;
        if self.number()? != module::UNSIGNED {
            return Err(Why::ModuleData(module_name(module)));
        }
        // Whether it was written before or after the keys.
        self.number()?;
        self.module_data(module)?;
        Ok(module_name(module))
    }
}

/// The name that a module's id stands for: nine letters of 6 bits, above 10 bits of a version.
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |index: u32| {
        let bits = id >> (10 + 6 * index) & 0x3f;
        char::from(LETTERS[usize::try_from(bits).unwrap_or(0)])
    };
    (0..9).rev().map(letter).collect()
}
