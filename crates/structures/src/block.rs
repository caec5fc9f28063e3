//! One key with its value and deadline, in a single heap allocation.
//!
//! ```text
//!  byte 0    then
//! +-------+---------+-------------+---------+-----------+-------- - - --+-------- - - --+
//! | flags | stamp   | deadline    | key     | value     | key           | payload       |
//! |       | 0 or 3  | 6, optional | length  | length    |               |               |
//! +-------+---------+-------------+---------+-----------+-------- - - --+-------- - - --+
//!                                   1 or 4    0, 1, 2, 4
//!
//! stamp: the owner's; whether there is one depends on the type of the value ([`BlockValue::HAS_STAMP`])
//! flags: bits 0-1  payload: 0 bytes, 1 integer, 2 word
//!        bit  2    raw: the owner's; here for OBJECT ENCODING
//!        bit  3    there is a deadline
//!        bit  4    the key length takes 4 bytes, not 1
//!        bits 5-7  bytes: how long the value length is (0: 1 byte, 1: 2, 2: 4)
//!                  integer: its number of bytes less one
//!                  word: which type it is of
//! ```
//!
//! Numbers are little-endian. The value length is there for bytes only: an integer's is in the flags,
//! a word's is known. A word, which is a value too big for the block by what it points to, stands at the end of the
//! allocation, where it is aligned and can be lent as what it is. A 16-byte key costs 18 bytes plus its payload, plus 3
//! with a stamp and 6 with a deadline, so that a value of 32 bytes fits an allocation of 64 in any case, an integer of
//! five bytes and a word one of 32, and 100 bytes one of 128.
//!
//! **The allocation is always exactly the good size of its content.** So its size need not be stored,
//! two blocks of equal content cost the same whatever their history, and "fits in place" means
//! "has the same good size". Growing a string byte by byte reallocates once per size class, of which
//! there are four to a doubling: amortised constant per byte.
//!
//! The alternatives refused: a fixed header of two or three words (a third of the memory of a small
//! entry); the deadline behind the payload (setting one would not move the key, but the expiry hand
//! would touch a second cache line per entry); a separate table of deadlines (24 bytes per entry).

#![allow(unsafe_code, reason = "a header of variable length cannot be a Rust type")]
#![allow(clippy::cast_possible_truncation, reason = "fields of a packed header")]

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::{self, NonNull};
use std::slice;

use crate::allocation::{BLOCK_ALIGN, allocate, copy_in, release, relocate};
use crate::deadline::Deadline;
use crate::defragmentation::Defragmentation;
use crate::size::good_size;
use crate::table::{Entry, EntryView, Marks};

mod word;

pub use word::{Kind, Word, WordMut, WordRef};

use word::{KINDS_MAX, WORD_BYTES};

/// Longest key, and longest payload, a block can hold.
pub const BLOCK_PART_BYTES_MAX: usize = u32::MAX as usize;

const STAMP_BYTES: usize = 3;
const DEADLINE_BYTES: usize = 6;

const FLAG_RAW: u8 = 1 << 2;
const FLAG_DEADLINE: u8 = 1 << 3;
const FLAG_WIDE_KEY: u8 = 1 << 4;
const DETAIL_SHIFT: u32 = 5;

const fn stamp_bytes<V: BlockValue>() -> usize {
    if V::HAS_STAMP { STAMP_BYTES } else { 0 }
}

/// What is too big to live inside a block: a family of types, each of one word, that own what they point to.
pub trait BlockValue: Sized {
    /// Whether a block of such values keeps a [stamp](Block::set_stamp).
    const HAS_STAMP: bool = false;

    /// The types, at most eight; a word says by its place here what it is.
    const KINDS: &'static [Kind];

    /// One of these values, borrowed for reading.
    type Ref<'a>: Copy + fmt::Debug;

    /// Likewise for writing.
    type Mut<'a>;

    /// The word of this value.
    fn into_word(self) -> Word;

    /// The value of a word that [`into_word`](Self::into_word) has returned.
    fn from_word(word: Word) -> Self;

    /// The same while the word stays in its block.
    fn by_ref(word: WordRef<'_>) -> Self::Ref<'_>;

    /// The same for writing.
    fn by_mut(word: WordMut<'_>) -> Self::Mut<'_>;

    /// A value of its own with the same content.
    fn to_owned(value: Self::Ref<'_>) -> Self;

    /// Bytes of heap this value owns beyond its word, in good sizes. Must be O(1), and may change
    /// only while the value is exclusively borrowed.
    fn heap_bytes(value: Self::Ref<'_>) -> usize;

    /// Whether to mark the slot of this value as a collection's.
    fn is_collection(value: Self::Ref<'_>) -> bool;

    /// When something inside this value expires at the earliest. May change only while the value is
    /// exclusively borrowed.
    fn next_deadline(value: Self::Ref<'_>) -> Option<Deadline> {
        let _ = value;
        None
    }

    /// Moves what of the value's own allocations `defragmentation` wants moved. Nothing else changes.
    fn defragment(value: Self::Mut<'_>, defragmentation: &mut Defragmentation);

    /// Whether something inside this value has a deadline. O(1); may change as above.
    fn holds_deadlines(value: Self::Ref<'_>) -> bool {
        let _ = value;
        false
    }
}

/// No value: for blocks of nothing but bytes and integers.
impl BlockValue for Infallible {
    const HAS_STAMP: bool = true;
    const KINDS: &'static [Kind] = &[];

    type Ref<'a> = &'a Self;
    type Mut<'a> = &'a mut Self;

    fn into_word(self) -> Word {
        match self {}
    }

    fn from_word(_: Word) -> Self {
        unreachable!("there are none")
    }

    fn by_ref(_: WordRef<'_>) -> &Self {
        unreachable!("there are none")
    }

    fn by_mut(_: WordMut<'_>) -> &mut Self {
        unreachable!("there are none")
    }

    fn to_owned(none: &Self) -> Self {
        match *none {}
    }

    fn heap_bytes(none: &Self) -> usize {
        match *none {}
    }

    fn is_collection(none: &Self) -> bool {
        match *none {}
    }

    fn defragment(none: &mut Self, _: &mut Defragmentation) {
        match *none {}
    }
}

/// A payload to put into a block.
#[derive(Debug)]
pub enum Payload<'a, V> {
    /// These bytes, kept inline. At most [`BLOCK_PART_BYTES_MAX`].
    Bytes(&'a [u8]),
    /// This number, kept inline in 1 to 8 bytes.
    Integer(i64),
    /// This value, kept as a word.
    Value(V),
}

/// The payload of a block, borrowed.
pub enum PayloadRef<'a, V: BlockValue> {
    /// Inline bytes.
    Bytes(&'a [u8]),
    /// An inline number.
    Integer(i64),
    /// A value.
    Value(V::Ref<'a>),
}

impl<V: BlockValue> Clone for PayloadRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: BlockValue> Copy for PayloadRef<'_, V> {}

impl<V: BlockValue> fmt::Debug for PayloadRef<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => formatter.debug_tuple("Bytes").field(bytes).finish(),
            Self::Integer(integer) => formatter.debug_tuple("Integer").field(integer).finish(),
            Self::Value(value) => formatter.debug_tuple("Value").field(value).finish(),
        }
    }
}

/// A payload as it is written.
#[derive(Clone, Copy)]
enum Parts<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
    Word(u8, MaybeUninit<*mut u8>),
}

impl<'a, V: BlockValue> Payload<'a, V> {
    #[inline]
    fn into_parts(self) -> Parts<'a> {
        match self {
            Self::Bytes(bytes) => Parts::Bytes(bytes),
            Self::Integer(integer) => Parts::Integer(integer),
            Self::Value(value) => {
                const { assert!(V::KINDS.len() <= KINDS_MAX, "three bits tell them apart") };
                let word = value.into_word();
                Parts::Word(word.place(), word.into_bits(V::KINDS))
            }
        }
    }
}

/// An owned block; as big as a pointer.
///
/// Operations that may have to reallocate consume the block and return it.
pub struct Block<V: BlockValue> {
    /// Points to an allocation made by [`allocate`] for the shape its header describes; header, key
    /// and payload are initialised.
    address: NonNull<u8>,
    owns: PhantomData<V>,
}

/// A block, borrowed for reading.
pub struct BlockRef<'a, V: BlockValue> {
    /// As in [`Block`], valid for `'a`.
    address: NonNull<u8>,
    borrows: PhantomData<&'a Block<V>>,
}

// SAFETY: a block owns its allocation exclusively, as a Box does, and a word is of a type that is Send.
unsafe impl<V: BlockValue> Send for Block<V> {}
// SAFETY: a shared block gives out only shared references to its parts, and a word is of a type that is Sync.
unsafe impl<V: BlockValue> Sync for Block<V> {}

impl<V: BlockValue> Block<V> {
    /// A block of these parts.
    ///
    /// # Panics
    /// If the key or the payload is longer than [`BLOCK_PART_BYTES_MAX`].
    pub fn new(key: &[u8], payload: Payload<'_, V>, deadline: Option<Deadline>) -> Self {
        let payload = payload.into_parts();
        let shape = Shape::of::<V>(key.len(), deadline.is_some(), PayloadShape::of(&payload));
        let address = allocate(shape.block_bytes());
        // SAFETY: freshly allocated for `shape`.
        unsafe { write_header(address, shape, false) };
        if let Some(deadline) = deadline {
            // SAFETY: `shape` has a deadline.
            unsafe { write_deadline(address, shape, deadline) };
        }
        // SAFETY: `shape` has this room for the key, and `key` is another allocation.
        unsafe { copy_in(address, shape.key_at(), key) };
        // SAFETY: `shape` was made for this payload.
        unsafe { write_payload(address, shape, payload) };
        Self { address, owns: PhantomData }
    }

    /// Exchanges payload and deadline, in place if the good size stays the same; the raw flag is cleared.
    /// Also returns the value there was.
    ///
    /// # Panics
    /// If the payload is longer than [`BLOCK_PART_BYTES_MAX`].
    #[inline]
    pub fn replace(
        mut self,
        payload: Payload<'_, V>,
        deadline: Option<Deadline>,
    ) -> (Self, Option<V>) {
        let payload = payload.into_parts();
        let old_shape = self.shape();
        let shape = Shape {
            payload: PayloadShape::of(&payload),
            has_deadline: deadline.is_some(),
            ..old_shape
        };
        let old_value = self.take_value(old_shape);
        // SAFETY: payload and deadline are written next. A value there was has been taken.
        let block = unsafe { self.reshape(old_shape, shape, 0) };
        if let Some(deadline) = deadline {
            // SAFETY: `shape` has a deadline.
            unsafe { write_deadline(block.address, shape, deadline) };
        }
        // SAFETY: the block has `shape` now, which was made for this payload.
        unsafe { write_payload(block.address, shape, payload) };
        (block, old_value)
    }

    /// Exchanges the payload, in place if the good size stays the same; the raw flag is cleared.
    ///
    /// # Panics
    /// If the payload is longer than [`BLOCK_PART_BYTES_MAX`].
    #[inline]
    pub fn with_payload(self, payload: Payload<'_, V>) -> Self {
        let deadline = self.view().deadline();
        self.replace(payload, deadline).0
    }

    /// Sets, replaces or clears the deadline; in place if the good size stays the same.
    #[inline]
    pub fn with_deadline(self, deadline: Option<Deadline>) -> Self {
        let old_shape = self.shape();
        let shape = Shape { has_deadline: deadline.is_some(), ..old_shape };
        let raw = self.view().is_raw();
        // SAFETY: the whole payload is kept, the deadline is written next.
        let mut block = unsafe { self.reshape(old_shape, shape, shape.payload.bytes) };
        block.set_raw(raw);
        if let Some(deadline) = deadline {
            // SAFETY: `shape` has a deadline.
            unsafe { write_deadline(block.address, shape, deadline) };
        }
        block
    }

    /// The same payload, deadline and raw flag under another key.
    ///
    /// # Panics
    /// If the key is longer than [`BLOCK_PART_BYTES_MAX`].
    pub fn with_key(self, key: &[u8]) -> Self {
        let old_shape = self.shape();
        let shape = Shape::of::<V>(key.len(), old_shape.has_deadline, old_shape.payload);
        let old = ManuallyDrop::new(self);
        let address = allocate(shape.block_bytes());
        // SAFETY: freshly allocated for `shape`.
        unsafe { write_header(address, shape, old.view().is_raw()) };
        // SAFETY: likewise.
        unsafe { write_stamp::<V>(address, old.view().stamp()) };
        if let Some(deadline) = old.view().deadline() {
            // SAFETY: `shape` has a deadline, because the old one has.
            unsafe { write_deadline(address, shape, deadline) };
        }
        // SAFETY: `shape` has this room for the key, and `key` is another allocation.
        unsafe { copy_in(address, shape.key_at(), key) };
        // SAFETY: within the old block.
        let from = unsafe { old.address.add(old_shape.payload_at()) };
        // SAFETY: within the new block.
        let to = unsafe { address.add(shape.payload_at()) };
        // SAFETY: the payload has the same length in both, which are different allocations. A value
        // moves to the new block; the old one is freed without looking at it again.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), shape.payload.bytes) };
        // SAFETY: allocated for `old_shape`, and `old` is never used or dropped.
        unsafe { release(old.address, old_shape.block_bytes()) };
        Self { address, owns: PhantomData }
    }

    /// Makes inline bytes `len` long, cutting or adding zeroes at the end; in place if the good size
    /// stays the same. Other payloads are replaced by `len` zeroes. The raw flag stays.
    ///
    /// # Panics
    /// If `len` is more than [`BLOCK_PART_BYTES_MAX`].
    pub fn with_len(mut self, len: usize) -> Self {
        let old_shape = self.shape();
        let shape = old_shape.with_payload(PayloadShape::of_bytes(len));
        let raw = self.view().is_raw();
        let kept = match old_shape.payload.form {
            Form::Bytes => len.min(old_shape.payload.bytes),
            Form::Integer | Form::Word => 0,
        };
        let _old_value = self.take_value(old_shape);
        // SAFETY: the payload beyond `kept` is written next. A value there was has been taken.
        let mut block = unsafe { self.reshape(old_shape, shape, kept) };
        block.set_raw(raw);
        // SAFETY: within the payload, or one past its end.
        let rest = unsafe { block.address.add(shape.payload_at() + kept) };
        // SAFETY: the payload of `shape` is `len` bytes long.
        unsafe { rest.write_bytes(0, len - kept) };
        block
    }

    /// Sets the raw flag.
    #[inline]
    pub fn set_raw(&mut self, raw: bool) {
        // SAFETY: the first byte of every block is its flags.
        let flags = unsafe { self.address.as_mut() };
        *flags = (*flags & !FLAG_RAW) | if raw { FLAG_RAW } else { 0 };
    }

    /// Sets the stamp: 24 bits for the owner's use, 0 at first, which the other operations keep. Nothing
    /// happens where blocks have none.
    #[inline]
    pub fn set_stamp(&mut self, stamp: u32) {
        // SAFETY: an owned block is initialised.
        unsafe { write_stamp::<V>(self.address, stamp) };
    }

    /// The inline bytes, for writing.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let shape = self.shape();
        if shape.payload.form != Form::Bytes {
            return None;
        }
        // SAFETY: within the block.
        let payload = unsafe { self.address.add(shape.payload_at()) };
        // SAFETY: the payload is initialised, and borrowed with `self`.
        Some(unsafe { slice::from_raw_parts_mut(payload.as_ptr(), shape.payload.bytes) })
    }

    /// The value, for writing.
    pub fn value_mut(&mut self) -> Option<V::Mut<'_>> {
        let shape = self.shape();
        if shape.payload.form != Form::Word {
            return None;
        }
        // SAFETY: this payload is a word.
        let mut bits = unsafe { word_at(self.address, shape) };
        // SAFETY: it is within the block and borrowed with `self`.
        let bits = unsafe { bits.as_mut() };
        // SAFETY: `write_payload` wrote it, with its place in the flags.
        Some(V::by_mut(unsafe { WordMut::new(bits, shape.payload.detail, V::KINDS) }))
    }

    /// The value, without the block.
    pub fn into_value(self) -> Option<V> {
        let shape = self.shape();
        let mut block = ManuallyDrop::new(self);
        let value = block.take_value(shape);
        // SAFETY: allocated for `shape`, and `block` is never used or dropped.
        unsafe { release(block.address, shape.block_bytes()) };
        value
    }

    /// The block, for reading.
    #[inline]
    pub fn view(&self) -> BlockRef<'_, V> {
        BlockRef { address: self.address, borrows: PhantomData }
    }

    #[inline]
    fn shape(&self) -> Shape {
        self.view().shape()
    }

    /// Takes the value out, whose word must not be used from then on.
    #[inline]
    fn take_value(&mut self, shape: Shape) -> Option<V> {
        if shape.payload.form != Form::Word {
            return None;
        }
        // SAFETY: this payload is a word.
        let bits = unsafe { word_at(self.address, shape) };
        // SAFETY: it is within the block.
        let bits = unsafe { bits.read() };
        // SAFETY: `write_payload` wrote it, with its place in the flags, and the caller forgets it.
        Some(V::from_word(unsafe { Word::from_bits(bits, shape.payload.detail, V::KINDS) }))
    }

    /// Gives the block another shape for the same key, keeping the first `kept` bytes of the payload
    /// and the deadline if both shapes have one. The raw flag is cleared.
    ///
    /// # Safety
    /// `old` is the block's shape; `kept` is at most the length of either payload. The caller must
    /// write the rest of the payload, and a new deadline, before the block is used or dropped; a
    /// value that is not kept whole must have been taken.
    #[inline]
    unsafe fn reshape(self, old: Shape, new: Shape, kept: usize) -> Self {
        // A word is not behind the key but at the end, where it stays if the block does.
        let is_word = old.payload.form == Form::Word;
        let moved_bytes = old.key_len + if is_word { 0 } else { kept };
        // SAFETY: within the block.
        let from = unsafe { self.address.add(old.key_at()) };
        if old.block_bytes() == new.block_bytes() {
            if old.key_at() != new.key_at() {
                // SAFETY: within the block, because `new` has the same good size.
                let to = unsafe { self.address.add(new.key_at()) };
                // SAFETY: both ranges are within the block; they may overlap.
                unsafe { ptr::copy(from.as_ptr(), to.as_ptr(), moved_bytes) };
            }
            // SAFETY: the block is big enough for `new`.
            unsafe { write_header(self.address, new, false) };
            return self;
        }
        let old_block = ManuallyDrop::new(self);
        let address = allocate(new.block_bytes());
        // SAFETY: freshly allocated for `new`.
        unsafe { write_header(address, new, false) };
        // SAFETY: likewise.
        unsafe { write_stamp::<V>(address, old_block.view().stamp()) };
        if let (true, Some(deadline)) = (new.has_deadline, old_block.view().deadline()) {
            // SAFETY: `new` has a deadline.
            unsafe { write_deadline(address, new, deadline) };
        }
        // SAFETY: within the new block.
        let to = unsafe { address.add(new.key_at()) };
        // SAFETY: different allocations, both long enough.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), moved_bytes) };
        if is_word && kept > 0 {
            // SAFETY: the payload of `old` is a word.
            let from = unsafe { word_at(old_block.address, old) };
            // SAFETY: that of `new` too, because it is kept.
            let to = unsafe { word_at(address, new) };
            // SAFETY: within the old block, which is freed without looking at it again.
            let bits = unsafe { from.read() };
            // SAFETY: within the new block.
            unsafe { to.write(bits) };
        }
        // SAFETY: allocated for `old`, and `old_block` is never used or dropped.
        unsafe { release(old_block.address, old.block_bytes()) };
        Self { address, owns: PhantomData }
    }
}

impl<V: BlockValue> Drop for Block<V> {
    fn drop(&mut self) {
        let shape = self.shape();
        // Declared first, so dropped after the memory was released even if that panics.
        let _value = self.take_value(shape);
        // SAFETY: allocated for `shape`, and this is the end of the block.
        unsafe { release(self.address, shape.block_bytes()) };
    }
}

impl<V: BlockValue> Clone for Block<V> {
    fn clone(&self) -> Self {
        self.view().to_block()
    }
}

impl<V: BlockValue> fmt::Debug for Block<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(formatter)
    }
}

impl<'a, V: BlockValue> BlockRef<'a, V> {
    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (key_at, key_len) = self.key_place(self.flags());
        self.bytes(key_at, key_len)
    }

    /// The payload.
    #[inline]
    pub fn payload(self) -> PayloadRef<'a, V> {
        let shape = self.shape();
        match shape.payload.form {
            Form::Bytes => PayloadRef::Bytes(self.bytes(shape.payload_at(), shape.payload.bytes)),
            Form::Integer => PayloadRef::Integer(self.integer(shape)),
            Form::Word => PayloadRef::Value(self.value_of(shape)),
        }
    }

    /// The value, if the payload is one. Of other blocks nothing but the flags is looked at.
    #[inline]
    fn value(self) -> Option<V::Ref<'a>> {
        match Form::of(self.flags()) {
            Form::Bytes | Form::Integer => None,
            Form::Word => Some(self.value_of(self.shape())),
        }
    }

    /// The value of a block of this shape, whose payload is a word. A call of its own, so that looking at a payload
    /// stays small enough to be inlined.
    #[inline(never)]
    fn value_of(self, shape: Shape) -> V::Ref<'a> {
        debug_assert_eq!(shape.payload.form, Form::Word, "another payload");
        // SAFETY: this payload is a word.
        let bits = unsafe { word_at(self.address, shape) };
        // SAFETY: it is within the block, which is borrowed for 'a.
        let bits = unsafe { bits.as_ref() };
        // SAFETY: `write_payload` wrote it, with its place in the flags.
        V::by_ref(unsafe { WordRef::new(bits, shape.payload.detail, V::KINDS) })
    }

    /// The deadline, if there is one.
    #[inline]
    pub fn deadline(self) -> Option<Deadline> {
        if self.flags() & FLAG_DEADLINE == 0 {
            return None;
        }
        let mut millis = [0; 8];
        millis[..DEADLINE_BYTES]
            .copy_from_slice(self.bytes(1 + stamp_bytes::<V>(), DEADLINE_BYTES));
        Some(Deadline::from_bits(u64::from_le_bytes(millis)))
    }

    /// The stamp; 0 where blocks have none.
    #[inline]
    pub fn stamp(self) -> u32 {
        if !V::HAS_STAMP {
            return 0;
        }
        // SAFETY: every block has 16 bytes at least, and its first four are initialised.
        u32::from_le_bytes(unsafe { self.address.cast::<[u8; 4]>().read() }) >> 8
    }

    /// The raw flag.
    #[inline]
    pub fn is_raw(self) -> bool {
        self.flags() & FLAG_RAW != 0
    }

    /// A block of its own with the same content.
    pub fn to_block(self) -> Block<V> {
        let payload = match self.payload() {
            PayloadRef::Bytes(bytes) => Payload::Bytes(bytes),
            PayloadRef::Integer(integer) => Payload::Integer(integer),
            PayloadRef::Value(value) => Payload::Value(V::to_owned(value)),
        };
        let mut block = Block::new(self.key(), payload, self.deadline());
        block.set_raw(self.is_raw());
        block.set_stamp(self.stamp());
        block
    }

    /// What the allocator set aside for the block itself, without what a word points to.
    #[inline]
    pub fn good_bytes(self) -> usize {
        self.shape().block_bytes()
    }

    #[inline]
    fn shape(self) -> Shape {
        let flags = self.flags();
        let detail = flags >> DETAIL_SHIFT;
        let has_deadline = flags & FLAG_DEADLINE != 0;
        let (key_at, key_len) = self.key_place(flags);
        let payload = match Form::of(flags) {
            Form::Bytes => {
                let length_bytes = 1 << detail;
                let bytes = self.length(key_at - length_bytes, length_bytes);
                PayloadShape { form: Form::Bytes, detail, bytes }
            }
            Form::Integer => {
                PayloadShape { form: Form::Integer, detail, bytes: usize::from(detail) + 1 }
            }
            Form::Word => PayloadShape { form: Form::Word, detail, bytes: WORD_BYTES },
        };
        Shape { stamp_bytes: stamp_bytes::<V>(), key_len, has_deadline, payload }
    }

    /// Offset and length of the key.
    #[inline]
    fn key_place(self, flags: u8) -> (usize, usize) {
        let deadline_bytes = if flags & FLAG_DEADLINE == 0 { 0 } else { DEADLINE_BYTES };
        let at = 1 + stamp_bytes::<V>() + deadline_bytes;
        let length_bytes = if flags & FLAG_WIDE_KEY == 0 { 1 } else { 4 };
        let value_length_bytes = match Form::of(flags) {
            Form::Bytes => 1 << (flags >> DETAIL_SHIFT),
            Form::Integer | Form::Word => 0,
        };
        (at + length_bytes + value_length_bytes, self.length(at, length_bytes))
    }

    /// The length in the 1, 2 or 4 bytes at `at`, without a branch on how many.
    #[inline]
    fn length(self, at: usize, bytes: usize) -> usize {
        // SAFETY: lengths begin at offset 11 at most, and every block has 16 bytes at least; behind a key length
        // of four bytes at 14 at most, and then the key alone has more than 255.
        let from = unsafe { self.address.add(at) }.cast::<[u8; 4]>();
        // SAFETY: so these four bytes are within the block, and `allocate` initialised them.
        let word = u32::from_le_bytes(unsafe { from.read() });
        (word & (u32::MAX >> (32 - 8 * bytes))) as usize
    }

    #[inline]
    fn integer(self, shape: Shape) -> i64 {
        let bytes = shape.payload.bytes;
        let end = shape.payload_at() + bytes;
        // The low bytes of this word belong to the key, and are shifted out.
        let mut word = [0; 8];
        if let Some(at) = end.checked_sub(8) {
            word.copy_from_slice(self.bytes(at, 8));
        } else {
            word[8 - bytes..].copy_from_slice(self.bytes(end - bytes, bytes));
        }
        i64::from_le_bytes(word) >> (64 - 8 * bytes)
    }

    #[inline]
    fn flags(self) -> u8 {
        // SAFETY: the first byte of every block is its flags.
        unsafe { self.address.read() }
    }

    /// Part of the block; private, because it trusts its arguments.
    #[inline]
    fn bytes(self, at: usize, len: usize) -> &'a [u8] {
        // SAFETY: every caller takes both numbers from the header, so this is within the block.
        let from = unsafe { self.address.add(at) };
        // SAFETY: likewise; header, key and payload are initialised, and borrowed for 'a.
        unsafe { slice::from_raw_parts(from.as_ptr(), len) }
    }
}

impl<V: BlockValue> Clone for BlockRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: BlockValue> Copy for BlockRef<'_, V> {}

impl<V: BlockValue> fmt::Debug for BlockRef<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Block")
            .field("key", &format_args!("{}", self.key().escape_ascii()))
            .field("payload", &self.payload())
            .field("deadline", &self.deadline())
            .field("raw", &self.is_raw())
            .finish()
    }
}

impl<'a, V: BlockValue> EntryView<'a> for BlockRef<'a, V> {
    #[inline]
    fn key(self) -> &'a [u8] {
        BlockRef::key(self)
    }

    #[inline]
    fn deadline(self) -> Option<Deadline> {
        BlockRef::deadline(self)
    }

    #[inline]
    fn due(self) -> Option<Deadline> {
        let own = BlockRef::deadline(self);
        let inner = self.value().and_then(V::next_deadline);
        match (own, inner) {
            (Some(own), Some(inner)) => Some(own.min(inner)),
            (own, inner) => own.or(inner),
        }
    }

    #[inline]
    fn holds_deadlines(self) -> bool {
        self.value().is_some_and(V::holds_deadlines)
    }

    #[inline]
    fn bytes(self) -> usize {
        self.good_bytes() + self.value().map_or(0, V::heap_bytes)
    }
}

// SAFETY: `allocate` checks that addresses are multiples of 16; the conversions are inverse.
unsafe impl<V: BlockValue> Entry for Block<V> {
    type View<'a>
        = BlockRef<'a, V>
    where
        V: 'a;

    const MARKS: Marks = Marks::DEADLINE.or(Marks::COLLECTION);

    #[inline]
    fn into_parts(self) -> (NonNull<u8>, Marks) {
        let block = ManuallyDrop::new(self);
        let view = block.view();
        let mut marks = Marks::NONE;
        if view.flags() & FLAG_DEADLINE != 0 {
            marks = marks.or(Marks::DEADLINE);
        }
        if let Some(value) = view.value() {
            if V::is_collection(value) {
                marks = marks.or(Marks::COLLECTION);
            }
            if V::next_deadline(value).is_some() {
                marks = marks.or(Marks::DEADLINE);
            }
        }
        (block.address, marks)
    }

    #[inline]
    unsafe fn from_parts(address: NonNull<u8>, _: Marks) -> Self {
        Self { address, owns: PhantomData }
    }

    #[inline]
    unsafe fn set_stamp(address: NonNull<u8>, stamp: u32) {
        // SAFETY: by the caller, this is a block of `V`.
        unsafe { write_stamp::<V>(address, stamp) };
    }

    unsafe fn defragment(
        address: NonNull<u8>,
        _: Marks,
        defragmentation: &mut Defragmentation,
    ) -> Option<NonNull<u8>> {
        // Owned by the caller, who is told where it is afterwards.
        let mut block = ManuallyDrop::new(Self { address, owns: PhantomData });
        if let Some(value) = block.value_mut() {
            V::defragment(value, defragmentation);
        }
        let bytes = block.view().good_bytes();
        // SAFETY: allocated for this size; a word moves with its block, and the caller forgets the old place.
        defragmentation.wants(address.as_ptr(), bytes).then(|| unsafe { relocate(address, bytes) })
    }

    #[inline]
    unsafe fn view<'a>(address: NonNull<u8>, _: Marks) -> BlockRef<'a, V>
    where
        V: 'a,
    {
        BlockRef { address, borrows: PhantomData }
    }
}

/// What decides where the parts of a block are, and how big it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    /// 0 or [`STAMP_BYTES`], the same for all blocks of a type.
    stamp_bytes: usize,
    key_len: usize,
    has_deadline: bool,
    payload: PayloadShape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct PayloadShape {
    form: Form,
    /// Bits 5-7 of the flags.
    detail: u8,
    /// Length of the payload inside the block.
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Bytes = 0,
    Integer = 1,
    Word = 2,
}

impl Form {
    #[inline]
    const fn of(flags: u8) -> Self {
        match flags & 3 {
            0 => Self::Bytes,
            1 => Self::Integer,
            _ => Self::Word,
        }
    }
}

impl PayloadShape {
    #[inline]
    fn of(payload: &Parts<'_>) -> Self {
        match payload {
            Parts::Bytes(bytes) => Self::of_bytes(bytes.len()),
            Parts::Integer(integer) => {
                // The bits that differ from the sign, and the sign itself.
                let magnitude = if *integer < 0 { !integer } else { *integer };
                let spare_bytes = (magnitude.leading_zeros() - 1) / 8;
                let bytes = 8 - spare_bytes as usize;
                Self { form: Form::Integer, detail: (bytes - 1) as u8, bytes }
            }
            Parts::Word(place, _) => Self { form: Form::Word, detail: *place, bytes: WORD_BYTES },
        }
    }

    #[inline]
    fn of_bytes(len: usize) -> Self {
        assert!(len <= BLOCK_PART_BYTES_MAX, "a value of {len} bytes does not fit a block");
        let detail = match len {
            0..0x100 => 0,
            0x100..0x1_0000 => 1,
            _ => 2,
        };
        Self { form: Form::Bytes, detail, bytes: len }
    }
}

impl Shape {
    #[inline]
    fn of<V: BlockValue>(key_len: usize, has_deadline: bool, payload: PayloadShape) -> Self {
        assert!(key_len <= BLOCK_PART_BYTES_MAX, "a key of {key_len} bytes does not fit a block");
        Self { stamp_bytes: stamp_bytes::<V>(), key_len, has_deadline, payload }
    }

    const fn with_payload(self, payload: PayloadShape) -> Self {
        Self { payload, ..self }
    }

    const fn has_wide_key(self) -> bool {
        self.key_len > u8::MAX as usize
    }

    #[inline]
    const fn deadline_at(self) -> usize {
        1 + self.stamp_bytes
    }

    #[inline]
    const fn key_length_at(self) -> usize {
        self.deadline_at() + if self.has_deadline { DEADLINE_BYTES } else { 0 }
    }

    #[inline]
    const fn value_length_at(self) -> usize {
        self.key_length_at() + if self.has_wide_key() { 4 } else { 1 }
    }

    #[inline]
    const fn key_at(self) -> usize {
        let value_length_bytes = match self.payload.form {
            Form::Bytes => 1 << self.payload.detail,
            Form::Integer | Form::Word => 0,
        };
        self.value_length_at() + value_length_bytes
    }

    #[inline]
    const fn payload_at(self) -> usize {
        match self.payload.form {
            Form::Bytes | Form::Integer => self.key_at() + self.key_len,
            Form::Word => self.block_bytes() - WORD_BYTES,
        }
    }

    /// The size of the allocation. At least [`BLOCK_ALIGN`]: allocators align smaller ones less.
    #[inline]
    const fn block_bytes(self) -> usize {
        let bytes = self.key_at() + self.key_len + self.payload.bytes;
        good_size(if bytes < BLOCK_ALIGN { BLOCK_ALIGN } else { bytes })
    }

    const fn flags(self, raw: bool) -> u8 {
        self.payload.form as u8
            | self.payload.detail << DETAIL_SHIFT
            | if raw { FLAG_RAW } else { 0 }
            | if self.has_deadline { FLAG_DEADLINE } else { 0 }
            | if self.has_wide_key() { FLAG_WIDE_KEY } else { 0 }
    }
}

/// Writes the flags and the lengths of `shape`; a deadline already there stays.
///
/// # Safety
/// The block at `address` is allocated for `shape`.
#[inline]
unsafe fn write_header(address: NonNull<u8>, shape: Shape, raw: bool) {
    // SAFETY: the first byte of the block.
    unsafe { address.write(shape.flags(raw)) };
    let key_length_bytes = shape.value_length_at() - shape.key_length_at();
    // SAFETY: `shape` has this room for the length of the key.
    unsafe { write_length(address, shape.key_length_at(), key_length_bytes, shape.key_len) };
    let value_length_bytes = shape.key_at() - shape.value_length_at();
    // SAFETY: `shape` has this room for the length of the value.
    unsafe {
        write_length(address, shape.value_length_at(), value_length_bytes, shape.payload.bytes);
    }
}

/// Writes a length into the `bytes` (0, 1, 2 or 4) at offset `at`.
///
/// # Safety
/// The block has that room.
#[inline]
unsafe fn write_length(address: NonNull<u8>, at: usize, bytes: usize, length: usize) {
    // SAFETY: by the caller.
    let to = unsafe { address.add(at) };
    match bytes {
        0 => {}
        // SAFETY: by the caller, as below.
        1 => unsafe { to.write(length as u8) },
        // SAFETY: likewise; a length need not be aligned.
        2 => unsafe { to.cast::<[u8; 2]>().write((length as u16).to_le_bytes()) },
        // SAFETY: likewise.
        _ => unsafe { to.cast::<[u8; 4]>().write((length as u32).to_le_bytes()) },
    }
}

/// Writes the lowest 24 bits of `stamp`, if such blocks have one.
///
/// # Safety
/// The block at `address` is allocated for a shape of `V`.
#[inline]
unsafe fn write_stamp<V: BlockValue>(address: NonNull<u8>, stamp: u32) {
    if V::HAS_STAMP {
        // SAFETY: by the caller.
        unsafe { copy_in(address, 1, &stamp.to_le_bytes()[..STAMP_BYTES]) };
    }
}

/// # Safety
/// The block at `address` is allocated for `shape`, which has a deadline.
#[inline]
unsafe fn write_deadline(address: NonNull<u8>, shape: Shape, deadline: Deadline) {
    let bytes = deadline.to_bits().to_le_bytes();
    // SAFETY: by the caller.
    unsafe { copy_in(address, shape.deadline_at(), &bytes[..DEADLINE_BYTES]) };
}

/// # Safety
/// The block at `address` is allocated for `shape`, which was made for this payload.
#[inline]
unsafe fn write_payload(address: NonNull<u8>, shape: Shape, payload: Parts<'_>) {
    let at = shape.payload_at();
    match payload {
        // SAFETY: `shape` was made for this payload, so it has the room.
        Parts::Bytes(bytes) => unsafe { copy_in(address, at, bytes) },
        Parts::Integer(integer) => {
            let bytes = integer.to_le_bytes();
            // SAFETY: likewise.
            unsafe { copy_in(address, at, &bytes[..shape.payload.bytes]) }
        }
        Parts::Word(_, bits) => {
            // SAFETY: the payload of `shape` is a word.
            let to = unsafe { word_at(address, shape) };
            // SAFETY: it is within the block.
            unsafe { to.write(bits) };
        }
    }
}

/// Where the word of a block is. It is aligned: blocks are, to [`BLOCK_ALIGN`], and their sizes are multiples of a
/// word.
///
/// # Safety
/// The block at `address` is allocated for `shape`, whose payload is a word.
#[inline]
unsafe fn word_at(address: NonNull<u8>, shape: Shape) -> NonNull<MaybeUninit<*mut u8>> {
    // SAFETY: within the block.
    unsafe { address.add(shape.payload_at()) }.cast()
}

#[cfg(test)]
mod tests;
