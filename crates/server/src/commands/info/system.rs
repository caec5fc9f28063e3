//! What the operating system tells of this process. Zero where it does not.

use std::fs;
use std::str::FromStr;

/// Bytes of a page in `/proc/self/statm`. The files of `/proc` count in pages and ticks; both sizes
/// are fixed for programs on the architectures that Linux servers run on.
const PAGE_BYTES: u64 = 4096;

/// Ticks per second in `/proc/self/stat`.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time in microseconds, in steps of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    pub(super) user: u64,
    pub(super) system: u64,
    pub(super) children_user: u64,
    pub(super) children_system: u64,
}

/// Memory of this process that is in RAM, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    resident_bytes_of(&read("/proc/self/statm"))
}

fn resident_bytes_of(statm: &str) -> u64 {
    nth::<u64>(statm, 1).unwrap_or(0) * PAGE_BYTES
}

/// Processor time of this process.
pub(super) fn cpu_times() -> CpuTimes {
    cpu_times_of(&read("/proc/self/stat"))
}

/// The same of the user and of the system, without children.
pub(crate) fn cpu_micros() -> (u64, u64) {
    let times = cpu_times();
    (times.user, times.system)
}

/// Processor time of the threads that serve clients, together.
pub(super) fn worker_times() -> CpuTimes {
    let mut sum = CpuTimes::default();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        if is_worker(&stat) {
            let times = cpu_times_of(&stat);
            sum.user += times.user;
            sum.system += times.system;
        }
    }
    sum
}

/// Whether a thread's line in `/proc` is that of a worker, by the name the runtime gives them.
fn is_worker(stat: &str) -> bool {
    let name = stat.split_once('(').map_or("", |(_, behind)| behind);
    name.strip_prefix("darter-w").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn cpu_times_of(stat: &str) -> CpuTimes {
    // The second field is the program's name in parentheses, which may contain anything.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let micros =
        |field| nth::<u64>(behind_name, field).unwrap_or(0) * (1_000_000 / TICKS_PER_SECOND);
    CpuTimes {
        user: micros(11),
        system: micros(12),
        children_user: micros(13),
        children_system: micros(14),
    }
}

/// Name and release of the operating system, and the architecture.
pub(super) fn os() -> String {
    let name = read("/proc/sys/kernel/ostype");
    let release = read("/proc/sys/kernel/osrelease");
    let name = if name.is_empty() { std::env::consts::OS } else { name.trim() };
    format!("{name} {} {}", release.trim(), std::env::consts::ARCH)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn nth<N: FromStr>(text: &str, index: usize) -> Option<N> {
    text.split_ascii_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(resident_bytes_of("5000 123 40 1 0 99 0\n"), 123 * 4096);
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 30 2 1 20 0 3";
        assert_eq!(
            cpu_times_of(stat),
            CpuTimes {
                user: 1_500_000,
                system: 300_000,
                children_user: 20_000,
                children_system: 10_000
            }
        );
        assert_eq!(cpu_times_of(""), CpuTimes::default());
        assert!(is_worker("7 (darter-w12) S 1") && !is_worker("7 (darter) S 1"));
    }
}
