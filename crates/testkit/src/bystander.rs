//! A client beside the one whose command is measured, which waits.
//!
//! Wall clock says nothing on a busy machine. What a bystander waits for is the processor time that the server takes
//! from its question to the answer. With one worker, which serves both, that is what it takes for the other's command
//! without looking at anybody else.
//!
//! The bystander has to wait for a processor itself, to read an answer and to ask again, and a whole stall may pass meanwhile. So
//! what counts is all that the server does between two of its answers:
//!
//! ```text
//!   question      answer  (ready to run)  read, and the next question          answer      read
//!  ----+------------+------------------------+------------------------------------+----------+----
//!                   |<------------------------------ counts ---------------------------------->|
//! ```
//!
//! When the server gave the first answer is not known, but for how long the bystander was ready to run before it had read it:
//! it was no earlier than that. So a wait is never shown as shorter than it was, whatever else the machine does. It is
//! shown as longer where the bystander gets no processor while the server goes on with slices of the other's command: whoever
//! compares it with a bound measures again.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Client, ClientError, Server, Value};

/// How often a wait may be measured again that was too long: it may have been the bystander who had no processor, and the
/// processor has others to serve, whose data are in its caches then.
const ROUNDS: usize = 5;
/// Questions asked behind the end of what is done beside them: what ends with a client ends in a turn or two.
const TURNS_AFTER: usize = 10;

/// A client that asks again and again.
#[derive(Debug)]
pub struct Bystander<'a> {
    server: &'a Server,
    client: Client,
    /// The server's processor time when it gave the last answer, or before.
    answered: Duration,
    longest: Duration,
}

impl<'a> Bystander<'a> {
    /// Connects.
    pub fn of(server: &'a Server) -> io::Result<Self> {
        let client = server.connect()?;
        Ok(Self { server, client, answered: server.cpu_time()?, longest: Duration::ZERO })
    }

    /// Forgets what it has waited for so far: what the server does from here on counts.
    pub fn restart(&mut self) -> io::Result<()> {
        self.answered = self.server.cpu_time()?;
        self.longest = Duration::ZERO;
        Ok(())
    }

    /// Asks, and notes what the server has done since its last answer.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, ClientError> {
        let asked = self.server.cpu_time().map_err(ClientError::Io)?;
        let held_up_before = held_up().map_err(ClientError::Io)?;
        let reply = self.client.call(words)?;
        let read = self.server.cpu_time().map_err(ClientError::Io)?;
        let held_up = held_up().map_err(ClientError::Io)?.saturating_sub(held_up_before);
        self.longest = self.longest.max(read.saturating_sub(self.answered));
        self.answered = read.saturating_sub(held_up).max(asked);
        Ok(reply)
    }

    /// Does something on a thread of its own, and asks until it is done; what comes of it.
    ///
    /// # Errors
    /// If a question is not answered.
    pub fn ask_beside<T: Send>(
        &mut self,
        words: &[&str],
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, ClientError> {
        /// Says so however it ends.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let _done = Done(&is_done);
                work()
            });
            while !is_done.load(Ordering::Acquire) {
                self.ask(words)?;
            }
            for _ in 0..TURNS_AFTER {
                self.ask(words)?;
            }
            Ok(work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// The longest wait since the last [`restart`](Self::restart), in the server's processor time: a reading of which can
    /// be some milliseconds behind, and the wait wrong by as much.
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

/// A wait, measured again while it is more than `most`: the shortest one.
pub fn shortest(most: Duration, mut measure: impl FnMut() -> Duration) -> Duration {
    let first = measure();
    (1..ROUNDS).fold(first, |least, _| if least > most { least.min(measure()) } else { least })
}

/// How long this thread has been ready to run without a processor.
fn held_up() -> io::Result<Duration> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedule.split(' ').nth(1).and_then(|nanos| nanos.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
