//! The stream of a server that is a replica itself: what its primary sends, byte by byte.
//!
//! It is kept as that of a primary is, so that replicas of this one can read it, and so that whoever was a replica of the same
//! primary can go on with this server if it becomes the primary.

use super::stream::Stream;
use super::{Replication, Shown, random_id};
use crate::following::Primary;
use crate::shared::{Shared, lock};
use darter_base::{DbIndex, UnixMillis};
use darter_replication::{Offset, ReplicationId};
use std::sync::atomic::Ordering;

impl Replication {
    /// What of which history the data are, if that can be said: not if nothing was recorded lately.
    pub fn has(&self) -> Option<(ReplicationId, Offset)> {
        let stream = lock(&self.stream);
        stream.is_open().then(|| (stream.history.id(), stream.end()))
    }

    /// Whether what a primary sends becomes the stream.
    #[inline]
    pub fn is_following(&self) -> bool {
        self.is_following.load(Ordering::Relaxed)
    }

    /// A replica that has everything there is, `target` if that is said: where it listens.
    pub fn caught_up(&self, target: Option<&Primary>) -> Option<Primary> {
        let end = self.end().bytes();
        let mut has_all = self.replicas_shown().into_iter().filter(|replica| {
            replica.is_online && replica.acknowledged == end && replica.is(target)
        });
        has_all.next().map(|replica| Primary { host: replica.ip, port: replica.port })
    }

    /// Whether a replica listens there, and whether it is online.
    pub fn replica_at(&self, target: &Primary) -> Option<bool> {
        let mut replicas = self.replicas_shown().into_iter();
        replicas.find(|replica| replica.is(Some(target))).map(|replica| replica.is_online)
    }

    fn replicas_shown(&self) -> Vec<Shown> {
        lock(&self.replicas).iter().map(|replica| replica.shown(UnixMillis(0))).collect()
    }

    /// From here on the stream is what a primary sends, and no change of this server's own. To be called while all shards are
    /// held.
    pub fn begin_following(&self) {
        // Pings are added by whoever holds no shard.
        let _stream = lock(&self.stream);
        self.is_fed.store(false, Ordering::Relaxed);
        self.is_following.store(true, Ordering::Relaxed);
    }

    /// The data are those of a primary now, at this place in its history, and this server's replicas have to get them anew. To
    /// be called while all shards are held.
    pub fn adopt(&self, shared: &Shared, id: ReplicationId, at: Offset, db: DbIndex) {
        let mut stream = lock(&self.stream);
        stream.begin_anew(id, at);
        stream.keep(shared.config.current().replication.kept_bytes());
        self.note_end(&stream);
        drop(stream);
        self.note_selected(db);
        self.ring(shared);
    }

    /// Nothing can be said of what the data are: those of a primary could not be loaded. To be called while all shards are
    /// held.
    pub fn forget_data(&self, shared: &Shared) {
        let mut stream = lock(&self.stream);
        if let Some(id) = random_id() {
            stream.history.replace(id);
        }
        stream.close();
        self.note_end(&stream);
        drop(stream);
        self.ring(shared);
    }

    /// The history has another name now. Replicas have to hear of it, so they begin again, with what they have.
    pub fn follow_renaming(&self, shared: &Shared, id: ReplicationId) {
        let mut stream = lock(&self.stream);
        let end = stream.end();
        stream.history.fork_at(id, end);
        stream.dismiss_readers();
        drop(stream);
        self.ring(shared);
    }

    /// Adds what the primary has sent. To be called while the shards are held in which it was carried out.
    pub fn append(&self, bytes: &[u8]) {
        let mut stream = lock(&self.stream);
        stream.append(bytes);
        self.note_end(&stream);
    }

    /// The stream goes on in this database.
    pub fn note_selected(&self, db: DbIndex) {
        self.selected.store(db.0, Ordering::Relaxed);
    }

    /// The database that the stream goes on in, for who has nothing of what came before.
    pub fn selected(&self) -> DbIndex {
        // A primary says it when somebody begins.
        DbIndex(if self.is_following() { self.selected.load(Ordering::Relaxed) } else { 0 })
    }

    /// This server is a primary from here on: what happens is a new history, whose name is returned, which has all of the one
    /// there was. To be called while all shards are held. `None`: the system gives no random bytes.
    pub fn begin_leading(&self) -> Option<ReplicationId> {
        let id = random_id()?;
        let mut stream = lock(&self.stream);
        let end = stream.end();
        if stream.is_open() {
            stream.history.fork_at(id, end);
        } else {
            stream.history.replace(id);
        }
        stream.forget_db();
        stream.dismiss_readers();
        self.is_following.store(false, Ordering::Relaxed);
        self.is_fed.store(stream.is_open(), Ordering::Relaxed);
        Some(id)
    }

    fn note_end(&self, stream: &Stream) {
        self.end.store(stream.end().bytes(), Ordering::Release);
        self.note_bytes(stream);
    }
}

impl Shown {
    /// Whether it listens there, if that is said.
    fn is(&self, target: Option<&Primary>) -> bool {
        target.is_none_or(|Primary { host, port }| {
            self.ip.eq_ignore_ascii_case(host) && self.port == *port
        })
    }
}
