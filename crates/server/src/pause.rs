//! CLIENT PAUSE: commands that are held back for a while.
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

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What is held back.
    pub paused: Paused,
    /// When it ends.
    pub until: UnixMillis,
    /// Whether it lasts for as long as a replica is being made the primary (`FAILOVER`).
    pub hands_over: bool,
}

impl Pause {
    /// Whether a command with these flags is held back by it.
    pub const fn holds(self, flags: Flags) -> bool {
        matches!(self.paused, Paused::Everything)
            || flags.has(Flags::WRITE)
            || flags.has(Flags::MAY_REPLICATE)
    }

    /// Why commands are held back, as INFO shows it.
    pub const fn cause(self) -> &'static str {
        if self.hands_over { "failover_in_progress" } else { "client_pause" }
    }

    /// This pause after another one was asked for: the stricter kind is kept as long as either holds,
    /// and the later end.
    fn joined(self, other: Self) -> Self {
        let paused = if self.paused == Paused::Everything { self.paused } else { other.paused };
        let hands_over = self.hands_over || other.hands_over;
        Self { paused, until: self.until.max(other.until), hands_over }
    }
}

/// The end of a pause that somebody ends.
pub const FOR_EVER: UnixMillis = UnixMillis(i64::MAX);

/// The pause in force, for all workers.
#[derive(Debug, Default)]
pub struct SharedPause(Mutex<Option<Pause>>);

impl SharedPause {
    /// The pause at `now`.
    pub fn at(&self, now: UnixMillis) -> Option<Pause> {
        self.lock().filter(|pause| now < pause.until)
    }

    /// Adds a pause to the one in force, if any; which one is in force now.
    pub fn begin(&self, pause: Pause, now: UnixMillis) -> Pause {
        let mut current = self.lock();
        let joined = match current.filter(|current| now < current.until) {
            Some(earlier) => earlier.joined(pause),
            None => pause,
        };
        *current = Some(joined);
        joined
    }

    /// Has another one, or none, in its place.
    pub fn replace(&self, pause: Option<Pause>) {
        *self.lock() = pause;
    }

    /// Ends it.
    pub fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pause>> {
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

    #[test]
    fn pauses_join_to_the_stricter_and_longer() {
        let shared = SharedPause::default();
        let pause = |paused, until| Pause { paused, until: UnixMillis(until), hands_over: false };
        let now = UnixMillis(10);
        assert_eq!(shared.at(now), None);
        shared.begin(pause(Paused::Everything, 200), now);
        let joined = shared.begin(pause(Paused::Writes, 20), now);
        assert_eq!(joined, pause(Paused::Everything, 200));
        assert_eq!(shared.at(UnixMillis(199)), Some(joined));
        assert_eq!(shared.at(UnixMillis(200)), None);
        // The one before is over and forgotten.
        let later = UnixMillis(300);
        assert_eq!(shared.begin(pause(Paused::Writes, 400), later), pause(Paused::Writes, 400));
        shared.end();
        assert_eq!(shared.at(later), None);
    }
}
