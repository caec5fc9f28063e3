//! Long reads of one collection in slices, as if in one step.
//!
//! A reply of a million elements takes longer to write than others should wait. So it is collected in
//! slices, between which others run, and the key is watched meanwhile: if it is the same in the end, what
//! was collected is the collection as it was at any moment in between, and nobody can tell. If it has
//! changed, what was collected is thrown away and the read begins again, this time in one slice, as Redis
//! reads it; so a key that is written all the time is read as well.
//!
//! What is collected is the reply, in memory once, as in Redis. It counts for the limit of the client's
//! output already.

use darter_base::crc16::slot_of;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{Call, LeftWatch, Progress, ReplyError, Slice};
use darter_resp::{Args, Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace, Shard, Version};
use darter_value::Collection;

/// Elements read before others have their turn, about.
pub(crate) const ELEMENTS_PER_SLICE: usize = 4096;

/// How to read one kind of collection.
pub(crate) trait Read: Send {
    type Collection: Collection;
    /// How far it is; the default is the beginning.
    type At: Default + Send;

    /// Where it begins, of what comes at random by `random`.
    fn begin(&self, collection: &Self::Collection, random: u64) -> Self::At {
        let _ = (collection, random);
        Self::At::default()
    }

    /// Writes elements from `at` on, and counts them in the first of `written`: about as many as the second says. Where to
    /// go on; `None` at the end.
    fn read(
        &self,
        collection: &Self::Collection,
        at: Self::At,
        now: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        written: (&mut usize, usize),
    ) -> Option<Self::At>;

    /// Writes what comes before `count` elements.
    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize);
}

/// How many elements of a collection make a slice: fewer where they are long.
pub(crate) fn elements_per_slice(collection: &impl Collection) -> usize {
    (ELEMENTS_PER_SLICE / collection.weight()).max(1)
}

/// So few elements are not too much for one piece, however long they are within reason: it is not looked at them before.
pub(crate) const FEW_ELEMENTS: usize = 256;

/// Leaves a command to its slices if so many elements of a collection are too much work for one piece.
#[inline]
pub(crate) fn in_one_piece(
    call: &Call<'_>,
    collection: &impl Collection,
    elements: usize,
) -> Result<(), ReplyError> {
    call.in_one_piece(elements.saturating_mul(collection.weight()))
}

/// Reads on by `step`, from `at`, until about `at_once` more elements are counted in `written`.
pub(crate) fn read_steps<At>(
    at: At,
    (written, at_once): (&mut usize, usize),
    mut step: impl FnMut(At, &mut usize) -> Option<At>,
) -> Option<At> {
    let end = *written + at_once;
    let mut next = Some(at);
    while let Some(from) = next.take_if(|_| *written < end) {
        next = step(from, written);
    }
    next
}

/// A read under way.
struct LongRead<R: Read> {
    key: Box<[u8]>,
    shard: ShardId,
    db: DbIndex,
    protocol: Protocol,
    how: R,
    /// Where it goes on; `None` before it has begun.
    at: Option<R::At>,
    /// When it began: fields that expire meanwhile are still there.
    since: UnixMillis,
    /// What the key was then. `None` before the first slice and after the last.
    version: Option<Version>,
    elements: Output,
    written: usize,
    error: Option<ReplyError>,
}

/// Reads the collection at argument 1.
pub(crate) fn read_in_slices<R: Read + 'static>(call: &Call<'_>, how: R) -> Box<dyn Slice> {
    let key = call.args.at(1);
    Box::new(LongRead {
        key: key.into(),
        shard: call.router.shard_of(slot_of(key)),
        db: call.db,
        protocol: call.reply.protocol(),
        how,
        at: None,
        since: call.now,
        version: None,
        elements: Output::new(),
        written: 0,
        error: None,
    })
}

impl<R: Read> LongRead<R> {
    /// Reads on; whether there is more. With `whole`, to the end.
    fn read(
        &mut self,
        keyspace: &mut Keyspace<'_>,
        key: &Key<'_>,
        is_first: bool,
        whole: bool,
        random: u64,
    ) -> bool {
        let found =
            if is_first { keyspace.read_collection(key) } else { keyspace.peek_collection(key) };
        let collection: &R::Collection = match found {
            Ok(Some(collection)) => collection,
            Ok(None) => return false,
            Err(wrong_type) => {
                self.error = Some(wrong_type.into());
                return false;
            }
        };
        let mut at = self.at.take().unwrap_or_else(|| self.how.begin(collection, random));
        let at_once = elements_per_slice(collection);
        loop {
            // Each slice's output by itself, so that none grows by copying millions of elements.
            let mut output = Output::new();
            let mut reply = ReplyWriter::new(&mut output, self.protocol);
            let written = (&mut self.written, at_once);
            let next = self.how.read(collection, at, self.since, &mut reply, written);
            self.elements.append(output);
            let Some(next) = next else { return false };
            at = next;
            if !whole {
                self.at = Some(at);
                return true;
            }
        }
    }
}

impl<R: Read> Slice for LongRead<R> {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress {
        let random = shard.random();
        let name = std::mem::take(&mut self.key);
        let key = Key::new(shard.hasher(), &name);
        let mut keyspace = shard.keyspace(self.db, now);
        let has_more = match self.version {
            None => {
                self.version = Some(keyspace.watch(&key));
                self.read(&mut keyspace, &key, true, false, random)
            }
            Some(version) if keyspace.version(&key) == Some(version) => {
                self.read(&mut keyspace, &key, false, false, random)
            }
            Some(_) => {
                self.elements.take();
                (self.at, self.written, self.since) = (None, 0, now);
                self.read(&mut keyspace, &key, false, true, random)
            }
        };
        if !has_more {
            keyspace.unwatch(&key);
            self.version = None;
        }
        self.key = name;
        if has_more { Progress::On(self.shard) } else { Progress::Done }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if let Some(error) = self.error.take() {
            return reply.error(error.line());
        }
        self.how.head(reply, self.written);
        reply.output().append(self.elements.take());
    }

    fn coming_bytes(&self) -> usize {
        self.elements.len()
    }

    fn leave(&mut self) -> Vec<LeftWatch> {
        let (shard, db) = (self.shard, self.db);
        let left = self.version.take().map(|version| {
            let key = std::mem::take(&mut self.key);
            LeftWatch { shard, db, key, version }
        });
        left.into_iter().collect()
    }
}
