//! A command of a client, from the moment it runs until it is noted as having run.

use crate::session::Session;
use crate::watch::Cost;
use crate::watch::monitor::Lines;
use crate::worker::Core;
use darter_command_table::Entry;
use darter_resp::{Args, OwnedArgs};
use darter_runtime::{Ticks, Turn};

/// One command as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments, the name at index 0.
    pub args: Args<'a>,
    /// Its size on the wire, in bytes.
    pub bytes: usize,
}

/// The same, for longer than the input it came in.
#[derive(Debug)]
pub struct OwnedRequest {
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments.
    args: OwnedArgs,
    /// Its size on the wire, in bytes.
    bytes: usize,
}

impl Request<'_> {
    /// A copy that owns its arguments.
    pub fn to_owned(self) -> OwnedRequest {
        let Self { entry, args, bytes } = self;
        OwnedRequest { entry, args: OwnedArgs::from(args), bytes }
    }
}

impl OwnedRequest {
    /// Bytes of memory, its own place included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.args.memory_bytes()
    }

    /// To run it, or to tell of it.
    pub fn as_request(&self) -> Request<'_> {
        Request { entry: self.entry, args: self.args.as_args(), bytes: self.bytes }
    }
}

impl Core {
    /// Nanoseconds since `begun`.
    pub fn nanos_since(&self, begun: Ticks) -> u64 {
        let watch = &self.shared.stopwatch;
        watch.nanos_between(begun, watch.now())
    }

    /// Notes that a command has run: in the statistics, in the logs if it is worth it, and to those who
    /// want to see every command. That it was called is counted where its result is known.
    pub fn note(
        &self,
        session: &Session,
        request: Request<'_>,
        nanos: u64,
        reply_bytes: usize,
        turn: &Turn,
    ) {
        self.statistics().took(request.entry.counted_as, nanos);
        self.tell(
            session,
            request,
            Cost { nanos, request_bytes: request.bytes, reply_bytes },
            turn,
        );
    }

    /// The part of noting that is about the client: the logs, and who wants to see every command.
    pub fn tell(&self, session: &Session, request: Request<'_>, cost: Cost, turn: &Turn) {
        let Request { entry, args, .. } = request;
        if self.thresholds.get().is_notable(cost) {
            self.remember(session, entry, args, cost, turn.now);
        }
        self.show(session, request, turn);
    }

    /// Shows a command to those who want to see every command.
    pub fn show(&self, session: &Session, request: Request<'_>, turn: &Turn) {
        if self.shared.monitors.any() {
            let mut lines = Lines::default();
            lines.add(session, request.entry, request.args, turn);
            self.send_to_monitors(lines);
        }
    }
}
