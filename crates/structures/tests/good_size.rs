//! `good_size` against the allocator it describes.

#![expect(unsafe_code, reason = "calls mimalloc directly")]

use std::alloc::{GlobalAlloc, Layout};

use darter_structures::good_size;
use libmimalloc_sys::{mi_good_size, mi_usable_size};
use mimalloc::MiMalloc;

#[test]
fn good_size_is_mimallocs_good_size() {
    for bytes in (1..20_000).chain((20_000..1_200_000).step_by(61)) {
        // SAFETY: a pure function of its argument.
        let expected = unsafe { mi_good_size(bytes) };
        assert_eq!(good_size(bytes), expected, "of {bytes}");
    }
}

#[test]
fn blocks_get_exactly_their_good_size_aligned_to_16() {
    let mut kept = Vec::new();
    for bytes in 9..4096 {
        let layout = Layout::from_size_align(good_size(bytes), 1).expect("small");
        for _ in 0..3 {
            // SAFETY: the layout is not empty.
            let block = unsafe { MiMalloc.alloc(layout) };
            assert!(block.addr().is_multiple_of(16));
            // SAFETY: just allocated by mimalloc.
            let usable = unsafe { mi_usable_size(block.cast()) };
            assert_eq!(usable, layout.size(), "of {bytes}");
            kept.push((block, layout));
        }
    }
    for (block, layout) in kept {
        // SAFETY: allocated above with this layout.
        unsafe { MiMalloc.dealloc(block, layout) };
    }
}
