//! What other workers say about shards: posted work that has run, and shards whose turn has come.

use super::Worker;
use crate::job::{Job, PackedCommand};
use crate::mail::ShardPost;
use crate::pending::{After, Pending};
use crate::request::Request;
use crate::saving::automatic::OWN_TICKET;
use darter_command_table::ReplyError;
use darter_runtime::{ConnectionId, Connections};
use darter_shard::Shard;
use darter_txn::Letter;

impl Worker {
    pub(super) fn letter(
        &mut self,
        letter: Letter<Shard, Job>,
        connections: &mut Connections<'_, Self>,
    ) {
        match letter {
            Letter::Done(job) => self.finish(job, connections),
            Letter::Turn { work, held } => {
                let cell = self.core.shared.cells.cell(held.id);
                let job = cell.take_turn(work, held, &ShardPost(&self.core.post));
                self.finish(job, connections);
            }
            Letter::Granted { ticket, held } if ticket == OWN_TICKET => {
                self.core.granted_for_save(held, connections.turn());
            }
            Letter::Granted { ticket, held } => {
                let Some(id) = self.core.clients.borrow().get(&ticket.0).copied() else {
                    if let Err(held) = self.core.shared.following.pass_on(ticket, held) {
                        self.core.shared.cells.put_back(held, &ShardPost(&self.core.post));
                    }
                    return;
                };
                let turn = *connections.turn();
                let core = &self.core;
                let window = &mut self.window;
                let mut held = Some(held);
                let after = connections.with(id, |session, output| {
                    let held = held.take().expect("called once");
                    core.answer(session, output, |session, output| {
                        Pending::granted(core, session, held, window, output, id, &turn)
                    })
                });
                if let Some(held) = held {
                    // The connection is closing; its `closed` has released the rest, or will.
                    self.core.shared.cells.put_back(held, &ShardPost(&self.core.post));
                }
                go_on(after, id, connections);
            }
            Letter::Knock(shard) => {
                self.core.shared.cells.cell(shard).answer_knock(&ShardPost(&self.core.post));
            }
        }
    }

    /// Hands a finished job's replies to its connection, which goes on.
    fn finish(&mut self, mut job: Job, connections: &mut Connections<'_, Self>) {
        job.send_letters(&self.core.post);
        if job.errand.is_some() {
            return;
        }
        // It is run again where it can have slices.
        let is_long = |packed: &mut PackedCommand| matches!(packed.result, Err(ReplyError::Long));
        let long = job.commands.pop_if(is_long);
        for packed in &job.commands {
            self.core.statistics().called(packed.entry.counted_as, &packed.result);
            self.core.statistics().took(packed.entry.counted_as, packed.cost.nanos);
        }
        let turn = *connections.turn();
        connections.with(job.origin, |session, output| {
            for packed in &job.commands {
                session.note_command(packed.entry);
                let request = Request {
                    entry: packed.entry,
                    args: packed.args.as_args(),
                    bytes: packed.cost.request_bytes,
                    stays: false,
                };
                let command = (request.entry, request.args);
                self.core.note_late_denial(session, command, &packed.result, turn.now);
                self.core.tell(session, request, packed.cost, &turn);
            }
            self.core.answer(session, output, |session, output| {
                session.pending = long.map(|packed| {
                    let PackedCommand { entry, args, cost, .. } = packed;
                    let (args, bytes) = (args.as_args(), cost.request_bytes);
                    let request = Request { entry, args, bytes, stays: false };
                    Pending::Deferred(Box::new(request.to_owned()))
                });
                output.append(job.output);
            });
            if !session.facts.late_invalidations.is_empty() {
                self.core.tell_late(session, &mut output.0);
            }
        });
        connections.resume(job.origin);
    }
}

/// Does with a connection what became of its pending command; nothing if the connection is gone.
pub(super) fn go_on(
    after: Option<After>,
    id: ConnectionId,
    connections: &mut Connections<'_, Worker>,
) {
    match after {
        Some(After::Resumes) => {
            connections.resume(id);
        }
        Some(After::Closes) => {
            connections.close(id, true);
        }
        Some(After::Exceeds) => connections.close_above_limit(id),
        Some(After::Blocks) => {
            connections.suspend(id);
        }
        Some(After::Waits) | None => {}
    }
}
