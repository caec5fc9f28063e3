//! Which paths of the protocol the schedules went through.

use std::cell::Cell;
use std::fmt;

/// Something worth reaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A window ran to the end without posting.
    WindowFinished,
    /// A window posted an operation and stopped.
    WindowPosted,
    /// A window of several connections ran to the end.
    SharedFinished,
    /// A window of several connections posted an operation of one.
    SharedPosted,
    /// A window stopped at an operation over several shards, one of which was out.
    WindowNeedsGathering,
    /// A window kept what a gathering had brought.
    WindowKept,
    /// A shard came back while an operation was packed for it.
    PackedInVain,
    /// A letter said that posted work is done.
    Done,
    /// ... to a connection that had vanished.
    DoneLate,
    /// A shard came with the receiver's own work, after a long inbox.
    Turn,
    /// ... of a connection that had vanished.
    TurnLate,
    /// A home worker was told to look into an inbox.
    Knock,
    /// A coordinator had all its shards.
    Gathered,
    /// A coordinator had to wait for a shard.
    GatheringWaited,
    /// A reserved shard came to its coordinator.
    Granted,
    /// ... which had vanished.
    GrantedLate,
    /// A connection vanished between operations.
    VanishedAtRest,
    /// ... while its work was in an inbox.
    VanishedPosted,
    /// ... while its coordinator waited for a shard.
    VanishedGathering,
}

impl Path {
    /// Every path, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::WindowFinished,
        Self::WindowPosted,
        Self::SharedFinished,
        Self::SharedPosted,
        Self::WindowNeedsGathering,
        Self::WindowKept,
        Self::PackedInVain,
        Self::Done,
        Self::DoneLate,
        Self::Turn,
        Self::TurnLate,
        Self::Knock,
        Self::Gathered,
        Self::GatheringWaited,
        Self::Granted,
        Self::GrantedLate,
        Self::VanishedAtRest,
        Self::VanishedPosted,
        Self::VanishedGathering,
    ];
}

/// How often each path was taken.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By number of the path.
    counts: [Cell<u64>; Path::ALL.len()],
}

impl Coverage {
    /// Counts one.
    pub fn took(&self, path: Path) {
        let count = &self.counts[path as usize];
        count.set(count.get() + 1);
    }

    /// How often `path` was taken.
    pub fn count(&self, path: Path) -> u64 {
        self.counts[path as usize].get()
    }

    /// Adds what another counted.
    pub fn add(&self, other: &Self) {
        for (count, more) in self.counts.iter().zip(&other.counts) {
            count.set(count.get() + more.get());
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in Path::ALL {
            writeln!(formatter, "{:18} {:12}", format!("{path:?}"), self.count(path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_listed_by_number() {
        for (number, path) in Path::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, number);
        }
    }
}
