//! DEBUG: what test suites need to look inside, refused unless `enable-debug-command` allows it.
//!
//! Redis knows one command that looks at its second argument itself, so that a wrong number of
//! arguments is answered as an unknown subcommand is. Here the subcommands are in the table, those
//! about keys among them, and answer alike.

use crate::commands::config::rewrite_config;
use crate::commands::error::ServerError;
use crate::config::rewrite::Append;
use crate::journal;
use crate::late_reply::LateReply;
use crate::loading::snapshot::{self, Present};
use crate::saving::save_held;
use crate::session::Session;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::shared::Shared;
use darter_base::float::parse_f64;
use darter_base::glob::{Case, glob_matches};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler, ReplyError, ShardView};
use darter_commands::server::debug as keys;
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_runtime::crash;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The command and its subcommands about the server.
pub static COMMANDS: &[&SessionCommand] = &[
    &AOF_FLUSH_SLEEP,
    &CHANGE_REPL_ID,
    &CLIENT_ENFORCE_REPLY_LIST,
    &CONFIG_REWRITE_FORCE_ALL,
    &DEBUG,
    &DICT_RESIZING,
    &ERROR,
    &HELP,
    &LOADAOF,
    &LOG,
    &PANIC,
    &PAUSE_CRON,
    &PROTOCOL,
    &QUICKLIST_PACKED_THRESHOLD,
    &RELOAD,
    &REPLICATE,
    &REPLYBUFFER,
    &SEGFAULT,
    &SET_ACTIVE_EXPIRE,
    &SET_SKIP_CHECKSUM_VALIDATION,
    &SLEEP,
    &STRINGMATCH_LEN,
];

/// What the subcommands have in common. The number of their arguments is theirs to check.
const BASE: Command = Command {
    group: Group::Server,
    complexity: "O(1)",
    arity: Arity::AtLeast(2),
    flags: keys::FLAGS,
    handler: Handler::Session,
    ..Command::BASE
};

/// Flags of those that need the data.
const WITH_DATA: Flags = keys::FLAGS.without(Flags::LOADING);

/// Commands for tests.
pub static DEBUG: SessionCommand = SessionCommand::alone(
    Command {
        name: "DEBUG",
        is_internal: true,
        summary: "A container for commands for tests.",
        complexity: "Depends on subcommand.",
        // Redis's one command shows in INFO as one, and so in what reads that.
        counts_subcommands: true,
        subcommands: &[
            &keys::DIGEST,
            &keys::DIGEST_VALUE,
            &keys::HTSTATS,
            &keys::HTSTATS_KEY,
            &keys::OBJECT,
            &keys::POPULATE,
            &AOF_FLUSH_SLEEP.command,
            &CHANGE_REPL_ID.command,
            &CLIENT_ENFORCE_REPLY_LIST.command,
            &CONFIG_REWRITE_FORCE_ALL.command,
            &DICT_RESIZING.command,
            &ERROR.command,
            &HELP.command,
            &LOADAOF.command,
            &LOG.command,
            &PANIC.command,
            &PAUSE_CRON.command,
            &PROTOCOL.command,
            &QUICKLIST_PACKED_THRESHOLD.command,
            &RELOAD.command,
            &REPLICATE.command,
            &REPLYBUFFER.command,
            &SEGFAULT.command,
            &SET_ACTIVE_EXPIRE.command,
            &SET_SKIP_CHECKSUM_VALIDATION.command,
            &SLEEP.command,
            &STRINGMATCH_LEN.command,
        ],
        ..BASE
    },
    |call| Err(wrong_arguments(call)),
);

/// Refuses a client that may not use DEBUG.
pub fn check_permission(shared: &Shared, session: &Session) -> Result<(), ReplyError> {
    if shared.config.current().debug_command.allows(session.is_local()) {
        Ok(())
    } else {
        Err(ServerError::DebugNotAllowed.into())
    }
}

fn wrong_arguments(call: &SessionCall<'_>) -> ReplyError {
    ServerError::DebugArguments(call.args.at(1).to_vec()).into()
}

/// The argument behind the subcommand, if that is all there is.
fn only_argument<'a>(call: &SessionCall<'a>) -> Result<&'a [u8], ReplyError> {
    if call.args.len() == 3 { Ok(call.args.at(2)) } else { Err(wrong_arguments(call)) }
}

/// The same as a number; what is none counts as 0.
fn only_number(call: &SessionCall<'_>) -> Result<i64, ReplyError> {
    Ok(parse_i64(only_argument(call)?).unwrap_or(0))
}

/// Deletes expired keys in the background, or no longer.
static SET_ACTIVE_EXPIRE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SET-ACTIVE-EXPIRE",
        summary: "Deletes expired keys in the background, or no longer.",
        args: &[Arg::integer("enabled")],
        ..BASE
    },
    |call| {
        let enabled = only_number(call)? != 0;
        call.shared.active_expire.store(enabled, Ordering::Relaxed);
        call.ok()
    },
)
.within();

/// Takes payloads and files whatever their checksums are, or no longer.
static SET_SKIP_CHECKSUM_VALIDATION: SessionCommand = SessionCommand::alone(
    Command {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        summary: "Takes payloads and files whatever their checksums are, or no longer.",
        args: &[Arg::integer("enabled")],
        ..BASE
    },
    |call| {
        let enabled = only_number(call)? != 0;
        call.shared.skips_checksums.store(enabled, Ordering::Relaxed);
        call.shared.config.renew();
        call.ok()
    },
)
.within();

/// Sleeps before the log is written, so that tests see what waits for it.
static AOF_FLUSH_SLEEP: SessionCommand = SessionCommand::alone(
    Command {
        name: "AOF-FLUSH-SLEEP",
        summary: "Sleeps so many microseconds before the log is written.",
        args: &[Arg::integer("microseconds")],
        ..BASE
    },
    |call| {
        let micros = only_number(call)?;
        call.shared.journal.delay_writes(micros);
        call.ok()
    },
)
.within();

/// Saves all data and loads them again, while everybody waits.
static RELOAD: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "RELOAD",
        summary: "Saves all data and loads them again, while everybody waits.",
        complexity: "O(N) where N is the number of keys in all databases",
        args: &[
            Arg::word("nosave", "NOSAVE").optional(),
            Arg::word("noflush", "NOFLUSH").optional(),
            Arg::word("merge", "MERGE").optional(),
        ],
        flags: WITH_DATA,
        ..BASE
    },
    reload,
)
.within();

fn reload(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let (mut saves, mut flushes, mut present) = (true, true, Present::Refused);
    for word in call.args.tail(2).iter() {
        match &*word.to_ascii_lowercase() {
            b"nosave" => saves = false,
            b"noflush" => flushes = false,
            b"merge" => present = Present::Replaced,
            _ => return Err(ServerError::ReloadOptions.into()),
        }
    }
    let (shared, now) = (call.shared, call.turn.now);
    if saves && save_held(shared, view, now).is_err() {
        return Err(ServerError::SaveFailed.into());
    }
    let looked = snapshot::look_at(shared);
    if flushes && looked.is_ok() {
        snapshot::flush(view);
    }
    if let Err(error) = looked.and_then(|()| snapshot::load(shared, view, present, now)) {
        tracing::warn!(%error, "DEBUG RELOAD");
        return Err(ServerError::ReloadFailed.into());
    }
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    call.ok()
}

/// Loads what the log says in place of what there is, while everybody waits.
static LOADAOF: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "LOADAOF",
        summary: "Loads what the log says in place of what there is, while everybody waits.",
        complexity: "O(N) where N is the size of the log",
        flags: WITH_DATA,
        ..BASE
    },
    |call, view| {
        if call.args.len() != 2 {
            return Err(wrong_arguments(call));
        }
        if let Err(error) = journal::reload(call.shared, view) {
            tracing::warn!(%error, "DEBUG LOADAOF");
            return Err(ServerError::LogNotLoaded.into());
        }
        tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
        call.ok()
    },
)
.within();

/// The whole server stands still.
static SLEEP: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "SLEEP",
        summary: "Stops the server for so many seconds.",
        args: &[Arg::double("seconds")],
        flags: WITH_DATA,
        ..BASE
    },
    sleep,
)
.within();

/// Longest sleep: what nobody would wait for must not look like a crash.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

fn sleep(call: &mut SessionCall<'_>, _: &mut ShardView<'_>) -> SessionResult {
    let seconds = parse_f64(only_argument(call)?).unwrap_or(0.0);
    let duration = Duration::from_secs_f64(seconds.clamp(0.0, SLEEP_SECONDS_MAX));
    let mut reply = Output::new();
    ReplyWriter::new(&mut reply, call.session.protocol).ok();
    Ok(Flow::Later(Box::new(LateReply::held(duration, reply))))
}

/// Answers an error of the caller's choice.
static ERROR: SessionCommand = SessionCommand::alone(
    Command {
        name: "ERROR",
        summary: "Answers an error of the caller's choice.",
        args: &[Arg::string("message")],
        ..BASE
    },
    |call| {
        let message = only_argument(call)?;
        call.reply().error(message);
        Ok(Flow::Next)
    },
)
.within();

/// Writes a message to the log.
static LOG: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOG",
        summary: "Writes a message to the log.",
        args: &[Arg::string("message")],
        ..BASE
    },
    |call| {
        let message = String::from_utf8_lossy(only_argument(call)?);
        tracing::warn!("DEBUG LOG: {message}");
        call.ok()
    },
)
.within();

/// Whether a pattern, made of a prefix and many stars, matches a text of many letters.
static STRINGMATCH_LEN: SessionCommand = SessionCommand::alone(
    Command {
        name: "STRINGMATCH-LEN",
        summary: "Whether a pattern matches a text of so many letters a.",
        args: &[Arg::integer("length"), Arg::pattern("pattern")],
        ..BASE
    },
    string_match,
)
.within();

/// Longest text that is made up to be matched.
const TEXT_BYTES_MAX: usize = 1 << 20;

fn string_match(call: &mut SessionCall<'_>) -> SessionResult {
    if call.args.len() != 4 {
        return Err(wrong_arguments(call));
    }
    let length = parse_i64(call.args.at(2)).ok_or(ReplyError::NotAnInteger)?;
    let length = usize::try_from(length).map_err(|_| ReplyError::NotAnInteger)?;
    let text = vec![b'a'; length.min(TEXT_BYTES_MAX)];
    let matches = glob_matches(call.args.at(3), &text, Case::Exact);
    call.reply().integer(matches.into());
    Ok(Flow::Next)
}

/// Gives the history of the data another name.
static CHANGE_REPL_ID: SessionCommand = SessionCommand::alone(
    Command {
        name: "CHANGE-REPL-ID",
        summary: "Gives the history of the data another name.",
        ..BASE
    },
    |call| {
        if call.args.len() != 2 {
            return Err(wrong_arguments(call));
        }
        let id = crate::replication::random_id().ok_or(ServerError::NoRandomness)?;
        call.shared.replication.rename(id);
        call.ok()
    },
)
.within();

/// Stops the background work of all workers, or lets it go on.
static PAUSE_CRON: SessionCommand = SessionCommand::alone(
    Command {
        name: "PAUSE-CRON",
        summary: "Stops background work, or lets it go on.",
        args: &[Arg::integer("paused")],
        ..BASE
    },
    |call| {
        let paused = only_number(call)? != 0;
        call.shared.background_paused.store(paused, Ordering::Relaxed);
        call.ok()
    },
)
.within();

/// Counts all output against its limit, or what is beyond the first 16 KiB again.
static CLIENT_ENFORCE_REPLY_LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "CLIENT-ENFORCE-REPLY-LIST",
        summary: "Counts output against its limit from the first byte, or no longer.",
        args: &[Arg::integer("enabled")],
        ..BASE
    },
    |call| {
        let enabled = only_number(call)? != 0;
        call.shared.lists_replies.store(enabled, Ordering::Relaxed);
        call.ok()
    },
)
.within();

/// Has replicas get a command that nobody has run.
static REPLICATE: SessionCommand = SessionCommand::alone(
    Command {
        name: "REPLICATE",
        summary: "Sends a command to replicas as it is.",
        args: &[Arg::string("command"), Arg::string("argument").optional().multiple()],
        ..BASE
    },
    |call| {
        if call.args.len() < 3 {
            return Err(wrong_arguments(call));
        }
        call.shared.replicate_message(call.args.tail(2));
        call.ok()
    },
)
.within();

/// Accepted for Redis's tests; an idle client here has no buffer for replies.
static REPLYBUFFER: SessionCommand = SessionCommand::alone(
    Command {
        name: "REPLYBUFFER",
        summary: "Accepted without effect: a client's buffer for replies lasts until they are sent.",
        args: &[Arg::string("setting"), Arg::string("value")],
        ..BASE
    },
    |call| if call.args.len() == 4 { call.ok() } else { Err(wrong_arguments(call)) },
)
.within();

/// Accepted for Redis's tests; tables here need no such switch.
static DICT_RESIZING: SessionCommand = SessionCommand::alone(
    Command {
        name: "DICT-RESIZING",
        summary: "Accepted without effect: tables grow and shrink as they need.",
        args: &[Arg::integer("enabled")],
        ..BASE
    },
    |call| {
        only_argument(call)?;
        call.ok()
    },
)
.within();

/// Accepted for Redis's tests; lists here have no such nodes.
static QUICKLIST_PACKED_THRESHOLD: SessionCommand = SessionCommand::alone(
    Command {
        name: "QUICKLIST-PACKED-THRESHOLD",
        summary: "Accepted without effect: lists have no plain nodes.",
        args: &[Arg::integer("size")],
        ..BASE
    },
    |call| {
        only_argument(call)?;
        call.ok()
    },
)
.within();

/// Writes every parameter to the configuration file, those at their default too.
static CONFIG_REWRITE_FORCE_ALL: SessionCommand = SessionCommand::alone(
    Command {
        name: "CONFIG-REWRITE-FORCE-ALL",
        summary: "Writes every parameter to the configuration file.",
        ..BASE
    },
    |call| {
        if call.args.len() != 2 {
            return Err(wrong_arguments(call));
        }
        rewrite_config(call, Append::All)
    },
)
.within();

/// Crashes as a mistake of the program's own does.
static PANIC: SessionCommand = SessionCommand::alone(
    Command { name: "PANIC", summary: "Crashes the server by a panic.", ..BASE },
    |call| {
        if call.args.len() != 2 {
            return Err(wrong_arguments(call));
        }
        panic!("called by DEBUG PANIC");
    },
)
.within();

/// Crashes as a wrong access to memory does.
static SEGFAULT: SessionCommand = SessionCommand::alone(
    Command { name: "SEGFAULT", summary: "Crashes the server by a fatal signal.", ..BASE },
    |call| {
        if call.args.len() != 2 {
            return Err(wrong_arguments(call));
        }
        crash::provoke_segmentation_fault();
        call.ok()
    },
)
.within();

/// A reply of each type.
static PROTOCOL: SessionCommand = SessionCommand::alone(
    Command {
        name: "PROTOCOL",
        summary: "Answers with a reply of the type asked for.",
        args: &[Arg::string("type")],
        ..BASE
    },
    protocol,
)
.within();

#[expect(clippy::approx_constant, reason = "the number Redis answers")]
fn protocol(call: &mut SessionCall<'_>) -> SessionResult {
    let kind = only_argument(call)?.to_ascii_lowercase();
    let is_resp3 = call.session.protocol == Protocol::Resp3;
    let mut reply = call.reply();
    match &*kind {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            // Attributes are no reply by themselves.
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => return Err(ServerError::NotInResp2.into()),
        b"push" => {
            // Nor are pushes; Valkey sends them once a reply is complete.
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(*b"txt", b"This is a verbatim\nstring"),
        _ => return Err(ServerError::ProtocolType.into()),
    }
    Ok(Flow::Next)
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command { name: "HELP", summary: "Tells which subcommands there are.", ..BASE },
    |call| call.help("DEBUG", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "CHANGE-REPL-ID",
    "    Change the replication IDs of the instance.",
    "    Dangerous: should be used only for testing the replication subsystem.",
    "CLIENT-ENFORCE-REPLY-LIST <0|1>",
    "    When set to 1, all output counts against its limit, in blocks of 16 KiB from",
    "    the first byte. When set to 0, the first 16 KiB do not.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Like CONFIG REWRITE but writes all configuration options, including",
    "    keywords not listed in original configuration file or default values.",
    "DICT-RESIZING <0|1>",
    "    Accepted without effect.",
    "DIGEST",
    "    Output a hex signature representing the current DB content.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Output a hex signature of the values of all the specified keys.",
    "ERROR <string>",
    "    Return a protocol error with <string> as message. Useful for clients",
    "    unit tests to simulate errors.",
    "HTSTATS <dbid> [full]",
    "    Return hash table statistics of the specified database.",
    "HTSTATS-KEY <key> [full]",
    "    Like HTSTATS but for the hash table stored at <key>'s value.",
    "LOG <message>",
    "    Write <message> to the server log.",
    "OBJECT <key> [fast]",
    "    Show low level info about `key` and associated value.",
    "    In `fast` mode, skip the calculation of `serializedlength`.",
    "PANIC",
    "    Crash the server simulating a panic.",
    "PAUSE-CRON <0|1>",
    "    Stop periodic background work.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create <count> string keys named key:<num>. If <prefix> is specified then",
    "    it is used instead of the 'key' prefix. These are not propagated to replicas.",
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted without effect.",
    "REPLICATE <command> [<argument> ...]",
    "    Sends the command to replicas, which may not agree with this server then.",
    "REPLYBUFFER <setting> <value>",
    "    Accepted without effect.",
    "SEGFAULT",
    "    Crash the server with sigsegv.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not",
    "    accessed (otherwise the behavior). Setting it to 1 reenables back the",
    "    default.",
    "SLEEP <seconds>",
    "    Stop the server for <seconds>. Decimals allowed.",
    "STRINGMATCH-LEN <len> <pattern>",
    "    Return whether <pattern> matches a text of <len> letters a.",
];
