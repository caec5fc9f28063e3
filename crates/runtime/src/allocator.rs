//! The allocator of the process: mimalloc, asked for no more alignment than it gives anyway.
//!
//! mimalloc aligns every block of 16 bytes or more to 16, and smaller ones to 8. Asked for 8 or 16 in so
//! many words, as Rust asks for nearly everything, it makes sure by taking a larger class, unless the
//! class is a power of two: 64 bytes for 48, 112 for 96, 192 for 160 (mimalloc 3.1, 500,000 blocks
//! each, resident memory the same; November 2026). Asked plainly it gives the class itself, which is
//! also what the accounting of every crate above assumes ("good sizes").
//!
//! For the same reason a block that is cut down moves to one of its new size. mimalloc leaves it where it is if
//! no more than half would be unused: a vector that had doubled and gave back what it did not need kept up to
//! twice the memory that was accounted for.

#![allow(unsafe_code, reason = "an allocator is one by contract")]

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

/// To be the binary's `#[global_allocator]`. Any thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

/// What mimalloc aligns blocks of at least this size to by itself.
const NATURAL_ALIGN: usize = 16;
/// What it aligns all blocks to.
const LEAST_ALIGN: usize = 8;

/// A layout without an alignment.
const ANY_ALIGN: Layout = Layout::new::<u8>();

/// `layout`, or one of the same size without an alignment if that is as good.
#[inline]
const fn plain(layout: Layout) -> Layout {
    if is_natural(layout.size(), layout.align()) {
        // SAFETY: 1 is a power of two, and any size that is valid with a larger alignment is with 1.
        unsafe { Layout::from_size_align_unchecked(layout.size(), 1) }
    } else {
        layout
    }
}

/// Whether mimalloc aligns blocks of `size` bytes to `align` without being asked.
#[inline]
const fn is_natural(size: usize, align: usize) -> bool {
    align <= LEAST_ALIGN || (align <= NATURAL_ALIGN && size >= NATURAL_ALIGN)
}

/// Whether a block of `size` bytes is too big for `new_size`: a class is at most seven eighths of the next.
#[inline]
const fn is_much_less(new_size: usize, size: usize) -> bool {
    new_size <= size - size / 8
}

impl Allocator {
    /// Moves a block to one of fewer bytes; null, and the block stays, if there is no memory for it.
    ///
    /// # Safety
    /// As for `realloc`; and `new_size` is less than the layout's.
    #[cold]
    unsafe fn move_to_less(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a smaller size with the same alignment is valid.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: by the caller the new size is not 0.
        let moved = unsafe { self.alloc(new_layout) };
        if !moved.is_null() {
            // SAFETY: both have this many bytes, and are different blocks.
            unsafe { ptr::copy_nonoverlapping(block, moved, new_size) };
            // SAFETY: by the caller, who uses the new block from now on.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

// SAFETY: everything is passed on to mimalloc, itself a correct allocator. It gets another alignment than
// asked for only where the block is aligned as asked for all the same (`is_natural`, checked over all
// classes in `tests/allocator.rs`), and a block may be freed and resized whatever alignment it was asked
// with, as mimalloc keeps none: `dealloc` and `realloc` of `MiMalloc` take the size from the block.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout is not empty, so neither is this one.
        unsafe { MiMalloc.alloc(plain(layout)) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { MiMalloc.alloc_zeroed(plain(layout)) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's block is one of mimalloc's.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if is_much_less(new_size, layout.size()) {
            // SAFETY: passed on from the caller.
            return unsafe { self.move_to_less(block, layout, new_size) };
        }
        // Only the alignment of this layout is looked at.
        let layout = if is_natural(new_size, layout.align()) { ANY_ALIGN } else { layout };
        // SAFETY: the caller's block is one of mimalloc's. A block that stays in its place is aligned
        // already; one that moves is as the new size makes it, or as asked.
        unsafe { MiMalloc.realloc(block, layout, new_size) }
    }
}
