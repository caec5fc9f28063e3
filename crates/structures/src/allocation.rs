//! Allocations whose addresses fit a slot word, for blocks and members.

#![allow(unsafe_code, reason = "asks the allocator for bytes without a type")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

/// Every block's address is a multiple of this, which is what lets a slot word keep it in 44 bits.
pub(crate) const BLOCK_ALIGN: usize = 16;

/// The alignment asked of the allocator.
///
/// mimalloc aligns every block of 16 bytes or more to 16 by itself, as do the other allocators met in
/// practice; but when *asked* for 16 it over-allocates by 15 in all classes that are not a power of
/// two, which puts a 48-byte block into 64 bytes. So one is asked for, and the result is checked in
/// [`allocate`]. Miri hands out the least alignment asked for, so it is asked for 16.
const LAYOUT_ALIGN: usize = if cfg!(miri) { BLOCK_ALIGN } else { 1 };

/// A block of `block_bytes`, at least [`BLOCK_ALIGN`], of which the first [`BLOCK_ALIGN`] are zeroes, so that
/// a reader of a header may read more than it needs.
#[inline]
pub(crate) fn allocate(block_bytes: usize) -> NonNull<u8> {
    assert!(block_bytes >= BLOCK_ALIGN, "allocators align smaller blocks less");
    let layout = block_layout(block_bytes);
    // SAFETY: the layout is at least BLOCK_ALIGN bytes long, as just checked.
    let address = unsafe { alloc(layout) };
    let Some(address) = NonNull::new(address) else { handle_alloc_error(layout) };
    assert!(
        address.addr().get().is_multiple_of(BLOCK_ALIGN),
        "the allocator does not align blocks of {block_bytes} bytes to {BLOCK_ALIGN}"
    );
    // SAFETY: every block has BLOCK_ALIGN bytes at least, and is so aligned as just checked.
    unsafe { address.cast::<u128>().write(0) };
    address
}

/// Frees a block without looking at its content.
///
/// # Safety
/// `address` was returned by `allocate(block_bytes)` and is not used again.
#[inline]
pub(crate) unsafe fn release(address: NonNull<u8>, block_bytes: usize) {
    // SAFETY: by the caller.
    unsafe { dealloc(address.as_ptr(), block_layout(block_bytes)) }
}

/// Moves a block to another place.
///
/// # Safety
/// `address` was returned by `allocate(block_bytes)` and is not used again.
pub(crate) unsafe fn relocate(address: NonNull<u8>, block_bytes: usize) -> NonNull<u8> {
    let to = allocate(block_bytes);
    // SAFETY: both are of this size, and different allocations.
    unsafe { ptr::copy_nonoverlapping(address.as_ptr(), to.as_ptr(), block_bytes) };
    // SAFETY: by the caller.
    unsafe { release(address, block_bytes) };
    to
}

/// Copies `bytes` to offset `at` of a block.
///
/// # Safety
/// The block has that room, and `bytes` is no part of it.
#[inline]
pub(crate) unsafe fn copy_in(address: NonNull<u8>, at: usize, bytes: &[u8]) {
    // SAFETY: by the caller.
    let to = unsafe { address.add(at) };
    // SAFETY: by the caller.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
}

#[inline]
const fn block_layout(block_bytes: usize) -> Layout {
    match Layout::from_size_align(block_bytes, LAYOUT_ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("a block is far smaller than the address space"),
    }
}
