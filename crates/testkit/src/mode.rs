//! The table of ways in which the same corpus is run, and where the servers come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::ServerSpec;

/// How Darter is started: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerMode {
    pub workers: u16,
    pub shards: u16,
    pub reactor: &'static str,
    pub routing: &'static str,
}

/// Every way Darter is started by the end-to-end tests.
pub const SERVER_MODES: &[ServerMode] = &[
    ServerMode { workers: 1, shards: 1, reactor: "epoll", routing: "auto" },
    ServerMode { workers: 1, shards: 4, reactor: "epoll", routing: "queue" },
    ServerMode { workers: 4, shards: 16, reactor: "epoll", routing: "auto" },
    ServerMode { workers: 4, shards: 16, reactor: "epoll", routing: "queue" },
    ServerMode { workers: 1, shards: 1, reactor: "glommio", routing: "auto" },
    ServerMode { workers: 1, shards: 4, reactor: "glommio", routing: "queue" },
    ServerMode { workers: 4, shards: 16, reactor: "glommio", routing: "auto" },
    ServerMode { workers: 4, shards: 16, reactor: "glommio", routing: "queue" },
];

impl ServerMode {
    /// How to start this binary in this mode.
    pub fn spec(&self, program: &Path) -> ServerSpec {
        // A container that the tests run in may have a limit of memory, which is not what they are about.
        let arguments = format!(
            "--workers {} --shards {} --reactor {} --routing {} --enable-debug-command yes \
             --maxmemory 0",
            self.workers, self.shards, self.reactor, self.routing
        );
        ServerSpec {
            name: self.to_string(),
            program: program.to_path_buf(),
            arguments: arguments.split(' ').map(str::to_owned).collect(),
        }
    }
}

impl fmt::Display for ServerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, shards, reactor, routing } = self;
        write!(f, "darter-{workers}x{shards}-{reactor}-{routing}")
    }
}

/// The protocol a connection starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Resp2,
    Resp3,
}

/// Both protocols.
pub const PROTOCOLS: &[Protocol] = &[Protocol::Resp2, Protocol::Resp3];

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resp2 => "resp2",
            Self::Resp3 => "resp3",
        })
    }
}

/// How requests are handed to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// One command, then its reply.
    OneByOne,
    /// As many commands in one write as do not depend on a reply.
    Pipelined,
    /// One command, cut at every byte.
    Bytewise,
    /// As many commands as in `Pipelined`, cut at every byte.
    PipelinedBytewise,
}

/// Every feed.
pub const FEEDS: &[Feed] =
    &[Feed::OneByOne, Feed::Pipelined, Feed::Bytewise, Feed::PipelinedBytewise];

impl Feed {
    /// Whether commands are collected before they are sent.
    pub const fn is_pipelined(self) -> bool {
        matches!(self, Self::Pipelined | Self::PipelinedBytewise)
    }

    /// Whether each byte goes out alone.
    pub const fn is_bytewise(self) -> bool {
        matches!(self, Self::Bytewise | Self::PipelinedBytewise)
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneByOne => "one-by-one",
            Self::Pipelined => "pipelined",
            Self::Bytewise => "bytewise",
            Self::PipelinedBytewise => "pipelined-bytewise",
        })
    }
}

/// A Redis or Valkey server as a peer to compare with: `program` from `PATH` or a path.
pub fn peer_spec(program: &str) -> ServerSpec {
    let arguments = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"];
    ServerSpec {
        name: Path::new(program)
            .file_name()
            .map_or_else(|| program.to_owned(), |name| name.to_string_lossy().into_owned()),
        program: PathBuf::from(program),
        arguments: arguments.map(str::to_owned).to_vec(),
    }
}

/// What the tools' `--server` names: for `darter` the one built from this tree, in every mode whose name
/// contains `mode`, else a peer.
pub fn specs_of(server: &str, mode: &str) -> Result<Vec<ServerSpec>, String> {
    if server != "darter" {
        return Ok(vec![peer_spec(server)]);
    }
    let program = darter_binary()?;
    let named = SERVER_MODES.iter().filter(|known| known.to_string().contains(mode));
    Ok(named.map(|mode| mode.spec(&program)).collect())
}

/// The reference for all expectations: the `redis-server` of `PATH`, which must be a 7.0.
pub fn oracle_spec() -> ServerSpec {
    peer_spec("redis-server")
}

/// The root of the source tree.
pub fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Whether this tree has a server to test.
pub fn darter_exists() -> bool {
    std::env::var_os("DARTER_BIN").is_some() || workspace_root().join("crates/darter").exists()
}

/// The server binary: `DARTER_BIN`, or built from this tree with the profile `fast`, once a process.
pub fn darter_binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("DARTER_BIN") {
            Some(path) => Ok(PathBuf::from(path)),
            None => build_darter(),
        })
        .clone()
}

fn build_darter() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "fast", "--package", "darter", "--bin", "darter"])
        .current_dir(workspace_root())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("darter does not build:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), PathBuf::from);
    Ok(target.join("fast/darter"))
}
