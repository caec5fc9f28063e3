//! A clock cheap enough to be read around every command.
//!
//! [`std::time::Instant`] costs 32 ns here (AMD EPYC, November 2026), which is a tenth of a small
//! command in a pipeline. The processor's own counter costs 12 ns. It is used where the kernel itself
//! uses it as its clock: then it runs at one rate on every core and never stops. Elsewhere, and on
//! other architectures, a stopwatch is an `Instant` in disguise.

use std::fs;
use std::time::{Duration, Instant};

/// How long the counter is compared with the system's clock at the start. Reading both is uncertain by
/// some 50 ns, so this makes the rate good to three parts in 100,000.
const CALIBRATION: Duration = Duration::from_millis(2);

/// How often both clocks are read for one moment.
const READINGS: usize = 16;

/// Bits behind the point of `nanos_per_tick`.
const FRACTION_BITS: u32 = 32;

/// A moment, in ticks of a [`Stopwatch`] since some moment. Only the difference of two means anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

/// Reads the clock. Made once, then copied to whoever measures; a moment read on one thread can be
/// compared with one read on another.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    source: Source,
    /// Fixed point with [`FRACTION_BITS`] bits behind the point.
    nanos_per_tick: u64,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The processor's counter.
    Counter,
    /// Nanoseconds since then.
    System(Instant),
}

impl Stopwatch {
    /// The best clock of this machine. Takes 2 ms to learn the rate of the counter.
    pub fn new() -> Self {
        if counter_is_reliable() { Self::calibrated() } else { Self::system() }
    }

    fn system() -> Self {
        Self { source: Source::System(Instant::now()), nanos_per_tick: 1 << FRACTION_BITS }
    }

    fn calibrated() -> Self {
        let (begun, begun_at) = both_clocks();
        while begun.elapsed() < CALIBRATION {
            std::hint::spin_loop();
        }
        let (ended, ended_at) = both_clocks();
        let elapsed = ended.duration_since(begun);
        let ticks = u128::from(ended_at.saturating_sub(begun_at));
        match (elapsed.as_nanos() << FRACTION_BITS).checked_div(ticks).map(u64::try_from) {
            Some(Ok(nanos_per_tick)) if nanos_per_tick > 0 => {
                Self { source: Source::Counter, nanos_per_tick }
            }
            _ => Self::system(),
        }
    }

    /// This moment.
    #[inline]
    pub fn now(&self) -> Ticks {
        match self.source {
            Source::Counter => Ticks(read_counter()),
            Source::System(start) => {
                Ticks(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
            }
        }
    }

    /// Nanoseconds between two moments; 0 if they are the other way round.
    #[inline]
    pub fn nanos_between(&self, earlier: Ticks, later: Ticks) -> u64 {
        let ticks = u128::from(later.0.saturating_sub(earlier.0));
        let nanos = (ticks * u128::from(self.nanos_per_tick)) >> FRACTION_BITS;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The clock for people, as INFO shows it.
    pub fn description(&self) -> String {
        match self.source {
            Source::Counter => {
                let per_micro = (1000 << FRACTION_BITS) / u128::from(self.nanos_per_tick);
                format!("X86 TSC @ {per_micro} ticks/us")
            }
            Source::System(_) => "POSIX clock_gettime".to_owned(),
        }
    }
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

/// One moment on both clocks. The machine may stop us after the first was read and before the other: of some readings
/// the one that took least counts. With one alone a busy machine was seen to set the rate 7 % wrong.
fn both_clocks() -> (Instant, u64) {
    let readings = (0..READINGS).map(|_| {
        let before = Instant::now();
        let counter = read_counter();
        (before.elapsed(), before, counter)
    });
    let (_, instant, counter) = readings.min_by_key(|reading| reading.0).expect("there are some");
    (instant, counter)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "the instruction has no safe name")]
fn read_counter() -> u64 {
    // SAFETY: RDTSC is part of every x86-64 processor, and touches no memory. The kernel could forbid
    // it (PR_SET_TSC), which nobody does to a server; then it is a fault and not undefined.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn read_counter() -> u64 {
    unreachable!("only read where it is reliable")
}

/// Whether the counter ticks at one rate everywhere and always: the kernel measures that, and takes
/// another clock where it is not so.
fn counter_is_reliable() -> bool {
    if !cfg!(target_arch = "x86_64") {
        return false;
    }
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let flags = read("/proc/cpuinfo");
    let has_flag = |flag: &str| flags.split_ascii_whitespace().any(|word| word == flag);
    match clock.trim() {
        "tsc" => true,
        // The guest's clock is made of the counter; its flags say whether it can be trusted alone.
        "kvm-clock" | "" => has_flag("constant_tsc") && has_flag("nonstop_tsc"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopwatch_agrees_with_the_system_clock() {
        for watch in [Stopwatch::new(), Stopwatch::system()] {
            // The machine may stop us between any two lines.
            let outer = Instant::now();
            let ticks = watch.now();
            let inner = Instant::now();
            while inner.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            let least = inner.elapsed();
            let nanos = Duration::from_nanos(watch.nanos_between(ticks, watch.now()));
            let most = outer.elapsed();
            assert!(nanos >= least.mul_f64(0.99) && nanos <= most.mul_f64(1.01), "{nanos:?}");
            assert_eq!(watch.nanos_between(watch.now(), ticks), 0);
        }
    }
}
