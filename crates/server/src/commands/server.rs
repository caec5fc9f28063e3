//! TIME and SHUTDOWN.

use crate::commands::error::ServerError;
use crate::saving::automatic::AtTheEnd;
use crate::saving::save_held;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::waiting::{Awaited, Waiting};
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler, ReplyError, ShardView};
use darter_resp::Args;

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&SHUTDOWN, &TIME];

/// The server's clock.
pub static TIME: SessionCommand = SessionCommand::alone(
    Command {
        name: "TIME",
        group: Group::Server,
        since: "2.6.0",
        summary: "The server's clock.",
        complexity: "O(1)",
        arity: Arity::Exactly(1),
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        tips: &["nondeterministic_output"],
        handler: Handler::Session,
        ..Command::BASE
    },
    |call| {
        let micros = call.now_micros();
        let mut reply = call.reply();
        reply.array(2);
        reply.bulk_integer(micros / 1_000_000);
        reply.bulk_integer(micros % 1_000_000);
        Ok(Flow::Next)
    },
);

/// Ends the server.
pub static SHUTDOWN: SessionCommand = SessionCommand::all_shards_if(
    Command {
        name: "SHUTDOWN",
        group: Group::Server,
        summary: "Ends the server.",
        complexity: "O(N) when saving, where N is the number of keys, otherwise O(1)",
        arity: Arity::AtLeast(1),
        flags: Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::NO_MULTI)
            .and(Flags::ALLOW_BUSY),
        args: &[Arg::one_of(
            "abort-selector",
            &[
                Arg::block(
                    "save-selector-block",
                    &[
                        Arg::one_of(
                            "save-selector",
                            &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")],
                        )
                        .optional(),
                        Arg::word("now", "NOW").optional().since("7.0.0"),
                        Arg::word("force", "FORCE").optional().since("7.0.0"),
                        Arg::word("safe", "SAFE").optional().since("9.0.0"),
                        Arg::word("failover", "FAILOVER").optional().since("9.0.0"),
                    ],
                ),
                Arg::word("abort", "ABORT").since("7.0.0"),
            ],
        )
        .optional()],
        history: &[
            ("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers."),
            ("9.0.0", "Added the `SAFE` and `FAILOVER` modifiers."),
        ],
        handler: Handler::Session,
        ..Command::BASE
    },
    may_save,
    shutdown,
);

/// What SHUTDOWN was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each word")]
struct ShutdownOptions {
    save: bool,
    no_save: bool,
    now: bool,
    force: bool,
    /// Not while that would harm a cluster: there is none.
    safe: bool,
    failover: bool,
    abort: bool,
}

fn parse_shutdown<'a>(
    words: impl Iterator<Item = &'a [u8]>,
) -> Result<ShutdownOptions, ReplyError> {
    let mut options = ShutdownOptions::default();
    for word in words {
        let option = match &*word.to_ascii_lowercase() {
            b"save" => &mut options.save,
            b"nosave" => &mut options.no_save,
            b"now" => &mut options.now,
            b"force" => &mut options.force,
            b"safe" => &mut options.safe,
            b"failover" => &mut options.failover,
            b"abort" => &mut options.abort,
            _ => return Err(ReplyError::Syntax),
        };
        *option = true;
    }
    let alone = ShutdownOptions { abort: true, ..ShutdownOptions::default() };
    if (options.abort && options != alone) || (options.save && options.no_save) {
        return Err(ReplyError::Syntax);
    }
    Ok(options)
}

/// What is saved here is saved once more when the process ends, if something has changed meanwhile. With NOW replicas are not
/// waited for; with FORCE it does not matter if saving fails. The client is answered if the process does not end.
fn shutdown(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let options = parse_shutdown(call.args.tail(1).iter())?;
    if options.failover {
        return Err(ServerError::FailoverAtTheEnd.into());
    }
    let Some(running) = call.shared.running.get() else {
        return Err(ServerError::ShutdownFailed.into());
    };
    if options.abort {
        if !running.shutdown.cancel() {
            return Err(ServerError::NoShutdown.into());
        }
        call.shared.departure.call_off(call.shared);
        tracing::info!("Shutdown manually aborted.");
        return call.ok();
    }
    let waiting = Waiting { awaited: Awaited::TheEnd, until: None };
    if running.shutdown.has_begun() {
        call.core.begin_waiting(call.session, call.id, waiting);
        return Ok(Flow::Wait);
    }
    tracing::info!("User requested shutdown...");
    let is_loading = call.shared.loading.is_under_way();
    // What is there by now must not take the place of all.
    let at_the_end = if is_loading {
        AtTheEnd::Never
    } else {
        AtTheEnd::of_words(options.save, options.no_save)
    };
    if !options.force && call.shared.saving.writes_first_base(&call.shared.journal) {
        return Err(ServerError::ShutdownFailed.into());
    }
    let saves = at_the_end.saves(&call.shared.config.current());
    let is_saved = !saves || save_held(call.shared, view, call.turn.now).is_ok();
    if !is_saved && !options.force {
        tracing::warn!("Error trying to save the DB, can't exit.");
        return Err(ServerError::ShutdownFailed.into());
    }
    let at_the_end = if is_saved { at_the_end } else { AtTheEnd::Never };
    call.shared.saving.last_save.set(at_the_end, options.force);
    call.shared.departure.hurry(options.now);
    running.shutdown.begin();
    call.core.begin_waiting(call.session, call.id, waiting);
    Ok(Flow::Wait)
}

/// Whether SHUTDOWN may have to save.
fn may_save(args: Args<'_>) -> bool {
    parse_shutdown(args.tail(1).iter())
        .is_ok_and(|options| !options.abort && !options.failover && !options.no_save)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_options_that_contradict_are_refused() {
        let parse = |words: &str| parse_shutdown(words.split_ascii_whitespace().map(str::as_bytes));
        assert!(parse("NOSAVE now FORCE").is_ok());
        assert!(parse("ABORT").is_ok() && parse("SAFE save").is_ok() && parse("failover").is_ok());
        for words in ["SAVE NOSAVE", "ABORT NOW", "SAVE ABORT", "ABORT SAFE", "later"] {
            assert_eq!(parse(words), Err(ReplyError::Syntax), "{words}");
        }
    }
}
