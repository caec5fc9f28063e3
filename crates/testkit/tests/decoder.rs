//! The decoder of values and of files, on damaged ones: it neither panics, nor hangs, nor takes memory out of
//! proportion to what it is shown. A moment with each test run; as long as somebody likes with
//! `DARTER_FUZZ_BYTES` in the environment (`mutation.rs`).

#![expect(unsafe_code, reason = "wraps the allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;

use darter_rdb::exercise;
use darter_testkit::encodings::contents;
use darter_testkit::mutation::drive_one_by_one;
use darter_testkit::{Client, Server, mode};
use tempfile::TempDir;

thread_local! {
    /// Bytes this thread has allocated and not given back.
    static ALIVE_BYTES: Cell<usize> = const { Cell::new(0) };
    /// Most of them since this was last set.
    static PEAK_BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn add(bytes: usize) {
        let alive = ALIVE_BYTES.get().saturating_add(bytes);
        ALIVE_BYTES.set(alive);
        PEAK_BYTES.set(PEAK_BYTES.get().max(alive));
    }
}

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread has allocated may come back here.
        ALIVE_BYTES.set(ALIVE_BYTES.get().saturating_sub(layout.size()));
        // SAFETY: by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What decoding `len` bytes may take: some tables, and what LZF and the forms of small elements make of a byte (88,
/// and about as many again). A count that is believed would be thousands of millions.
const fn allowed(len: usize) -> usize {
    const BASE: usize = 256 << 10;
    const PER_BYTE: usize = 1 << 10;
    BASE + len * PER_BYTE
}

/// Runs `entry` many times and checks what it allocates.
fn bears(name: &str, seeds: &[Vec<u8>], entry: fn(&[u8])) {
    let (most, above_base) = (Cell::new(0), Cell::new(0));
    let count = drive_one_by_one(name, seeds, |bytes| {
        let before = ALIVE_BYTES.get();
        PEAK_BYTES.set(before);
        entry(bytes);
        let peak = PEAK_BYTES.get() - before;
        assert!(peak <= allowed(bytes.len()), "{peak} bytes for {}", bytes.len());
        most.set(most.get().max(peak));
        above_base.set(above_base.get().max(peak / bytes.len().max(1)));
    });
    assert!(count > 0);
    eprintln!("{name}: {} bytes at most at once, {} per byte shown", most.get(), above_base.get());
}

/// Longest payload to be mutated here: short ones are decoded more often.
const SEED_BYTES_MAX: usize = 1000;

/// Bytes of the version and the checksum at the end of a payload.
const SEAL_BYTES: usize = 10;

/// Forms that redis-server 7.0 does not write.
const OTHER_FORMS: &[&[u8]] = &[
    // A list and a set, element by element.
    b"\x01\x03\x01a\xc0\x05\x02bc",
    b"\x02\x03\x01a\xc1\x05\x05\x02bc",
    // A sorted set whose scores are texts, and one of binary ones.
    b"\x03\x03\x01a\x031.5\x01b\xff\x01c\xfe",
    b"\x05\x02\x01a\0\0\0\0\0\0\xf8\x3f\x01b\0\0\0\0\0\0\0\xc0",
    b"\x04\x02\x01a\x011\x01b\xc0\x07",
    // Zipmap and ziplists.
    b"\x09\x10\x02\x01a\x01\x001\x01b\x02\x0122x\xff",
    b"\x0a\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff",
    b"\x0c\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff",
    b"\x0d\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff",
    b"\x0e\x02\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff",
    // Fields that expire: Valkey's, Redis's, in a table and in a listpack.
    b"\x16\x02\x01a\x011\xff\xff\xff\xff\xff\xff\xff\xff\x01b\x012\xe8\x03\0\0\0\0\0\0",
    b"\x18\xe8\x03\0\0\0\0\0\0\x03\x00\x01a\x011\x01\x01b\x012\x05\x01c\x013",
    b"\x19\xe8\x03\0\0\0\0\0\0\x11\x11\0\0\0\x03\0\x81a\x02\x01\x01\xc3\xe8\x02\xff",
];

fn fill(client: &mut Client, is_wanted: impl Fn(&str) -> bool) {
    for (_, setup) in contents().into_iter().filter(|(key, _)| is_wanted(key)) {
        for command in &setup {
            client.call(command).expect("the server answers");
        }
    }
}

#[test]
fn any_bytes_as_a_value() {
    let redis = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let mut client = redis.connect().expect("connects");
    fill(&mut client, |_| true);
    let mut seeds: Vec<_> = OTHER_FORMS.iter().map(|form| form.to_vec()).collect();
    for (key, _) in contents() {
        let payload = client.call(&["DUMP", key]).expect("the server answers");
        let mut payload = payload.text().expect("a payload").to_vec();
        payload.truncate(payload.len() - SEAL_BYTES);
        // The first form of streams, and the last.
        if key.ends_with("stream") {
            for kind in [15, 21] {
                seeds.push([&[kind], &payload[1..]].concat());
            }
        }
        if payload.len() <= SEED_BYTES_MAX {
            seeds.push(payload);
        }
    }
    bears("value", &seeds, exercise::value);
}

#[test]
fn any_bytes_as_a_file() {
    let directory = TempDir::new().expect("a directory");
    let at = directory.path().to_str().expect("a path in UTF-8");
    let arguments = ["--dir", at].map(str::to_owned);
    let redis = Server::start(&mode::oracle_spec().with_arguments(&arguments)).expect("starts");
    let mut client = redis.connect().expect("connects");
    fill(&mut client, |key| !key.starts_with("big") && key != "longlist");
    client.call(&["PEXPIREAT", "set", "4118000000123"]).expect("the server answers");
    let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)\n";
    client.call(&["FUNCTION", "LOAD", library]).expect("the server answers");
    client.call(&["SAVE"]).expect("the server answers");
    let file = fs::read(directory.path().join("dump.rdb")).expect("it was saved");
    bears("file", &[file], exercise::file);
}

#[test]
fn a_count_that_is_believed_is_found() {
    let outcome = std::panic::catch_unwind(|| {
        bears("planted", &[b"\x02\x80\xff\xff\xff".to_vec()], |bytes| {
            let count = bytes.iter().fold(0, |count, byte| count << 7 | usize::from(*byte) & 0x7f);
            drop(Vec::<u8>::with_capacity(count % (1 << 24)));
        });
    });
    assert!(outcome.is_err(), "what allocates 16 MiB for some bytes is accepted");
}
