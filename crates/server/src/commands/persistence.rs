//! SAVE and its like. Nothing is kept on disk yet: what would have to write says so, and the rest tells
//! what is true without.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&BGREWRITEAOF, &BGSAVE, &LASTSAVE, &SAVE];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Server,
    complexity: "O(1)",
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING),
    handler: Handler::Session,
    ..Command::BASE
};

/// Rewrites the append-only file.
static BGREWRITEAOF: SessionCommand = SessionCommand::alone(
    Command {
        name: "BGREWRITEAOF",
        summary: "Rewrites the append-only file in the background. There is none yet.",
        ..BASE
    },
    |call| Err(ServerError::NoPersistence(call.entry.command.name).into()),
);

/// Saves in the background.
static BGSAVE: SessionCommand = SessionCommand::alone(
    Command {
        name: "BGSAVE",
        summary: "Saves all data in the background. Not possible yet.",
        arity: Arity::AtLeast(1),
        args: &[Arg::one_of(
            "operation",
            &[
                Arg::word("schedule", "SCHEDULE").since("3.2.2"),
                Arg::word("cancel", "CANCEL").since("8.1.0"),
            ],
        )
        .optional()],
        history: &[
            ("3.2.2", "Added the `SCHEDULE` option."),
            ("8.1.0", "Added the `CANCEL` option."),
        ],
        ..BASE
    },
    background_save,
);

fn background_save(call: &mut SessionCall<'_>) -> SessionResult {
    match call.args.get(1).map(<[u8]>::to_ascii_lowercase).as_deref() {
        _ if call.args.len() > 2 => Err(ReplyError::Syntax),
        None | Some(b"schedule") => Err(ServerError::NoPersistence(call.entry.command.name).into()),
        Some(b"cancel") => Err(ServerError::NoSaveToCancel.into()),
        Some(_) => Err(ReplyError::Syntax),
    }
}

/// When data were last saved: never, so when the server started, as Redis answers then.
static LASTSAVE: SessionCommand = SessionCommand::alone(
    Command {
        name: "LASTSAVE",
        summary: "When all data were last saved; when the server started, if never.",
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        acl: Category::ADMIN.and(Category::DANGEROUS),
        tips: &["nondeterministic_output"],
        ..BASE
    },
    |call| {
        let started_at = call.shared.identity.started_at;
        call.reply().integer(started_at.0 / 1000);
        Ok(Flow::Next)
    },
);

/// Saves while everybody waits.
static SAVE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SAVE",
        summary: "Saves all data while everybody waits. Not possible yet.",
        complexity: "O(N) where N is the total number of keys in all databases",
        flags: BASE.flags.and(Flags::NO_MULTI),
        ..BASE
    },
    |call| Err(ServerError::NoPersistence(call.entry.command.name).into()),
);
