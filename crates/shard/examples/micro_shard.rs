//! What GET and SET cost in the shard: hashing, lookup and bookkeeping, without parser and reply.
//!
//! ```text
//! cargo run --release -p darter-shard --example micro_shard -- [keys] [batch]
//! ```
//!
//! 16-byte keys, 32-byte values; CPU nanoseconds per command. `bare` is one command at a time.

#![expect(clippy::print_stdout, reason = "a report is its purpose")]
#![expect(clippy::cast_precision_loss, reason = "only for printing")]

use std::fs;
use std::hint::black_box;

use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_shard::{Deadline, Expiry, Key, KeyHasher, Keyspace, Shard, ShardOptions, ValueRef};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUERIES: usize = 1_000_000;
const ROUNDS: usize = 5;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let keys: u64 = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number"));
    let batch: usize = arguments.next().map_or(32, |text| text.parse().expect("a number"));
    let hasher = KeyHasher::new(42);
    let mut shard = Shard::new(ShardId(0), &ShardOptions { databases: 16, hasher: hasher.clone() });
    let value = [b'v'; 32];
    for number in 0..keys {
        let name = name(number);
        shard.keyspace(DbIndex(0), NOW).set_string(
            &Key::new(&hasher, &name),
            &value,
            Expiry::Clear,
        );
    }
    println!("{keys} keys, {} bytes each", shard.used_bytes() / shard.len());

    let mut random = 1;
    let mut names = |from: u64| -> Vec<[u8; 16]> {
        let mut pick = || {
            random = mix(random);
            name(from + random % keys)
        };
        (0..QUERIES).map(|_| pick()).collect()
    };
    let (present, missing) = (names(0), names(keys));
    let get = |keyspace: &mut Keyspace<'_>, key: &Key<'_>| match keyspace.read(key) {
        Some(ValueRef::Bytes(bytes)) => {
            black_box(bytes[0]);
        }
        other => {
            black_box(other);
        }
    };
    let set = |keyspace: &mut Keyspace<'_>, key: &Key<'_>| {
        keyspace.set_string(key, &value, Expiry::Clear);
    };
    let deadline = Deadline::new(NOW.0 + 1_000_000).expect("in range");
    let set_ttl = |keyspace: &mut Keyspace<'_>, key: &Key<'_>| {
        keyspace.set_string(key, &value, Expiry::At(deadline));
    };
    for batch in [1, batch] {
        let mut report =
            |what: &str, names: &[[u8; 16]], run: &dyn Fn(&mut Keyspace<'_>, &Key<'_>)| {
                println!(
                    "{what}, batches of {batch}: {:.1} ns",
                    measure(&mut shard, names, batch, run)
                );
            };
        report("GET of a key", &present, &get);
        report("GET of no key", &missing, &get);
        report("SET over a key", &present, &set);
        report("SET over a key, with TTL", &present, &set_ttl);
        report("GET of a key with TTL", &present, &get);
        report("SET over a key, dropping TTL", &present, &set);
    }
}

/// CPU nanoseconds per command.
fn measure(
    shard: &mut Shard,
    names: &[[u8; 16]],
    batch: usize,
    run: &dyn Fn(&mut Keyspace<'_>, &Key<'_>),
) -> f64 {
    let hasher = shard.hasher().clone();
    let mut keys = Vec::with_capacity(batch);
    let started = cpu_time();
    for _ in 0..ROUNDS {
        for names in names.chunks(batch) {
            keys.clear();
            keys.extend(names.iter().map(|name| Key::new(&hasher, name)));
            let mut keyspace = shard.keyspace(DbIndex(0), NOW);
            if batch > 1 {
                for key in &keys {
                    keyspace.prefetch(key.hash);
                }
                for key in &keys {
                    keyspace.prefetch_entry(key.hash);
                }
            }
            for key in &keys {
                run(&mut keyspace, key);
            }
        }
    }
    (cpu_time() - started) / (ROUNDS * names.len()) as f64
}

/// Key number `number`: 16 bytes.
fn name(number: u64) -> [u8; 16] {
    let mut name = *b"key:000000000000";
    let digits = number.to_string();
    name[16 - digits.len()..].copy_from_slice(digits.as_bytes());
    name
}

/// CPU time of this process so far, in nanoseconds.
fn cpu_time() -> f64 {
    let schedstat = fs::read_to_string("/proc/self/schedstat").expect("Linux");
    schedstat.split(' ').next().and_then(|text| text.parse().ok()).expect("its format is fixed")
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
