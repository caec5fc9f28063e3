//! What carries a worker's background files: glommio's io_uring, or a few threads.
//!
//! Both hosts run the same loop, which sleeps in `epoll_wait`. On the glommio host the worker owns
//! a glommio executor beside it and enters it only for background work: [`Host::enter`] is one pass
//! of glommio's reactor (collect completions, submit) with the background slice run inside, where
//! its file futures may be polled. While the worker sleeps, completions wake it because the rings'
//! descriptors are in the same epoll set. So:
//!
//! - With no background work, which is the serving path, glommio costs nothing: it is not entered.
//! - glommio never parks the thread. Its own park costs more than an epoll sleep
//!   (`docs/runtime.md`), and a worker must wake for sockets, letters and completions alike.
//! - After a slice that may have queued operations there is another pass, to submit them.
//!
//! Not everything of glommio works this way, and background code gets only what does: no glommio
//! timers (they are armed by a park; [`crate::Background::sleep`] instead), no I/O on a polled ring
//! (its completions raise no event), no blocking-thread operations (rename, remove:
//! [`crate::Background::blocking`]).

/// Depth of each ring. Background work has few operations in flight.
pub(crate) const RING_DEPTH: u32 = 128;

/// One worker's host.
pub(crate) enum Host {
    Plain,
    #[cfg(target_os = "linux")]
    Glommio(Box<glommio_host::GlommioHost>),
}

impl Host {
    /// Runs `slice` where file futures may be polled, then sees to it that what they asked for is
    /// under way.
    pub(crate) fn enter<R>(&mut self, slice: impl FnOnce() -> R) -> R {
        match self {
            Self::Plain => slice(),
            #[cfg(target_os = "linux")]
            Self::Glommio(host) => host.enter(slice),
        }
    }

    /// Completions arrived. True when somebody waits for them, so that [`Host::enter`] is due.
    pub(crate) fn completions_are_wanted(&self) -> bool {
        match self {
            Self::Plain => false,
            #[cfg(target_os = "linux")]
            Self::Glommio(host) => host.has_operations(),
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) mod glommio_host {
    use super::RING_DEPTH;
    use crate::files::RingUse;
    use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use std::io;
    use std::os::fd::RawFd;
    use std::rc::Rc;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A glommio executor that is entered from outside.
    pub(crate) struct GlommioHost {
        executor: LocalExecutor,
        ring_use: Rc<RingUse>,
    }

    /// Buffers glommio registers with the kernel, its minimum: they stay resident.
    const IO_MEMORY_BYTES: usize = 64 << 10;
    /// glommio arms a timer for this long in every pass, to take the CPU from a task that keeps it.
    /// The driver's slices do that here, and a timer that fires would only wake the worker.
    const PREEMPT_TIMER: Duration = Duration::from_hours(24);
    /// Rings of one executor.
    const RING_COUNT: usize = 3;

    /// Descriptors are compared before and after an executor is made: one at a time.
    static MAKING: Mutex<()> = Mutex::new(());

    impl GlommioHost {
        /// Makes the executor on the worker's own thread and watches its rings under `token`.
        pub(crate) fn new(
            registry: &Registry,
            token: Token,
            ring_use: Rc<RingUse>,
        ) -> Result<Self, String> {
            let _alone = MAKING.lock().expect("no code that can panic runs under this lock");
            let before = ring_descriptors().map_err(|error| error.to_string())?;
            let executor = LocalExecutorBuilder::new(Placement::Unbound)
                .io_memory(IO_MEMORY_BYTES)
                .ring_depth(RING_DEPTH as usize)
                .preempt_timer(PREEMPT_TIMER)
                .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
                .make()
                .map_err(|error| error.to_string())?;
            let mut rings = ring_descriptors().map_err(|error| error.to_string())?;
            rings.retain(|ring| !before.contains(ring));
            if rings.len() != RING_COUNT {
                return Err(format!("glommio made {} rings, expected {RING_COUNT}", rings.len()));
            }
            for ring in rings {
                registry
                    .register(&mut SourceFd(&ring), token, Interest::READABLE)
                    .map_err(|error| format!("could not watch a ring: {error}"))?;
            }
            Ok(Self { executor, ring_use })
        }

        pub(crate) fn enter<R>(&mut self, slice: impl FnOnce() -> R) -> R {
            let result = self.executor.run(async { slice() });
            if self.ring_use.take_unsubmitted() {
                self.executor.run(async {});
            }
            result
        }

        pub(crate) fn has_operations(&self) -> bool {
            self.ring_use.in_flight() > 0
        }
    }

    /// This process's io_uring descriptors.
    fn ring_descriptors() -> io::Result<Vec<RawFd>> {
        let mut rings = Vec::new();
        for entry in std::fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            // A descriptor closed meanwhile by another thread has no target, and is not ours.
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            if target.as_os_str() == "anon_inode:[io_uring]"
                && let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            {
                rings.push(fd);
            }
        }
        Ok(rings)
    }
}
