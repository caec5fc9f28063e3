//! Futures that run beside the network on a worker: snapshots, the journal, replication.

use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// A worker's handle for background work. Cheap to clone; stays on its worker's thread.
#[derive(Clone, Debug)]
pub struct Background {
    kind: PhantomData<Rc<()>>,
}

/// How much of the worker a background task may have when several want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u16);

impl Background {
    /// Starts `future` on this worker; it runs in slices between ticks. It must yield
    /// ([`Background::yield_now`]) at least every half millisecond of work.
    pub fn spawn(&self, share: Share, future: impl Future<Output = ()> + 'static) {
        let _ = (share, future);
        unimplemented!()
    }

    /// Lets the network and other tasks go first.
    pub async fn yield_now(&self) {
        unimplemented!()
    }

    /// Completes after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        let _ = duration;
        unimplemented!()
    }
}
