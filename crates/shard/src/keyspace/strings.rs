//! Editing strings in place.

use darter_structures::{Block, Payload, PayloadRef};
use darter_value::integer::IntegerText;
use darter_value::{LargeString, Object};

use super::{Keyspace, value_of};
use crate::key::{Expiry, Key, WrongType};

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
    /// zeroes to at least `len_min` (SETRANGE, SETBIT, BITFIELD). Its encoding is `raw` from then on. Noted
    /// as an access.
    pub fn edit_string<R>(
        &mut self,
        key: &Key<'_>,
        len_min: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, WrongType> {
        let position = match self.locate(key) {
            Some(place) => {
                let value = value_of(self.database.table.view(place.position));
                value.string_len().ok_or(WrongType)?;
                self.touch(place);
                place.position
            }
            None => self.create(key, Payload::Bytes(&[]), Expiry::Clear),
        };
        let result = self.database.table.update(position, |block| {
            let mut block = editable(block, len_min);
            let result = match block.boxed_mut() {
                Some(Object::Large(string)) => edit(string.edit(len_min)),
                _ => edit(block.bytes_mut().expect("made so by `editable`")),
            };
            (block, result)
        });
        self.changed(key, 1);
        Ok(result)
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
