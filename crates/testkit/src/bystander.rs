//! A client beside the one whose command is measured, which waits.
//!
//! Wall clock says nothing on a busy machine. What a bystander waits for is the processor time that the server takes
//! from its question to the answer. With one worker, which serves both, that is what it takes for the other's command
//! without looking at anybody else.
//!
//! The bystander has to wait for a processor itself, to read an answer and to ask again, while the server may go on with
//! slices of the other's command. That is nobody's wait. So the server says in its answer how much it has taken by
//! then, and what it takes before the next question is left out.

use std::io;
use std::time::{Duration, Instant};

use crate::{Client, ClientError, Server, Value};

/// A client that asks again and again.
#[derive(Debug)]
pub struct Bystander<'a> {
    server: &'a Server,
    client: Client,
    /// The server's processor time at the latest answer.
    answered: Duration,
    longest: Duration,
}

/// What the server says about its processor time.
const STAMP: [&str; 2] = ["INFO", "cpu"];

/// A reading that took longer was interrupted, and says nothing of when the question is asked.
const READING_MAX: Duration = Duration::from_millis(1);

impl<'a> Bystander<'a> {
    /// Connects.
    pub fn of(server: &'a Server) -> io::Result<Self> {
        let client = server.connect()?;
        Ok(Self { server, client, answered: Duration::ZERO, longest: Duration::ZERO })
    }

    /// Forgets what it has waited for so far.
    pub const fn restart(&mut self) {
        self.longest = Duration::ZERO;
    }

    /// Asks, and notes what the server has done until it answered.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, ClientError> {
        let asked = self.cpu_time().map_err(ClientError::Io)?;
        let mut replies = self.client.pipeline(&[words.to_vec(), STAMP.to_vec()])?;
        let stamp = replies.pop().and_then(|info| stamped(&info));
        let reply = replies.pop();
        self.answered = stamp.ok_or_else(|| said_nothing("no processor time"))?;
        self.longest = self.longest.max(self.answered.saturating_sub(asked));
        reply.ok_or_else(|| said_nothing("no reply"))
    }

    /// The longest wait since the last [`restart`](Self::restart), in the server's processor time: a reading of which can
    /// be some milliseconds behind, and the wait too long by as much.
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// The server's processor time right now.
    fn cpu_time(&self) -> io::Result<Duration> {
        loop {
            let begun = Instant::now();
            let read = self.server.cpu_time()?;
            if begun.elapsed() <= READING_MAX {
                return Ok(read.max(self.answered));
            }
        }
    }
}

fn said_nothing(missing: &str) -> ClientError {
    ClientError::Io(io::Error::new(io::ErrorKind::InvalidData, missing))
}

/// The processor time of a process that says so itself, which is never behind.
fn stamped(info: &Value) -> Option<Duration> {
    let text = str::from_utf8(info.text()?).ok()?;
    let seconds = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        line.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    seconds("used_cpu_sys")?.checked_add(seconds("used_cpu_user")?)
}
