//! The allocator of the binary, mimalloc: what it tells of itself, and giving back what it keeps. In a
//! program with another allocator it has nothing to tell.

#![allow(unsafe_code, reason = "the allocator is a library in C")]

use libmimalloc_sys as mi;
use std::ffi::{CStr, c_long};
use std::ptr;
use std::sync::OnceLock;

/// Numbers of options, by their order in `mimalloc.h` (3.3): a test knows what they are at first.
const PURGE_DELAY: mi::mi_option_t = 15;
const PAGE_RECLAIM_ON_FREE: mi::mi_option_t = 35;
const PAGE_CROSS_THREAD_MAX_RECLAIM: mi::mi_option_t = 42;

/// How long free memory is kept for what is allocated next. With its own second, a cache whose values
/// change their size keeps what it wrote within that second twice.
const PURGE_DELAY_MS: c_long = 20;

/// Bytes set aside from the system.
pub fn committed_bytes() -> usize {
    let mut committed = 0;
    let unused = || ptr::null_mut();
    // SAFETY: every argument is optional, and the only one given is a place for one number that lives
    // until the call returns.
    unsafe {
        mi::mi_process_info(
            unused(),
            unused(),
            unused(),
            unused(),
            unused(),
            &raw mut committed,
            unused(),
            unused(),
        );
    }
    committed
}

/// Sets it up for defragmentation by threads that allocate and free for each other, or as it was before. Not by two threads
/// at once.
///
/// A page that became full belongs to nobody. By default only the thread that filled it takes it back when something
/// in it is freed; while this is on whoever frees does, or a page could never be seen to be [sparse](is_in_sparse_page), as
/// most of what a worker writes belongs to shards that others look after. And what is free goes back to the system
/// sooner. The allocator reads these numbers each time it needs them, so that they may change at any time.
pub fn serve_defragmentation(is_on: bool) {
    /// The number of an option, what it is while defragmentation is on, and what it was before.
    static OPTIONS: [(mi::mi_option_t, c_long, OnceLock<c_long>); 3] = [
        (PAGE_RECLAIM_ON_FREE, ANY_THREAD, OnceLock::new()),
        (PAGE_CROSS_THREAD_MAX_RECLAIM, WITHOUT_LIMIT, OnceLock::new()),
        (PURGE_DELAY, PURGE_DELAY_MS, OnceLock::new()),
    ];
    const ANY_THREAD: c_long = 1;
    const WITHOUT_LIMIT: c_long = -1;
    for (option, value, before) in &OPTIONS {
        // SAFETY: reads a number.
        let before = *before.get_or_init(|| unsafe { mi::mi_option_get(*option) });
        // SAFETY: writes a word, which other threads read as a whole.
        unsafe { mi::mi_option_set(*option, if is_on { *value } else { before }) };
    }
}

/// Whether the allocation that `address` points into lies in a page of which at most `percent` of a hundred blocks are in use, and
/// which is not the one that the next allocation of that size comes from. A hint: another thread may be changing the
/// page. Memory that is not the allocator's is not.
#[inline]
pub fn is_in_sparse_page<T>(address: *const T, percent: usize) -> bool {
    // SAFETY: looks the address up without following it, and reads numbers of the page it belongs to. Those may be
    // out of date or torn apart by another thread's changes, which makes the answer wrong and no more.
    unsafe {
        mi::mi_unsafe_heap_page_is_under_utilized(
            ptr::null_mut(),
            address.cast_mut().cast(),
            percent,
        )
    }
}

/// Takes notice of what other threads have freed in this thread's pages, and gives back what has been free for a while.
/// O(pages of this thread that are not full).
pub fn collect() {
    // SAFETY: may be called at any time; it touches free memory only.
    unsafe { mi::mi_collect(false) };
}

/// Gives memory that this thread keeps for later back to the system, and what belongs to no thread. O(pages of this thread).
pub fn release_unused() {
    // SAFETY: may be called at any time; it touches free memory only.
    unsafe { mi::mi_collect(true) };
}

/// Gives memory that belongs to no thread back to the system, from a thread that has next to nothing: O(what is free).
pub fn purge() {
    // SAFETY: may be called at any time. A thread that has never allocated is none to the allocator, and nothing would be done.
    unsafe { mi::mi_thread_init() };
    release_unused();
}

/// Everything it counts, as JSON.
pub fn statistics_json() -> String {
    // SAFETY: without a buffer, one is allocated.
    let text = unsafe { mi::mi_stats_get_json(0, ptr::null_mut()) };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the text it made ends with a NUL, and nobody else has it.
    let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: it is ours to free, by mimalloc that allocated it, and not used afterwards.
    unsafe { mi::mi_free(text.cast()) };
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::param::page_size;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn the_options_are_those_that_are_meant() {
        let options = [PURGE_DELAY, PAGE_RECLAIM_ON_FREE, PAGE_CROSS_THREAD_MAX_RECLAIM];
        // SAFETY: reads a number.
        let get = |option: mi::mi_option_t| unsafe { mi::mi_option_get(option) };
        assert_eq!(options.map(get), [1000, 0, 32]);
        serve_defragmentation(true);
        assert_eq!(options.map(get), [PURGE_DELAY_MS, 1, -1]);
        serve_defragmentation(false);
        assert_eq!(options.map(get), [1000, 0, 32]);
    }

    #[test]
    fn what_is_not_the_allocators_lies_in_no_sparse_page() {
        let on_the_stack = 5;
        assert!(!is_in_sparse_page(&raw const on_the_stack, 100));
        assert!(!is_in_sparse_page(ptr::null::<u8>(), 100));
    }

    /// How many of the pages of an allocation are resident (Linux' `pagemap`: bit 63). It may be freed.
    fn resident_pages(allocation: *const u8, bytes: usize) -> usize {
        const ENTRY_BYTES: usize = 8;
        let first = allocation.addr() / page_size() * ENTRY_BYTES;
        let mut entries = vec![0; bytes / page_size() * ENTRY_BYTES];
        let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
        pagemap.read_exact_at(&mut entries, first as u64).unwrap();
        // Little endian: the bit is in the last byte of each.
        entries.chunks(ENTRY_BYTES).filter(|entry| entry[ENTRY_BYTES - 1] & 0x80 != 0).count()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what another thread frees is the question")]
    fn what_one_thread_has_freed_another_one_gives_back() {
        const BYTES: usize = 64 << 20;
        let pages = BYTES / page_size();
        // SAFETY: may be called at any time.
        let allocation = unsafe { mi::mi_malloc(BYTES) }.cast::<u8>();
        assert!(!allocation.is_null());
        // SAFETY: so many bytes were allocated.
        unsafe { allocation.write_bytes(1, BYTES) };
        assert_eq!(resident_pages(allocation, BYTES), pages);
        // SAFETY: it is not used after that.
        unsafe { mi::mi_free(allocation.cast()) };
        // While another thread purges, nothing is done.
        let is_given_back = (0..100).any(|_| {
            std::thread::spawn(purge).join().unwrap();
            resident_pages(allocation, BYTES) < pages / 2
        });
        assert!(is_given_back, "it is still there");
    }

    #[test]
    fn the_allocator_tells_of_itself() {
        release_unused();
        assert!(statistics_json().starts_with('{'), "{}", statistics_json());
        assert!(committed_bytes() < 1 << 40);
    }
}
