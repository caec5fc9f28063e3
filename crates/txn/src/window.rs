//! Running operations without waiting, each connection's in program order.
//!
//! Taking shards per window of 16 to 32 commands instead of per command costs 1.4 to 1.8 times
//! less, because the lock is paid once and the memory of the whole window can be fetched ahead.

use crate::cell::{Carrier, Cells, Work};
use crate::view::{Held, View};
use darter_base::{ShardId, WorkerId};
use std::iter;

/// A run of operations, most of them on one shard, in the order the clients sent them.
pub trait Program<S> {
    /// What is left in an inbox for operations whose shard is out.
    type Work: Work<S>;

    /// How many operations there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shard of operation `index`; the lowest if it has several.
    fn shard_of(&self, index: usize) -> ShardId;

    /// The other shards of operation `index`, if it has several.
    fn others_of(&self, index: usize) -> &[ShardId] {
        let _ = index;
        &[]
    }

    /// Whose operation `index` is. Operations of one origin stand in the order they were sent; between
    /// origins there is none.
    fn origin_of(&self, index: usize) -> usize {
        let _ = index;
        0
    }

    /// Called once, after the free shards have been taken: fetch memory ahead.
    fn prepare(&mut self, held: &Window<S>);

    /// Runs operation `index`. The view spans its shards, and may span more if it has several. `false` if it
    /// has not run because it is too long for a window: then its shards are gathered for it alone.
    fn run(&mut self, index: usize, view: View<'_, S>) -> bool;

    /// Packs operations `from..to`, all of the same one shard and one origin, to be run elsewhere. Must leave the program
    /// able to run them: when the shard comes back meanwhile, the packed work is dropped unrun.
    fn pack(&mut self, from: usize, to: usize) -> Self::Work;
}

/// How far a program came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every operation has run.
    Finished,
    /// Operations up to `next` have run, the last of them been posted. The rest of their origin must
    /// wait for those; what other origins have left can be run again as a program.
    Posted { next: usize },
    /// Operations before `at` have run. That one has several shards, of which one is out, or it is too long
    /// for a window: it needs a [`Gathering`](crate::Gathering), for which its origin waits. What other
    /// origins have left can be run again as a program.
    NeedsGathering { at: usize },
}

/// The shards a worker holds while it runs a program. One per worker; holds nothing between programs,
/// unless it was told to keep what a gathering brought.
#[derive(Debug)]
pub struct Window<S> {
    /// Ascending.
    held: Vec<Held<S>>,
    /// Per shard: its position in `held`, plus one; 0 when it is not held.
    position: Box<[u16]>,
    /// Shards the program needs, ascending; scratch.
    needed: Vec<ShardId>,
    /// Operations to be run before it gives back what it holds.
    keeps_for: usize,
}

impl<S> Window<S> {
    /// Scratch space for `shard_count` shards.
    pub fn new(shard_count: u16) -> Self {
        Self {
            held: Vec::new(),
            position: vec![0; usize::from(shard_count)].into_boxed_slice(),
            needed: Vec::new(),
            keeps_for: 0,
        }
    }

    /// The shard if this window holds it.
    #[inline]
    pub fn held(&self, id: ShardId) -> Option<&S> {
        let position = self.position[id.index()].checked_sub(1)?;
        Some(&self.held[usize::from(position)].shard)
    }

    /// Keeps `held` for the programs of the next `operations` operations, so that those who waited for
    /// several shards get more out of it than one operation. Ends early when an operation must wait.
    /// Whoever calls this calls [`Window::release`] before it waits for anything.
    pub(crate) fn keep(&mut self, held: impl IntoIterator<Item = Held<S>>, operations: usize) {
        for held in held {
            self.add(held);
        }
        self.keeps_for = operations;
    }

    /// Gives back what is kept, if anything.
    #[inline]
    pub fn release<W: Work<S>>(&mut self, cells: &Cells<S, W>, carrier: &impl Carrier<S, W>) {
        if !self.held.is_empty() {
            self.put_back_all(cells, carrier);
        }
    }

    /// Runs `program` as far as it goes without waiting. Holds nothing afterwards, unless it keeps
    /// shards for what comes next.
    pub fn run<P: Program<S>>(
        &mut self,
        program: &mut P,
        cells: &Cells<S, P::Work>,
        me: WorkerId,
        carrier: &impl Carrier<S, P::Work>,
    ) -> Outcome {
        debug_assert!(self.held.is_empty() || self.keeps_for > 0, "a window holds what it keeps");
        self.take_free(program, cells, me);
        program.prepare(self);
        let outcome = self.run_in_order(program, cells, me, carrier);
        self.keeps_for = self.keeps_for.saturating_sub(program.len());
        if self.keeps_for == 0 {
            self.put_back_all(cells, carrier);
        }
        outcome
    }

    /// Takes the shards of the program that are free, in ascending order. Nothing behind an
    /// operation that must be posted is run this time.
    fn take_free<P: Program<S>>(&mut self, program: &P, cells: &Cells<S, P::Work>, me: WorkerId) {
        self.needed.clear();
        for index in 0..program.len() {
            let (id, others) = (program.shard_of(index), program.others_of(index));
            if others.is_empty() && !cells.router().may_run(me, id) {
                break;
            }
            for id in iter::once(id).chain(others.iter().copied()) {
                if self.position[id.index()] == 0 {
                    self.position[id.index()] = u16::MAX;
                    self.needed.push(id);
                }
            }
        }
        self.needed.sort_unstable();
        for needed in 0..self.needed.len() {
            let id = self.needed[needed];
            self.position[id.index()] = 0;
            if let Some(held) = cells.cell(id).try_take() {
                self.add(held);
            }
        }
    }

    fn run_in_order<P: Program<S>>(
        &mut self,
        program: &mut P,
        cells: &Cells<S, P::Work>,
        me: WorkerId,
        carrier: &impl Carrier<S, P::Work>,
    ) -> Outcome {
        let mut index = 0;
        while index < program.len() {
            let id = program.shard_of(index);
            let others = program.others_of(index);
            if !others.is_empty() {
                if !self.take_several(id, others, cells) {
                    self.put_back_all(cells, carrier);
                    return Outcome::NeedsGathering { at: index };
                }
                if !program.run(index, View::several(&mut self.held, cells.router())) {
                    self.put_back_all(cells, carrier);
                    return Outcome::NeedsGathering { at: index };
                }
                index += 1;
                continue;
            }
            if self.held(id).is_none() {
                if !cells.router().may_run(me, id) {
                    self.put_back_all(cells, carrier);
                    let next = end_of_run(program, index);
                    let work = program.pack(index, next);
                    cells.cell(id).post(me, work, cells.router().home_of(id), carrier);
                    return Outcome::Posted { next };
                }
                // Found out before; it may be back by now, and then nothing else is given up.
                if let Some(held) = cells.cell(id).try_take() {
                    self.add(held);
                } else {
                    self.put_back_all(cells, carrier);
                    let next = end_of_run(program, index);
                    match cells.cell(id).take_or_post(me, || program.pack(index, next)) {
                        Some(held) => self.add(held),
                        None => return Outcome::Posted { next },
                    }
                }
            }
            let position = usize::from(self.position[id.index()]) - 1;
            if !program.run(index, View::one(&mut self.held[position], cells.router())) {
                self.put_back_all(cells, carrier);
                return Outcome::NeedsGathering { at: index };
            }
            index += 1;
        }
        Outcome::Finished
    }

    /// Holds all of these, if none of them is out.
    fn take_several<W: Work<S>>(
        &mut self,
        first: ShardId,
        others: &[ShardId],
        cells: &Cells<S, W>,
    ) -> bool {
        iter::once(first).chain(others.iter().copied()).all(|id| {
            self.held(id).is_some()
                || cells.cell(id).try_take().map(|held| self.add(held)).is_some()
        })
    }

    /// Shards mostly come in ascending order.
    fn add(&mut self, held: Held<S>) {
        let place = self.held.partition_point(|other| other.id < held.id);
        self.held.insert(place, held);
        for (place, held) in self.held.iter().enumerate().skip(place) {
            self.position[held.id.index()] =
                u16::try_from(place + 1).expect("no more shards are held than exist, a u16");
        }
    }

    fn put_back_all<W: Work<S>>(&mut self, cells: &Cells<S, W>, carrier: &impl Carrier<S, W>) {
        self.keeps_for = 0;
        while let Some(held) = self.held.pop() {
            self.position[held.id.index()] = 0;
            cells.put_back(held, carrier);
        }
    }
}

/// Where the run of operations of one origin on the same shard that begins at `from` ends.
fn end_of_run<S>(program: &impl Program<S>, from: usize) -> usize {
    let of = |index| (program.shard_of(index), program.origin_of(index));
    let belongs = |index| of(index) == of(from) && program.others_of(index).is_empty();
    (from + 1..program.len()).find(|&index| !belongs(index)).unwrap_or(program.len())
}

#[cfg(all(test, not(loom)))]
mod tests;
