//! What workers of the server send each other.

use crate::access::Revocation;
use crate::blocking::{Blocked, Served};
use crate::job::Job;
use crate::migration::TransferOutcome;
use crate::pubsub::Publication;
use crate::shared::Shared;
use crate::survey::{Answer, Question};
use crate::tracking::{Invalidated, Invalidation};
use darter_base::WorkerId;
use darter_runtime::{ConnectionId, Dialogue, Post};
use darter_shard::Shard;
use darter_txn::{Carrier, Letter};
use std::sync::Arc;
use std::time::Instant;

/// A letter in a worker's mailbox.
#[derive(Debug)]
pub enum Mail {
    /// About shards.
    Shard(Letter<Shard, Job>),
    /// Something about the receiver's clients, for a client of the sender.
    Question { from: ConnectionId, question: Arc<Question> },
    /// More of the log is on the disk than before.
    Synced,
    /// There is more for the receiver's replicas: its next tick sees to that.
    Replicate,
    /// A replica has more than before.
    Acknowledged,
    /// The answer to a command that waited for keys.
    Served(Box<Served>),
    /// A command of the receiver's client that waits for keys has to be tried over all its shards.
    Retry(Arc<Blocked>),
    /// A message for the receiver's subscribers.
    Published(Arc<Publication>),
    /// Keys that the receiver's clients are to forget.
    Invalidate(Invalidation),
    /// The same for a client that is told instead of another one.
    Redirected { to: ConnectionId, instead_of: ConnectionId, what: Invalidated },
    /// A client is told that the one is gone that was told instead of it.
    RedirectionBroken(ConnectionId),
    /// One of the receiver's clients became a subscriber, who may be idle, or is none any more.
    SetIdleExempt { id: ConnectionId, exempt: bool },
    /// To itself: what came before has been read, and the client may go on.
    Resume(ConnectionId),
    /// To itself: the connection to another server that a client's command asked for, if it could be made.
    Connected { to: ConnectionId, dialogue: Result<Box<Dialogue>, std::io::ErrorKind> },
    /// To itself: what became of a client's keys on their way to another server.
    Transferred { to: ConnectionId, outcome: Box<TransferOutcome> },
    /// The save that a client waits for has ended.
    Saved { to: ConnectionId, succeeded: bool },
    /// Lines for the receiver's monitors.
    Monitored(Arc<[u8]>),
    /// There is work for the receiver in the shards it looks after.
    TendShards,
    /// Users are gone, or may listen to less: whoever that ends is closed, but for the one that asked for it.
    Revoked { revocation: Arc<Revocation>, spared: ConnectionId },
    /// The pause has changed that is in force.
    FollowPause,
    /// This server is a replica now: what the receiver's clients wait for does not come.
    Demoted,
    /// The process was to end, and does not.
    DoesNotEnd,
    /// Everything stands still until then.
    StandStill(Instant),
    /// All clients take too much memory, and it may be for the receiver to close some.
    LookAtClients,
    /// The answer, to the client that asked.
    Answer { to: ConnectionId, answer: Answer },
}

/// Carries shards' letters as mail.
#[derive(Debug)]
pub struct ShardPost<'a>(pub &'a Post<Mail>);

impl Carrier<Shard, Job> for ShardPost<'_> {
    fn deliver(&self, to: WorkerId, mut letter: Letter<Shard, Job>) {
        if let Letter::Done(job) = &mut letter {
            job.send_letters(self.0);
        }
        self.0.send(to, Mail::Shard(letter));
    }
}

/// The same on a thread that is no worker.
#[derive(Clone, Copy, Debug)]
pub struct ByMail(pub &'static Shared);

impl Carrier<Shard, Job> for ByMail {
    fn deliver(&self, to: WorkerId, mut letter: Letter<Shard, Job>) {
        if let Letter::Done(job) = &mut letter {
            for (to, mail) in job.letters.drain(..) {
                self.0.send(to, mail);
            }
        }
        self.0.send(to, Mail::Shard(letter));
    }
}
