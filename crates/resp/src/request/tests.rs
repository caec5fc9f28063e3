#![expect(clippy::cast_possible_truncation, reason = "bytes at random")]

use super::encode;
use super::fuzz::check_any_request;

/// What the fuzz target finds in a minute of its own, again at each test run: streams put together
/// from parts of requests, in different pieces.
#[test]
fn streams_at_random_parse_alike_in_any_pieces() {
    const PARTS: &[&[u8]] = &[
        b"*",
        b"$",
        b"1",
        b"2",
        b"0",
        b"-",
        b"3",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"a",
        b" ",
        b"\"",
        b"'",
        b"\\",
        b"*1\r\n",
        b"*2\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*40\r\n",
        b"$1\r\na\r\n",
        b"$0\r\n\r\n",
        b"$12\r\n123456789012\r\n",
        b"$3\r\nGET\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PING a\r\n",
        b"*12\r\n",
        b"$100\r\n",
        b"$16385\r\n",
        b"*11\r\n",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..20_000 {
        let mut data = vec![below(256) as u8];
        let repeated = PARTS[below(PARTS.len())];
        for _ in 0..below(60) {
            let part = if below(2) == 0 { repeated } else { PARTS[below(PARTS.len())] };
            data.extend_from_slice(part);
        }
        check_any_request(&data);
    }
}

#[test]
fn a_request_is_an_array_of_byte_strings() {
    assert_eq!(encode(&["GET", "a\r\n"]), b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
}
