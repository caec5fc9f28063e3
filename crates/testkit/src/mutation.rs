//! Driving a fuzz target's entry point with random and mutated inputs, for a bounded time.
//!
//! No coverage guides it, so it finds less than a real fuzzer does; but it runs with every test run,
//! with another seed each time, so the entry points cannot rot and each run looks somewhere else.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// Replays a run: the seed that was printed.
pub const SEED_VARIABLE: &str = "DARTER_FUZZ_SEED";

/// How long each entry point is driven, in milliseconds.
pub const TIME_VARIABLE: &str = "DARTER_FUZZ_MILLIS";

const MILLIS_DEFAULT: u64 = 1500;
const INPUT_BYTES_MAX: usize = 4096;
const MUTATIONS_MAX: usize = 8;

/// Feeds `entry` random bytes, and seeds put together, cut and damaged, until the time is over;
/// returns how many inputs that were. Prints the seed, the input that made `entry` panic, and how many bytes it
/// was shown.
pub fn drive(name: &str, seeds: &[&[u8]], entry: impl Fn(&[u8])) -> u64 {
    drive_with(name, |random| input(random, seeds), entry)
}

/// As [`drive`], with inputs that are one damaged seed each: for what is refused as a whole when it does not begin
/// and end as it must.
pub fn drive_one_by_one(name: &str, seeds: &[Vec<u8>], entry: impl Fn(&[u8])) -> u64 {
    let input = |random: &mut Rng| {
        let mut bytes = seeds[random.usize(..seeds.len())].clone();
        for _ in 0..random.usize(..MUTATIONS_MAX) {
            mutate(&mut bytes, random);
        }
        bytes
    };
    drive_with(name, input, entry)
}

fn drive_with(
    name: &str,
    mut input: impl FnMut(&mut Rng) -> Vec<u8>,
    entry: impl Fn(&[u8]),
) -> u64 {
    let seed = number(SEED_VARIABLE).unwrap_or_else(|| fastrand::u64(..));
    let time = Duration::from_millis(number(TIME_VARIABLE).unwrap_or(MILLIS_DEFAULT));
    eprintln!("{name}: {SEED_VARIABLE}={seed}");
    let mut random = Rng::with_seed(seed);
    let deadline = Instant::now() + time;
    let (mut count, mut bytes) = (0, 0);
    while Instant::now() < deadline {
        let input = input(&mut random);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| entry(&input))) {
            eprintln!("{name}: input {count} of seed {seed}: \"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
        count += 1;
        bytes += input.len();
    }
    eprintln!("{name}: {count} inputs of {bytes} bytes");
    count
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn input(random: &mut Rng, seeds: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if seeds.is_empty() || random.u8(..) < 32 {
        bytes.resize(random.usize(..INPUT_BYTES_MAX), 0);
        random.fill(&mut bytes);
        return bytes;
    }
    // Entry points take a choice from the first byte.
    bytes.push(random.u8(..));
    for _ in 0..random.usize(1..8) {
        bytes.extend_from_slice(seeds[random.usize(..seeds.len())]);
    }
    for _ in 0..random.usize(..MUTATIONS_MAX) {
        mutate(&mut bytes, random);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Rng) {
    const TELLING: &[u8] = b"\r\n$*:+-_,#!=(%~>|0919\0\xff";
    if bytes.is_empty() {
        return;
    }
    let at = random.usize(..bytes.len());
    match random.u8(..6) {
        0 => bytes[at] = random.u8(..),
        1 => bytes[at] ^= 1 << random.u8(..8),
        2 => bytes[at] = TELLING[random.usize(..TELLING.len())],
        3 => bytes.insert(at, TELLING[random.usize(..TELLING.len())]),
        4 => {
            bytes.remove(at);
        }
        _ => {
            let end = random.usize(at..bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}
