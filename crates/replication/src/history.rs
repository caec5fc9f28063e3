//! Which history a server has, and which one it came from.

use crate::{Offset, ReplicationId};

/// The history that a server goes on with. One that was a replica and became the primary has the changes of its former
/// primary up to there: replicas of that one can go on with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    id: ReplicationId,
    fork: Option<Fork>,
}

/// Where a history left another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The other one.
    pub id: ReplicationId,
    /// Up to where both have the same changes.
    pub end: Offset,
}

impl History {
    /// One that came from no other.
    pub const fn new(id: ReplicationId) -> Self {
        Self { id, fork: None }
    }

    /// Its name.
    pub const fn id(&self) -> ReplicationId {
        self.id
    }

    /// The one it came from.
    pub const fn fork(&self) -> Option<Fork> {
        self.fork
    }

    /// From `end` on it is called `id`: a replica was made the primary, or its primary was.
    pub const fn fork_at(&mut self, id: ReplicationId, end: Offset) {
        self.fork = Some(Fork { id: self.id, end });
        self.id = id;
    }

    /// Other changes than before, of which nothing is known.
    pub const fn replace(&mut self, id: ReplicationId) {
        *self = Self::new(id);
    }

    /// It goes on where a history `of` this name was at `end`, as a server does that has loaded what it was then.
    pub const fn continue_from(&mut self, of: ReplicationId, end: Offset) {
        self.fork = Some(Fork { id: of, end });
    }

    /// Whether all changes of the history `id` up to `offset` are changes of this one as well.
    pub fn covers(&self, id: &ReplicationId, offset: Offset) -> bool {
        *id == self.id || self.fork.is_some_and(|fork| fork.id == *id && offset <= fork.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ReplicationId = ReplicationId::NONE;

    fn offset(bytes: u64) -> Offset {
        Offset::new(bytes).unwrap()
    }

    #[test]
    fn a_promoted_replica_goes_on_with_what_it_has_of_its_primary() {
        let b = ReplicationId::of_random([1; 20]);
        let mut history = History::new(A);
        assert!(history.covers(&A, offset(500)));
        assert!(!history.covers(&b, offset(0)));
        history.fork_at(b, offset(100));
        assert!(history.covers(&A, offset(100)));
        assert!(!history.covers(&A, offset(101)));
        assert!(history.covers(&b, offset(101)));
        let c = ReplicationId::of_random([2; 20]);
        history.fork_at(c, offset(200));
        assert!(!history.covers(&A, offset(1)), "there is one former name, as in Redis");
        assert!(history.covers(&b, offset(200)));
        history.replace(A);
        assert!(!history.covers(&c, offset(1)));
    }
}
