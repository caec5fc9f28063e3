//! Driving a fuzz target's entry point with random and mutated inputs, for a bounded time or so many bytes.
//!
//! No coverage guides it, so it finds less than a real fuzzer does; but it runs with every test run,
//! with another seed each time, so the entry points cannot rot and each run looks somewhere else.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// Replays a run: the seed that was printed.
pub const SEED_VARIABLE: &str = "DARTER_FUZZ_SEED";

/// How long each entry point is driven, in milliseconds.
pub const TIME_VARIABLE: &str = "DARTER_FUZZ_MILLIS";

/// Drives each entry point until it was shown so many bytes, instead of for a time.
pub const BYTES_VARIABLE: &str = "DARTER_FUZZ_BYTES";

/// An input that takes so long hangs, however busy the machine is.
const HANGING: Duration = Duration::from_mins(1);

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
    let bytes_wanted = number(BYTES_VARIABLE);
    eprintln!("{name}: {SEED_VARIABLE}={seed}");
    let mut random = Rng::with_seed(seed);
    let watch = watch(format!("{name}, seed {seed}"));
    let deadline = Instant::now() + time;
    let (mut count, mut bytes, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let mut now = Instant::now();
    while bytes_wanted.map_or(now < deadline, |wanted| bytes < wanted) {
        let input = input(&mut random);
        let started = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| entry(&input))) {
            eprintln!("{name}: input {count} of seed {seed}: \"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
        now = Instant::now();
        slowest = slowest.max(now - started);
        count += 1;
        bytes += u64::try_from(input.len()).unwrap_or(u64::MAX);
        if count.is_multiple_of(INPUTS_PER_SIGN) {
            watch.send(count).expect("it waits for as long as this is there");
        }
    }
    eprintln!("{name}: {count} inputs of {bytes} bytes, the slowest in {slowest:?}");
    count
}

/// Inputs between two signs of life.
const INPUTS_PER_SIGN: u64 = 64;

/// Ends the process when no sign of life comes for too long. It ends with what it gives.
fn watch(what: String) -> Sender<u64> {
    let (signs, watched) = mpsc::channel();
    thread::spawn(move || {
        let mut count = 0;
        loop {
            match watched.recv_timeout(HANGING) {
                Ok(reached) => count = reached,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("{what}: input {count} or one of the next {INPUTS_PER_SIGN} hangs");
                    process::abort();
                }
            }
        }
    });
    signs
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
    // What ends and begins things in RESP, and lengths in RDB at which something else begins.
    const TELLING: &[u8] =
        b"\r\n$*:+-_,#!=(%~>|0919\0\x01\x3f\x40\x7f\x80\x81\xc0\xc3\xe0\xf0\xfe\xff";
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
