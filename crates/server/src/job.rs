//! Commands of one connection, packed to be run by whoever holds their shard.

use crate::access::Access;
use crate::blocking::errand::signal_keys;
use crate::blocking::serve::Letters;
use crate::blocking::{Blocked, Errand, Serving, serve_ready};
use crate::dispatch::{Client, run_command, run_handler};
use crate::mail::Mail;
use crate::observed::{Cause, work_observed_for};
use crate::shared::Shared;
use crate::watch::Cost;
use darter_base::UnixMillis;
use darter_command_table::{CallLimits, Command, Entry, ReplyResult, ShardView};
use darter_resp::{Args, Output, OwnedArgs, ReplyWriter};
use darter_runtime::{ConnectionId, Post, crash};
use darter_shard::Shard;
use darter_txn::{Held, View, Work};
use std::sync::Arc;

/// A run of commands on one shard, with its replies once it has run.
#[derive(Debug)]
pub struct Job {
    /// Whose commands they are.
    pub origin: ConnectionId,
    /// What all workers share.
    pub shared: &'static Shared,
    /// The client's state that commands depend on.
    pub client: Client,
    /// Who it was when they were admitted.
    pub access: Access,
    /// The origin's time.
    pub now: UnixMillis,
    /// The origin's limits; apart, to keep letters small.
    pub limits: Box<CallLimits>,
    /// The commands, in order.
    pub commands: Vec<PackedCommand>,
    /// What else is to be done; then there are no commands.
    pub errand: Option<Box<(Arc<Blocked>, Errand)>>,
    /// Their replies, in order.
    pub output: Output,
    /// What came of it for others: answers to those who waited for the shard's keys.
    pub letters: Letters,
}

/// One command on its way.
#[derive(Debug)]
pub struct PackedCommand {
    /// What to run.
    pub entry: &'static Entry,
    /// With which arguments.
    pub args: OwnedArgs,
    /// Whether it must read no keys but those among them.
    pub stays_within: bool,
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
        // Other shards are not taken here: there is no way to give them back.
        let serving =
            Serving { shared: self.shared, now: self.now, limits: *self.limits, carrier: None };
        let last = self.commands.len().saturating_sub(1);
        for (index, packed) in self.commands.iter_mut().enumerate() {
            // Those behind a command would have to wait for its slices; so only the last one may have some.
            let limits = CallLimits { slices: index == last, ..*self.limits };
            let client = Client { stays_within: packed.stays_within, ..self.client };
            let unsent_before = self.output.len();
            let (entry, args) = (packed.entry, packed.args.as_args());
            packed.result = match self.access.refusal_since(self.shared, entry, args, client.db) {
                Some(error) => {
                    ReplyWriter::new(&mut self.output, client.protocol).error(error.line());
                    Err(error)
                }
                None => run_command(
                    entry,
                    args,
                    client,
                    self.now,
                    &limits,
                    self.shared,
                    &mut view,
                    &mut self.output,
                    None,
                    None,
                ),
            };
            if self.limits.interest.any() {
                self.client.author.remember = self.client.author.remember.after_command();
            }
            let ended = stopwatch.now();
            packed.cost.nanos = stopwatch.nanos_between(begun, ended);
            packed.cost.reply_bytes = self.output.len() - unsent_before;
            begun = ended;
            if view.first().has_ready() {
                self.letters.append(&mut serve_ready(&mut view, &serving));
            }
        }
        if self.errand.is_some() {
            self.run_errand(&mut view);
            self.letters.append(&mut serve_ready(&mut view, &serving));
        }
        crash::note_client(own);
    }
}

impl Job {
    #[cold]
    fn run_errand(&mut self, view: &mut ShardView<'_>) {
        match self.errand.as_deref() {
            Some((waiter, Errand::Wake)) => signal_keys(waiter, view),
            Some((waiter, Errand::GiveBack(command, args))) => {
                // Only its effect is wanted. It fails if somebody has made something else of the key.
                let _ = self.run_unheard(waiter, command, args.as_args(), view);
            }
            None => {}
        }
    }

    /// Runs a command that answers nobody, on behalf of a waiter that is over.
    fn run_unheard(
        &self,
        waiter: &Blocked,
        command: &'static Command,
        args: Args<'_>,
        view: &mut ShardView<'_>,
    ) -> ReplyResult {
        let (client, shared, limits) = (self.client, self.shared, &*self.limits);
        // It has no place in the table of commands; what it does is told as that of the waiter's.
        let by = Some(client.author.id);
        let cause = Cause { entry: waiter.entry, args, db: client.db, by, together: None };
        work_observed_for(shared, limits.interest, view, cause, |view, effects| {
            let output = &mut Output::new();
            run_handler(
                command, args, client, self.now, limits, shared, view, output, None, effects,
            )
        })
    }

    /// Sends what came of it for others. To be called when it has run, on the worker where it ran or where
    /// it arrived.
    pub fn send_letters(&mut self, post: &Post<Mail>) {
        for (to, mail) in self.letters.drain(..) {
            post.send(to, mail);
        }
    }
}
