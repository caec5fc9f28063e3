//! What the process and its threads do to themselves.
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

/// How much less the system is to care for a thread that gives way, as `nice` counts: where more threads want to run than there
/// are processors, it gets about a tenth of what one of the others does.
const GIVING_WAY: i32 = 10;

/// Has the calling thread leave processors to others from now on. For good: to take it back needs a privilege. Where the system
/// refuses, or knows no such thing of a single thread, nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let thread = rustix::thread::gettid();
        let now = rustix::process::getpriority_process(Some(thread)).unwrap_or(0);
        let _ = rustix::process::setpriority_process(Some(thread), now.max(GIVING_WAY));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_and_the_others_do_not() {
        let priority =
            || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = priority();
        let given = std::thread::spawn(move || {
            give_way();
            priority()
        });
        assert_eq!(given.join().unwrap(), before.max(GIVING_WAY));
        assert_eq!(priority(), before);
    }
}
