//! Connections that a change of users ends.

use crate::mail::Mail;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::worker::{Core, Worker};
use darter_acl::patterns::Channels;
use darter_acl::{User, Users};
use darter_base::WorkerId;
use darter_runtime::{ConnectionId, Connections, Post};
use std::sync::Arc;

/// Which connections are to be closed.
#[derive(Clone, Debug, Default)]
pub struct Revocation {
    /// Users that are gone, by their ids.
    gone: Vec<u64>,
    /// Users with fewer channels than before, by their ids, and what is left to them.
    shrunk: Vec<(u64, Channels)>,
}

impl Revocation {
    /// What follows from a change of all users from `old` to `new`.
    pub fn between(old: &Users, new: &Users) -> Self {
        let mut this = Self::default();
        for user in old.iter() {
            match new.now(user) {
                Some(known) if Arc::ptr_eq(known, user) => {}
                Some(known) => this.compare(user, known),
                None => this.gone.push(user.id()),
            }
        }
        this
    }

    fn compare(&mut self, old: &User, new: &User) {
        let channels = new.channels();
        if !channels.contain(&old.channels()) {
            self.shrunk.push((new.id(), channels));
        }
    }

    /// Whether it is about nobody.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.shrunk.is_empty()
    }

    /// Whether it ends this session.
    pub fn ends(&self, session: &Session) -> bool {
        let id = session.access.user.id();
        if session.access.is_revoked || self.gone.contains(&id) {
            return true;
        }
        let Some((_, left)) = self.shrunk.iter().find(|(user, _)| *user == id) else {
            return false;
        };
        let Some(held) = &session.facts.subscriptions else { return false };
        held.of(Kind::Pattern).iter().any(|pattern| !left.allow_pattern(pattern))
            || [Kind::Channel, Kind::ShardChannel]
                .into_iter()
                .any(|kind| held.of(kind).iter().any(|channel| !left.allow(channel)))
    }
}

impl Core {
    /// Has the connections closed that `revocation` ends, but for the one that asks. Whether it ends that one, which is to
    /// be closed behind its reply.
    pub fn revoke(&self, revocation: &Revocation, session: &Session, asker: ConnectionId) -> bool {
        if revocation.is_empty() {
            return false;
        }
        send_revocation(&self.post, revocation, asker);
        revocation.ends(session)
    }
}

/// Has the connections closed that `revocation` ends, but for `spared`.
pub(super) fn send_revocation(post: &Post<Mail>, revocation: &Revocation, spared: ConnectionId) {
    let revocation = Arc::new(revocation.clone());
    let workers = u16::try_from(post.worker_count()).expect("worker numbers fit 16 bits");
    for worker in (0..workers).map(WorkerId) {
        let revocation = Arc::clone(&revocation);
        post.send(worker, Mail::Revoked { revocation, spared });
    }
}

/// Closes the connections that `revocation` ends, but for `spared`.
pub fn close_revoked(
    revocation: &Revocation,
    spared: ConnectionId,
    connections: &mut Connections<'_, Worker>,
) {
    let mut meant = Vec::new();
    connections.for_each(|id, session, _| {
        if id != spared && revocation.ends(session) {
            meant.push(id);
        }
    });
    for id in meant {
        connections.close(id, false);
    }
}
