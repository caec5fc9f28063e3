#![no_main]

use darter_rdb::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exercise::file(bytes));
