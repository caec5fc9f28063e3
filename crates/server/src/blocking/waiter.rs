//! A command that waits, shared by the queues it has places in. Who may answer it is told by its [`Claim`].

use crate::access::Access;
use crate::dispatch::Client;
use darter_base::crc16::slot_of;
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{Entry, ShardView};
use darter_resp::OwnedArgs;
use darter_runtime::ConnectionId;
use darter_shard::Waiter;
use darter_txn::Claim;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

/// A command that waits. Made by its worker; tried by any.
#[derive(Debug)]
pub struct Blocked {
    /// Who may answer it.
    pub claim: Claim,
    /// Whose command it is.
    pub origin: ConnectionId,
    /// The state of the client it depends on, which does not change while it waits.
    pub client: Client,
    /// Who it was when it began to wait.
    pub access: Access,
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments.
    pub args: OwnedArgs,
    /// The arguments that are the keys it waits for.
    pub keys: Range<usize>,
    /// The shard of the key it does not wait for but needs, if it has one.
    pub needs: Option<ShardId>,
    /// When its worker is to try it although no key became ready: Unix milliseconds; `i64::MAX`: never. Written by those
    /// who try it.
    again_at: AtomicI64,
}

impl Blocked {
    /// A command that begins to wait.
    pub fn new(
        origin: ConnectionId,
        (client, access): (Client, Access),
        entry: &'static Entry,
        args: OwnedArgs,
        keys: Range<usize>,
        needs: Option<ShardId>,
        again_at: Option<UnixMillis>,
    ) -> Self {
        let again_at = AtomicI64::new(again_at.map_or(i64::MAX, |at| at.0));
        Self { claim: Claim::default(), origin, client, access, entry, args, keys, needs, again_at }
    }

    /// When its worker is to try it although no key became ready; `None`: never.
    pub fn again_at(&self) -> Option<UnixMillis> {
        let at = self.again_at.load(Ordering::Acquire);
        (at != i64::MAX).then_some(UnixMillis(at))
    }

    /// Notes when that is, after a trial over the shards of `view`.
    pub fn set_again_at(&self, again_at: Option<UnixMillis>, view: &ShardView<'_>) {
        let at = again_at.map_or(i64::MAX, |at| at.0);
        let args = self.args.as_args();
        if self.keys.clone().all(|index| view.holds(|| slot_of(args.at(index)))) {
            self.again_at.store(at, Ordering::Release);
        } else {
            // What was known of the other keys still holds.
            self.again_at.fetch_min(at, Ordering::AcqRel);
        }
    }
}

impl Waiter for Blocked {
    fn is_over(&self) -> bool {
        self.claim.is_over()
    }
}
