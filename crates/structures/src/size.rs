//! What an allocation costs: the size classes of the allocator, as arithmetic.

/// The largest request mimalloc serves from a size class; above it, whole pages.
pub const SIZE_CLASS_BYTES_MAX: usize = 512 * 1024;

/// Allocations above [`SIZE_CLASS_BYTES_MAX`] are rounded up to this.
const PAGE_BYTES: usize = 4096;

const WORD_BYTES: usize = 8;

/// The number of bytes the allocator sets aside for a request of `bytes`.
///
/// This is mimalloc 3's rounding (checked against the library itself in `tests/good_size.rs`), in
/// plain arithmetic so that the crates below the binary need no foreign function for their
/// accounting: multiples of 16 up to 64 (8 for the smallest), then four classes per doubling
/// (80, 96, 112, 128, 160, 192, 224, 256, 320 ...) up to 512 KiB, then whole pages.
#[inline]
pub const fn good_size(bytes: usize) -> usize {
    if bytes <= 8 * WORD_BYTES {
        return if bytes <= WORD_BYTES { WORD_BYTES } else { (bytes + 15) & !15 };
    }
    if bytes > SIZE_CLASS_BYTES_MAX {
        return match bytes.checked_add(PAGE_BYTES - 1) {
            Some(sum) => sum & !(PAGE_BYTES - 1),
            None => bytes,
        };
    }
    // The class is the top three bits of the size in words, rounded up: steps of a quarter of the
    // power of two below.
    let words_less_one = bytes.div_ceil(WORD_BYTES) - 1;
    let step_log2 = words_less_one.ilog2() - 2;
    (((words_less_one >> step_log2) + 1) << step_log2) * WORD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_four_to_a_doubling() {
        let classes = [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
        let mut class = 0;
        for bytes in 0..=384 {
            if bytes > classes[class] {
                class += 1;
            }
            assert_eq!(good_size(bytes), classes[class], "of {bytes}");
        }
    }

    #[test]
    fn a_good_size_is_its_own_good_size() {
        for bytes in (0..2_000_000).step_by(7) {
            let good = good_size(bytes);
            assert!(good >= bytes);
            assert_eq!(good_size(good), good);
        }
        assert_eq!(good_size(usize::MAX), usize::MAX);
    }
}
