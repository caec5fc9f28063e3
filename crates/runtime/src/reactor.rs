//! Which host runs the workers, and why.
//!
//! glommio panics, or ends the process, where io_uring is missing or incomplete (the default
//! seccomp profile of Docker and containerd denies it). So everything it needs at start-up is tried
//! here first, by other means; what follows from reading glommio 0.9:
//!
//! | glommio at start-up | here |
//! |---|---|
//! | an error below 512 KiB of `RLIMIT_MEMLOCK` | the same limit is read |
//! | panics when a ring cannot be asked what it supports | `io_uring_setup`, then the probe call |
//! | `exit(1)` when one of its 23 operations is missing | the same operations |
//! | an error when one of its three rings cannot be made, one polled | so many for all workers |
//! | registers 64 KiB of buffers, goes on without when that fails | nothing |
//! | aborts when a membarrier fails that the kernel announced | it is never made to park |
//! | panics when a thread cannot be started | nothing: neither can the workers |
//!
//! The runtime itself needs the rings' descriptors, which it finds in `/proc/self/fd` (`host.rs`).

use std::fmt;

/// What was asked for (`--reactor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reactor {
    /// glommio where it works, else epoll.
    #[default]
    Auto,
    /// glommio or an error.
    Glommio,
    /// The plain host.
    Epoll,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReactorKind {
    /// Network by epoll, background files by glommio's io_uring.
    Glommio,
    /// Network by epoll, background files on a thread.
    Epoll,
}

/// The outcome of the probe. Displays as one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactorChoice {
    /// What runs.
    pub kind: ReactorKind,
    /// Why, in words.
    pub reason: String,
}

impl ReactorChoice {
    /// Decides for `worker_count` workers; an error when glommio was demanded and cannot run.
    pub(crate) fn decide(wanted: Reactor, worker_count: usize) -> Result<Self, String> {
        let because = |kind, reason: &str| Self { kind, reason: reason.to_owned() };
        match wanted {
            Reactor::Epoll => Ok(because(ReactorKind::Epoll, "asked for")),
            Reactor::Glommio => {
                probe(worker_count).map(|()| because(ReactorKind::Glommio, "asked for"))
            }
            Reactor::Auto => Ok(match probe(worker_count) {
                Ok(()) => because(ReactorKind::Glommio, "io_uring works"),
                Err(reason) => Self { kind: ReactorKind::Epoll, reason },
            }),
        }
    }
}

#[cfg(target_os = "linux")]
use linux::probe;

#[cfg(not(target_os = "linux"))]
fn probe(_worker_count: usize) -> Result<(), String> {
    Err("there is no io_uring on this system".to_owned())
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::host::RING_DEPTH;
    use io_uring::{IoUring, Probe, opcode as op};
    use rustix::process::{Resource, getrlimit};
    use std::io;
    use std::path::Path;

    /// glommio refuses less.
    const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

    /// Why glommio could not run here, or nothing.
    pub(super) fn probe(worker_count: usize) -> Result<(), String> {
        check_memlock(getrlimit(Resource::Memlock).current)?;
        if !Path::new("/proc/self/fd").is_dir() {
            return Err("/proc is not mounted".to_owned());
        }
        check_operations()?;
        check_rings(worker_count)
    }

    /// `None` is no limit.
    pub(super) fn check_memlock(limit_bytes: Option<u64>) -> Result<(), String> {
        match limit_bytes {
            Some(bytes) if bytes < MEMLOCK_BYTES_MIN => Err(format!(
                "RLIMIT_MEMLOCK is {} KiB, io_uring needs {} KiB",
                bytes >> 10,
                MEMLOCK_BYTES_MIN >> 10
            )),
            _ => Ok(()),
        }
    }

    /// The operations glommio looks for.
    const OPERATIONS: [u8; 23] = [
        op::Nop::CODE,
        op::Readv::CODE,
        op::Writev::CODE,
        op::Fsync::CODE,
        op::ReadFixed::CODE,
        op::WriteFixed::CODE,
        op::PollAdd::CODE,
        op::PollRemove::CODE,
        op::SendMsg::CODE,
        op::RecvMsg::CODE,
        op::Timeout::CODE,
        op::TimeoutRemove::CODE,
        op::Accept::CODE,
        op::LinkTimeout::CODE,
        op::Connect::CODE,
        op::Fallocate::CODE,
        op::OpenAt::CODE,
        op::Close::CODE,
        op::Statx::CODE,
        op::Read::CODE,
        op::Write::CODE,
        op::Send::CODE,
        op::Recv::CODE,
    ];

    fn check_operations() -> Result<(), String> {
        let ring = IoUring::new(2).map_err(|error| refused(&error))?;
        let mut probe = Probe::new();
        ring.submitter()
            .register_probe(&mut probe)
            .map_err(|error| format!("io_uring is too old to be asked what it can do: {error}"))?;
        let missing = OPERATIONS.iter().filter(|code| !probe.is_supported(**code)).count();
        if missing > 0 {
            return Err(format!(
                "io_uring lacks {missing} of the operations needed: kernel too old"
            ));
        }
        Ok(())
    }

    /// Three rings a worker, as many as there will be.
    fn check_rings(worker_count: usize) -> Result<(), String> {
        let mut rings = Vec::new();
        for _ in 0..worker_count {
            for polled in [false, true, false] {
                let mut builder = IoUring::<io_uring::squeue::Entry>::builder();
                if polled {
                    builder.setup_iopoll();
                }
                rings.push(builder.build(RING_DEPTH).map_err(|error| refused(&error))?);
            }
        }
        Ok(())
    }

    fn refused(error: &io::Error) -> String {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => " (a seccomp profile or kernel.io_uring_disabled)",
            io::ErrorKind::OutOfMemory => " (RLIMIT_MEMLOCK or the memory limit)",
            io::ErrorKind::Unsupported => " (the kernel has none)",
            _ => "",
        };
        format!("io_uring_setup: {error}{hint}")
    }
}

impl fmt::Display for ReactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glommio => "glommio",
            Self::Epoll => "epoll",
        })
    }
}

impl fmt::Display for ReactorChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.reason)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn epoll_is_never_probed_for() {
        let choice = ReactorChoice::decide(Reactor::Epoll, 1).unwrap();
        assert_eq!(choice.to_string(), "epoll (asked for)");
    }

    #[test]
    fn too_little_lockable_memory_is_named() {
        assert_eq!(linux::check_memlock(None), Ok(()));
        assert_eq!(linux::check_memlock(Some(8 << 20)), Ok(()));
        let reason = linux::check_memlock(Some(64 << 10)).unwrap_err();
        assert!(reason.contains("64 KiB"), "{reason}");
    }
}
