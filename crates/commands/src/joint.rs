//! Long work on several collections in slices, as if in one step: set algebra, and what stores its result.
//!
//! Each slice holds the shards of all keys, and others run in between. The keys that are read are watched from the
//! first slice on; when they are the same in the end, the work is what it would have been at any moment in between,
//! and what it stores is stored in the last slice. If one of them has changed, what was done is thrown away, and the
//! work is done over in one piece, as Redis does it; so it comes to an end while the keys are written all the time.
//!
//! Work that meets further keys on its way (SORT by other keys' values) holds all shards in each slice. Those keys are too
//! many to watch: the shards note their hashes ([`Reading`]).

use darter_base::crc16::slot_of;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Call, ELEMENTS_IN_ONE_PIECE, Effects, LeftWatch, Progress, ReplyError, ShardView, Slice,
};
use darter_resp::{Args, Protocol, ReplyWriter};
use darter_shard::{
    Collection, Key, KeyHasher, Keyspace, Lifetime, Reading, Shard, ValueRef, Version,
    collection_of,
};
use std::cell::RefCell;
use std::ops::Range;

/// So many times more elements may stay, and be copied, than are taken out.
const COPIES_PER_TAKEN: usize = 8;

/// More elements are never taken out in one piece where there are slices.
const TAKEN_IN_ONE_PIECE_MAX: usize = 8 * ELEMENTS_IN_ONE_PIECE;

/// Leaves a command to slices that copy what stays, if it would take so many elements out of `len` in one piece that others
/// would notice. That is more work if more stays than goes, so a moderate number goes in one piece from a
/// collection that is much bigger.
pub(crate) fn take_in_one_piece(
    call: &Call<'_>,
    len: usize,
    taken: usize,
) -> Result<(), ReplyError> {
    let stay = len - taken;
    if taken <= TAKEN_IN_ONE_PIECE_MAX && stay > taken * COPIES_PER_TAKEN {
        return Ok(());
    }
    call.in_one_piece(taken)
}

/// The keys a work is about, in a slice.
pub(crate) struct Operands<'v> {
    values: Vec<Option<ValueRef<'v>>>,
    lifetimes: &'v [Lifetime],
    /// When the work began: what expires later is still there.
    pub(crate) since: UnixMillis,
    /// A random number, the same until it begins again.
    pub(crate) random: u64,
    others: Others<'v>,
}

/// Keys that are met on the way.
struct Others<'v> {
    view: &'v ShardView<'v>,
    hasher: &'v KeyHasher,
    db: DbIndex,
    /// The shards and hashes of those that were looked up in this slice.
    read: RefCell<Vec<(ShardId, u64)>>,
}

impl<'v> Operands<'v> {
    /// The value of each key, in the order of the arguments, `None` for an absent one.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<ValueRef<'v>>> {
        self.values.iter().copied()
    }

    /// The value of a further key, for work that [reaches beyond](Work::reaches_beyond) its operands.
    pub(crate) fn look_up(&self, key: &[u8]) -> Option<ValueRef<'v>> {
        let Others { view, hasher, db, ref read } = self.others;
        let (slot, key) = (slot_of(key), Key::new(hasher, key));
        read.borrow_mut().push((view.router().shard_of(slot), key.hash));
        view.look_at(|| slot).look_up(db, self.since, &key)
    }

    /// The collection at the first key.
    pub(crate) fn collection<T: Collection>(&self) -> Result<Option<&'v T>, ReplyError> {
        let value = self.values.first().copied().flatten();
        Ok(value.map(collection_of).transpose()?)
    }

    /// How long each key lives, in the order of the arguments.
    pub(crate) fn lifetimes(&self) -> &'v [Lifetime] {
        self.lifetimes
    }

    /// How long the first key lives.
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetimes.first().copied().unwrap_or(Lifetime::Absent)
    }
}

/// What is done with the keys.
pub(crate) trait Work: Send {
    /// Begins, or begins again: nothing is done yet.
    fn begin(&mut self);

    /// Does about as much as [`ELEMENTS_PER_SLICE`](crate::long_read::ELEMENTS_PER_SLICE) elements take; whether there
    /// is more. The operands are as they were when it began.
    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError>;

    /// Whether it [looks further keys up](Operands::look_up).
    fn reaches_beyond(&self) -> bool {
        false
    }

    /// Stores the result at `key`, if the work has one to store.
    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>);

    /// Says what it leaves to be done again, if that is not the command itself. To be asked when the result is stored.
    fn describe(&self, effects: &mut Effects) {
        let _ = effects;
    }

    /// Writes the reply.
    fn finish(&mut self, reply: &mut ReplyWriter<'_>);

    /// Bytes of the reply that it keeps.
    fn coming_bytes(&self) -> usize;
}

/// A key and its shard.
struct Place {
    shard: ShardId,
    key: Box<[u8]>,
}

struct Joint<W> {
    operands: Vec<Place>,
    destination: Option<(Place, DbIndex)>,
    db: DbIndex,
    protocol: Protocol,
    hasher: KeyHasher,
    /// When it began: what expires meanwhile is still there.
    since: UnixMillis,
    /// What the operands were then; empty before the first slice and after the last.
    versions: Vec<Version>,
    /// How long they lived then.
    lifetimes: Vec<Lifetime>,
    /// Drawn then.
    random: u64,
    /// All shards, if the work reaches beyond its operands.
    all: Vec<ShardId>,
    /// Of the keys beyond; `None` before the first slice and after the last.
    reading: Option<Reading>,
    work: W,
    error: Option<ReplyError>,
}

/// Does `work` with the keys among the arguments `operands`, and stores its result at an argument in a database.
pub(crate) fn work_in_slices<W: Work + 'static>(
    call: &Call<'_>,
    operands: Range<usize>,
    destination: Option<(usize, DbIndex)>,
    work: W,
) -> Box<dyn Slice> {
    let place = |index: usize| {
        let key = call.args.at(index);
        Place { shard: call.router.shard_of(slot_of(key)), key: key.into() }
    };
    Box::new(Joint {
        operands: operands.map(place).collect(),
        destination: destination.map(|(index, db)| (place(index), db)),
        db: call.db,
        protocol: call.reply.protocol(),
        hasher: call.hasher.clone(),
        since: call.now,
        versions: Vec::new(),
        lifetimes: Vec::new(),
        random: 0,
        all: if work.reaches_beyond() { call.router.shards().collect() } else { Vec::new() },
        reading: None,
        work,
        error: None,
    })
}

impl<W: Work> Joint<W> {
    /// Visits each operand in the database it is in.
    fn each_operand(
        &self,
        view: &mut ShardView<'_>,
        now: UnixMillis,
        mut visit: impl FnMut(usize, &mut Keyspace<'_>, &Key<'_>),
    ) {
        for (index, Place { shard, key }) in self.operands.iter().enumerate() {
            let key = Key::new(&self.hasher, key);
            visit(index, &mut view.shard(*shard).keyspace(self.db, now), &key);
        }
    }

    /// Watches the operands, or looks whether they are what they were; whether they are not.
    fn has_changed(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> bool {
        if self.versions.is_empty() {
            let mut versions = Vec::with_capacity(self.operands.len());
            self.each_operand(view, now, |_, keyspace, key| versions.push(keyspace.watch(key)));
            self.versions = versions;
            return false;
        }
        let mut has_changed = self.reading.as_ref().is_some_and(Reading::has_changed);
        self.each_operand(view, now, |index, keyspace, key| {
            has_changed |= keyspace.version(key) != Some(self.versions[index]);
        });
        has_changed
    }

    /// Works on; whether there is more. With `whole`, to the end.
    fn work(&mut self, view: &mut ShardView<'_>, whole: bool) -> bool {
        let look_up = |Place { key, .. }: &Place| {
            let key = Key::new(&self.hasher, key);
            view.look_at(|| slot_of(key.bytes)).look_up(self.db, self.since, &key)
        };
        let values = self.operands.iter().map(look_up).collect();
        let Self { ref lifetimes, since, random, db, .. } = *self;
        let others = Others { view, hasher: &self.hasher, db, read: RefCell::default() };
        let operands = Operands { values, lifetimes, since, random, others };
        loop {
            match self.work.step(&operands, self.protocol) {
                Ok(true) if !whole => break,
                Ok(true) => operands.others.read.borrow_mut().clear(),
                Ok(false) => return false,
                Err(error) => {
                    self.error = Some(error);
                    return false;
                }
            }
        }
        let read = operands.others.read.into_inner();
        if let Some(reading) = &self.reading {
            for (shard, hash) in read {
                view.shard(shard).note_read(db, hash, reading);
            }
        }
        true
    }

    /// Lets go of the keys beyond the operands.
    fn end_reading(&mut self, view: &mut ShardView<'_>) {
        if self.reading.take().is_some() {
            view.each().for_each(|shard| shard.end_readings(self.db));
        }
    }
}

impl<W: Work> Slice for Joint<W> {
    fn begin(&self) -> Progress {
        Progress::Together
    }

    fn shards(&self) -> Vec<ShardId> {
        let destination = self.destination.as_ref().map(|(place, _)| place);
        let places = self.operands.iter().chain(destination).map(|place| place.shard);
        self.all.iter().copied().chain(places).collect()
    }

    fn run(&mut self, _: Args<'_>, _: &mut Shard, _: UnixMillis) -> Progress {
        unreachable!("it asks for all of its shards")
    }

    fn run_together(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> Progress {
        let is_first = self.versions.is_empty();
        let has_changed = self.has_changed(view, now);
        if is_first || has_changed {
            self.since = now;
            let mut lifetimes = Vec::with_capacity(self.operands.len());
            self.each_operand(view, now, |_, keyspace, key| lifetimes.push(keyspace.lifetime(key)));
            self.lifetimes = lifetimes;
            self.random = view.first().random();
            self.work.begin();
            self.end_reading(view);
            self.reading = (is_first && self.work.reaches_beyond()).then(Reading::default);
        }
        if self.work(view, has_changed) {
            return Progress::Together;
        }
        if let (None, Some((Place { shard, key }, db))) = (&self.error, &self.destination) {
            let key = Key::new(&self.hasher, key);
            self.work.store(&mut view.shard(*shard).keyspace(*db, now), &key);
        }
        self.each_operand(view, now, |_, keyspace, key| keyspace.unwatch(key));
        self.versions.clear();
        self.end_reading(view);
        Progress::Done
    }

    fn describe(&self, _: Args<'_>, effects: &mut Effects) {
        if self.error.is_none() {
            self.work.describe(effects);
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        match self.error.take() {
            Some(error) => reply.error(error.line()),
            None => self.work.finish(reply),
        }
    }

    fn coming_bytes(&self) -> usize {
        self.work.coming_bytes()
    }

    fn leave(&mut self) -> Vec<LeftWatch> {
        let db = self.db;
        let left = self.operands.drain(..).zip(self.versions.drain(..));
        left.map(|(Place { shard, key }, version)| LeftWatch { shard, db, key, version }).collect()
    }
}
