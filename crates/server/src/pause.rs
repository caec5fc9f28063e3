//! Commands that are held back for a while: by CLIENT PAUSE, and while the server hands over or ends.
//!
//! The pause that is in force belongs to all workers; each has a copy that it looks at for every
//! command. A command that is held is not consumed: its connection is suspended in front of it, and
//! reads on there when the pause is over.

use crate::session::Session;
use crate::worker::{Core, Worker};
use darter_base::UnixMillis;
use darter_command_table::{CallLimits, Entry, Flags};
use darter_resp::Args;
use darter_runtime::Connections;
use std::sync::Mutex;

/// Which commands are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// Those that may change data or be heard by others.
    Writes,
    /// All.
    Everything,
}

impl Paused {
    /// As INFO shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Writes => "write",
            Self::Everything => "all",
        }
    }
}

/// What commands are held back for. Each holds them back by itself, so that the end of one is not that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `CLIENT PAUSE`.
    Command,
    /// The process is about to end, and replicas lack something.
    Departure,
    /// A replica is being made the primary (`FAILOVER`).
    HandingOver,
}

impl Cause {
    const COUNT: usize = 3;

    /// As INFO shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "client_pause",
            Self::Departure => "shutdown_in_progress",
            Self::HandingOver => "failover_in_progress",
        }
    }
}

/// The pause in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What is held back.
    pub paused: Paused,
    /// Until when that much is.
    pub until: UnixMillis,
    /// What for; of several causes that hold as much back, which does so for longest.
    pub cause: Cause,
    /// Whether a replica is being made the primary.
    pub hands_over: bool,
}

impl Pause {
    /// Whether a command with these flags is held back by it.
    pub const fn holds(self, flags: Flags) -> bool {
        matches!(self.paused, Paused::Everything)
            || flags.has(Flags::WRITE)
            || flags.has(Flags::MAY_REPLICATE)
    }
}

/// What one cause holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    paused: Paused,
    until: UnixMillis,
}

/// The end of a pause that somebody ends.
pub const FOR_EVER: UnixMillis = UnixMillis(i64::MAX);

/// What is held back by each cause, for all workers.
#[derive(Debug, Default)]
pub struct SharedPause(Mutex<[Option<Held>; Cause::COUNT]>);

impl SharedPause {
    /// The pause at `now`: the strictest, and of those the longest.
    pub fn at(&self, now: UnixMillis) -> Option<Pause> {
        let causes = [Cause::Command, Cause::Departure, Cause::HandingOver];
        let all = self.lock();
        let held = |cause: Cause| all[cause as usize].filter(|held| now < held.until);
        let hands_over = held(Cause::HandingOver).is_some();
        let mut found: Option<Pause> = None;
        for cause in causes {
            let Some(Held { paused, until }) = held(cause) else { continue };
            let strength = |paused, until| (paused == Paused::Everything, until);
            if found.is_none_or(|it| strength(paused, until) > strength(it.paused, it.until)) {
                found = Some(Pause { paused, until, cause, hands_over });
            }
        }
        found
    }

    /// Holds commands back for a cause. If it holds some back already the stricter kind is kept, and the later end.
    pub fn begin(&self, cause: Cause, paused: Paused, until: UnixMillis, now: UnixMillis) {
        let held = &mut self.lock()[cause as usize];
        *held = Some(match held.filter(|held| now < held.until) {
            Some(Held { paused: Paused::Everything, until: earlier }) => {
                Held { paused: Paused::Everything, until: until.max(earlier) }
            }
            Some(earlier) => Held { paused, until: until.max(earlier.until) },
            None => Held { paused, until },
        });
    }

    /// Holds nothing back for it any more.
    pub fn end(&self, cause: Cause) {
        self.lock()[cause as usize] = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, [Option<Held>; Cause::COUNT]> {
        self.0.lock().expect("a pause is replaced, never half changed")
    }
}

impl Core {
    /// What commands depend on now. During a pause nothing expires, and a limit may be lowered.
    pub fn call_limits(&self) -> CallLimits {
        let mut limits = self.shared.call_limits();
        limits.keeps_expired |= self.pause.get().is_some();
        if self.defrag.get().is_on {
            self.shared.residence.lower(&mut limits.memory);
        }
        limits
    }

    /// Whether the command has to wait for a pause to end.
    #[inline]
    pub fn holds_back(&self, entry: &Entry, args: Args<'_>) -> bool {
        self.pause.get().is_some_and(|pause| pause.holds(self.flags_of(entry, args)))
    }

    /// The same for what this client asks for now.
    #[inline]
    pub fn holds_back_from(&self, session: &Session, entry: &Entry, args: Args<'_>) -> bool {
        self.pause.get().is_some_and(|pause| {
            let flags = self.flags_of(entry, args);
            pause.holds(flags) || self.waits_for_primary(session, flags)
        })
    }

    /// Puts the pause into force that all workers share now, and lets go on who waited for one that
    /// is over. Called by each worker when it is told of a change, and when a pause ends by itself.
    pub fn follow_pause(&self, now: UnixMillis, connections: &mut Connections<'_, Worker>) {
        let pause = self.shared.pause.at(now);
        if self.pause.replace(pause) == pause {
            return;
        }
        self.limits.set(self.call_limits());
        // Who is still held back waits again, at the back of the queue.
        let held_back = std::mem::take(&mut *self.held_back.borrow_mut());
        for id in held_back {
            connections.resume(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10);

    /// What is held back, until when, and for what.
    fn at(shared: &SharedPause, millis: i64) -> Option<(Paused, i64, &'static str)> {
        let pause = shared.at(UnixMillis(millis))?;
        Some((pause.paused, pause.until.0, pause.cause.name()))
    }

    #[test]
    fn pauses_of_a_cause_join_to_the_stricter_and_longer() {
        let shared = SharedPause::default();
        let begin =
            |paused, until, now| shared.begin(Cause::Command, paused, UnixMillis(until), now);
        assert_eq!(shared.at(NOW), None);
        begin(Paused::Everything, 200, NOW);
        begin(Paused::Writes, 20, NOW);
        let joined = Some((Paused::Everything, 200, "client_pause"));
        assert_eq!(at(&shared, 10), joined);
        assert_eq!(at(&shared, 199), joined);
        assert_eq!(at(&shared, 200), None);
        // The one before is over and forgotten.
        begin(Paused::Writes, 400, UnixMillis(300));
        assert_eq!(at(&shared, 300), Some((Paused::Writes, 400, "client_pause")));
        begin(Paused::Everything, 350, UnixMillis(300));
        assert_eq!(at(&shared, 300), Some((Paused::Everything, 400, "client_pause")));
        shared.end(Cause::Command);
        assert_eq!(shared.at(UnixMillis(300)), None);
    }

    #[test]
    fn the_end_of_a_cause_is_not_that_of_another() {
        let shared = SharedPause::default();
        shared.begin(Cause::Command, Paused::Writes, UnixMillis(100), NOW);
        shared.begin(Cause::HandingOver, Paused::Writes, FOR_EVER, NOW);
        let handing_over = Some((Paused::Writes, FOR_EVER.0, "failover_in_progress"));
        assert_eq!(at(&shared, 10), handing_over);
        shared.begin(Cause::Command, Paused::Everything, UnixMillis(100), NOW);
        assert_eq!(at(&shared, 10), Some((Paused::Everything, 100, "client_pause")));
        assert!(shared.at(NOW).is_some_and(|pause| pause.hands_over));
        assert_eq!(at(&shared, 100), handing_over);
        shared.end(Cause::Command);
        assert_eq!(at(&shared, 10), handing_over);
        shared.begin(Cause::Command, Paused::Writes, UnixMillis(100), NOW);
        shared.end(Cause::HandingOver);
        assert_eq!(at(&shared, 10), Some((Paused::Writes, 100, "client_pause")));
        assert!(!shared.at(NOW).is_some_and(|pause| pause.hands_over));
    }
}
