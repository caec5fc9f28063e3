//! What the process's allocator gives, class by class.

#![expect(unsafe_code, reason = "calls the allocator directly")]

use darter_runtime::Allocator;
use libmimalloc_sys::{mi_good_size, mi_usable_size};
use std::alloc::{GlobalAlloc, Layout};

/// Above this there are no classes but regions of the address space, not all of them resident.
const CLASS_BYTES_MAX: usize = 512 << 10;

const ALIGNS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 4096];

fn assert_fits(block: *mut u8, layout: Layout) {
    assert!(block.addr().is_multiple_of(layout.align()), "{layout:?}");
    // SAFETY: a block of mimalloc's.
    let usable = unsafe { mi_usable_size(block.cast()) };
    // SAFETY: a pure function of its argument.
    let good = unsafe { mi_good_size(layout.size()) };
    if layout.align() <= 8 || (layout.align() == 16 && layout.size() >= 16) {
        assert_eq!(usable, good, "{layout:?}");
    } else {
        assert!(usable >= layout.size(), "{layout:?}");
    }
}

#[test]
fn every_block_is_aligned_and_costs_its_good_size() {
    let mut kept = Vec::new();
    for size in (1..3000).chain((3000..CLASS_BYTES_MAX).step_by(997)) {
        for align in ALIGNS {
            let layout = Layout::from_size_align(size, align).expect("small");
            for zeroed in [false, true] {
                let block = if zeroed {
                    // SAFETY: the layout is not empty.
                    unsafe { Allocator.alloc_zeroed(layout) }
                } else {
                    // SAFETY: the layout is not empty.
                    unsafe { Allocator.alloc(layout) }
                };
                assert_fits(block, layout);
                kept.push((block, layout));
            }
        }
        if kept.len() > 4000 {
            for (block, layout) in kept.drain(..) {
                // SAFETY: allocated above with this layout.
                unsafe { Allocator.dealloc(block, layout) };
            }
        }
    }
}

#[test]
fn a_block_that_is_resized_stays_aligned() {
    for align in ALIGNS {
        let mut layout = Layout::from_size_align(8, align).expect("small");
        // SAFETY: the layout is not empty.
        let mut block = unsafe { Allocator.alloc(layout) };
        for size in [24, 15, 40, 9, 48, 96, 33, 160, 1000, 5, 100_000, 48] {
            // SAFETY: allocated with this layout, and the new size is not 0.
            block = unsafe { Allocator.realloc(block, layout, size) };
            layout = Layout::from_size_align(size, align).expect("small");
            assert!(block.addr().is_multiple_of(align), "{layout:?}");
        }
        // SAFETY: allocated with this layout.
        unsafe { Allocator.dealloc(block, layout) };
    }
}

#[test]
fn a_block_that_is_cut_down_costs_its_new_size() {
    for (size, new_size) in [(7168, 4096), (64, 48), (128, 65), (100_000, 3), (400_000, 300_000)] {
        let layout = Layout::from_size_align(size, 8).expect("small");
        // SAFETY: the layout is not empty.
        let block = unsafe { Allocator.alloc(layout) };
        // SAFETY: allocated with this size.
        unsafe { block.write_bytes(0x5a, size) };
        // SAFETY: allocated with this layout, and the new size is not 0.
        let block = unsafe { Allocator.realloc(block, layout, new_size) };
        let layout = Layout::from_size_align(new_size, 8).expect("small");
        assert_fits(block, layout);
        // SAFETY: so many bytes were written, and kept.
        let kept = unsafe { std::slice::from_raw_parts(block, new_size) };
        assert!(kept.iter().all(|byte| *byte == 0x5a));
        // SAFETY: allocated with this layout.
        unsafe { Allocator.dealloc(block, layout) };
    }
}
