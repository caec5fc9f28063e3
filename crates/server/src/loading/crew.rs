//! The reader's hands: all shards, or threads that have them.
//!
//! ```text
//!              part()                        what concerns one shard goes to its thread in a batch
//!   gathered ---------> parted
//!            <---------                      what concerns several has to wait until all shards are back
//!              gather()
//! ```
//!
//! *Gathered*, the reader has all shards and does everything itself. *Parted*, each thread has some of them, and does
//! what it is handed in that order; so whatever concerns one shard happens in the order in which it was read. For a
//! command over several shards, and for what follows it for a while, the shards are gathered: where such commands
//! are frequent, handing shards back and forth would take longer than doing all in one row.
//!
//! An error of a thread is told when the shards are gathered the next time, which happens soon; the thread does
//! nothing more until then. Of several errors the first one in the file counts, as all that was
//! read before it has been tried.

use super::batch::{Address, Batch};
use super::budget::Budget;
use super::filler::{Filler, Terms};
use super::snapshot::Loaded;
use crate::place::Place;
use crate::shared::Shared;
use darter_base::crc16::slot_of;
use darter_base::{DbIndex, ShardId};
use darter_command_table::{Entry, Handler, ShardView};
use darter_persistence::Refused;
use darter_rdb::file::RawEntry;
use darter_resp::Args;
use darter_runtime::{Ticks, wall_clock};
use darter_shard::{Shard, ShardOptions};
use darter_txn::{Held, View};
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

/// Keys and commands that the reader does itself before the shards are parted: small files are read before a
/// thread has begun.
const DONE_GATHERED: usize = 512;

/// How often a thread publishes what its shards have.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// All shards, and threads for them.
#[derive(Debug)]
pub struct Crew {
    filler: Filler,
    /// All shards, ascending, while they are gathered; else none.
    held: Vec<Held<Shard>>,
    members: Vec<Member>,
    /// How many threads there are to be.
    members_wanted: usize,
    /// What the reader still does itself before the shards are parted; `None`: they never are.
    left_gathered: Option<usize>,
    sharing: Arc<Sharing>,
}

/// A thread, as the reader sees it.
#[derive(Debug)]
struct Member {
    /// What it will be handed next.
    batch: Batch,
    orders: Sender<Order>,
    returns: Receiver<Returned>,
    thread: JoinHandle<()>,
}

/// What reader and threads share.
#[derive(Debug, Default)]
struct Sharing {
    budget: Budget,
    /// Whether a thread has met an error.
    has_failed: AtomicBool,
}

/// What a thread is told.
#[derive(Debug)]
enum Order {
    /// To take these shards.
    Take(Vec<Held<Shard>>),
    /// To do this; so many bytes of memory.
    Do(Batch, usize),
    /// To give its shards back.
    GiveBack,
}

/// What a thread gives back.
#[derive(Debug)]
struct Returned {
    held: Vec<Held<Shard>>,
    loaded: Loaded,
    failure: Option<Refused>,
}

/// Lets `work` fill the shards that `view` is over, which are all. They are back in it when this returns.
pub fn with_crew<R>(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    terms: Terms,
    work: impl FnOnce(&mut Crew) -> R,
) -> R {
    let options = ShardOptions { databases: 1, hasher: shared.hasher.clone() };
    let held = view.take_out(|id| Box::new(Shard::new(id, &options)));
    let mut crew = Crew::new(shared, held, terms);
    let result = work(&mut crew);
    for held in crew.dismiss() {
        view.put_in(held);
    }
    result
}

impl Crew {
    fn new(shared: &'static Shared, held: Vec<Held<Shard>>, terms: Terms) -> Self {
        let members_wanted = held.len().min(shared.router().worker_count().into());
        let has_processors = available_parallelism().map_or(1, NonZeroUsize::get) > 1;
        Self {
            filler: Filler::new(shared, terms),
            held,
            members: Vec::new(),
            members_wanted,
            left_gathered: has_processors.then_some(DONE_GATHERED),
            sharing: Arc::default(),
        }
    }

    /// What all of it is for.
    pub const fn shared(&self) -> &'static Shared {
        self.filler.shared
    }

    /// How files are taken.
    pub const fn terms(&self) -> &Terms {
        &self.filler.terms
    }

    /// What has been loaded; complete after [`Crew::settle`].
    pub const fn loaded(&self) -> Loaded {
        self.filler.loaded
    }

    /// So many bytes have been read.
    ///
    /// # Errors
    /// When the process is to end: whoever reads gives up.
    pub fn note(&mut self, bytes: u64) -> Result<(), String> {
        let shared = self.shared();
        if !self.is_parted() && shared.loading.is_under_way() {
            shared.loading.publish(shared, &mut self.held, wall_clock());
        }
        shared.loading.note(shared, bytes)
    }

    /// Sets a key that begins at byte `at` of the file, now or later.
    ///
    /// # Errors
    /// When this key, or an earlier one, cannot be set.
    pub fn set(&mut self, at: u64, db: DbIndex, entry: &RawEntry<'_>) -> Result<(), Refused> {
        let shard = self.shard_of(&entry.key);
        if self.is_parted() {
            let (member, place) = self.place_of(shard);
            self.members[member].batch.add_key(Address { at, place, db }, entry);
            return self.hand_over_full(member);
        }
        let hash = self.filler.shared.hasher.hash(&entry.key);
        let held = &mut self.held[shard.index()];
        let done = self.filler.set(&mut held.shard, db, hash, entry);
        done.map_err(|reason| Refused { at, reason })?;
        self.count_gathered();
        Ok(())
    }

    /// Runs a command over shards that begins at byte `at` of the file, now or later.
    ///
    /// # Errors
    /// When this command, or an earlier one, answers an error.
    pub fn run(
        &mut self,
        at: u64,
        entry: &'static Entry,
        db: DbIndex,
        args: Args<'_>,
    ) -> Result<(), Refused> {
        let shard = self.left_gathered.and_then(|_| self.only_shard_of(entry, args));
        if shard.is_some() {
            self.count_gathered();
        } else {
            self.settle()?;
            self.left_gathered = self.left_gathered.map(|_| DONE_GATHERED);
        }
        if let Some(shard) = shard
            && self.is_parted()
        {
            let (member, place) = self.place_of(shard);
            self.members[member].batch.add_command(Address { at, place, db }, entry, args);
            return self.hand_over_full(member);
        }
        let router = self.filler.shared.router();
        let view = &mut View::several(&mut self.held, router);
        self.filler.run(view, entry, db, args).map_err(|reason| Refused { at, reason })
    }

    /// Lets everything happen that was put off; the shards are gathered then.
    ///
    /// # Errors
    /// The first one that has been met.
    pub fn settle(&mut self) -> Result<(), Refused> {
        let mut failure: Option<Refused> = None;
        if self.is_parted() {
            for member in 0..self.members.len() {
                self.hand_over(member);
                self.order(member, Order::GiveBack);
            }
            for member in &self.members {
                let returned = member
                    .returns
                    .recv()
                    .expect("a thread answers before it ends, unless it panicked");
                self.held.extend(returned.held);
                self.filler.loaded.keys += returned.loaded.keys;
                self.filler.loaded.expired += returned.loaded.expired;
                self.filler.loaded.empty += returned.loaded.empty;
                let is_first =
                    |own: &Refused| failure.as_ref().is_none_or(|first| own.at < first.at);
                if let Some(own) = returned.failure.filter(is_first) {
                    failure = Some(own);
                }
            }
            self.held.sort_unstable_by_key(|held| held.id);
        }
        self.sharing.has_failed.store(false, Ordering::Relaxed);
        failure.map_or(Ok(()), Err)
    }

    /// The shards, gathered.
    pub fn view(&mut self) -> ShardView<'_> {
        assert!(!self.is_parted(), "only after everything has been settled");
        View::several(&mut self.held, self.filler.shared.router())
    }

    /// Ends the threads and gives all shards back.
    fn dismiss(mut self) -> Vec<Held<Shard>> {
        // Whoever has work done settles it; after an error nobody asks for another one.
        let _ = self.settle();
        for Member { orders, thread, .. } in self.members {
            drop(orders);
            thread.join().expect("a loading thread does not panic");
        }
        self.held
    }

    const fn is_parted(&self) -> bool {
        self.held.is_empty()
    }

    /// The shard of a key.
    fn shard_of(&self, key: &[u8]) -> ShardId {
        let router = self.shared().router();
        if router.shard_count() == 1 { ShardId(0) } else { router.shard_of(slot_of(key)) }
    }

    /// The member that a shard belongs to, and its place there.
    fn place_of(&self, shard: ShardId) -> (usize, usize) {
        (shard.index() % self.members_wanted, shard.index() / self.members_wanted)
    }

    /// The shard a command runs over, if it is one.
    fn only_shard_of(&self, entry: &'static Entry, args: Args<'_>) -> Option<ShardId> {
        if let Some(index) = entry.single_key {
            return Some(self.shard_of(args.at(usize::from(index))));
        }
        match entry.command.handler {
            Handler::Keyed(_) => match self.shared().place_of_keys(entry, args) {
                Place::Shard(shard, _) => Some(shard),
                _ => None,
            },
            _ => None,
        }
    }

    /// Notes that something was done for which no other thread was needed.
    fn count_gathered(&mut self) {
        match self.left_gathered {
            Some(0) if !self.is_parted() => self.part(),
            Some(left) => self.left_gathered = Some(left.saturating_sub(1)),
            None => {}
        }
    }

    /// Hands the shards out.
    fn part(&mut self) {
        if self.members.is_empty()
            && let Err(error) = self.start_members()
        {
            // It takes longer, that is all.
            tracing::warn!(%error, "There are no threads to load with");
            self.left_gathered = None;
            return;
        }
        let mut shares: Vec<Vec<_>> = self.members.iter().map(|_| Vec::new()).collect();
        for held in mem::take(&mut self.held) {
            shares[self.place_of(held.id).0].push(held);
        }
        for (member, share) in shares.into_iter().enumerate() {
            self.order(member, Order::Take(share));
        }
    }

    fn start_members(&mut self) -> io::Result<()> {
        let Filler { shared, terms, .. } = self.filler;
        for index in 0..self.members_wanted {
            let (orders, inbox) = channel();
            let (results, returns) = channel();
            let hand = Hand {
                filler: Filler::new(shared, terms),
                sharing: Arc::clone(&self.sharing),
                held: Vec::new(),
                failure: None,
                published_at: shared.stopwatch.now(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("darter-load{index}"))
                .spawn(move || hand.work(&inbox, &results))?;
            self.members.push(Member { batch: Batch::default(), orders, returns, thread });
        }
        Ok(())
    }

    fn hand_over_full(&mut self, member: usize) -> Result<(), Refused> {
        if self.members[member].batch.is_full() {
            self.hand_over(member);
            if self.sharing.has_failed.load(Ordering::Relaxed) {
                return self.settle();
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, member: usize) {
        let batch = mem::take(&mut self.members[member].batch);
        if !batch.is_empty() {
            let bytes = batch.memory_bytes();
            self.sharing.budget.spend(bytes);
            self.order(member, Order::Do(batch, bytes));
        }
    }

    fn order(&self, member: usize, order: Order) {
        self.members[member].orders.send(order).expect("a thread listens until it is dismissed");
    }
}

/// A thread, as it sees itself.
struct Hand {
    filler: Filler,
    sharing: Arc<Sharing>,
    held: Vec<Held<Shard>>,
    /// The first error; nothing is done any more after one.
    failure: Option<Refused>,
    published_at: Ticks,
}

impl Hand {
    /// Does what it is told until it is dismissed.
    fn work(mut self, inbox: &Receiver<Order>, results: &Sender<Returned>) {
        let router = self.filler.shared.router();
        for order in inbox {
            match order {
                Order::Take(held) => self.held = held,
                Order::Do(batch, bytes) => {
                    let sharing = Arc::clone(&self.sharing);
                    let _spent = sharing.budget.arrived(bytes);
                    if self.failure.is_none() {
                        let done = batch.run(&mut self.filler, &mut self.held, router);
                        self.failure = done.err();
                        if self.failure.is_some() {
                            sharing.has_failed.store(true, Ordering::Relaxed);
                        }
                    }
                    // Before others are told that there is room.
                    drop(batch);
                    self.publish();
                }
                Order::GiveBack => {
                    let returned = Returned {
                        held: mem::take(&mut self.held),
                        loaded: mem::take(&mut self.filler.loaded),
                        failure: self.failure.take(),
                    };
                    if results.send(returned).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn publish(&mut self) {
        let shared = self.filler.shared;
        let now = shared.stopwatch.now();
        let nanos = shared.stopwatch.nanos_between(self.published_at, now);
        if shared.loading.is_under_way() && u128::from(nanos) >= PUBLISH_INTERVAL.as_nanos() {
            self.published_at = now;
            shared.loading.publish(shared, &mut self.held, wall_clock());
        }
    }
}
