//! SIGTERM and SIGINT begin a shutdown.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::thread::{self, JoinHandle};

/// A thread that sleeps until a signal comes. A thread of its own, so that a busy worker cannot
/// delay the second SIGINT. SIGHUP is caught and dropped: a server outlives its terminal. SIGPIPE
/// needs nothing: sockets are written with a flag that keeps it away.
#[derive(Debug)]
pub(crate) struct SignalThread {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl SignalThread {
    /// Calls `begin_shutdown` for each SIGTERM and SIGINT. A second SIGINT ends the process with
    /// status 1.
    pub(crate) fn start(begin_shutdown: impl Fn() + Send + 'static) -> io::Result<Self> {
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
                        interrupted |= signal == SIGINT;
                        tracing::info!(signal, "shutting down");
                        begin_shutdown();
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
