//! SIGTERM and SIGINT begin a shutdown.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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

/// Whether a signal begins a shutdown. Asked on the thread of signals, whenever one comes.
#[derive(Clone)]
pub struct EndsOnSignal(pub Arc<dyn Fn(EndSignal) -> bool + Send + Sync>);

impl Default for EndsOnSignal {
    /// Every one does.
    fn default() -> Self {
        Self(Arc::new(|_| true))
    }
}

impl fmt::Debug for EndsOnSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndsOnSignal")
    }
}

/// A thread that sleeps until a signal comes. A thread of its own, so that a busy worker cannot
/// delay the second SIGINT. SIGHUP is caught and dropped: a server outlives its terminal. SIGPIPE
/// needs nothing: sockets are written with a flag that keeps it away.
#[derive(Debug)]
pub(crate) struct SignalThread {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl SignalThread {
    /// Calls `begin_shutdown` for each SIGTERM and SIGINT that `ends` says yes to. A second SIGINT ends the
    /// process with status 1.
    pub(crate) fn start(
        ends: EndsOnSignal,
        begin_shutdown: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let handle = signals.handle();
        let named = thread::Builder::new().name("darter-signals".to_owned());
        let thread = named.spawn(move || {
            let mut interrupted = false;
            for signal in signals.forever() {
                match signal {
                    SIGINT if interrupted => {
                        tracing::warn!("second interrupt, exiting at once");
                        std::process::exit(1);
                    }
                    SIGINT | SIGTERM => {
                        let signal = if signal == SIGINT {
                            interrupted = true;
                            EndSignal::Interrupt
                        } else {
                            EndSignal::Terminate
                        };
                        tracing::warn!("Received {} scheduling shutdown...", signal.name());
                        if (ends.0)(signal) {
                            begin_shutdown();
                        }
                    }
                    _ => {}
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
