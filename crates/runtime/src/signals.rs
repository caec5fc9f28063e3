//! SIGTERM and SIGINT begin a shutdown.

use crate::ShutdownHandle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSignal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl EndSignal {
    /// As the system calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// What such a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSignal {
    /// Nothing.
    Nothing,
    /// It begins a shutdown, if none is under way.
    Shutdown,
    /// It ends the process with status 1.
    ExitAtOnce,
}

/// Decides what a signal does. Asked on the thread of signals, whenever one comes, with whether a shutdown is
/// under way.
#[derive(Clone)]
pub struct DecideOnSignal(pub Arc<dyn Fn(EndSignal, bool) -> OnSignal + Send + Sync>);

impl Default for DecideOnSignal {
    /// Every one begins a shutdown, and SIGINT during one exits at once.
    fn default() -> Self {
        Self(Arc::new(|signal, is_ending| {
            if is_ending && signal == EndSignal::Interrupt {
                OnSignal::ExitAtOnce
            } else {
                OnSignal::Shutdown
            }
        }))
    }
}

impl fmt::Debug for DecideOnSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecideOnSignal")
    }
}

/// A thread that sleeps until a signal comes. A thread of its own, so that a busy worker cannot
/// delay the second SIGINT. SIGHUP is caught and dropped: a server outlives its terminal. So is
/// SIGXFSZ: a file that may not grow any more (`ulimit -f`) is an error of the write, as is one that has no room. SIGPIPE
/// needs nothing: sockets are written with a flag that keeps it away.
#[derive(Debug)]
pub(crate) struct SignalThread {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl SignalThread {
    /// Does what `decide` says with each SIGTERM and SIGINT.
    pub(crate) fn start(decide: DecideOnSignal, shutdown: ShutdownHandle) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
        let handle = signals.handle();
        let named = thread::Builder::new().name("darter-signals".to_owned());
        let thread = named.spawn(move || {
            for signal in signals.forever() {
                let signal = match signal {
                    SIGINT => EndSignal::Interrupt,
                    SIGTERM => EndSignal::Terminate,
                    _ => continue,
                };
                match (decide.0)(signal, shutdown.has_begun()) {
                    OnSignal::Nothing => {}
                    OnSignal::Shutdown => shutdown.begin(),
                    OnSignal::ExitAtOnce => std::process::exit(1),
                }
            }
        })?;
        Ok(Self { handle, thread })
    }

    pub(crate) fn stop(self) {
        self.handle.close();
        // It cannot have panicked, and if it had there would be nothing to do.
        let _ = self.thread.join();
    }
}
