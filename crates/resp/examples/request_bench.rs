//! What parsing a request, hashing its key and writing its reply cost.
//!
//! ```sh
//! cargo run --release -p darter-resp --example request_bench
//! ```
//!
//! Each line is the best of several runs, in nanoseconds of one core per item.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "counts of items are small numbers"
)]

use std::hint::black_box;
use std::time::Instant;

use darter_base::crc16::slot_of;
use darter_base::glob::{Case, glob_matches};
use darter_base::number::{format_i64, parse_i64};
use darter_base::{extended::Extended, float};
use darter_resp::{Args, Limits, Output, Parsed, Protocol, ReplyWriter, RequestParser, Span};

const RUNS: usize = 15;

#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock")]
fn measure(name: &str, items: usize, mut run: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:<44} {:>8.1} ns", best * 1e9 / items as f64);
}

fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Parses everything in `buffer`, `window` commands at a time, as a worker does.
fn parse_all(parser: &mut RequestParser, buffer: &[u8], spans: &mut Vec<Span>) -> usize {
    let limits = Limits::default();
    let mut position = 0;
    let mut commands = 0;
    while position < buffer.len() {
        spans.clear();
        match parser.parse(&buffer[position..], spans, &limits) {
            Parsed::Command { consumed } => {
                let args = Args::new(&buffer[position..], spans);
                black_box(args.len());
                position += consumed;
                commands += 1;
            }
            Parsed::Inline { consumed, args } => {
                black_box(args);
                position += consumed;
                commands += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    commands
}

fn requests() {
    let value = [b'v'; 32];
    let big = [b'v'; 1000];
    let mget: Vec<Vec<u8>> = std::iter::once(b"MGET".to_vec())
        .chain((0..10).map(|index| format!("memtier-{index:08}").into_bytes()))
        .collect();
    let mget: Vec<&[u8]> = mget.iter().map(Vec::as_slice).collect();
    let many: Vec<&[u8]> = std::iter::repeat_n(&b"12345678"[..], 100_000).collect();
    for (name, one, copies) in [
        ("parse GET, 16-byte key", command(&[b"GET", b"memtier-00012345"]), 1000),
        (
            "parse SET, 16-byte key, 32-byte value",
            command(&[b"SET", b"memtier-00012345", &value]),
            1000,
        ),
        (
            "parse SET, 16-byte key, 1000-byte value",
            command(&[b"SET", b"memtier-00012345", &big]),
            50,
        ),
        ("parse PING", command(&[b"PING"]), 1000),
        ("parse MGET of 10", command(&mget), 100),
        ("parse 100k arguments (whole command)", command(&many), 1),
        ("parse inline GET", b"GET memtier-00012345\r\n".to_vec(), 1000),
    ] {
        let buffer = one.repeat(copies);
        let mut parser = RequestParser::new();
        let mut spans = Vec::new();
        measure(name, copies * 20, || {
            for _ in 0..20 {
                assert_eq!(parse_all(&mut parser, black_box(&buffer), &mut spans), copies);
            }
        });
    }
}

fn replies() {
    const ITEMS: usize = 1000;
    let value = [b'v'; 32];
    let mut out = Output::new();
    let mut write = |name: &str, one: &dyn Fn(&mut ReplyWriter<'_>, usize)| {
        measure(name, ITEMS * 20, || {
            for _ in 0..20 {
                out.clear(usize::MAX);
                let mut writer = ReplyWriter::new(&mut out, Protocol::Resp2);
                for item in 0..ITEMS {
                    one(&mut writer, item);
                }
                black_box(out.len());
            }
        });
    };
    write("write +OK", &|writer, _| writer.ok());
    write("write integer below 10000", &|writer, item| writer.integer(item as i64));
    write("write 10-digit integer", &|writer, item| writer.integer(item as i64 + 1_234_567_890));
    write("write null", &|writer, _| writer.null());
    write("write 32-byte bulk", &|writer, _| writer.bulk(black_box(&value)));
    write("write bulk integer", &|writer, item| writer.bulk_integer(item as i64));
    write("write array of two 32-byte bulks", &|writer, _| {
        writer.array(2);
        writer.bulk(black_box(&value));
        writer.bulk(black_box(&value));
    });
    write("write deferred array of two 32-byte bulks", &|writer, _| {
        let deferred = writer.begin_deferred();
        writer.bulk(black_box(&value));
        writer.bulk(black_box(&value));
        writer.end_array(deferred, 2);
    });
    write("write double 2.34", &|writer, _| writer.double(black_box(2.34)));
}

fn base() {
    const ITEMS: usize = 20_000;
    for (name, key) in [
        ("slot of an 8-byte key", &b"12345678"[..]),
        ("slot of a 16-byte key", b"memtier-00012345"),
        ("slot of a 21-byte key", b"memtier-0001234567890"),
        ("slot of {user:1000}.profile", b"{user:1000}.profile"),
    ] {
        measure(name, ITEMS, || {
            for _ in 0..ITEMS {
                black_box(slot_of(black_box(key)));
            }
        });
    }
    measure("parse i64 of 10 digits", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(parse_i64(black_box(b"1234567890")));
        }
    });
    measure("format i64 of 10 digits", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(format_i64(black_box(1_234_567_890)));
        }
    });
    measure("parse f64 12345", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(float::parse_f64(black_box(b"12345")));
        }
    });
    measure("parse f64 2.34567", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(float::parse_f64(black_box(b"2.34567")));
        }
    });
    measure("format f64 2.34567", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(float::format_f64(black_box(2.34567)));
        }
    });
    measure("INCRBYFLOAT 10.5 + 0.1 (parse, add, print)", ITEMS, || {
        for _ in 0..ITEMS {
            let left = Extended::parse(black_box(b"10.50"));
            let right = Extended::parse(black_box(b"0.1"));
            if let (Some(left), Some(right)) = (left, right) {
                black_box((left + right).to_text());
            }
        }
    });
    measure("glob user:*:name", ITEMS, || {
        for _ in 0..ITEMS {
            black_box(glob_matches(black_box(b"user:*:name"), b"user:123456:name", Case::Exact));
        }
    });
}

fn main() {
    requests();
    replies();
    base();
}
