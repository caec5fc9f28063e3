//! The allocator of the binary, mimalloc: what it tells of itself, and giving back what it keeps. In a
//! program with another allocator it has nothing to tell.

#![allow(unsafe_code, reason = "the allocator is a library in C")]

use libmimalloc_sys as mi;
use std::ffi::CStr;
use std::ptr;

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

/// Gives memory that this thread keeps for later back to the system.
pub fn release_unused() {
    // SAFETY: may be called at any time; it touches free memory only.
    unsafe { mi::mi_collect(true) };
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

    #[test]
    fn the_allocator_tells_of_itself() {
        release_unused();
        assert!(statistics_json().starts_with('{'), "{}", statistics_json());
        assert!(committed_bytes() < 1 << 40);
    }
}
