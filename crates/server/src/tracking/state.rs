//! How one client is tracked.

use super::table::Redirection;
use std::sync::Arc;

/// Whether the keys of the next command are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remember {
    /// They are not, nor are those of later ones.
    #[default]
    Never,
    /// They are, and those of later ones too.
    Always,
    /// They alone are (`CLIENT CACHING YES`).
    Once,
    /// They alone are not (`CLIENT CACHING NO`).
    NotOnce,
}

impl Remember {
    /// Whether those of the next command are.
    #[inline]
    pub const fn next_command(self) -> bool {
        matches!(self, Self::Always | Self::Once)
    }

    /// After a command.
    #[inline]
    #[must_use]
    pub const fn after_command(self) -> Self {
        match self {
            Self::Once | Self::Never => Self::Never,
            Self::NotOnce | Self::Always => Self::Always,
        }
    }
}

/// Which keys are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Those it reads.
    #[default]
    Read,
    /// Those it reads after saying so (`OPTIN`).
    OptIn,
    /// Those it reads, unless it says otherwise (`OPTOUT`).
    OptOut,
    /// None: it is told of all keys that begin in some way (`BCAST`).
    Broadcast,
}

/// What a tracked client asked for.
#[derive(Debug, Default)]
pub struct Tracking {
    /// Which keys.
    pub mode: Mode,
    /// Not of what it changed itself.
    pub no_loop: bool,
    /// The client that is told instead; 0 for none.
    pub redirect: u64,
    /// Whether that one was gone when it was to be told.
    pub is_broken: bool,
    /// Beginnings of keys it is told of, sorted; none begins another.
    pub prefixes: Box<[Arc<[u8]>]>,
}

impl Tracking {
    /// Bytes of memory. Prefixes themselves belong to all who asked for them. O(1).
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.prefixes)
    }

    /// Who is told instead.
    pub fn redirection(&self) -> Option<Redirection> {
        (self.redirect != 0).then_some(Redirection {
            to: self.redirect,
            is_broadcast: self.mode == Mode::Broadcast,
            no_loop: self.no_loop,
        })
    }

    /// What is remembered unless the client says more.
    pub fn remember(&self) -> Remember {
        match self.mode {
            Mode::Read | Mode::OptOut => Remember::Always,
            Mode::OptIn | Mode::Broadcast => Remember::Never,
        }
    }
}
