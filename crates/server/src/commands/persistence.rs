//! SAVE and its like.

use crate::commands::error::ServerError;
use crate::saving::{Cancelled, Purpose, UnderWay};
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

/// Writes the log anew.
static BGREWRITEAOF: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "BGREWRITEAOF",
        summary: "Begins to write the log anew, in the background.",
        ..BASE
    },
    rewrite,
);

fn rewrite(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    const STARTED: &str = "Background append only file rewriting started";
    const SCHEDULED: &str = "Background append only file rewriting scheduled";
    let (shared, now) = (call.shared, call.turn.now);
    let under_way = shared.saving.current();
    // One that was given up is under way until all shards are done with it, which is soon.
    let is_given_up = under_way.as_ref().is_some_and(|save| save.is_cancelled());
    let answer = match under_way.filter(|_| !is_given_up).map(|save| save.purpose) {
        Some(Purpose::LogBase) => return Err(ServerError::RewriteUnderWay.into()),
        None if call.nested || is_given_up || shared.journal.is_ending() => {
            shared.journal.ask_for_base();
            if call.nested { SCHEDULED } else { STARTED }
        }
        None if shared.saving.begin(shared, view, Purpose::LogBase, Vec::new(), now).is_ok() => {
            STARTED
        }
        Some(Purpose::File | Purpose::Replicas) | None => {
            shared.journal.ask_for_base();
            SCHEDULED
        }
    };
    call.reply().simple(answer);
    Ok(Flow::Next)
}

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
    /// Now, or as soon as the log is rewritten.
    BeginOrSchedule,
    Cancel,
}

impl Operation {
    fn parse(args: Args<'_>) -> Result<Self, ReplyError> {
        match args.get(1) {
            _ if args.len() > 2 => Err(ReplyError::Syntax),
            None => Ok(Self::Begin),
            Some(word) if word.eq_ignore_ascii_case(b"SCHEDULE") => Ok(Self::BeginOrSchedule),
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
        operation => {
            let begun = if call.nested {
                saving.current().map_or(Ok(false), |save| Err(UnderWay(save.purpose)))
            } else {
                let now = call.turn.now;
                saving.begin(call.shared, view, Purpose::File, Vec::new(), now).map(|()| true)
            };
            match begun {
                Ok(true) => "Background saving started",
                Err(UnderWay(Purpose::LogBase)) if operation == Operation::Begin => {
                    return Err(ServerError::SaveDuringRewrite.into());
                }
                Err(UnderWay(Purpose::File | Purpose::Replicas)) => {
                    return Err(ServerError::SaveUnderWay.into());
                }
                // A file never has a part of a transaction.
                Ok(false) | Err(UnderWay(Purpose::LogBase)) => {
                    saving.schedule();
                    "Background saving scheduled"
                }
            }
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

/// Other than in Redis nobody else has to wait for it, and it begins when the log has been written anew if that is under way.
fn save(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let (shared, now) = (call.shared, call.turn.now);
    match shared.saving.begin(shared, view, Purpose::File, vec![call.id], now) {
        Ok(()) => {}
        Err(UnderWay(Purpose::File)) => return Err(ServerError::SaveUnderWay.into()),
        Err(UnderWay(Purpose::LogBase | Purpose::Replicas)) => shared.saving.schedule_for(call.id),
    }
    let waiting = Waiting { awaited: Awaited::Save, until: None };
    call.core.begin_waiting(call.session, call.id, waiting);
    Ok(Flow::Wait)
}
