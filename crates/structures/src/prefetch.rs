//! Asking the processor to fetch a cache line ahead of use.

#![allow(unsafe_code, reason = "prefetching is an intrinsic or an instruction")]

/// Starts to fetch the cache line of `address`, which need not be valid: a prefetch never faults.
/// Does nothing where the architecture has no such instruction known here.
#[inline]
pub(crate) fn prefetch_read(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint only; part of SSE, which every x86_64 has.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: a hint only; touches neither memory, stack nor flags.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, readonly, preserves_flags)
        );
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = address;
}
