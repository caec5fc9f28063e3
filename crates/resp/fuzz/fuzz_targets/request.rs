//! `cargo +nightly fuzz run request` in `crates/resp`: requests parse alike in any pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| darter_resp::request::fuzz::check_any_request(data));
