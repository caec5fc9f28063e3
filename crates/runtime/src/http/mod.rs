//! An HTTP endpoint for operators: metrics, probes. Never for data.
//!
//! It lives on a thread of its own, which the system schedules behind the workers' ([`NICENESS`]),
//! and answers one GET or HEAD a connection. Whatever comes from outside is bounded: connections,
//! bytes of a request, the time an exchange may take; when all places are taken the longest-lasting
//! exchange makes room, so a client that trickles its request cannot keep a probe out.
//!
//! The parser is `httparse`, of the authors of hyper. Servers that bring their own threads and no
//! deadlines (`tiny_http`), or an async runtime (hyper), are more than a page of text needs.
//!
//! `exchange` is one connection without its poll, `endpoint` the loop around it.

mod endpoint;
mod exchange;

pub use endpoint::{HttpEndpoint, serve};

/// Places for connections.
pub const CONNECTIONS_MAX: usize = 64;

/// Longest request head, in bytes. What a client sends behind it is not read.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header lines.
pub const HEADERS_MAX: usize = 64;

/// How long an exchange may take, from the connection to the last byte of the answer.
pub const EXCHANGE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// How much less the thread matters than the workers, in steps of `nice`.
pub const NICENESS: i32 = 10;

/// What is answered to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// 200 and so on.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// What the client asked for, or why it does not get it.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// A line of text.
    pub fn text(status: u16, line: &str) -> Self {
        let body = format!("{line}\n").into_bytes();
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }
}
