//! The stream of changes that replicas get.

use super::refusal::Refusal;
use crate::recording::Requests;
use darter_replication::{Backlog, History, Offset, ReplicationId, SyncRequest};

/// What happened, as bytes of a history, and who reads them.
#[derive(Debug)]
pub(super) struct Stream {
    requests: Requests,
    backlog: Backlog,
    /// The history that it is of.
    pub(super) history: History,
    /// Whether changes are kept in it.
    is_open: bool,
    /// Bytes that are kept although nobody reads them.
    kept_bytes: u64,
    /// Which replicas read it, and where they are.
    readers: Vec<Reader>,
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    client_id: u64,
    at: Offset,
}

impl Stream {
    /// Nothing of a history yet.
    pub(super) fn new(history: History) -> Self {
        Self {
            requests: Requests::default(),
            backlog: Backlog::new(Offset::ZERO),
            history,
            is_open: false,
            kept_bytes: 0,
            readers: Vec::new(),
        }
    }

    /// How far it is.
    pub(super) const fn end(&self) -> Offset {
        self.backlog.end()
    }

    /// What is kept of it.
    pub(super) const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Whether changes are kept in it.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Keeps changes from here on.
    pub(super) fn open(&mut self) {
        if !self.is_open {
            self.is_open = true;
            self.requests.forget_db();
        }
    }

    /// Keeps nothing any more. Who comes back after that has missed something.
    pub(super) fn close(&mut self) {
        self.is_open = false;
        self.backlog = Backlog::new(self.end());
        self.readers.clear();
    }

    /// Keeps so many bytes for those who come back.
    pub(super) fn keep(&mut self, bytes: u64) {
        self.kept_bytes = bytes;
        self.trim();
    }

    /// Keeps what follows a place in the history `id`, of which there is nothing yet.
    pub(super) fn begin_anew(&mut self, id: ReplicationId, at: Offset) {
        self.history.replace(id);
        self.backlog = Backlog::new(at);
        self.readers.clear();
        self.open();
    }

    /// Appends what came from somebody else.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.backlog.append(bytes);
        self.trim();
    }

    /// Nobody reads it any more; whoever did has to ask again.
    pub(super) fn dismiss_readers(&mut self) {
        self.readers.clear();
    }

    /// Appends what `add` adds.
    pub(super) fn record(&mut self, add: impl FnOnce(&mut Requests)) {
        if self.is_open {
            add(&mut self.requests);
            let backlog = &mut self.backlog;
            self.requests.drain(|bytes| backlog.append(bytes));
            self.trim();
        }
    }

    /// Lets a replica read on behind what it asks to go on from: how many bytes it lacks, or why that cannot be.
    pub(super) fn join(
        &mut self,
        client_id: u64,
        request: SyncRequest,
    ) -> Result<u64, Box<Refusal>> {
        let SyncRequest::Partial { id: asked, have } = request else {
            return Err(Refusal::Wanted.into());
        };
        let (id, fork) = (self.history.id(), self.history.fork());
        if !self.history.covers(&asked, have) {
            let refusal = match fork {
                Some(fork) if fork.id == asked => Refusal::BehindFork { have, fork: fork.end },
                _ => Refusal::OtherHistory { asked, id, fork },
            };
            return Err(refusal.into());
        }
        if !self.is_open {
            return Err(Refusal::NothingKept { asked, have }.into());
        }
        if !self.join_at(client_id, have) {
            let kept = (self.backlog.begin(), self.backlog.end());
            return Err(Refusal::NotKept { asked, have, kept }.into());
        }
        Ok(self.backlog.end().since(have))
    }

    /// Lets a replica read from a place on; `false` if that is not kept.
    pub(super) fn join_at(&mut self, client_id: u64, at: Offset) -> bool {
        let is_kept = self.backlog.reaches_back_to(at);
        if is_kept {
            self.readers.retain(|reader| reader.client_id != client_id);
            self.readers.push(Reader { client_id, at });
        }
        is_kept
    }

    /// A replica reads no more.
    pub(super) fn leave(&mut self, client_id: u64) {
        self.readers.retain(|reader| reader.client_id != client_id);
        self.trim();
    }

    /// From here on the stream does not rely on what database was selected.
    pub(super) const fn forget_db(&mut self) {
        self.requests.forget_db();
    }

    /// Hands a replica what follows, at most `bytes_max`: how many that were, and how many are left. `None` if it does not read.
    pub(super) fn read(
        &mut self,
        client_id: u64,
        bytes_max: usize,
        take: impl FnMut(&[u8]),
    ) -> Option<(usize, u64)> {
        let reader = self.readers.iter_mut().find(|reader| reader.client_id == client_id)?;
        let count = self.backlog.read(reader.at, bytes_max, take)?;
        reader.at = reader.at.plus(count as u64);
        let left = self.backlog.end().since(reader.at);
        self.trim();
        Some((count, left))
    }

    /// How many bytes a replica has not been handed.
    pub(super) fn behind_bytes(&self, client_id: u64) -> u64 {
        let reader = self.readers.iter().find(|reader| reader.client_id == client_id);
        reader.map_or(0, |reader| self.backlog.end().since(reader.at))
    }

    /// The most that any replica has not been handed.
    pub(super) fn behind_bytes_max(&self) -> u64 {
        self.backlog.end().since(self.needed())
    }

    /// What it takes beyond what is kept for those who come back.
    pub(super) fn beyond_bytes(&self) -> u64 {
        self.backlog.beyond_bytes(self.kept_bytes)
    }

    fn needed(&self) -> Offset {
        let places = self.readers.iter().map(|reader| reader.at);
        places.min().unwrap_or(self.backlog.end())
    }

    fn trim(&mut self) {
        self.backlog.trim(self.kept_bytes, self.needed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let mut stream = Stream::new(History::new(ReplicationId::NONE));
        stream.open();
        stream.keep(0);
        stream
    }

    fn read(stream: &mut Stream, client_id: u64, bytes_max: usize) -> Option<String> {
        let mut bytes = Vec::new();
        stream.read(client_id, bytes_max, |piece| bytes.extend_from_slice(piece))?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_replica_goes_on_where_it_was() {
        let mut stream = stream();
        stream.record(|requests| requests.add_words(&[b"PING"]));
        let id = stream.history.id();
        let ask = |have| SyncRequest::Partial { id, have: Offset::new(have).unwrap() };
        assert_eq!(stream.join(1, ask(4)), Ok(10));
        let refusal = stream.join(2, ask(15)).unwrap_err();
        assert!(matches!(*refusal, Refusal::NotKept { .. }), "it is yet to come");
        assert_eq!(stream.join(2, SyncRequest::Full), Err(Refusal::Wanted.into()));
        let other =
            SyncRequest::Partial { id: ReplicationId::of_random([1; 20]), have: Offset::ZERO };
        let refusal = stream.join(2, other).unwrap_err();
        assert!(matches!(*refusal, Refusal::OtherHistory { .. }));
        assert_eq!(stream.behind_bytes(1), 10);
        assert_eq!(read(&mut stream, 1, 4).as_deref(), Some("$4\r\n"));
        assert_eq!(read(&mut stream, 1, 100).as_deref(), Some("PING\r\n"));
        assert_eq!(read(&mut stream, 1, 100).as_deref(), Some(""));
        assert_eq!(read(&mut stream, 2, 100), None);
    }

    #[test]
    fn what_a_slow_replica_has_not_read_is_kept_and_counted() {
        let mut stream = stream();
        assert!(stream.join_at(1, Offset::ZERO));
        let long = [b'x'; 5000];
        for _ in 0..100 {
            stream.record(|requests| requests.add_words(&[&long]));
        }
        assert!(stream.behind_bytes(1) > 500_000);
        assert_eq!(stream.behind_bytes_max(), stream.end().bytes());
        assert!(stream.beyond_bytes() > 400_000);
        assert!(read(&mut stream, 1, usize::MAX).is_some());
        assert_eq!(stream.behind_bytes(1), 0);
        assert!(stream.backlog().len() < 40_000);
        for _ in 0..100 {
            stream.record(|requests| requests.add_words(&[&long]));
        }
        stream.leave(1);
        assert!(stream.beyond_bytes() < 40_000, "nobody needs it any more");
        stream.close();
        stream.record(|requests| requests.add_words(&[&long]));
        assert!(stream.backlog().is_empty());
        assert_eq!(read(&mut stream, 1, 10), None);
    }
}
