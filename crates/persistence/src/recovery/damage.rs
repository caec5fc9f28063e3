//! Whether what is wrong at the end of a file can be the work of a power cut.
//!
//! What had not been synced may be missing after one, in three ways: the file is shorter; it ends with zeroes; or
//! blocks in its last part are zero while later ones are there, since nothing makes the system write them in order. All
//! else is damage, and what follows damage had perhaps been acknowledged: it must not be cut off silently.
//!
//! Lines of later chunks that are intact say up to where the log had been synced when they were written. If that is past the
//! wrong chunk, no power cut has done it.

use std::io;

use crate::line::{CHUNK_LINE_BYTES, CHUNK_MARK, ChunkLine};
use crate::source::Source;

/// No system loses less at once.
const SECTOR_BYTES: u64 = 512;
/// Looked through at a time.
const STEP_BYTES: usize = 64 << 10;

/// A chunk that is not as it was written.
pub(super) struct Damaged {
    /// Where it begins in the log.
    pub(super) offset: u64,
    /// How many bytes it takes in the file, with its line; 0: its line does not say.
    pub(super) len: usize,
    pub(super) reason: String,
}

/// What has happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It, and all that follows, had not been synced when the power went.
    PowerCut,
    /// Something else.
    Damage {
        /// How many chunks follow, by their lines.
        later_chunks: u64,
    },
}

/// Judges the chunk that the window of `source` begins with, by it and by everything behind, to the end of the file.
pub(super) fn judge(source: &mut Source<'_>, damaged: &Damaged) -> io::Result<Verdict> {
    let mut zeroes = Zeroes::from(source.offset());
    // The chunk itself holds no lines, whatever is in it.
    let mut has_hole = zeroes.pass(source, damaged.len)?;
    let (mut later_chunks, mut was_synced) = (0, false);
    while source.fill(1)? {
        source.fill(STEP_BYTES)?;
        let window = source.window();
        let at = window.windows(CHUNK_MARK.len()).position(|bytes| bytes == CHUNK_MARK);
        let skipped = at.unwrap_or(window.len().saturating_sub(CHUNK_MARK.len() - 1).max(1));
        let is_hole = zeroes.pass(source, skipped)?;
        has_hole |= is_hole && later_chunks == 0;
        if at.is_none() || !source.fill(CHUNK_LINE_BYTES)? {
            if at.is_some() {
                zeroes.pass(source, 1)?;
            }
            continue;
        }
        match ChunkLine::parse(source.window()).filter(|line| line.offset > damaged.offset) {
            Some(line) => {
                was_synced |= line.synced().is_some_and(|synced| synced > damaged.offset);
                later_chunks += 1;
                zeroes.pass(source, CHUNK_LINE_BYTES + line.len as usize)?;
            }
            None => {
                zeroes.pass(source, 1)?;
            }
        }
    }
    let is_lost = has_hole || (zeroes.run > 0 && later_chunks == 0);
    Ok(if is_lost && !was_synced { Verdict::PowerCut } else { Verdict::Damage { later_chunks } })
}

/// Looks for sectors of zeroes.
struct Zeroes {
    /// Where in the file it looks next.
    at: u64,
    /// Zeroes right before that.
    run: u64,
}

impl Zeroes {
    const fn from(at: u64) -> Self {
        Self { at, run: 0 }
    }

    /// Passes over `len` bytes of the source, or as many as there are; whether a sector of zeroes ends there.
    fn pass(&mut self, source: &mut Source<'_>, len: usize) -> io::Result<bool> {
        let mut rest = len;
        let mut found = false;
        while rest > 0 && source.fill(1)? {
            let count = source.window().len().min(rest);
            for &byte in &source.window()[..count] {
                self.at += 1;
                self.run = if byte == 0 { self.run + 1 } else { 0 };
                found |= self.run >= SECTOR_BYTES && self.at.is_multiple_of(SECTOR_BYTES);
            }
            source.consume(count);
            rest -= count;
        }
        Ok(found)
    }
}
