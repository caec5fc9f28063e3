//! SAVE and its like. There is no log of changes yet; what would have to write one says so.

use crate::commands::error::ServerError;
use crate::saving::Cancelled;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::waiting::{Awaited, Waiting};
use darter_command_table::{
    Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError, ShardView,
};
use darter_resp::Args;

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
static BGSAVE: SessionCommand = SessionCommand::all_shards_if(
    Command {
        name: "BGSAVE",
        summary: "Begins to save all data as they are now, in the background.",
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
    |args| !matches!(Operation::parse(args), Ok(Operation::Cancel) | Err(_)),
    background_save,
);

/// What BGSAVE is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Begin,
    Cancel,
}

impl Operation {
    /// SCHEDULE lets a save wait for the rewriting of a log, which is not there, and for a transaction, which a
    /// save waits for anyway.
    fn parse(args: Args<'_>) -> Result<Self, ReplyError> {
        match args.get(1) {
            _ if args.len() > 2 => Err(ReplyError::Syntax),
            None => Ok(Self::Begin),
            Some(word) if word.eq_ignore_ascii_case(b"SCHEDULE") => Ok(Self::Begin),
            Some(word) if word.eq_ignore_ascii_case(b"CANCEL") => Ok(Self::Cancel),
            Some(_) => Err(ReplyError::Syntax),
        }
    }
}

fn background_save(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let saving = &call.shared.saving;
    let answer = match Operation::parse(call.args)? {
        Operation::Cancel => match saving.cancel() {
            Cancelled::Nothing => return Err(ServerError::NoSaveToCancel.into()),
            Cancelled::Scheduled => "Scheduled background saving cancelled",
            Cancelled::UnderWay => "Background saving cancelled",
        },
        Operation::Begin if call.nested => {
            // A file never has a part of a transaction.
            if saving.current().is_some() {
                return Err(ServerError::SaveUnderWay.into());
            }
            saving.schedule();
            "Background saving scheduled"
        }
        Operation::Begin => {
            let begun = saving.begin(call.shared, view, None, call.turn.now);
            begun.map_err(|_| ServerError::SaveUnderWay)?;
            "Background saving started"
        }
    };
    call.reply().simple(answer);
    Ok(Flow::Next)
}

/// When data were last saved.
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
        let last_save = call.shared.saving.history().last_save;
        call.reply().integer(last_save.0 / 1000);
        Ok(Flow::Next)
    },
);

/// Saves, and answers when that is done.
static SAVE: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "SAVE",
        summary: "Saves all data as they are now, and answers when they are on the disk.",
        complexity: "O(N) where N is the total number of keys in all databases",
        flags: BASE.flags.and(Flags::NO_MULTI),
        ..BASE
    },
    save,
);

/// Other than in Redis nobody else has to wait for it.
fn save(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let begun = call.shared.saving.begin(call.shared, view, Some(call.id), call.turn.now);
    begun.map_err(|_| ServerError::SaveUnderWay)?;
    let waiting = Waiting { awaited: Awaited::Save, until: None };
    call.core.begin_waiting(call.session, call.id, waiting);
    Ok(Flow::Wait)
}
