//! What a script needs of the server it runs in.

use darter_resp::{Args, Output, Protocol};
use scoped_tls_hkt::scoped_thread_local;

scoped_thread_local!(
    /// The host of the script that runs on this thread. Not set while the host itself runs, which may run
    /// scripts of other engines.
    pub(crate) static mut HOST: for<'a> &'a mut (dyn Host + 'a)
);

/// How loud a line of `redis.log` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// What becomes of a running script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs on.
    Continue,
    /// It is stopped, and answers this text (without an error code).
    Stop(&'static str),
}

/// The answer to `redis.acl_check_cmd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Allowed,
    Denied,
    /// There is no such command.
    UnknownCommand,
}

/// The server, as one run of one script sees it. Lives on the worker that runs the script, for the
/// length of the run.
pub trait Host {
    /// Runs a command and writes exactly one reply, an error included, to `output`, which is empty. Or
    /// stops the script, and then has done nothing.
    fn call(&mut self, args: Args<'_>, protocol: Protocol, output: &mut Output) -> Verdict;

    /// Whether the client's user may run this command.
    fn permission(&mut self, args: Args<'_>) -> Permission;

    /// Which effects of later commands replicas and the journal get (`redis.set_repl`).
    fn set_replication(&mut self, _to_journal: bool, _to_replicas: bool) {}

    /// Writes to the server's log.
    fn log(&mut self, level: LogLevel, message: &[u8]);

    /// Nanoseconds on a clock that never goes back, from any origin.
    fn nanos(&mut self) -> u64;

    /// Asked some ten thousand times a second while the script runs.
    fn poll(&mut self) -> Verdict;
}
