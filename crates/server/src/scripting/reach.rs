//! Which shards a script needs.
//!
//! A script says which keys it uses, but nothing makes it keep to them. It begins with the shards of the
//! keys it declares. When it wants another one, what happens depends on what it has done:
//!
//! * Nothing but reading: it is stopped, everything is given back, and it begins again with all shards,
//!   as it does from then on ([`Reach::Wide`]).
//! * It has changed something: that cannot be taken back, and it must not wait while it holds shards.
//!   It gets the shard if nobody has it; otherwise the command fails ([`super::host`]).
//!
//! So that the second case is rare, a script that was never seen to write runs with all shards from
//! its first write on: before that write it is stopped and begins again ([`Reach::Tried`]). What it
//! touches then shows whether it keeps to its keys ([`Reach::Confined`]). A script that reads only, or
//! never ends, never holds more than it declared.

use std::sync::atomic::{AtomicU8, Ordering};

/// What is known of the shards a script needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reach {
    /// It has never written.
    #[default]
    Unknown,
    /// It wants to write; it runs with all shards to show what it needs.
    Tried,
    /// It has written, and kept to its keys.
    Confined,
    /// It needs shards it does not declare.
    Wide,
}

/// The reach of one script, which every worker may learn more of.
#[derive(Debug, Default)]
pub struct Learnt(AtomicU8);

impl Learnt {
    /// What is known.
    pub fn get(&self) -> Reach {
        match self.0.load(Ordering::Relaxed) {
            1 => Reach::Tried,
            2 => Reach::Confined,
            3 => Reach::Wide,
            _ => Reach::Unknown,
        }
    }

    /// Something more is known. What was known is never forgotten for less.
    pub fn learn(&self, reach: Reach) {
        self.0.fetch_max(reach as u8, Ordering::Relaxed);
    }
}

impl Reach {
    /// Whether the script is to hold all shards.
    pub const fn needs_all(self) -> bool {
        matches!(self, Self::Tried | Self::Wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_strays_is_not_trusted_again() {
        let learnt = Learnt::default();
        assert_eq!(learnt.get(), Reach::Unknown);
        for (more, known) in [
            (Reach::Tried, Reach::Tried),
            (Reach::Confined, Reach::Confined),
            (Reach::Tried, Reach::Confined),
            (Reach::Wide, Reach::Wide),
            (Reach::Confined, Reach::Wide),
        ] {
            learnt.learn(more);
            assert_eq!(learnt.get(), known);
        }
    }
}
