//! What a transcript consists of.

use std::path::PathBuf;
use std::time::Duration;

use super::pattern::Pattern;
use crate::Protocol;

/// One file.
#[derive(Debug)]
pub struct Transcript {
    pub path: PathBuf,
    /// Options that need a server started for this file alone.
    pub server_options: Vec<String>,
    /// Whether connections start as plain RESP2 in every mode.
    pub fresh_connections: bool,
    pub cases: Vec<Case>,
}

/// Steps that start from empty databases.
#[derive(Debug)]
pub struct Case {
    pub line: usize,
    pub title: String,
    /// Peers able to answer; none means all of them.
    pub oracles: Oracles,
    pub not_pipelined: bool,
    pub steps: Vec<Step>,
}

/// The peers a case may be checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Oracles {
    #[default]
    All,
    None,
    Only(Vec<ServerTerm>),
}

impl Oracles {
    /// Whether this server is expected to answer the case.
    pub fn include(&self, target: Target) -> bool {
        target.kind == ServerKind::Darter
            || match self {
                Self::All => true,
                Self::None => false,
                Self::Only(terms) => terms.iter().any(|term| term.includes(target)),
            }
    }
}

/// One thing done, and the replies to it.
#[derive(Debug)]
pub struct Step {
    /// Where it starts, and where its last line is; the first line of the file is 1.
    pub line: usize,
    pub last_line: usize,
    /// The source line, for reports.
    pub source: String,
    pub connection: String,
    pub action: Action,
    pub repetition: Repetition,
    /// None at all: not recorded yet.
    pub expectations: Vec<Expectation>,
}

#[derive(Debug)]
pub enum Action {
    Command(Vec<Word>),
    Raw(Vec<u8>),
    Receive,
    Elapse(Duration),
    Close,
}

#[derive(Debug)]
pub enum Word {
    Literal(Vec<u8>),
    Bound(String),
}

/// Whether the command of a step is sent more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    Once,
    /// Until the reply fits.
    Eventually,
    /// Following a cursor.
    Iterate,
}

/// One thing to be read, for the servers and the protocol it is meant for.
#[derive(Debug)]
pub struct Expectation {
    pub protocol: Option<Protocol>,
    /// Empty: every server.
    pub servers: Vec<ServerTerm>,
    pub what: Expected,
    /// The pattern as written.
    pub source: String,
}

impl Expectation {
    /// Whether it is meant for this server over this protocol.
    pub fn applies(&self, target: Target, protocol: Protocol) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && (self.servers.is_empty() || self.servers.iter().any(|term| term.includes(target)))
    }
}

#[derive(Debug)]
pub enum Expected {
    Reply(Pattern),
    Bytes(Vec<u8>),
    Closed,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    Darter,
    Redis,
    Valkey,
}

/// A version's three parts.
pub type Version = (u16, u16, u16);

/// The server in front of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: ServerKind,
    pub version: Version,
}

/// Some servers: of a kind, perhaps from a version on or below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTerm {
    pub kind: ServerKind,
    pub at_least: Option<Version>,
    pub below: Option<Version>,
}

impl ServerTerm {
    fn includes(&self, target: Target) -> bool {
        self.kind == target.kind
            && self.at_least.is_none_or(|version| target.version >= version)
            && self.below.is_none_or(|version| target.version < version)
    }
}
