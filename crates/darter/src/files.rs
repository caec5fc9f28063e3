//! How many files the process may have open, and so how many clients it can serve.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files of a worker: its poll, its wake-up, its ring.
const FILES_PER_WORKER: u64 = 8;

/// Open files of the process besides clients and workers: log, listeners, the like.
const FILES_BESIDE: u64 = 32;

/// Open files that serving clients needs besides the clients' own.
pub(crate) fn reserve(workers: u64) -> u64 {
    FILES_BESIDE + FILES_PER_WORKER * workers
}

/// The limit after trying to raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// What it was.
    pub(crate) before: u64,
    /// What it is.
    pub(crate) now: u64,
}

/// Raises the limit of open files to `needed`, or as far as the system lets us.
pub(crate) fn raise_to(needed: u64) -> OpenFiles {
    let limit = getrlimit(Resource::Nofile);
    let (before, most) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    if before >= needed {
        return OpenFiles { before, now: before };
    }
    let set = |current: u64, maximum: u64| {
        let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
        setrlimit(Resource::Nofile, limit).is_ok()
    };
    // Beyond the maximum only the privileged may go.
    if set(needed, most.max(needed)) {
        return OpenFiles { before, now: needed };
    }
    let now = if most > before && set(most, most) { most } else { before };
    OpenFiles { before, now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_suffices_stays() {
        let limit = raise_to(1);
        assert_eq!(limit.before, limit.now);
        assert_eq!(reserve(2), 48);
    }
}
