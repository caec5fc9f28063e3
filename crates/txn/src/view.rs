//! What a command handler runs over: the shards that are held for it.

use crate::route::Router;
use darter_base::{ShardId, Slot};

/// One shard, out of its seat. Owning this is the lock.
#[derive(Debug)]
pub struct Held<S> {
    /// Which shard it is.
    pub id: ShardId,
    /// The shard itself.
    pub shard: Box<S>,
}

/// The shards an operation may touch: one for most, several for a coordinated one, none for one about
/// no keys.
///
/// Handlers are written once against a view; they ask for the shard of a slot and neither know nor
/// care how many shards there are.
#[derive(Debug)]
pub struct View<'a, S> {
    /// Ascending by id.
    held: &'a mut [Held<S>],
    router: Router,
}

impl<'a, S> View<'a, S> {
    /// A view over one held shard.
    #[inline]
    pub fn one(held: &'a mut Held<S>, router: Router) -> Self {
        Self { held: std::slice::from_mut(held), router }
    }

    /// A view over any number of held shards, ascending by id.
    pub fn several(held: &'a mut [Held<S>], router: Router) -> Self {
        debug_assert!(held.is_sorted_by_key(|held| held.id), "shards ascend");
        Self { held, router }
    }

    /// The shard that owns the slot `slot` computes; over one shard the slot is not even computed.
    ///
    /// # Panics
    /// When that shard is not part of the view: the command's key-spec left out a key it touches.
    #[inline]
    pub fn shard_of(&mut self, slot: impl FnOnce() -> Slot) -> &mut S {
        if self.held.len() == 1 {
            debug_assert_eq!(self.router.shard_of(slot()), self.held[0].id, "outside the view");
            return &mut self.held[0].shard;
        }
        let id = self.router.shard_of(slot());
        self.shard(id)
    }

    /// The shard with this id; see [`View::shard_of`].
    ///
    /// # Panics
    /// When that shard is not part of the view.
    #[inline]
    pub fn shard(&mut self, id: ShardId) -> &mut S {
        let index = if self.held.len() == 1 {
            assert_eq!(self.held[0].id, id, "a handler reached outside its view");
            0
        } else {
            self.position_of(id).expect("a handler reaches only the shards its key-specs name")
        };
        &mut self.held[index].shard
    }

    /// The shard that owns the slot `slot` computes, for reading, so that values of several shards can be
    /// looked at together; see [`View::shard_of`].
    #[inline]
    pub fn look_at(&self, slot: impl FnOnce() -> Slot) -> &S {
        let index = if self.held.len() == 1 {
            debug_assert_eq!(self.router.shard_of(slot()), self.held[0].id, "outside the view");
            0
        } else {
            let id = self.router.shard_of(slot());
            self.position_of(id).expect("a handler reaches only the shards its key-specs name")
        };
        &self.held[index].shard
    }

    /// Where among the held shards this one stands. A window of commands with several keys mostly holds all
    /// shards, and then each stands at its own number; a search is a mispredicted branch or two per key.
    #[inline]
    fn position_of(&self, id: ShardId) -> Option<usize> {
        match self.held.get(id.index()) {
            Some(held) if held.id == id => Some(id.index()),
            _ => self.held.binary_search_by_key(&id, |held| held.id).ok(),
        }
    }

    /// Whether the shard that owns the slot `slot` computes is part of the view.
    pub fn holds(&self, slot: impl FnOnce() -> Slot) -> bool {
        self.holds_shard(self.router.shard_of(slot()))
    }

    /// Whether this shard is part of the view.
    pub fn holds_shard(&self, id: ShardId) -> bool {
        self.position_of(id).is_some()
    }

    /// Takes all shards out of the view, ascending, for one that spans more; `hollow` makes something that
    /// keeps their places. To be put in again before anything else is done with the view.
    pub fn take_out(&mut self, mut hollow: impl FnMut(ShardId) -> Box<S>) -> Vec<Held<S>> {
        let take = |held: &mut Held<S>| {
            let shard = std::mem::replace(&mut held.shard, hollow(held.id));
            Held { id: held.id, shard }
        };
        self.held.iter_mut().map(take).collect()
    }

    /// Puts in what was taken out.
    ///
    /// # Panics
    /// When that shard is not part of the view.
    pub fn put_in(&mut self, held: Held<S>) {
        let place = self.position_of(held.id).expect("what is put in was taken out");
        self.held[place] = held;
    }

    /// The only shard of a view over one shard, or the lowest of several.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub fn first(&mut self) -> &mut S {
        &mut self.held[0].shard
    }

    /// Every shard of the view, ascending.
    pub fn each(&mut self) -> impl Iterator<Item = &mut S> {
        self.held.iter_mut().map(|held| &mut *held.shard)
    }

    /// Whether the shard is part of the view.
    pub fn spans(&self, id: ShardId) -> bool {
        self.position_of(id).is_some()
    }

    /// How many shards the view spans.
    pub fn shard_count(&self) -> usize {
        self.held.len()
    }

    /// The router the view resolves slots with.
    pub fn router(&self) -> Router {
        self.router
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::route::Routing;

    fn held(id: u16) -> Held<u16> {
        Held { id: ShardId(id), shard: Box::new(id * 10) }
    }

    fn router() -> Router {
        Router::new(4, 1, Routing::Auto)
    }

    #[test]
    fn a_slot_leads_to_the_shard_that_owns_it() {
        let mut shards = [held(0), held(1), held(3)];
        let mut view = View::several(&mut shards, router());
        assert_eq!(view.shard_count(), 3);
        for (slot, value) in [(0, 0), (4095, 0), (4096, 10), (16_383, 30)] {
            assert_eq!(*view.shard_of(|| Slot::new(slot).unwrap()), value);
        }
        assert_eq!(view.each().map(|shard| *shard).collect::<Vec<_>>(), [0, 10, 30]);
        assert_eq!(*view.first(), 0);
        assert!(view.spans(ShardId(3)) && !view.spans(ShardId(2)));
        assert_eq!(view.router().shard_count(), 4);
    }

    #[test]
    fn a_view_over_one_shard_reaches_it() {
        let mut shard = held(2);
        let mut view = View::one(&mut shard, router());
        *view.shard(ShardId(2)) += 1;
        assert_eq!(*view.first(), 21);
    }

    #[test]
    #[should_panic(expected = "outside its view")]
    fn a_view_over_one_shard_refuses_another() {
        View::one(&mut held(2), router()).shard(ShardId(1));
    }

    #[test]
    #[should_panic(expected = "its key-specs name")]
    fn a_view_over_several_refuses_another() {
        View::several(&mut [held(0), held(2)], router()).shard(ShardId(1));
    }
}
