//! Which host runs the workers, and why.

use std::fmt;

/// What was asked for (`--reactor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reactor {
    /// glommio where it works, else epoll.
    #[default]
    Auto,
    /// glommio or an error.
    Glommio,
    /// The plain host.
    Epoll,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReactorKind {
    /// Network by epoll, background files by glommio's io_uring.
    Glommio,
    /// Network by epoll, background files on a thread.
    Epoll,
}

/// The outcome of the probe. Displays as one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactorChoice {
    /// What runs.
    pub kind: ReactorKind,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for ReactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glommio => "glommio",
            Self::Epoll => "epoll",
        })
    }
}

impl fmt::Display for ReactorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.reason)
    }
}
