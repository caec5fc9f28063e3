//! Editing strings in place.

use darter_structures::{Block, Payload, PayloadRef};
use darter_value::integer::IntegerText;
use darter_value::{LargeString, Object};

use super::{Keyspace, value_of};
use crate::key::{Expiry, Key, Previous, WrongType};

impl Keyspace<'_> {
    /// Appends to the string at `key`, creating it if absent; its new length. Amortised O(length of
    /// `tail`) for long strings.
    pub fn append(&mut self, key: &Key<'_>, tail: &[u8]) -> Result<usize, WrongType> {
        let Some(value) = self.peek(key) else {
            self.set_string(key, tail, Expiry::Clear);
            return Ok(tail.len());
        };
        let len = value.string_len().ok_or(WrongType)?;
        self.edit_string(key, len + tail.len(), |bytes| {
            bytes[len..].copy_from_slice(tail);
            bytes.len()
        })
    }

    /// Lends the bytes of the string at `key` for writing, created if absent, and lengthened with
    /// zeroes to at least `len_min` (SETRANGE). Its encoding is `raw` from then on. Noted as an access.
    pub fn edit_string<R>(
        &mut self,
        key: &Key<'_>,
        len_min: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, WrongType> {
        self.edit_string_if(key, len_min, |bytes, _| (edit(bytes), 1))
    }

    /// As [`edit_string`](Self::edit_string), for a command that may find nothing to change (SETBIT,
    /// BITFIELD): `edit` is also told whether the string is new or was lengthened, and says how many
    /// changes it made. If none, the key does not count as changed.
    pub fn edit_string_if<R>(
        &mut self,
        key: &Key<'_>,
        len_min: usize,
        edit: impl FnOnce(&mut [u8], bool) -> (R, u64),
    ) -> Result<R, WrongType> {
        let (position, grows) = match self.locate(key) {
            Some(position) => {
                let value = value_of(self.database.table.view(position));
                let len = value.string_len().ok_or(WrongType)?;
                self.touch_changed(position);
                (position, len < len_min)
            }
            None => (self.create(key, Payload::Bytes(&[]), Expiry::Clear), true),
        };
        let (result, changes) = self.update_at(position, key, |block| {
            let mut block = editable(block, len_min);
            let result = match block.boxed_mut() {
                Some(Object::Large(string)) => edit(string.edit(len_min), grows),
                _ => edit(block.bytes_mut().expect("made so by `editable`"), grows),
            };
            (block, result)
        });
        if changes > 0 {
            self.changed(key, changes);
        }
        Ok(result)
    }

    /// Sets `key` to the string `value`, whose encoding is `raw` whatever its length: a result that was
    /// built byte by byte (BITOP, PFADD). A long one is taken over without a copy.
    pub fn set_raw(&mut self, key: &Key<'_>, value: Vec<u8>, expiry: Expiry) -> Previous {
        if value.len() > LargeString::BYTES_MIN {
            return self.set_object(key, Object::Large(LargeString::new(value)), expiry);
        }
        let previous = self.write(key, Payload::Bytes(&value), expiry);
        if let Some(position) = self.locate(key) {
            self.update_at(position, key, |mut block| {
                block.set_raw(true);
                (block, ())
            });
        }
        previous
    }
}

/// The same string in the form for editing: at least `len_min` inline bytes, marked raw, or, if that is
/// too long, a large string of any length.
fn editable(block: Block<Object>, len_min: usize) -> Block<Object> {
    let mut text = IntegerText::new();
    let block = match block.view().payload() {
        PayloadRef::Boxed(_) => return block,
        PayloadRef::Bytes(_) => block,
        PayloadRef::Integer(integer) => {
            block.with_payload(Payload::Bytes(text.format(integer).as_bytes()))
        }
    };
    let PayloadRef::Bytes(bytes) = block.view().payload() else { unreachable!("just made so") };
    let len = bytes.len().max(len_min);
    if len > LargeString::BYTES_MIN {
        let large = Object::Large(LargeString::new(bytes.to_vec()));
        return block.with_payload(Payload::Boxed(Box::new(large)));
    }
    let mut block = block.with_len(len);
    block.set_raw(true);
    block
}
