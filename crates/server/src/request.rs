//! A command of a client, from the moment it runs until it is noted as having run.

use crate::session::Session;
use crate::watch::Cost;
use crate::watch::monitor::Lines;
use crate::worker::Core;
use darter_command_table::Entry;
use darter_resp::{Args, OwnedArgs, Span};
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
    /// Whether it is so big that it stays where it is while it runs in slices: in its connection's input, of which it and
    /// what comes behind it are not consumed before it has answered.
    pub stays: bool,
}

/// From this size on a command stays in the input. Copying less takes no longer than a slice.
const STAYING_BYTES_MIN: usize = 1 << 20;

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
        let Self { entry, args, bytes, .. } = self;
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
        let (entry, args) = (self.entry, self.args.as_args());
        Request { entry, args, bytes: self.bytes, stays: false }
    }
}

/// A command that runs in slices, where its arguments are meanwhile.
#[derive(Debug)]
pub enum SlicedRequest {
    /// Somewhere else.
    Owned(OwnedRequest),
    /// At the beginning of its connection's input.
    InInput {
        /// What runs.
        entry: &'static Entry,
        /// Where its arguments are.
        spans: Vec<Span>,
        /// Its size on the wire.
        bytes: usize,
    },
}

impl SlicedRequest {
    /// What is to run in slices.
    pub fn of(request: Request<'_>) -> Self {
        let Request { entry, args, bytes, stays } = request;
        if stays {
            Self::InInput { entry, spans: args.spans().to_vec(), bytes }
        } else {
            Self::Owned(request.to_owned())
        }
    }

    /// To run it, or to tell of it. `input` is its connection's, which may be empty if it is [elsewhere](Self::Owned).
    pub fn in_input<'a>(&'a self, input: &'a [u8]) -> Request<'a> {
        match self {
            Self::Owned(request) => request.as_request(),
            Self::InInput { entry, spans, bytes } => {
                let args = Args::new(&input[..*bytes], spans);
                Request { entry, args, bytes: *bytes, stays: true }
            }
        }
    }

    /// How many bytes of the input it is.
    pub const fn bytes_in_input(&self) -> usize {
        match self {
            Self::Owned(_) => 0,
            Self::InInput { bytes, .. } => *bytes,
        }
    }
}

impl Core {
    /// Whether a command of so many bytes, in `input` bytes, [stays](Request::stays) there. What is beyond the limit of a
    /// query buffer does not: its connection would be closed for that.
    pub fn stays_in_input(&self, bytes: usize, input: &[u8]) -> bool {
        bytes >= STAYING_BYTES_MIN && input.len() <= self.query_bytes_max.get()
    }

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
