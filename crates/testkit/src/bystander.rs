//! A client beside the one whose command is measured, which waits.
//!
//! Wall clock says nothing on a busy machine. What a bystander waits for is the processor time that the server takes
//! from its question to the answer. With one worker, which serves both, that is what it takes for the other's command
//! without looking at anybody else.
//!
//! The bystander has to wait for a processor itself, to read an answer and to ask again, while the server may go on with
//! slices of the other's command. That is nobody's wait. What the server takes between an answer and the next question is
//! left out, and so is as much as the bystander was ready to run and had no processor.

use std::fs;
use std::io;
use std::time::Duration;

use crate::{Client, ClientError, Server, Value};

/// A client that asks again and again.
#[derive(Debug)]
pub struct Bystander<'a> {
    server: &'a Server,
    client: Client,
    longest: Duration,
}

impl<'a> Bystander<'a> {
    /// Connects.
    pub fn of(server: &'a Server) -> io::Result<Self> {
        Ok(Self { server, client: server.connect()?, longest: Duration::ZERO })
    }

    /// Forgets what it has waited for so far.
    pub const fn restart(&mut self) {
        self.longest = Duration::ZERO;
    }

    /// Asks, and notes what the server has done until it answered.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, ClientError> {
        let held_up_before = held_up().map_err(ClientError::Io)?;
        let asked = self.server.cpu_time().map_err(ClientError::Io)?;
        let reply = self.client.call(words)?;
        let answered = self.server.cpu_time().map_err(ClientError::Io)?;
        let held_up = held_up().map_err(ClientError::Io)?.saturating_sub(held_up_before);
        let waited = answered.saturating_sub(asked).saturating_sub(held_up);
        self.longest = self.longest.max(waited);
        Ok(reply)
    }

    /// The longest wait since the last [`restart`](Self::restart), in the server's processor time: a reading of which can
    /// be some milliseconds behind, and the wait wrong by as much.
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}

/// How long this thread has been ready to run without a processor.
fn held_up() -> io::Result<Duration> {
    let schedule = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedule.split(' ').nth(1).and_then(|nanos| nanos.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
