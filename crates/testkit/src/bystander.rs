//! A client beside the one whose command is measured, which waits.
//!
//! Wall clock says nothing on a busy machine. What a bystander waits for is the processor time that the server takes
//! between two of its replies. With one worker, which serves both, that is what it takes for the other's command without
//! looking at anybody else.

use std::io;
use std::time::Duration;

use crate::{Client, ClientError, Server, Value};

/// A client that asks again and again.
#[derive(Debug)]
pub struct Bystander<'a> {
    server: &'a Server,
    client: Client,
    /// The server's processor time at the latest reply.
    before: Duration,
    longest: Duration,
}

impl<'a> Bystander<'a> {
    /// Connects.
    pub fn of(server: &'a Server) -> io::Result<Self> {
        let client = server.connect()?;
        Ok(Self { server, client, before: server.cpu_time()?, longest: Duration::ZERO })
    }

    /// Forgets what it has waited for so far.
    pub fn restart(&mut self) -> io::Result<()> {
        (self.before, self.longest) = (self.server.cpu_time()?, Duration::ZERO);
        Ok(())
    }

    /// Asks, and notes what the server has done since the last reply.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, ClientError> {
        let reply = self.client.call(words)?;
        let now = self.server.cpu_time().map_err(ClientError::Io)?;
        self.longest = self.longest.max(now.saturating_sub(self.before));
        self.before = now;
        Ok(reply)
    }

    /// The longest wait since the last [`restart`](Self::restart), in the server's processor time: a reading of which can
    /// be some milliseconds behind, and the next one too long by as much.
    pub const fn longest(&self) -> Duration {
        self.longest
    }
}
