//! The state of one client.

use crate::pending::Pending;
use darter_base::{DbIndex, UnixMillis};
use darter_resp::{Limits, Protocol, RequestParser};
use darter_runtime::PeerInfo;

/// One client's state. Lives on the worker its connection was given to.
#[derive(Debug)]
pub struct Session {
    /// Progress over an incomplete request.
    pub parser: RequestParser,
    /// What requests may be made of; stricter before authentication.
    pub limits: Limits,
    /// The database it selected.
    pub db: DbIndex,
    /// The protocol it chose with `HELLO`.
    pub protocol: Protocol,
    /// Whether it may run commands that need authentication.
    pub authenticated: bool,
    /// Closes once its output is sent; nothing it still sends is looked at.
    pub closing: bool,
    /// Its number, unique in the process and ascending; never 0.
    pub client_id: u64,
    /// A command of its that is under way somewhere; the connection is suspended or comes again.
    pub pending: Option<Pending>,
    /// What is seldom looked at.
    pub facts: Box<Facts>,
}

/// What only `CLIENT LIST` and its like look at.
#[derive(Debug)]
pub struct Facts {
    /// Where it connected from and to.
    pub peer: PeerInfo,
    /// `CLIENT SETNAME`; empty when unset.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_version: Vec<u8>,
    /// When it connected.
    pub connected_at: UnixMillis,
    /// Its latest command's full name; empty before the first.
    pub last_command: &'static str,
    /// Commands it has run.
    pub commands: u64,
}

impl Session {
    /// A client that has just connected.
    pub fn new(client_id: u64, peer: PeerInfo, now: UnixMillis, limits: Limits) -> Self {
        Self {
            parser: RequestParser::new(),
            limits,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            authenticated: !limits.unauthenticated,
            closing: false,
            client_id,
            pending: None,
            facts: Box::new(Facts {
                peer,
                name: Vec::new(),
                lib_name: Vec::new(),
                lib_version: Vec::new(),
                connected_at: now,
                last_command: "",
                commands: 0,
            }),
        }
    }
}
