//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. How transactions run is told in [`crate::transaction`].

use crate::commands::error::ServerError;
use crate::observed::work_observed;
use crate::session_command::{SessionCall, SessionCommand, SessionResult};
use crate::transaction;
use darter_base::crc16::slot_of;
use darter_command_table::key_spec::{Access, KeySpec};
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ShardView};
use darter_shard::Key;

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&DISCARD, &EXEC, &MULTI, &UNWATCH, &WATCH];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::ALLOW_BUSY),
    acl: Category::TRANSACTION,
    handler: Handler::Session,
    ..Command::BASE
};

/// Drops what was queued.
static DISCARD: SessionCommand = SessionCommand::alone(
    Command {
        name: "DISCARD",
        since: "2.0.0",
        summary: "Drops the commands that were queued, and forgets the watched keys.",
        complexity: "O(N), when N is the number of queued commands",
        flags: BASE.flags.and(Flags::AT_ONCE),
        ..BASE
    },
    |call| {
        if call.session.transaction.is_none() {
            return Err(ServerError::DiscardWithoutMulti.into());
        }
        call.core.discard(call.session, call.turn.now);
        call.ok()
    },
);

/// Runs what was queued.
pub static EXEC: SessionCommand = SessionCommand::queued(
    Command {
        name: "EXEC",
        since: "1.2.0",
        summary: "Runs the commands that were queued, as one step.",
        complexity: "Depends on commands in the transaction",
        flags: Flags::NOSCRIPT
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::SKIP_SLOWLOG)
            .and(Flags::AT_ONCE),
        ..BASE
    },
    transaction::exec,
);

/// Queues from now on.
pub static MULTI: SessionCommand = SessionCommand::alone(
    Command {
        name: "MULTI",
        since: "1.2.0",
        summary: "Lets the commands that follow be queued.",
        complexity: "O(1)",
        flags: BASE.flags.and(Flags::NO_MULTI),
        ..BASE
    },
    |call| {
        call.core.begin_transaction(call.session);
        call.ok()
    },
);

/// Watches nothing any more.
static UNWATCH: SessionCommand = SessionCommand::alone(
    Command {
        name: "UNWATCH",
        since: "2.2.0",
        summary: "Forgets the watched keys.",
        complexity: "O(1)",
        ..BASE
    },
    |call| {
        call.core.unwatch(call.session, call.turn.now);
        call.ok()
    },
);

/// Watches keys.
static WATCH: SessionCommand = SessionCommand::keyed(
    Command {
        name: "WATCH",
        since: "2.2.0",
        summary: "Watches keys: if one of them changes, the next EXEC runs nothing.",
        complexity: "O(1) for every key.",
        arity: Arity::AtLeast(2),
        flags: BASE.flags.and(Flags::NO_MULTI),
        keys: &[KeySpec::range(1, -1, 1, Access::READ_ONLY)],
        args: &[Arg::key("key").multiple()],
        ..BASE
    },
    watch,
);

fn watch(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let (db, now) = (call.session.db, call.turn.now);
    let watches = &mut call.session.facts.watches;
    let watched_before = watches.len();
    // A key that has expired is deleted when it is looked at.
    let (shared, interest) = (call.shared, call.core.limits.get().interest);
    work_observed(shared, interest, view, None, |view| {
        for bytes in call.args.tail(1).iter() {
            let key = Key::new(&shared.hasher, bytes);
            watches.watch(view.shard_of(|| slot_of(bytes)), db, &key, now);
        }
    });
    if watched_before == 0 {
        call.statistics().watching_clients.add(1);
    }
    call.ok()
}
