//! Commands of one connection, packed to be run by whoever holds their shard.

use crate::dispatch::{Client, run_command};
use crate::shared::Shared;
use crate::watch::Cost;
use darter_base::UnixMillis;
use darter_command_table::{CallLimits, Entry, ReplyResult};
use darter_resp::{Output, OwnedArgs};
use darter_runtime::{ConnectionId, crash};
use darter_shard::Shard;
use darter_txn::{Held, View, Work};

/// A run of commands on one shard, with its replies once it has run.
#[derive(Debug)]
pub struct Job {
    /// Whose commands they are.
    pub origin: ConnectionId,
    /// What all workers share.
    pub shared: &'static Shared,
    /// The client's state that commands depend on.
    pub client: Client,
    /// The origin's time.
    pub now: UnixMillis,
    /// The origin's limits; apart, to keep letters small.
    pub limits: Box<CallLimits>,
    /// The commands, in order.
    pub commands: Vec<PackedCommand>,
    /// Their replies, in order.
    pub output: Output,
}

/// One command on its way.
#[derive(Debug)]
pub struct PackedCommand {
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments.
    pub args: OwnedArgs,
    /// Its size on the wire, and once it has run what else it cost.
    pub cost: Cost,
    /// Whether it answered an error, and which.
    pub result: ReplyResult,
}

impl Work<Shard> for Job {
    fn run(&mut self, held: &mut Held<Shard>) {
        let mut view = View::one(held, self.shared.router());
        // Another worker's client; afterwards this worker goes on with its own.
        let own = crash::in_flight().client;
        crash::note_client(0);
        let stopwatch = &self.shared.stopwatch;
        let mut begun = stopwatch.now();
        for packed in &mut self.commands {
            let unsent_before = self.output.len();
            packed.result = run_command(
                packed.entry,
                packed.args.as_args(),
                self.client,
                self.now,
                *self.limits,
                self.shared,
                &mut view,
                &mut self.output,
            );
            if self.limits.interest.any() {
                self.client.author.remember = self.client.author.remember.after_command();
            }
            let ended = stopwatch.now();
            packed.cost.nanos = stopwatch.nanos_between(begun, ended);
            packed.cost.reply_bytes = self.output.len() - unsent_before;
            begun = ended;
        }
        crash::note_client(own);
    }
}
