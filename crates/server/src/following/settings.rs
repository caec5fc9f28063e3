//! What is configured about being a replica.

/// What is configured about being a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub struct FollowingSettings {
    /// Whose replica this server is (`replicaof`).
    pub primary: Option<Primary>,
    /// Whom it authenticates as (`primaryuser`); empty: the default user.
    pub user: Vec<u8>,
    /// With which password (`primaryauth`); empty: it does not.
    pub password: Vec<u8>,
    /// Whether commands are served while the link is down (`replica-serve-stale-data`).
    pub serves_stale_data: bool,
    /// Whether clients may not write (`replica-read-only`).
    pub is_read_only: bool,
    /// Whether nothing is evicted here (`replica-ignore-maxmemory`).
    pub ignores_maxmemory: bool,
    /// Whether old data are freed while new ones are loaded (`replica-lazy-flush`).
    pub flushes_lazily: bool,
    /// Whether sentinels tell clients of this server (`replica-announced`).
    pub is_announced: bool,
    /// Which replica becomes the primary (`replica-priority`).
    pub priority: u64,
    /// The address the primary is told (`replica-announce-ip`); empty: that of the connection.
    pub announced_ip: Vec<u8>,
    /// The port the primary is told (`replica-announce-port`); 0: the one listened on.
    pub announced_port: u16,
    /// When new data are loaded as they come, without a file (`repl-diskless-load`).
    pub loads_as_it_comes: LoadsAsItComes,
}

/// When new data are loaded as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadsAsItComes {
    /// They are not.
    #[default]
    Never,
    /// If there are none.
    IfEmpty,
}

/// Another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Name or address.
    pub host: String,
    pub port: u16,
}

impl Primary {
    /// What the words of `replicaof` say, which have been looked at; `None`: nobody.
    pub fn of_line(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let (host, port) = (words.next()?, words.next()?);
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

impl Default for FollowingSettings {
    /// Before any row has set anything.
    fn default() -> Self {
        Self {
            primary: None,
            user: Vec::new(),
            password: Vec::new(),
            serves_stale_data: true,
            is_read_only: true,
            ignores_maxmemory: true,
            flushes_lazily: true,
            is_announced: true,
            priority: 100,
            announced_ip: Vec::new(),
            announced_port: 0,
            loads_as_it_comes: LoadsAsItComes::Never,
        }
    }
}
