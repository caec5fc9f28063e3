//! The files of the log while it is written.

use super::{Journal, lock};
use crate::config::Settings;
use crate::recording::Taken;
use crate::saving;
use darter_persistence::{
    AppendError, BaseFormat, Log, LogError, LogId, Position, Resumed, Seal, SyncHandle,
};
use std::fmt;
use std::io;
use std::sync::atomic::Ordering;

/// Memory that is kept for the next requests.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// The files, and what is about to go into them.
#[derive(Debug)]
pub(super) struct Files {
    log: Log,
    present: Resumed,
    /// Requests for the present file that are not in it yet.
    taken: Taken,
    spare: Vec<u8>,
    standing: Standing,
    /// Where the base begins that is being written.
    base_at: Option<Position>,
    /// Bytes of the files before the present one.
    older_bytes: u64,
}

/// What the present file is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Whoever recovers the log finds what is written.
    Sound,
    /// Nobody finds it until the new log has its base.
    Begun,
    /// The file cannot be relied on any more: a new base is needed, and a file behind it.
    Broken,
    /// That file: nobody finds what is written until there is that base.
    Renewed,
}

/// Why the log was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// The system refused; trying again may help.
    Io(io::Error),
    /// Something is wrong with the files.
    Log(LogError),
    /// The present file cannot be relied on: a new base is needed.
    Broken,
}

/// What there is to be synced.
#[derive(Debug)]
pub(super) struct ToSync {
    pub(super) handle: SyncHandle,
    /// Up to where the log is on the disk afterwards.
    pub(super) offset: u64,
}

impl Files {
    /// Those of a new log, which nobody finds until it has a base.
    pub(super) fn create(settings: &Settings) -> Result<Self, LogError> {
        let mut log = Log::create(settings.log_place(), random_id())?;
        let at = log.beginning();
        let present = Resumed::In(log.begin_file(at)?);
        let going_on = Self::going_on(log, present, 0);
        Ok(Self { base_at: Some(at), standing: Standing::Begun, ..going_on })
    }

    /// Those of a log to be gone on with; `older_bytes` are in the files before the last.
    pub(super) fn going_on(log: Log, present: Resumed, older_bytes: u64) -> Self {
        Self {
            log,
            present,
            taken: Taken::default(),
            spare: Vec::new(),
            standing: Standing::Sound,
            base_at: None,
            older_bytes,
        }
    }

    /// Writes what has been recorded, changing files where it is cut.
    pub(super) fn write(&mut self, journal: &Journal) -> Result<(), Failure> {
        loop {
            if !self.write_present(journal)? {
                return Ok(());
            }
            self.change_file(journal)?;
        }
    }

    /// Writes what has been recorded for the present file. `false` if that is not all, or it failed.
    pub(super) fn write_quickly(&mut self, journal: &Journal) -> bool {
        self.write_present(journal).is_ok_and(|ends_file| !ends_file)
    }

    /// The same; whether the present file ends there.
    fn write_present(&mut self, journal: &Journal) -> Result<bool, Failure> {
        loop {
            if self.taken.bytes.is_empty() && !self.taken.ends_file {
                self.taken = lock(&journal.requests).take(std::mem::take(&mut self.spare));
            }
            let Taken { bytes, ends_file } = &mut self.taken;
            if bytes.is_empty() {
                return Ok(*ends_file);
            }
            if self.standing != Standing::Broken {
                if let Resumed::At(at) = self.present {
                    let appender = self.log.begin_file(at).map_err(Failure::Log)?;
                    self.present = Resumed::In(appender);
                }
                let Resumed::In(appender) = &mut self.present else {
                    unreachable!("it has just been begun")
                };
                match appender.append(bytes) {
                    Ok(_) => {}
                    Err(AppendError::Io(error)) => return Err(Failure::Io(error)),
                    Err(AppendError::Poisoned(error)) => {
                        self.standing = Standing::Broken;
                        return Err(Failure::Io(error));
                    }
                }
            } else if !*ends_file {
                // What waits already is in a base that was begun since, if one was.
                let more = lock(&journal.requests).take(Vec::new());
                bytes.extend_from_slice(&more.bytes);
                *ends_file = more.ends_file;
                if !more.ends_file {
                    return Err(Failure::Broken);
                }
            }
            // If it is broken and ends here, the base has them.
            journal.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.spare = std::mem::take(bytes);
            if self.spare.capacity() > SPARE_BYTES_MAX {
                self.spare = Vec::new();
            }
        }
    }

    /// Goes on in another file. The present one is on the disk before: nothing may be found behind a gap.
    fn change_file(&mut self, journal: &Journal) -> Result<(), Failure> {
        if let Resumed::In(appender) = &self.present
            && self.standing != Standing::Broken
            && appender.sync_handle().sync().is_err()
        {
            self.standing = Standing::Broken;
        }
        let mut at = self.position();
        if self.standing == Standing::Broken {
            self.log.withdraw();
            // What is not in the present file is in the base.
            at.offset = journal.written.load(Ordering::Relaxed);
        }
        let before = self.present_bytes();
        self.present = Resumed::In(self.log.begin_file(at).map_err(Failure::Log)?);
        self.older_bytes += before;
        self.base_at = Some(at);
        if self.standing == Standing::Broken {
            self.standing = Standing::Renewed;
        }
        self.taken.ends_file = false;
        Ok(())
    }

    /// The base that was begun where the file was changed the last time is complete.
    pub(super) fn install_base(
        &mut self,
        settings: &Settings,
        format: BaseFormat,
        seal: Seal,
    ) -> Result<(), Failure> {
        let at = self.base_at.ok_or(Failure::Broken)?;
        if self.standing == Standing::Broken {
            // The file behind the base has broken since that was begun: there has to be another one.
            return Err(Failure::Broken);
        }
        let path = saving::base_path(settings);
        if let Err(error) = self.log.install_base(&path, format, at, seal) {
            if let Resumed::In(appender) = &self.present
                && error.path == appender.path()
            {
                self.standing = Standing::Broken;
            }
            return Err(Failure::Log(error));
        }
        self.base_at = None;
        self.standing = Standing::Sound;
        self.older_bytes = seal.bytes;
        self.delete_history(settings);
        Ok(())
    }

    /// Deletes the files that no longer count, unless they are to be kept.
    pub(super) fn delete_history(&mut self, settings: &Settings) {
        if !settings.journal.keeps_history
            && let Err(error) = self.log.delete_history()
        {
            // They are not needed, and named as such.
            tracing::warn!(%error, "Files of the log that are not needed any more could not be deleted");
        }
    }

    /// What there is to be synced; `None` if nobody will find it.
    pub(super) fn to_sync(&self) -> Option<ToSync> {
        match &self.present {
            Resumed::In(appender) if self.standing != Standing::Broken => {
                Some(ToSync { handle: appender.sync_handle(), offset: appender.position().offset })
            }
            _ => None,
        }
    }

    /// The present file, or the one before, is on the disk up to `offset`.
    pub(super) fn note_synced(&mut self, offset: u64) {
        if let Resumed::In(appender) = &mut self.present {
            appender.note_synced(offset);
        }
    }

    /// Nobody knows what of the present file is on the disk.
    pub(super) const fn give_up_file(&mut self) {
        self.standing = Standing::Broken;
    }

    /// Whether a file cannot be relied on, and there is no base since that makes up for it.
    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.standing, Standing::Broken | Standing::Renewed)
    }

    /// Whether nobody finds what is written until there is a new base.
    pub(super) const fn is_hidden(&self) -> bool {
        !matches!(self.standing, Standing::Sound)
    }

    /// Where in the log the next request goes.
    pub(super) const fn position(&self) -> Position {
        match &self.present {
            Resumed::In(appender) => appender.position(),
            Resumed::At(at) => *at,
        }
    }

    const fn present_bytes(&self) -> u64 {
        match &self.present {
            Resumed::In(appender) => appender.size(),
            Resumed::At(_) => 0,
        }
    }

    /// Bytes of all files that count.
    pub(super) const fn bytes(&self) -> u64 {
        self.older_bytes + self.present_bytes()
    }
}

/// Names a log.
pub(super) fn random_id() -> LogId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    LogId(bytes)
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(out),
            Self::Log(error) => error.fmt(out),
            Self::Broken => out.write_str("the log has to be written anew"),
        }
    }
}
