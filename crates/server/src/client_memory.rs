//! Which clients are closed when all of them take more memory than `maxmemory-clients`.
//!
//! As in Redis the largest go first, by classes of sizes that double: which of one class is a matter of chance. Clients that have
//! said `CLIENT NO-EVICT ON` count, and stay. Sessions live on their workers, so each worker notes how much its clients
//! of each class take, and closes one of its own only if nobody has a larger one; else it tells the worker that has.
//!
//! Nothing of this is done while there is no limit. Where there is one each tick adds what buffers and queues take now, which
//! is known, to what the rest took when the clients were last looked at; they are looked at one by one
//! ([`worker::closing`](crate::worker)) when that is too much, and now and then.

use darter_base::WorkerId;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A limit below this is taken for this, as in Redis: clients must be able to say what is wrong.
const LIMIT_BYTES_MIN: u64 = 128 << 10;

/// Clients up to 64 KiB are of one class, and those from 8 GiB on.
const CLASS_BITS_MIN: u32 = 15;
const CLASS_BITS_MAX: u32 = 33;
const CLASSES: usize = (CLASS_BITS_MAX - CLASS_BITS_MIN + 1) as usize;

/// What of a client's input all clients are to be looked at for before it is run, and how many looks there had been then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weighed {
    pub bytes: usize,
    pub looks: u64,
}

/// `maxmemory-clients`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientMemoryLimit {
    /// There is none.
    #[default]
    None,
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of `maxmemory`.
    Percent(u64),
}

impl ClientMemoryLimit {
    /// The limit that the parameter's number stands for: bytes, or a percentage below zero.
    pub fn of_number(number: i128) -> Self {
        let amount = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
        match number {
            0 => Self::None,
            1.. => Self::Bytes(amount),
            _ => Self::Percent(amount),
        }
    }

    /// The limit in bytes. There is no part of no `maxmemory`.
    pub fn bytes(self, maxmemory_bytes: u64) -> Option<u64> {
        let bytes = match self {
            Self::None => return None,
            Self::Bytes(bytes) => bytes,
            Self::Percent(_) if maxmemory_bytes == 0 => return None,
            Self::Percent(percent) => {
                let bytes = u128::from(maxmemory_bytes) * u128::from(percent) / 100;
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        };
        Some(bytes.max(LIMIT_BYTES_MIN))
    }
}

/// The class of a client of so many bytes.
pub fn class_of(bytes: u64) -> usize {
    let bits = bytes.max(1).ilog2().clamp(CLASS_BITS_MIN, CLASS_BITS_MAX);
    (bits - CLASS_BITS_MIN) as usize
}

/// What clients of one worker take that may be closed, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes([u64; CLASSES]);

impl Classes {
    /// Adds a client of so many bytes.
    pub fn add(&mut self, bytes: u64) {
        self.0[class_of(bytes)] += bytes;
    }

    /// Takes it away again.
    pub fn remove(&mut self, bytes: u64) {
        let class = &mut self.0[class_of(bytes)];
        *class = class.saturating_sub(bytes);
    }

    /// The class of the largest ones.
    fn top(&self) -> Option<usize> {
        self.0.iter().rposition(|bytes| *bytes > 0)
    }
}

/// What all workers noted.
#[derive(Debug)]
pub struct ClientMemory {
    /// By worker; `None`: it has not looked since there is a limit.
    workers: Mutex<Box<[Option<Classes>]>>,
}

/// Whose turn it is to close a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Of the worker that asks: one of this class.
    Own(usize),
    /// Of another one.
    Other(WorkerId),
    /// There is nobody to be closed.
    Nobody,
}

impl ClientMemory {
    /// Nobody has looked.
    pub fn new(workers: usize) -> Self {
        Self { workers: Mutex::new(vec![None; workers].into_boxed_slice()) }
    }

    fn workers(&self) -> MutexGuard<'_, Box<[Option<Classes>]>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what clients of `worker` take.
    pub fn note(&self, worker: WorkerId, classes: Classes) {
        self.workers()[worker.index()] = Some(classes);
    }

    /// Forgets it, because there is no limit.
    pub fn forget(&self, worker: WorkerId) {
        self.workers()[worker.index()] = None;
    }

    /// Notes what clients of `worker` take, and tells who is to close one next.
    pub fn turn(&self, worker: WorkerId, classes: Classes) -> Turn {
        let mut workers = self.workers();
        workers[worker.index()] = Some(classes);
        let ids = (0..).map(WorkerId);
        if let Some((other, _)) = ids.clone().zip(workers.iter()).find(|(_, noted)| noted.is_none())
        {
            return Turn::Other(other);
        }
        let tops =
            ids.zip(workers.iter()).filter_map(|(id, noted)| Some((noted.as_ref()?.top()?, id)));
        match (tops.max_by_key(|(top, _)| *top), classes.top()) {
            (None, _) => Turn::Nobody,
            (Some((top, _)), Some(own)) if own >= top => Turn::Own(own),
            (Some((_, other)), _) => Turn::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_bytes_or_a_part_of_maxmemory() {
        let limit = ClientMemoryLimit::of_number;
        assert_eq!(limit(0).bytes(1 << 30), None);
        assert_eq!(limit(1 << 20).bytes(0), Some(1 << 20));
        assert_eq!(limit(1).bytes(0), Some(128 << 10));
        assert_eq!(limit(-7).bytes(6 << 20), Some(440_401));
        assert_eq!(limit(-1).bytes(6 << 20), Some(128 << 10));
        assert_eq!(limit(-100).bytes(u64::MAX), Some(u64::MAX));
        assert_eq!(limit(-5).bytes(0), None, "there is no part of no limit");
    }

    #[test]
    fn classes_double() {
        assert_eq!([0, 1, 65_535].map(class_of), [0; 3]);
        assert_eq!([65_536, 131_071, 131_072].map(class_of), [1, 1, 2]);
        assert_eq!([1 << 33, u64::MAX].map(class_of), [CLASSES - 1; 2]);
    }

    fn classes(clients: &[u64]) -> Classes {
        let mut classes = Classes::default();
        for bytes in clients {
            classes.add(*bytes);
        }
        classes
    }

    #[test]
    fn the_worker_with_the_largest_client_closes_it() {
        let memory = ClientMemory::new(2);
        let [first, second] = [WorkerId(0), WorkerId(1)];
        let mut large = classes(&[1000, 1 << 20]);
        assert_eq!(memory.turn(first, large), Turn::Other(second), "it has not looked yet");
        assert_eq!(memory.turn(second, classes(&[1 << 18])), Turn::Other(first));
        assert_eq!(memory.turn(first, large), Turn::Own(class_of(1 << 20)));
        large.remove(1 << 20);
        assert_eq!(memory.turn(first, large), Turn::Other(second));
        assert_eq!(memory.turn(second, classes(&[1 << 18])), Turn::Own(class_of(1 << 18)));
        assert_eq!(memory.turn(second, classes(&[2000])), Turn::Own(0), "of one class either may");
        memory.note(first, classes(&[]));
        assert_eq!(memory.turn(second, classes(&[])), Turn::Nobody);
        memory.forget(first);
        assert_eq!(memory.turn(second, classes(&[])), Turn::Other(first));
    }
}
