#![no_main]

use darter_structures::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exercise::integers(bytes));
