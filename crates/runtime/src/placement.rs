//! How many workers, and on which CPUs.

use crate::Pinning;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread;

/// What `available_parallelism` says: the affinity mask and the cgroup quota, whichever is smaller.
pub(crate) fn default_worker_count() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The CPUs the process was given, before any worker was bound to one of them.
static ALLOWED: OnceLock<Option<Vec<usize>>> = OnceLock::new();

/// The CPU each worker is bound to, or nothing when they are not bound.
pub(crate) fn cpus(pinning: Pinning, worker_count: usize) -> Option<Vec<usize>> {
    let allowed = ALLOWED.get_or_init(allowed_cpus).as_ref()?;
    let online = online_cpu_count();
    choose(pinning, worker_count, allowed, default_worker_count(), online)
}

/// CPUs are ours when somebody narrowed the affinity mask (a cpuset, `taskset`), and no quota takes
/// them away again. On a whole machine they are not: other processes may run there.
fn choose(
    pinning: Pinning,
    worker_count: usize,
    allowed: &[usize],
    parallelism: usize,
    online: usize,
) -> Option<Vec<usize>> {
    let dedicated = allowed.len() < online && parallelism == allowed.len();
    let wanted = match pinning {
        Pinning::Off => false,
        Pinning::On => true,
        Pinning::Auto => dedicated && worker_count == allowed.len(),
    };
    wanted.then(|| allowed.iter().copied().cycle().take(worker_count).collect())
}

#[cfg(target_os = "linux")]
fn allowed_cpus() -> Option<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    let cpus: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    (!cpus.is_empty()).then_some(cpus)
}

#[cfg(not(target_os = "linux"))]
fn allowed_cpus() -> Option<Vec<usize>> {
    None
}

/// CPUs of the machine, whoever may use them; 0 when that cannot be read, which never counts as
/// dedicated.
fn online_cpu_count() -> usize {
    let Ok(text) = std::fs::read_to_string("/sys/devices/system/cpu/online") else { return 0 };
    count_ranges(text.trim()).unwrap_or(0)
}

/// Counts the numbers in a list such as `0-3,8`.
fn count_ranges(list: &str) -> Option<usize> {
    list.split(',').try_fold(0, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        Some(sum + last.checked_sub(first)? + 1)
    })
}

/// Binds the calling thread to some CPUs.
#[cfg(target_os = "linux")]
pub(crate) fn bind(cpus: &[usize]) -> std::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn bind(_cpus: &[usize]) -> std::io::Result<()> {
    Ok(())
}

/// Lets a thread that a bound worker started run anywhere again: it has inherited the worker's CPU.
pub(crate) fn unbind() {
    if let Some(Some(allowed)) = ALLOWED.get() {
        // It stays where it is otherwise, which is slower and not wrong.
        let _ = bind(allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_bound_by_themselves_only_on_dedicated_cpus() {
        let auto = |workers, allowed: &[usize], parallelism, online| {
            choose(Pinning::Auto, workers, allowed, parallelism, online)
        };
        assert_eq!(auto(2, &[2, 3], 2, 8), Some(vec![2, 3]));
        assert_eq!(auto(2, &[0, 1], 2, 2), None, "the whole machine is not ours");
        assert_eq!(auto(1, &[2, 3], 2, 8), None, "fewer workers than CPUs");
        assert_eq!(auto(2, &[2, 3], 1, 8), None, "a quota of one CPU");
        assert_eq!(auto(2, &[2, 3], 2, 0), None, "the machine's CPUs are not known");
    }

    #[test]
    fn binding_on_request_goes_round_and_off_is_off() {
        assert_eq!(choose(Pinning::On, 3, &[4, 5], 2, 8), Some(vec![4, 5, 4]));
        assert_eq!(choose(Pinning::Off, 2, &[4, 5], 2, 8), None);
    }

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(count_ranges("0-3,8"), Some(5));
        assert_eq!(count_ranges("0"), Some(1));
        assert_eq!(count_ranges(""), None);
    }
}
