//! Letters between workers.
//!
//! Every worker has one mailbox. [`Post`] lives on a worker and never wakes the receiver at once:
//! the driver kicks each worker that got a letter, at most once per tick, after the event batch, and
//! only when it sleeps. [`RemotePost`] may be used from any thread and kicks right away.

use darter_base::WorkerId;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// A worker's handle to all mailboxes. Cheap to clone; stays on its worker's thread.
#[derive(Debug)]
pub struct Post<M> {
    kind: PhantomData<(Rc<()>, M)>,
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData }
    }
}

impl<M: Send + 'static> Post<M> {
    /// The worker this handle belongs to.
    pub fn worker(&self) -> WorkerId {
        unimplemented!()
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        unimplemented!()
    }

    /// Puts a letter into `to`'s mailbox; it is read in that worker's next tick. To oneself: in this
    /// tick if sent from `receive`, else in the next one, which follows at once. Never blocks, never
    /// fails; letters to a worker that has stopped are dropped.
    pub fn send(&self, to: WorkerId, mail: M) {
        let _ = (to, mail);
        unimplemented!()
    }

    /// Letters waiting in `to`'s mailbox, roughly. A sender that could wait should, above
    /// [`MAILBOX_HIGH_WATER`].
    pub fn waiting(&self, to: WorkerId) -> usize {
        let _ = to;
        unimplemented!()
    }

    /// A handle for other threads.
    pub fn remote(&self) -> RemotePost<M> {
        unimplemented!()
    }
}

/// A handle to all mailboxes for threads that are not workers (and for background threads). Each
/// letter to a sleeping worker wakes it.
#[derive(Debug)]
pub struct RemotePost<M> {
    kind: PhantomData<Arc<M>>,
}

impl<M> Clone for RemotePost<M> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData }
    }
}

impl<M: Send + 'static> RemotePost<M> {
    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        unimplemented!()
    }

    /// Puts a letter into `to`'s mailbox and wakes it if it sleeps.
    pub fn send(&self, to: WorkerId, mail: M) {
        let _ = (to, mail);
        unimplemented!()
    }
}

/// Letters in one mailbox above which a sender with a choice should stop making more.
pub const MAILBOX_HIGH_WATER: usize = 16_384;
