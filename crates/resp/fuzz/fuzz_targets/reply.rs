//! `cargo +nightly fuzz run reply` in `crates/resp`: replies parse alike in any pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| darter_resp::reply::fuzz::check_any_reply(data));
