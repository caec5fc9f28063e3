//! Random elements of one collection with repetitions, as many as the client likes: SRANDMEMBER, HRANDFIELD
//! and ZRANDMEMBER with a negative count. (Those without repetitions are long reads that leave some out:
//! [`Chance`].)
//!
//! They are picked in slices and sent as they are picked, so that ten million of them keep nobody waiting and
//! take no more memory than what the client is behind with reading. A later slice picks from the collection
//! as it then is. If it is gone by then, elements that were picked in the beginning come again: the reply has
//! announced how many there will be.

use darter_base::crc16::slot_of;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{Call, Progress, ReplyError, ReplyResult, Slice};
use darter_resp::{Args, Output, Protocol, ReplyWriter};
use darter_shard::{Key, Random, Shard};
use darter_value::Collection;

/// Picks before others have their turn.
const PICKS_PER_SLICE: u64 = 2048;

/// First picks kept in case the collection goes.
const SPARES: usize = 16;

/// The shortest element, as it is written.
const EMPTY_PICK: &[u8] = b"$0\r\n\r\n";

/// Picks in one piece, as a part of a transaction or a script: its reply is there as a whole before any of it
/// is sent, so this is what bounds it.
const PICKS_IN_ONE_PIECE_MAX: usize = 10_000_000;

/// Leaves a command to [`pick_in_slices`] if it picks many, or refuses it where it cannot be left.
pub(crate) fn picks_in_one_piece(call: &Call<'_>, count: usize) -> ReplyResult {
    call.in_one_piece(count)?;
    if count > PICKS_IN_ONE_PIECE_MAX {
        return Err(ReplyError::OutOfRange);
    }
    Ok(())
}

/// How to pick from one kind of collection.
pub(crate) trait Pick: Send {
    type Collection: Collection;

    /// Writes a random element; `false` if none was found.
    fn pick(
        &self,
        collection: &Self::Collection,
        random: &mut Random,
        now: UnixMillis,
        reply: &mut ReplyWriter<'_>,
    ) -> bool;

    /// Whether an element is two values of the reply's array.
    fn is_flat(&self) -> bool;
}

/// Chooses some of the elements that are gone through, every choice of them equally likely: each is taken with
/// the chance that as many of the rest are needed (Knuth's algorithm S). Nothing is remembered of them, so it
/// can stop anywhere and go on later.
#[derive(Debug)]
pub(crate) struct Chance {
    random: Random,
    /// Elements to be taken yet.
    needed: usize,
    /// Elements to come. There may be fewer, when some have expired.
    left: usize,
}

impl Chance {
    /// Takes `wanted` of `len` elements.
    pub(crate) fn new(wanted: usize, len: usize, seed: u64) -> Self {
        Self { random: Random::new(seed), needed: wanted.min(len), left: len }
    }

    /// Whether the next element is taken.
    #[inline]
    pub(crate) fn takes(&mut self) -> bool {
        let takes = self.random.below(self.left) < self.needed;
        self.needed -= usize::from(takes);
        self.left = self.left.saturating_sub(1).max(1);
        takes
    }
}

struct Picks<P> {
    key: Box<[u8]>,
    shard: ShardId,
    db: DbIndex,
    protocol: Protocol,
    how: P,
    count: u64,
    picked: u64,
    /// Whether the reply has begun.
    has_head: bool,
    /// Picked and not written yet.
    elements: Output,
    /// The first few, as they were written.
    spares: Vec<Vec<u8>>,
    error: Option<ReplyError>,
}

/// Picks `count` elements of the collection at argument 1.
pub(crate) fn pick_in_slices<P: Pick + 'static>(
    call: &Call<'_>,
    count: u64,
    how: P,
) -> Box<dyn Slice> {
    let key = call.args.at(1);
    Box::new(Picks {
        key: key.into(),
        shard: call.router.shard_of(slot_of(key)),
        db: call.db,
        protocol: call.reply.protocol(),
        how,
        count,
        picked: 0,
        has_head: false,
        elements: Output::new(),
        spares: Vec::new(),
        error: None,
    })
}

impl<P: Pick> Picks<P> {
    fn pick(&mut self, collection: &P::Collection, random: &mut Random, now: UnixMillis) -> bool {
        if self.spares.len() == SPARES {
            let mut reply = ReplyWriter::new(&mut self.elements, self.protocol);
            return self.how.pick(collection, random, now, &mut reply);
        }
        let mut first = Output::new();
        let mut reply = ReplyWriter::new(&mut first, self.protocol);
        let is_picked = self.how.pick(collection, random, now, &mut reply);
        if is_picked {
            self.spares.push(first.to_vec());
        }
        self.elements.append(first);
        is_picked
    }

    /// What it has instead of one more pick; `false` if it has nothing.
    fn repeat(&mut self, random: &mut Random) -> bool {
        if self.spares.is_empty() {
            return false;
        }
        let spare = &self.spares[random.below(self.spares.len())];
        let values = if self.how.is_flat() { 2 } else { 1 };
        ReplyWriter::new(&mut self.elements, self.protocol).written(spare, values);
        true
    }
}

impl<P: Pick> Slice for Picks<P> {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress {
        let mut random = Random::new(shard.random());
        let name = std::mem::take(&mut self.key);
        let key = Key::new(shard.hasher(), &name);
        let mut keyspace = shard.keyspace(self.db, now);
        let found = if self.picked == 0 {
            keyspace.read_collection::<P::Collection>(&key)
        } else {
            keyspace.peek_collection::<P::Collection>(&key)
        };
        if found.is_err() && self.picked == 0 {
            self.error = Some(ReplyError::WrongType);
            return Progress::Done;
        }
        let collection = found.ok().flatten();
        let end = self.count.min(self.picked + PICKS_PER_SLICE);
        while self.picked < end {
            let is_picked = collection.is_some_and(|found| self.pick(found, &mut random, now));
            if !is_picked && !self.repeat(&mut random) {
                // There was nothing to begin with.
                self.count = 0;
                break;
            }
            self.picked += 1;
        }
        self.key = name;
        if self.picked == self.count { Progress::Done } else { Progress::On(self.shard) }
    }

    fn write_ready(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.picked == 0 {
            return;
        }
        if !self.has_head {
            self.has_head = true;
            reply.array_in_parts(self.len());
        }
        reply.output().append(self.elements.take());
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if let Some(error) = self.error.take() {
            return reply.error(error.line());
        }
        if !self.has_head {
            reply.array(self.len());
        }
        reply.output().append(self.elements.take());
    }

    fn coming_bytes(&self) -> usize {
        if self.error.is_some() {
            return 0;
        }
        let missing = usize::try_from(self.count - self.picked).unwrap_or(usize::MAX);
        self.elements.len().saturating_add(missing.saturating_mul(EMPTY_PICK.len()))
    }
}

impl<P: Pick> Picks<P> {
    /// Values in the reply's array.
    fn len(&self) -> usize {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        if self.how.is_flat() { count.saturating_mul(2) } else { count }
    }
}
