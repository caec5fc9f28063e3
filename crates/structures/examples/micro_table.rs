//! What the table costs: time per operation, the slowest insertion, and bytes per entry.
//!
//! ```text
//! cargo run --release -p darter-structures --example micro_table -- [keys] [batch]
//! ```
//!
//! Keys are 16 bytes. Times are CPU time of the process per operation. The slowest insertions are wall time;
//! the same insertions being slow in every run, each counts with its best of three runs, which leaves out
//! what other programs did.

#![expect(clippy::print_stdout, reason = "a report is its purpose")]
#![expect(clippy::disallowed_methods, reason = "measures time")]
#![expect(clippy::cast_precision_loss, reason = "only for printing")]
#![expect(clippy::cast_possible_truncation, reason = "of small numbers")]

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use darter_structures::{Block, Deadline, KeyHasher, Marks, Payload, PayloadRef, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUERIES: usize = 1_000_000;
const ROUNDS: u64 = 5;

type Keyspace = Table<Block<Infallible>>;

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|argument| argument == "memory") {
        let case = arguments.nth(1).and_then(|text| text.parse().ok()).expect("a case");
        return measure_memory(case);
    }
    let keys: u64 = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number"));
    let batch: usize = arguments.next().map_or(32, |text| text.parse().expect("a number"));
    measure_hash();
    measure_operations(keys, batch);
    // Each in a process of its own, for the sake of RSS.
    for case in 0..5 {
        let itself = std::env::current_exe().expect("this program");
        let arguments = ["memory".to_owned(), case.to_string()];
        let status = std::process::Command::new(itself).args(arguments).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

/// Key number `number`: 16 digits.
fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for byte in key.iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    key
}

fn measure_hash() {
    let hasher = KeyHasher::new(42);
    let per_hash = per_operation(20_000_000, |number| {
        black_box(hasher.hash(&key_fast(number)));
    }) - per_operation(20_000_000, |number| {
        black_box(key_fast(number));
    });
    println!("hash of 16 bytes: {per_hash:.1} ns");
}

fn key_fast(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    key[8..].copy_from_slice(&number.to_le_bytes());
    key
}

fn measure_operations(keys: u64, batch: usize) {
    let hasher = KeyHasher::new(42);
    let value = [b'v'; 32];
    let mut insert_times = vec![u32::MAX; keys as usize];
    let mut table = Keyspace::new(hasher.clone());
    for _ in 0..3 {
        drop(std::mem::replace(&mut table, Keyspace::new(hasher.clone())));
        for (number, best) in insert_times.iter_mut().enumerate() {
            let key = key(number as u64);
            let hash = hasher.hash(&key);
            let before = Instant::now();
            table.insert(hash, Block::new(&key, Payload::Bytes(&value), None), Marks::NONE);
            let took = u32::try_from(before.elapsed().as_nanos()).unwrap_or(u32::MAX);
            *best = took.min(*best);
        }
    }
    let sum: u64 = insert_times.iter().map(|time| u64::from(*time)).sum();
    insert_times.sort_unstable_by(|a, b| b.cmp(a));
    let slowest: Vec<u32> = insert_times[..5].iter().map(|time| time / 1000).collect();
    println!("{keys} keys, 32-byte values, {table:?}");
    println!("insert, one at a time: {} ns; slowest five {slowest:?} us", sum / keys);
    drop(insert_times);

    // Made beforehand, read in order: costs the measured loops next to nothing.
    let mut random = 1;
    let mut queries = |from: u64| -> Vec<[u8; 16]> {
        let mut pick = || {
            random = mix(random);
            key(from + random % keys)
        };
        (0..QUERIES).map(|_| pick()).collect()
    };
    let (present, missing) = (queries(0), queries(keys));

    let single = per_query(&present, |key| {
        black_box(read(&table, hasher.hash(key), key));
    });
    println!("find, one at a time: {single:.1} ns");
    let single = per_query(&missing, |key| {
        black_box(table.find(hasher.hash(key), key));
    });
    println!("find of a missing key, one at a time: {single:.1} ns");
    let batched = per_query_batched(&table, &present, batch, |table, hash, key| {
        black_box(read(table, hash, key));
    });
    println!("find, in batches of {batch}: {batched:.1} ns");
    let batched = per_query_batched(&table, &missing, batch, |table, hash, key| {
        black_box(table.find(hash, key));
    });
    println!("find of a missing key, in batches of {batch}: {batched:.1} ns");
    let batched = per_query_batched(&mut table, &present, batch, |table, hash, key| {
        let position = table.find(hash, key).expect("inserted");
        table.update(position, |block| (block.with_payload(Payload::Bytes(&value)), ()));
    });
    println!("replace in place, in batches of {batch}: {batched:.1} ns");

    let mut cursor = 0;
    let mut visited = 0_u64;
    let mut steps = 0_u64;
    let started = cpu_time();
    loop {
        cursor = table.scan(cursor, 10, |view| {
            black_box(view.key());
            visited += 1;
        });
        steps += 1;
        if cursor == 0 {
            break;
        }
    }
    let took = cpu_time() - started;
    println!(
        "scan, COUNT 10: {:.0} ns a step, {:.1} entries a step, {visited} visited",
        took / steps as f64,
        visited as f64 / steps as f64
    );

    let started = cpu_time();
    for number in 0..keys {
        let key = key(number);
        let hash = hasher.hash(&key);
        let position = table.find(hash, &key).expect("inserted");
        drop(table.remove(position));
    }
    println!("remove: {:.0} ns, leaves {table:?}", (cpu_time() - started) / keys as f64);
}

/// What a GET does.
fn read(table: &Keyspace, hash: u64, key: &[u8]) -> usize {
    let position = table.find(hash, key).expect("inserted");
    let view = table.view(position);
    let overdue = usize::from(view.deadline().is_some());
    match view.payload() {
        PayloadRef::Bytes(bytes) => usize::from(bytes[0]) + overdue,
        PayloadRef::Integer(integer) => usize::from(integer > 0),
        PayloadRef::Value(_) => 0,
    }
}

/// Bytes per key, averaged over the doubling from one million keys to two.
fn measure_memory(case: usize) {
    let deadline = Deadline::new(1_800_000_000_000).ok();
    let text = [b'v'; 100];
    let cases: [(&str, &[u8], Option<Deadline>); 5] = [
        ("32 B value", &text[..32], None),
        ("32 B value with TTL", &text[..32], deadline),
        ("integer", &[], None),
        ("100 B value", &text, None),
        ("100 B value with TTL", &text, deadline),
    ];
    let (name, value, deadline) = cases[case];
    let hasher = KeyHasher::new(42);
    let rss_before = rss_bytes();
    let mut table = Keyspace::new(hasher.clone());
    let (mut sum, mut rss_sum, mut samples) = (0.0, 0.0, 0);
    let half = 1_000_000;
    for number in 0..2 * half {
        let key = key(number);
        let payload = if value.is_empty() {
            Payload::Integer(mix(number).cast_signed())
        } else {
            Payload::Bytes(value)
        };
        let block = Block::new(&key, payload, deadline);
        table.insert(hasher.hash(&key), block, Marks::NONE);
        if number >= half && number % 10_000 == 0 {
            sum += table.bytes() as f64 / (number + 1) as f64;
            rss_sum += (rss_bytes() - rss_before) as f64 / (number + 1) as f64;
            samples += 1;
        }
    }
    let [mean, mean_rss] = [sum, rss_sum].map(|sum| sum / f64::from(samples));
    println!("{name}: {mean:.1} bytes per key by accounting, {mean_rss:.1} by RSS");
}

/// CPU nanoseconds per query.
fn per_query(queries: &[[u8; 16]], mut query: impl FnMut(&[u8; 16])) -> f64 {
    per_operation(ROUNDS, |_| queries.iter().for_each(&mut query)) / queries.len() as f64
}

/// CPU nanoseconds per query when they run in batches, as a pipeline of commands does.
fn per_query_batched<T: Borrow<Keyspace>>(
    mut table: T,
    queries: &[[u8; 16]],
    batch: usize,
    mut query: impl FnMut(&mut T, u64, &[u8; 16]),
) -> f64 {
    let hasher = table.borrow().hasher().clone();
    let mut hashes = Vec::with_capacity(batch);
    let all = |_| {
        for keys in queries.chunks(batch) {
            hashes.clear();
            for key in keys {
                let hash = hasher.hash(key);
                table.borrow().prefetch(hash);
                hashes.push(hash);
            }
            for hash in &hashes {
                table.borrow().prefetch_entry(*hash);
            }
            for (key, hash) in keys.iter().zip(&hashes) {
                query(&mut table, *hash, key);
            }
        }
    };
    per_operation(ROUNDS, all) / queries.len() as f64
}

/// CPU nanoseconds per call of `operation`.
fn per_operation(count: u64, mut operation: impl FnMut(u64)) -> f64 {
    let started = cpu_time();
    for number in 0..count {
        operation(number);
    }
    (cpu_time() - started) / count as f64
}

/// CPU time of this process so far, in nanoseconds.
fn cpu_time() -> f64 {
    let schedstat = fs::read_to_string("/proc/self/schedstat").expect("Linux");
    schedstat.split(' ').next().and_then(|text| text.parse().ok()).expect("its format is fixed")
}

fn rss_bytes() -> i64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: i64 =
        statm.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("its format is fixed");
    pages * 4096
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
