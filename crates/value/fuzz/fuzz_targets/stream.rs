#![no_main]

use darter_value::stream::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exercise::stream(bytes));
