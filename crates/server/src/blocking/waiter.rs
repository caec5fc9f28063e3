//! A command that waits, shared by the queues it has places in. Who may answer it is told by its [`Claim`].

use crate::dispatch::Client;
use darter_base::ShardId;
use darter_command_table::Entry;
use darter_resp::OwnedArgs;
use darter_runtime::ConnectionId;
use darter_shard::Waiter;
use darter_txn::Claim;
use std::ops::Range;

/// A command that waits. Made by its worker; tried by any.
#[derive(Debug)]
pub struct Blocked {
    /// Who may answer it.
    pub claim: Claim,
    /// Whose command it is.
    pub origin: ConnectionId,
    /// The state of the client it depends on, which does not change while it waits.
    pub client: Client,
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments.
    pub args: OwnedArgs,
    /// The arguments that are the keys it waits for.
    pub keys: Range<usize>,
    /// The shard of the key it does not wait for but needs, if it has one.
    pub needs: Option<ShardId>,
}

impl Blocked {
    /// A command that begins to wait.
    pub fn new(
        origin: ConnectionId,
        client: Client,
        entry: &'static Entry,
        args: OwnedArgs,
        keys: Range<usize>,
        needs: Option<ShardId>,
    ) -> Self {
        Self { claim: Claim::default(), origin, client, entry, args, keys, needs }
    }
}

impl Waiter for Blocked {
    fn is_over(&self) -> bool {
        self.claim.is_over()
    }
}
