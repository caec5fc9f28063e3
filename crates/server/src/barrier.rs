//! What ends the collection of commands from a connection's input.

use crate::place::Place;
use darter_command_table::{Entry, ReplyError};
use darter_resp::{Args, OwnedArgs, ProtocolError};

/// What ended the collection of a window.
#[derive(Debug)]
pub enum Barrier {
    /// The window is full.
    Full,
    /// The rest of the input is no whole command.
    Incomplete,
    /// A command that has to wait for a pause to end.
    Paused,
    /// A command that does not run in a window, with its spans in the batch.
    Command { entry: &'static Entry, place: Place, begin: usize, end: usize, first_span: usize },
    /// An inline command, unescaped.
    Inline { args: OwnedArgs, end: usize },
    /// A command that is refused, with its spans in the batch.
    Refused { error: ReplyError, begin: usize, end: usize, first_span: usize },
    /// More is queued for a transaction than a client may send without its being run.
    QueueOverflow,
    /// A request that is none.
    Malformed(ProtocolError),
    /// An HTTP request: somebody makes a browser talk to us.
    Attack,
}

impl Barrier {
    /// A command that is not admitted, from where to where it is in the input.
    #[cold]
    pub fn of_refusal(
        error: ReplyError,
        args: Args<'_>,
        (begin, end): (usize, usize),
        first_span: usize,
    ) -> Self {
        if is_http(args) { Self::Attack } else { Self::Refused { error, begin, end, first_span } }
    }
}

/// Whether an unknown command is the first line of an HTTP request, or a header of one.
pub fn is_http(args: Args<'_>) -> bool {
    let name = args.at(0);
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}
