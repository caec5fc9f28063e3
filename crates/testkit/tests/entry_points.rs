//! Every fuzz target's entry point, for a moment, with inputs nobody has chosen. `cargo fuzz` in the
//! crates' `fuzz/` does the same for longer and guided by coverage.

use std::sync::atomic::{AtomicU64, Ordering};

use darter_testkit::mutation::drive;

/// Requests of every form, whole and wrong.
const REQUESTS: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
    b"*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*11\r\n",
    b"$16385\r\n",
    b"*2147483648\r\n",
    b"PING\r\n",
    b"set 'a b' \"\\x00\\n\"\n",
    b"\r\n",
];

/// Replies of every type.
const REPLIES: &[&[u8]] = &[
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b"$5\r\nhello\r\n",
    b"$-1\r\n",
    b"*2\r\n:1\r\n*-1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5e3\r\n",
    b"(123456789012345678901234567890\r\n",
    b"!5\r\nERR x\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"%1\r\n+k\r\n~1\r\n:1\r\n",
    b">2\r\n+message\r\n+x\r\n",
    b"|1\r\n+ttl\r\n:1\r\n",
];

#[test]
fn requests() {
    assert!(drive("request", REQUESTS, darter_resp::request::fuzz::check_any_request) > 0);
}

#[test]
fn replies() {
    assert!(drive("reply", REPLIES, darter_resp::reply::fuzz::check_any_reply) > 0);
}

#[test]
fn tables() {
    assert!(drive("table", &[], darter_structures::exercise::table) > 0);
}

#[test]
fn blocks() {
    assert!(drive("block", &[], darter_structures::exercise::block) > 0);
}

#[test]
fn an_input_that_breaks_the_entry_point_is_found() {
    let shown = AtomicU64::new(0);
    let outcome = std::panic::catch_unwind(|| {
        drive("planted", REQUESTS, |bytes| {
            shown.fetch_add(1, Ordering::Relaxed);
            assert!(!bytes.windows(2).any(|pair| pair == b"\n\n"), "planted");
        })
    });
    assert!(outcome.is_err(), "{} inputs and none with two line ends", shown.into_inner());
}
