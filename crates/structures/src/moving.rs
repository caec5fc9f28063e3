//! Moving many bytes to another buffer without copying them: the system gives their pages to the other one.
//!
//! A string of hundreds of megabytes that grows has to move to a larger buffer, and copying it takes as long as reading it,
//! writing it and being given each page of the new buffer, 0.4 s for 256 MB, while everybody waits. Pages can be moved
//! instead (`mremap(2)` with `MREMAP_DONTUNMAP`, Linux 5.7 and later): what is left in their place is zero until somebody
//! writes to it, so that both buffers stay what they were to the allocator.

#![allow(unsafe_code, reason = "the system moves what belongs to two buffers")]

/// Below this the pages of the two buffers, which become mappings of their own, are not worth it.
#[cfg(all(target_os = "linux", not(miri)))]
const BYTES_MIN: usize = 1 << 20;

/// Has `to` begin with what is in `from`, which holds anything afterwards. O(pages) for long ones where the system can, else
/// O(n).
///
/// # Panics
/// If `to` is shorter.
pub fn move_bytes(from: &mut [u8], to: &mut [u8]) {
    let to = &mut to[..from.len()];
    let whole = whole_pages(from, to);
    let (begin, end) = (whole.start, whole.end);
    if !move_pages(&mut from[whole.clone()], &mut to[whole]) {
        to.copy_from_slice(from);
        return;
    }
    to[..begin].copy_from_slice(&from[..begin]);
    to[end..].copy_from_slice(&from[end..]);
}

/// Zeroes. O(pages in use) for many where the system can, else O(n): an allocator that has had the memory before fills it by
/// hand.
pub fn zeroes(len: usize) -> Vec<u8> {
    #[cfg(all(target_os = "linux", not(miri)))]
    if len >= BYTES_MIN
        && let Some(zeroes) = zero_pages(len)
    {
        return zeroes;
    }
    vec![0; len]
}

/// Has the system forget what was in the pages of a new buffer: what it gives instead when somebody looks is zero.
#[cfg(all(target_os = "linux", not(miri)))]
fn zero_pages(len: usize) -> Option<Vec<u8>> {
    use rustix::mm::{Advice, madvise};
    let page_bytes = rustix::param::page_size();
    let mut buffer: Vec<u8> = Vec::with_capacity(len);
    let start = buffer.as_mut_ptr();
    let begin = start.addr().wrapping_neg() % page_bytes;
    let pages_bytes = (len - begin) / page_bytes * page_bytes;
    // SAFETY: `begin` is less than a page, and the buffer is many.
    let pages = unsafe { start.add(begin) };
    // SAFETY: whole pages within the buffer, which nobody else uses and nothing was written to yet. They stay mapped.
    unsafe { madvise(pages.cast(), pages_bytes, Advice::LinuxDontNeed) }.ok()?;
    // SAFETY: the bytes in front of the pages are the buffer's.
    unsafe { start.write_bytes(0, begin) };
    // SAFETY: the end of the pages is within the buffer.
    let rest = unsafe { pages.add(pages_bytes) };
    // SAFETY: so are the bytes behind them.
    unsafe { rest.write_bytes(0, len - begin - pages_bytes) };
    // SAFETY: all of them are zero: private memory that is not a file's is, once the system was told so.
    unsafe { buffer.set_len(len) };
    Some(buffer)
}

/// Where both consist of whole pages, at the same places; nothing if that is too little.
#[cfg(all(target_os = "linux", not(miri)))]
fn whole_pages(from: &[u8], to: &[u8]) -> std::ops::Range<usize> {
    let page_bytes = rustix::param::page_size();
    let begin = from.as_ptr().addr().wrapping_neg() % page_bytes;
    if from.len() < BYTES_MIN || to.as_ptr().addr().wrapping_neg() % page_bytes != begin {
        return 0..0;
    }
    begin..from.len() - (from.len() - begin) % page_bytes
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn whole_pages(_: &[u8], _: &[u8]) -> std::ops::Range<usize> {
    0..0
}

/// Moves whole pages, of which there are as many in both; whether it did. If not, nothing has changed.
#[cfg(all(target_os = "linux", not(miri)))]
fn move_pages(from: &mut [u8], to: &mut [u8]) -> bool {
    use rustix::mm::{MremapFlags, mremap_fixed};
    let flags = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
    let (bytes, from, to) = (from.len(), from.as_mut_ptr(), to.as_mut_ptr());
    if bytes == 0 {
        return false;
    }
    // SAFETY: both ranges are whole pages (`whole_pages`) of memory that the caller may write to, and do not overlap.
    // Afterwards both are mapped as before, readable and writable: the second with the pages of the first, the first
    // with none, which reads as zeroes. The system refuses what is not private memory, and changes nothing then.
    unsafe { mremap_fixed(from.cast(), bytes, bytes, flags, to.cast()) }.is_ok()
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn move_pages(_: &mut [u8], _: &mut [u8]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_are_zero_in_memory_that_was_used() {
        for len in [0, 5000, 3_000_000, 3_000_001, 40_000_000] {
            for _ in 0..3 {
                let mut buffer = zeroes(len);
                assert_eq!(buffer.len(), len);
                assert!(buffer.iter().all(|byte| *byte == 0));
                buffer.fill(1);
            }
        }
    }

    #[test]
    fn bytes_move_wherever_the_buffers_begin() {
        for len in [0, 1, 5000, 3_000_000] {
            for (from_skew, to_skew) in [(0, 0), (0, 1), (100, 100), (4095, 1)] {
                let mut from: Vec<u8> = (0..=250).cycle().take(len + from_skew).collect();
                let expected = from[from_skew..].to_vec();
                let mut to = vec![0xff; len + to_skew + 10];
                move_bytes(&mut from[from_skew..], &mut to[to_skew..]);
                assert_eq!(to[to_skew..to_skew + len], expected[..], "{len} {from_skew} {to_skew}");
                assert!(to[..to_skew].iter().chain(&to[to_skew + len..]).all(|byte| *byte == 0xff));
                // The old buffer still is one.
                from.fill(7);
                from.extend_from_slice(&expected);
                assert!(from[..len + from_skew].iter().all(|byte| *byte == 7));
            }
        }
    }
}
