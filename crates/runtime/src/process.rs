//! What the process does to itself.
#![expect(unsafe_code, reason = "fork has no safe form")]

use std::fs::OpenOptions;
use std::io;

/// Leaves the terminal and whoever started us: goes on in a child with a session of its own and
/// without standard streams, while the parent ends. To be called before any thread is started.
///
/// # Errors
/// When there cannot be another process, or `/dev/null` cannot be opened.
pub fn daemonize() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: nothing but this thread runs (the caller's duty; a lock another thread held would
    // stay locked in the child), so the child is a whole copy of the process.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => std::process::exit(0),
    }
    rustix::process::setsid()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
