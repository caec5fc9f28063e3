//! Standing still: DEBUG SLEEP stops the whole server, as it stops Redis.
//!
//! The worker that runs it has all shards then, so that nobody is in the middle of anything. It tells the others
//! how long, and each of them stops for the rest of that time; the shards are given back, and the client is
//! answered, when it is over. Connections are accepted by the kernel meanwhile, and what arrives waits in sockets.

use super::{Core, Worker, letters};
use crate::delay::sleep;
use crate::mail::Mail;
use crate::pending::{After, Pending};
use crate::shared::Shared;
use darter_base::WorkerId;
use darter_runtime::{ConnectionId, Connections, Turn};
use std::time::{Duration, Instant};

/// After how long is looked whether the server is to end.
const NAP: Duration = Duration::from_millis(10);

impl Core {
    /// Stops all workers, this one at the end of its tick, for a client whose command holds all shards.
    pub(crate) fn begin_standing_still(&self, time: Duration, client: ConnectionId, turn: &Turn) {
        let until = now(turn) + time;
        let workers = (0..self.shared.router().worker_count()).map(WorkerId);
        for worker in workers.filter(|worker| *worker != self.worker) {
            self.post.send(worker, Mail::StandStill(until));
        }
        self.stands_until.set(Some(until));
        self.holder.set(Some(client));
    }
}

impl Worker {
    /// Stands still if it was told to; whether it did.
    pub(super) fn stand_still(&self, turn: &Turn, connections: &mut Connections<'_, Self>) -> bool {
        let core = &self.core;
        let Some(until) = core.stands_until.take() else { return false };
        core.post.kick_receivers();
        loop {
            let left = until.saturating_duration_since(now(turn));
            if left.is_zero() || is_ending(core.shared) {
                break;
            }
            sleep(left.min(NAP));
        }
        if let Some(id) = core.holder.take() {
            let after = connections.with(id, |session, output| {
                core.answer(session, output, |session, output| match session.pending.take() {
                    Some(Pending::Holding(holding)) => {
                        holding.finish(core, session, output, id, turn)
                    }
                    other => {
                        session.pending = other;
                        After::Waits
                    }
                })
            });
            match after {
                // It goes on in the next tick, in which it is later.
                Some(After::Resumes) => core.post.send(core.worker, Mail::Resume(id)),
                after => letters::go_on(after, id, connections),
            }
        }
        true
    }
}

/// The time as it is by now.
fn now(turn: &Turn) -> Instant {
    turn.instant + Duration::from_micros(turn.elapsed_micros())
}

fn is_ending(shared: &Shared) -> bool {
    shared.running.get().is_some_and(|running| running.shutdown.has_begun())
}
