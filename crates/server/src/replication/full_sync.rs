//! All data of one instant on their way to replicas.
//!
//! The thread that writes the snapshot puts the bytes in, the workers that have replicas take them out, each at its own
//! speed. Bytes are kept until the slowest has them, and the thread waits while they are many: what a slow replica costs
//! is bounded, and one that takes nothing at all is closed before long (`repl-timeout`).

use crate::shared::lock;
use darter_replication::{Backlog, Offset, ReplicationId};
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that wait for the slowest replica above which the thread waits.
const WAITING_BYTES_MAX: u64 = 16 << 20;

/// Bytes from the beginning that are kept although all have them, as long as there is nothing else to keep: a replica that
/// comes a little later can still join.
const KEPT_BYTES: u64 = 4 << 20;

/// How often a thread that waits looks whether it has been given up.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// All data of one instant, for the replicas that asked for them.
#[derive(Debug)]
pub struct FullSync {
    /// The history.
    pub id: ReplicationId,
    /// Where in it the instant is.
    pub start: Offset,
    /// What says that the data end, if their length is not said first: they are sent as they are written.
    pub mark: Option<[u8; ReplicationId::LEN]>,
    flow: Mutex<Flow>,
    room: Condvar,
}

#[derive(Debug)]
struct Flow {
    bytes: Backlog,
    /// Whether everything is in it.
    is_complete: bool,
    /// Whether it never will be.
    has_failed: bool,
    /// Client ids of the replicas, and where they are.
    readers: Vec<(u64, Offset)>,
}

/// What a replica found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many bytes.
    Bytes(usize),
    /// There is nothing yet.
    Waits,
    /// It has everything.
    Complete,
    /// The rest will not come.
    Failed,
}

impl FullSync {
    /// One that begins.
    pub fn new(id: ReplicationId, start: Offset, mark: Option<[u8; ReplicationId::LEN]>) -> Self {
        let flow = Flow {
            bytes: Backlog::new(Offset::ZERO),
            is_complete: false,
            has_failed: false,
            readers: Vec::new(),
        };
        Self { id, start, mark, flow: Mutex::new(flow), room: Condvar::new() }
    }

    /// Lets a replica take part, if everything from the beginning is still there.
    pub fn join(&self, client_id: u64) -> bool {
        let mut flow = lock(&self.flow);
        let is_whole = flow.bytes.begin() == Offset::ZERO && !flow.has_failed;
        if is_whole {
            flow.readers.push((client_id, Offset::ZERO));
        }
        is_whole
    }

    /// A replica takes no part any more.
    pub fn leave(&self, client_id: u64) {
        lock(&self.flow).readers.retain(|(reader, _)| *reader != client_id);
        self.room.notify_one();
    }

    /// Hands a replica what follows, at most `bytes_max`.
    pub fn take(&self, client_id: u64, bytes_max: usize, take: impl FnMut(&[u8])) -> Taken {
        let mut flow = lock(&self.flow);
        let flow = &mut *flow;
        let reader = flow.readers.iter_mut().find(|(reader, _)| *reader == client_id);
        let Some((_, at)) = reader.filter(|_| !flow.has_failed) else { return Taken::Failed };
        let Some(count) = flow.bytes.read(*at, bytes_max, take) else { return Taken::Failed };
        *at = at.plus(count as u64);
        let is_at_end = *at == flow.bytes.end();
        let needed = flow.readers.iter().map(|(_, at)| *at).min().unwrap_or_default();
        flow.bytes.trim(KEPT_BYTES, needed);
        self.room.notify_one();
        match count {
            0 if is_at_end && flow.is_complete => Taken::Complete,
            0 => Taken::Waits,
            count => Taken::Bytes(count),
        }
    }

    /// Puts bytes in as soon as there is room. `is_given_up` is asked now and then.
    ///
    /// # Errors
    /// When it was given up, or nobody takes anything.
    pub fn put(&self, bytes: &[u8], is_given_up: impl Fn() -> bool) -> io::Result<()> {
        let mut flow = lock(&self.flow);
        loop {
            if is_given_up() {
                return Err(io::Error::other("the full sync was given up"));
            }
            if flow.readers.is_empty() {
                return Err(io::Error::other("no replica is left to take the data"));
            }
            let slowest = flow.readers.iter().map(|(_, at)| *at).min().unwrap_or_default();
            if flow.bytes.end().since(slowest) < WAITING_BYTES_MAX {
                flow.bytes.append(bytes);
                return Ok(());
            }
            let waited = self.room.wait_timeout(flow, LOOK_EVERY);
            flow = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything is in it.
    pub fn complete(&self) {
        lock(&self.flow).is_complete = true;
    }

    /// The rest will not come.
    pub fn fail(&self) {
        lock(&self.flow).has_failed = true;
    }

    /// Whether no replica takes part.
    pub fn is_over(&self) -> bool {
        self.reader_count() == 0
    }

    /// How many replicas take part.
    pub fn reader_count(&self) -> usize {
        lock(&self.flow).readers.len()
    }

    /// Memory of what waits, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        lock(&self.flow).bytes.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(full_sync: &FullSync, client_id: u64) -> (Taken, usize) {
        let mut bytes = 0;
        let taken = full_sync.take(client_id, usize::MAX, |piece| bytes += piece.len());
        (taken, bytes)
    }

    #[test]
    fn replicas_take_all_data_at_their_own_speed() {
        let full_sync = FullSync::new(ReplicationId::NONE, Offset::ZERO, None);
        assert!(full_sync.put(b"x", || false).is_err(), "nobody is there");
        assert!(full_sync.join(1));
        full_sync.put(&[b'x'; 1000], || false).unwrap();
        assert_eq!(take(&full_sync, 1), (Taken::Bytes(1000), 1000));
        assert_eq!(take(&full_sync, 1).0, Taken::Waits);
        assert!(full_sync.join(2), "everything is still there");
        full_sync.put(&vec![b'x'; 5 << 20], || false).unwrap();
        assert_eq!(take(&full_sync, 1).0, Taken::Bytes(5 << 20));
        assert_eq!(take(&full_sync, 2).0, Taken::Bytes((5 << 20) + 1000));
        assert!(!full_sync.join(3), "the beginning has gone");
        full_sync.complete();
        assert_eq!(take(&full_sync, 2).0, Taken::Complete);
        full_sync.leave(2);
        assert!(!full_sync.is_over());
        full_sync.fail();
        assert_eq!(take(&full_sync, 1).0, Taken::Failed);
    }

    #[test]
    fn who_writes_waits_for_the_slowest_replica_until_that_is_gone() {
        let full_sync = FullSync::new(ReplicationId::NONE, Offset::ZERO, None);
        assert!(full_sync.join(1));
        let block = vec![b'x'; 17 << 20];
        full_sync.put(&block, || false).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| full_sync.put(b"more", || false));
            assert_eq!(take(&full_sync, 1).1, block.len());
            writer.join().unwrap().unwrap();
        });
        full_sync.put(&block, || false).unwrap();
        assert!(full_sync.put(b"more", || true).is_err());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| full_sync.put(b"more", || false));
            full_sync.leave(1);
            assert!(writer.join().unwrap().is_err());
        });
    }
}
