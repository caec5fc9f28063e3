//! Files for background work: io_uring on the glommio host, a thread elsewhere.
//!
//! Only what an append log and a sequential snapshot need; the crate above builds on it. All of it
//! must be awaited in a task of [`crate::Background`].

use crate::Background;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Opens files the way this worker's host does it best. Cheap to clone; stays on its worker's
/// thread.
#[derive(Clone, Debug)]
pub struct Files {
    background: Background,
    /// Present on the glommio host.
    ring_use: Option<Rc<RingUse>>,
}

/// An open file. Dropping it closes it without waiting.
#[derive(Debug)]
pub struct File {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    #[cfg(target_os = "linux")]
    Ring {
        file: glommio::io::BufferedFile,
        ring_use: Rc<RingUse>,
    },
    Pool {
        file: Arc<std::fs::File>,
        background: Background,
    },
}

impl Files {
    pub(crate) fn new(background: Background, ring_use: Option<Rc<RingUse>>) -> Self {
        Self { background, ring_use }
    }

    /// Opens for reading and writing, making or emptying the file.
    pub async fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        #[cfg(target_os = "linux")]
        if let Some(ring_use) = &self.ring_use {
            let mut options = glommio::io::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true);
            let file = ring_use.track(options.buffered_open(path)).await?;
            return Ok(File { kind: Kind::Ring { file, ring_use: Rc::clone(ring_use) } });
        }
        self.open_on_pool(path.to_owned(), options).await
    }

    /// Opens an existing file for reading.
    pub async fn open(&self, path: &Path) -> io::Result<File> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        #[cfg(target_os = "linux")]
        if let Some(ring_use) = &self.ring_use {
            let file = ring_use.track(glommio::io::BufferedFile::open(path)).await?;
            return Ok(File { kind: Kind::Ring { file, ring_use: Rc::clone(ring_use) } });
        }
        self.open_on_pool(path.to_owned(), options).await
    }

    async fn open_on_pool(&self, path: PathBuf, options: std::fs::OpenOptions) -> io::Result<File> {
        let file = self.background.blocking(move || options.open(path)).await?;
        let background = self.background.clone();
        Ok(File { kind: Kind::Pool { file: Arc::new(file), background } })
    }
}

impl File {
    /// Writes `bytes` at `offset` and returns how many were written; fewer than given only when the
    /// disk is full or the like.
    pub async fn write_at(&self, bytes: Vec<u8>, offset: u64) -> io::Result<usize> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Ring { file, ring_use } => {
                Ok(ring_use.track(file.write_at(bytes, offset)).await?)
            }
            Kind::Pool { file, background } => {
                let file = Arc::clone(file);
                let write = move || std::os::unix::fs::FileExt::write_at(&*file, &bytes, offset);
                background.blocking(write).await
            }
        }
    }

    /// Reads up to `count` bytes from `offset`; fewer at the end of the file.
    pub async fn read_at(&self, count: usize, offset: u64) -> io::Result<Vec<u8>> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Ring { file, ring_use } => {
                Ok(ring_use.track(file.read_at(offset, count)).await?.to_vec())
            }
            Kind::Pool { file, background } => {
                let file = Arc::clone(file);
                let read = move || {
                    let mut bytes = vec![0; count];
                    let got = std::os::unix::fs::FileExt::read_at(&*file, &mut bytes, offset)?;
                    bytes.truncate(got);
                    Ok(bytes)
                };
                background.blocking(read).await
            }
        }
    }

    /// Completes when everything written so far is on the disk (fdatasync). After an error the
    /// system may have dropped what was not: do not try again, write it anew to another file.
    pub async fn sync_data(&self) -> io::Result<()> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Ring { file, ring_use } => Ok(ring_use.track(file.fdatasync()).await?),
            Kind::Pool { file, background } => {
                let file = Arc::clone(file);
                background.blocking(move || file.sync_data()).await
            }
        }
    }

    /// Closes and reports what closing says.
    pub async fn close(self) -> io::Result<()> {
        match self.kind {
            #[cfg(target_os = "linux")]
            Kind::Ring { file, ring_use } => Ok(ring_use.track(file.close()).await?),
            Kind::Pool { file, .. } => {
                drop(file);
                Ok(())
            }
        }
    }
}

/// What this worker has asked of its rings.
#[derive(Debug, Default)]
pub(crate) struct RingUse {
    /// Operations begun and not ended.
    in_flight: Cell<usize>,
    /// Something may wait in glommio's queues for the next pass.
    unsubmitted: Cell<bool>,
}

impl RingUse {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub(crate) fn take_unsubmitted(&self) -> bool {
        self.unsubmitted.replace(false)
    }

    /// Runs a glommio operation and keeps count.
    async fn track<T>(&self, operation: impl Future<Output = T>) -> T {
        let _counted = Counted::new(self);
        let mut operation = pin!(operation);
        std::future::poll_fn(|context| {
            let outcome = operation.as_mut().poll(context);
            self.unsubmitted.set(true);
            outcome
        })
        .await
    }
}

/// One operation in flight. Dropped early, it leaves a cancellation to submit.
struct Counted<'a> {
    ring_use: &'a RingUse,
}

impl<'a> Counted<'a> {
    fn new(ring_use: &'a RingUse) -> Self {
        ring_use.in_flight.set(ring_use.in_flight.get() + 1);
        Self { ring_use }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.ring_use.in_flight.set(self.ring_use.in_flight.get() - 1);
        self.ring_use.unsubmitted.set(true);
    }
}
