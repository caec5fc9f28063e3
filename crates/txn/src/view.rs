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

/// The shards an operation may touch: one for most, several for a coordinated one.
///
/// Handlers are written once against a view; they ask for the shard of a slot and neither know nor
/// care how many shards there are.
#[derive(Debug)]
pub struct View<'a, S> {
    /// Ascending by id, at least one.
    held: &'a mut [Held<S>],
    router: Router,
}

impl<'a, S> View<'a, S> {
    /// A view over one held shard.
    #[inline]
    pub fn one(held: &'a mut Held<S>, router: Router) -> Self {
        Self { held: std::slice::from_mut(held), router }
    }

    /// A view over several held shards, ascending by id.
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
            self.held
                .binary_search_by_key(&id, |held| held.id)
                .expect("a handler reaches only the shards its key-specs name")
        };
        &mut self.held[index].shard
    }

    /// The only shard of a view over one shard, or the lowest of several.
    #[inline]
    pub fn first(&mut self) -> &mut S {
        &mut self.held[0].shard
    }

    /// Every shard of the view, ascending.
    pub fn each(&mut self) -> impl Iterator<Item = &mut S> {
        self.held.iter_mut().map(|held| &mut *held.shard)
    }

    /// How many shards the view spans; at least 1.
    pub fn shard_count(&self) -> usize {
        self.held.len()
    }

    /// The router the view resolves slots with.
    pub fn router(&self) -> Router {
        self.router
    }
}
