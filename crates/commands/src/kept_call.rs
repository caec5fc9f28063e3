//! A call that outlives its request: for long work that has to look at its arguments again.

use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{Call, CallLimits, Command};
use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter};
use darter_shard::KeyHasher;
use darter_txn::Router;

/// What a command was called with.
pub(crate) struct KeptCall {
    command: &'static Command,
    args: OwnedArgs,
    protocol: Protocol,
    db: DbIndex,
    now: UnixMillis,
    limits: CallLimits,
    hasher: KeyHasher,
    router: Router,
}

impl KeptCall {
    /// Keeps a call.
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self { args: OwnedArgs::from(call.args), ..Self::without_args(call) }
    }

    /// Keeps a call but its arguments, which may be large; see [`with_args`](Self::with_args).
    pub(crate) fn without_args(call: &Call<'_>) -> Self {
        Self {
            command: call.command,
            args: OwnedArgs::new(),
            protocol: call.reply.protocol(),
            db: call.db,
            now: call.now,
            limits: *call.limits,
            hasher: call.hasher.clone(),
            router: call.router,
        }
    }

    /// The call, whose reply goes to `output`.
    pub(crate) fn with<'c>(&'c self, output: &'c mut Output) -> Call<'c> {
        self.with_args(self.args.as_args(), output)
    }

    /// The call with these arguments, whose reply goes to `output`.
    pub(crate) fn with_args<'c>(&'c self, args: Args<'c>, output: &'c mut Output) -> Call<'c> {
        Call {
            command: self.command,
            args,
            reply: ReplyWriter::new(output, self.protocol),
            db: self.db,
            now: self.now,
            limits: &self.limits,
            hasher: &self.hasher,
            router: self.router,
            waits: None,
            effects: None,
        }
    }
}
