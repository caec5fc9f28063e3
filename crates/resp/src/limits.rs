//! What a peer may ask us to hold before a command is complete.

/// Bounds on one request. The defaults are Redis 7.0's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest argument, in bytes (`proto-max-bulk-len`, which Redis does not let below 1 MB). Not
    /// below 99: shorter arguments are not checked against it.
    pub bulk_bytes_max: u64,
    /// Most arguments of one command. Not below 9: fewer are not checked against it. (Redis before 7.0
    /// allowed 1024 * 1024; 7.0, 8.0 and Valkey 9 allow `INT_MAX`.)
    pub args_max: u64,
    /// Longest inline request, and longest line declaring a count or a length, in bytes without the
    /// line end. Not below 4.
    pub inline_bytes_max: usize,
    /// Whether the client has yet to authenticate: then at most [`Limits::UNAUTHENTICATED_ARGS_MAX`]
    /// arguments of [`Limits::UNAUTHENTICATED_BULK_BYTES_MAX`] bytes.
    pub unauthenticated: bool,
}

impl Limits {
    /// Most arguments of one command before `AUTH`.
    pub const UNAUTHENTICATED_ARGS_MAX: u64 = 10;
    /// Longest argument before `AUTH`, in bytes.
    pub const UNAUTHENTICATED_BULK_BYTES_MAX: u64 = 16 * 1024;

    /// The limits of a client that may run commands.
    pub const fn authenticated() -> Self {
        Self {
            bulk_bytes_max: 512 * 1024 * 1024,
            args_max: i32::MAX as u64,
            inline_bytes_max: 64 * 1024,
            unauthenticated: false,
        }
    }

    /// The limits of a client that must authenticate first.
    pub const fn unauthenticated() -> Self {
        Self { unauthenticated: true, ..Self::authenticated() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::authenticated()
    }
}
