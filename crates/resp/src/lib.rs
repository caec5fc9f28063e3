//! RESP2 and RESP3 over byte slices: requests in, replies out, and replies in again for clients.
//!
//! Nothing here reads or writes a socket, knows a command or a shard, or blocks: the caller owns
//! the bytes. Requests are never copied while they are parsed; a parsed command is a list of
//! [`Span`]s into the buffer it arrived in.
//!
//! * [`request`]: bytes to commands, as a server needs it. Read this first.
//! * [`args`]: the arguments of one command, borrowed or owned.
//! * [`output`]: the bytes waiting to be sent on one connection.
//! * [`writer`]: the shapes of replies, in either protocol, written to an [`Output`].
//! * [`reply`]: bytes to reply values, as a client needs it.
//! * [`sequence`]: requests one behind the other, as logs and replicas have them.

#![forbid(unsafe_code)]

pub mod args;
mod ledger;
pub mod limits;
pub mod output;
pub mod protocol_error;
pub mod reply;
pub mod request;
pub mod sequence;
pub mod writer;

pub use args::{Args, OwnedArgs, Span};
pub use limits::Limits;
pub use output::{Output, SHARED_BYTES_MIN};
pub use protocol_error::ProtocolError;
pub use request::{Parsed, RequestParser};
pub use sequence::Sequence;
pub use writer::{DeferredLength, Protocol, ReplyWriter};
