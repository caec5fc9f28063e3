//! What a worker does beside its clients' commands: it looks after the shards it is home to.

use super::{Core, Worker};
use crate::mail::ShardPost;
use crate::memory::Excess;
use crate::observed::work_observed;
use darter_runtime::{Connections, Turn};
use darter_txn::View;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the largest buffers of connections are looked for, which takes a look at each.
const BUFFERS_INTERVAL: Duration = Duration::from_secs(5);

/// How often queues are looked through for those who wait no longer, if there may be any.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Pieces of garbage that one slice frees, each of some hundred elements. If their memory is in no cache, a piece of a
/// sorted set takes 0.3 ms.
const GARBAGE_PIECES_PER_SLICE: usize = 4;

impl Worker {
    /// Notes the largest buffers of any connection, now and then.
    pub(super) fn look_at_buffers(&mut self, turn: &Turn, connections: &mut Connections<'_, Self>) {
        if self.buffers_due.is_some_and(|due| turn.instant < due) {
            return;
        }
        self.buffers_due = Some(turn.instant + BUFFERS_INTERVAL);
        let (mut input, mut output) = (0, 0);
        connections.for_each(|_, _, info| {
            input = input.max(info.kept_input_bytes);
            output = output.max(info.unsent_bytes);
        });
        let statistics = self.core.statistics();
        statistics.recent_input_bytes_max.set(input as u64);
        statistics.recent_output_bytes_max.set(output as u64);
    }

    /// Whether queues of waiters are to be swept, because some have ended without being served.
    fn sweeps_waiters(&mut self, turn: &Turn) -> bool {
        let ended = self.core.shared.waits_ended.load(Ordering::Relaxed);
        if ended == self.waits_swept || self.sweep_due.is_some_and(|due| turn.instant < due) {
            return false;
        }
        self.waits_swept = ended;
        self.sweep_due = Some(turn.instant + SWEEP_INTERVAL);
        true
    }

    /// Counts a round of the loop, and what the one before took.
    pub(super) fn count_tick(&mut self, connections: &Connections<'_, Self>) {
        let statistics = self.core.statistics();
        let commands = statistics.commands.read();
        statistics.ticks.add(1);
        statistics.tick_commands_max.note(commands.wrapping_sub(self.commands_counted));
        self.commands_counted = commands;
        let nanos = u64::try_from(connections.turn().last_tick.as_nanos()).unwrap_or(u64::MAX);
        statistics.tick_nanos.add(nanos);
        statistics.tick_nanos_max.note(nanos);
        statistics.sends.set(connections.sends());
    }

    /// Has what buffers take now count towards the memory limit. Buffers that are kept for the next replies are not worth a key:
    /// where memory is short they are freed, as after a burst of messages.
    pub(super) fn note_buffers(&mut self, connections: &mut Connections<'_, Self>) {
        self.note_buffers_as_they_are(connections);
        let limit = self.core.limits.get().memory;
        if limit.is_set() && self.core.shared.is_short(&limit) && connections.spare_bytes() > 0 {
            connections.free_spares();
            self.note_buffers_as_they_are(connections);
        }
    }

    fn note_buffers_as_they_are(&mut self, connections: &Connections<'_, Self>) {
        let statistics = self.core.statistics();
        let of_replicas = self.core.replica_buffer_bytes(connections);
        let buffers = (connections.buffer_bytes() as u64).saturating_sub(of_replicas);
        let bytes = buffers + statistics.queued_bytes.read();
        if bytes != self.buffers_noted {
            // Both are far below the largest.
            self.core.shared.note_buffers(bytes.wrapping_sub(self.buffers_noted).cast_signed());
            self.buffers_noted = bytes;
        }
        let spares = connections.spare_bytes() as u64;
        if spares != self.spares_noted {
            self.core.shared.note_spares(spares.wrapping_sub(self.spares_noted).cast_signed());
            self.spares_noted = spares;
        }
        self.core.shared.note_tracking();
        statistics.replica_buffer_bytes.set(of_replicas);
        // Last: who reads that there is room finds it.
        statistics.buffer_bytes.set(buffers);
    }

    /// Looks after the shards this worker is home to. `true` when there is more to do at once.
    pub(super) fn tend_shards(&mut self, turn: &Turn) -> bool {
        let begun = self.core.shared.stopwatch.now();
        let more = self.look_after_shards(turn);
        self.core.statistics().tending_nanos.add(self.core.nanos_since(begun));
        more
    }

    /// Makes room everywhere if a command has taken much more than there was. Called before that is answered.
    #[inline]
    pub(super) fn see_to_excess(&self, turn: &Turn) {
        if let Some(excess) = self.core.shared.excess() {
            self.make_room_everywhere(excess, turn);
            self.core.shared.note_excess_met(excess);
        }
    }

    /// Evicts keys of every shard that is not out until what went beyond the limit is met.
    #[cold]
    fn make_room_everywhere(&self, excess: Excess, turn: &Turn) {
        let shared = self.core.shared;
        let limits = self.core.limits.get();
        for id in shared.router().shards() {
            let Some(mut held) = shared.cells.cell(id).try_take() else { continue };
            let mut view = View::one(&mut held, shared.router());
            work_observed(shared, limits.interest, &mut view, None, |view| {
                shared.make_room_for(excess, &limits.memory, view.first(), turn.now);
            });
            self.core.serve(&mut view, turn.now);
            shared.cells.put_back(held, &ShardPost(&self.core.post));
        }
    }

    fn look_after_shards(&mut self, turn: &Turn) -> bool {
        let sweeps_waiters = self.sweeps_waiters(turn);
        let shared = self.core.shared;
        let limits = self.core.limits.get();
        self.expire(turn);
        // A pause holds everything that changes data back.
        let is_paused = self.core.pause.get().is_some();
        let keeps_limit = limits.memory.is_set() && !is_paused;
        let mut more = false;
        for id in shared.router().shards_at_home(self.core.worker) {
            // Out means busy, for who knows how long: it comes round again after the interval.
            let Some(mut held) = shared.cells.cell(id).try_take() else { continue };
            if sweeps_waiters {
                held.shard.sweep_waiters();
            }
            more |= held.shard.collect_garbage(GARBAGE_PIECES_PER_SLICE);
            if keeps_limit {
                let mut view = View::one(&mut held, shared.router());
                more |= work_observed(shared, limits.interest, &mut view, None, |view| {
                    shared.tend_memory(&limits.memory, view.first(), turn.now)
                });
                self.core.serve(&mut view, turn.now);
            }
            shared.saving.note_changes(&held.shard);
            shared.note_shard_bytes(id, held.shard.used_bytes());
            if let Some(figures) = shared.figures.get() {
                figures.publish(&mut held.shard, id, limits.databases, turn.now);
            }
            shared.cells.put_back(held, &ShardPost(&self.core.post));
        }
        more
    }
}

impl Core {
    /// Whether memory of what was flushed is still to be freed, in shards that this worker looks after, or may be: a shard
    /// that is out cannot be asked. While the work beside commands is switched off (`DEBUG PAUSE-CRON`) none is expected to
    /// be freed.
    pub fn has_flushed_garbage(&self) -> bool {
        let shared = self.shared;
        !shared.background_paused.load(Ordering::Relaxed)
            && shared.router().shards_at_home(self.worker).any(|id| {
                let Some(held) = shared.cells.cell(id).try_take() else { return true };
                let has_garbage = held.shard.has_flushed_garbage();
                shared.cells.put_back(held, &ShardPost(&self.post));
                has_garbage
            })
    }
}
