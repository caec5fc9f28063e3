//! HOTKEYS: which keys take the most time and the most bytes. As in Redis 8.6.

use crate::commands::error::ServerError;
use crate::commands::info::cpu_micros;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::watch::hot_keys::{Findings, Plan};
use darter_base::id::SLOT_COUNT;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler, ReplyError};
use darter_resp::{Args, ReplyWriter};
use std::ops::RangeInclusive;

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&HOTKEYS, &GET, &HELP, &RESET, &START, &STOP];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "8.6.0",
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT),
    handler: Handler::Session,
    ..Command::BASE
};

/// How many metrics there can be.
const METRICS_MAX: i64 = 2;

/// Keys shown unless told otherwise, and how many may be asked for.
const COUNT: usize = 10;
const COUNTS: RangeInclusive<i64> = 1..=64;

/// How many seconds a session may take.
const SECONDS: RangeInclusive<i64> = 1..=1_000_000;

/// Commands about hot keys.
static HOTKEYS: SessionCommand = SessionCommand::container(Command {
    name: "HOTKEYS",
    group: Group::Server,
    since: "8.6.0",
    summary: "A container for commands about the keys that cost the most.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&GET.command, &HELP.command, &RESET.command, &START.command, &STOP.command],
    ..Command::BASE
});

/// What was found.
static GET: SessionCommand = SessionCommand::alone(
    Command {
        name: "GET",
        summary: "The keys that have cost the most, and what they were measured by.",
        complexity: "O(K) where K is the number of hotkeys returned.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let Some(collection) = call.shared.hot_keys.latest(call.turn.now) else {
            call.reply().null();
            return Ok(Flow::Next);
        };
        let findings = collection.findings(call.turn.now);
        write(&findings, call.reply());
        Ok(Flow::Next)
    },
)
.within();

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "8.6.1",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("HOTKEYS", HELP_LINES),
)
.within();

/// Forgets what was found.
static RESET: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESET",
        summary: "Forgets what was found and gives its memory back.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        if !call.shared.reset_hot_keys(call.turn.now) {
            return Err(ServerError::HotKeysNotStopped.into());
        }
        call.ok()
    },
)
.within();

/// Begins to look.
static START: SessionCommand = SessionCommand::alone(
    Command {
        name: "START",
        summary: "Begins to measure what keys cost.",
        arity: Arity::AtLeast(2),
        args: &[
            Arg::block(
                "metrics",
                &[
                    Arg::integer("count"),
                    Arg::word("cpu", "CPU").optional(),
                    Arg::word("net", "NET").optional(),
                ],
            )
            .token("METRICS"),
            Arg::integer("k").token("COUNT").optional(),
            Arg::integer("seconds").token("DURATION").optional(),
            Arg::integer("ratio").token("SAMPLE").optional(),
            Arg::block("slots", &[Arg::integer("count"), Arg::integer("slot").multiple()])
                .token("SLOTS")
                .optional(),
        ],
        ..BASE
    },
    start,
)
.within();

/// Ends looking; what was found stays.
static STOP: SessionCommand = SessionCommand::alone(
    Command {
        name: "STOP",
        summary: "Ends measuring what keys cost; what was found stays.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        if !call.shared.stop_hot_keys(call.turn.now) {
            call.reply().null();
            return Ok(Flow::Next);
        }
        call.core.follow_settings();
        call.ok()
    },
)
.within();

const HELP_LINES: &[&str] = &[
    "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>] [SLOTS <count> <slot> ...]",
    "    Begin to measure what keys cost:",
    "    * METRICS: how many metrics follow, and which: CPU for time, NET for bytes sent and received",
    "    * COUNT: how many keys GET shows, 1 to 64; 10 unless given",
    "    * DURATION: end after so many seconds; unless given, with STOP",
    "    * SAMPLE: look at the keys of one command in so many; at all of them unless given",
    "    * SLOTS: look at keys of these slots only, in a cluster",
    "STOP",
    "    End measuring; GET still shows what was found.",
    "GET",
    "    Show the keys that have cost the most so far.",
    "RESET",
    "    Forget what was found. Measuring has to be ended before.",
];

fn start(call: &mut SessionCall<'_>) -> SessionResult {
    let now = call.turn.now;
    // Redis looks at this first.
    if call.shared.hot_keys.latest(now).is_some_and(|collection| !collection.has_ended()) {
        return Err(ServerError::HotKeysUnderWay.into());
    }
    let plan = plan_of(call.args)?;
    if !call.shared.start_hot_keys(plan, cpu_micros(), now) {
        return Err(ServerError::HotKeysUnderWay.into());
    }
    // The next command of the same pipeline counts already.
    call.core.follow_settings();
    call.ok()
}

/// What START asks for. The order of the checks is Redis's.
fn plan_of(args: Args<'_>) -> Result<Plan, ReplyError> {
    if args.len() < 4 || !args.at(2).eq_ignore_ascii_case(b"METRICS") {
        return Err(ServerError::MetricsMissing.into());
    }
    let metrics = number_in(args.at(3), 1..=METRICS_MAX).ok_or(ServerError::MetricsCount)?;
    let metrics_end = 4 + usize::try_from(metrics).map_err(|_| ServerError::MetricsCount)?;
    let (mut by_time, mut by_bytes) = (false, false);
    for index in 4..metrics_end.min(args.len()) {
        let word = args.at(index);
        let (metric, name) = if word.eq_ignore_ascii_case(b"CPU") {
            (&mut by_time, "CPU")
        } else if word.eq_ignore_ascii_case(b"NET") {
            (&mut by_bytes, "NET")
        } else {
            // One of a later version.
            continue;
        };
        if *metric {
            return Err(ServerError::MetricTwice(name).into());
        }
        *metric = true;
    }
    if metrics_end > args.len() {
        return Err(ServerError::MetricsMismatch.into());
    }
    if !by_time && !by_bytes {
        return Err(ServerError::NoMetrics.into());
    }
    let mut plan = Plan { by_time, by_bytes, count: COUNT, duration_ms: None, sample_ratio: 1 };
    let mut options = args.tail(metrics_end);
    while !options.is_empty() {
        if options.len() < 2 {
            return Err(ReplyError::Syntax);
        }
        let (word, value) = (options.at(0), options.at(1));
        if word.eq_ignore_ascii_case(b"COUNT") {
            let count = number_in(value, COUNTS).and_then(|count| usize::try_from(count).ok());
            plan.count = count.ok_or(ServerError::HotKeysCount)?;
        } else if word.eq_ignore_ascii_case(b"DURATION") {
            let seconds = number_in(value, SECONDS).ok_or(ServerError::HotKeysDuration)?;
            plan.duration_ms = Some(seconds * 1000);
        } else if word.eq_ignore_ascii_case(b"SAMPLE") {
            let ratio = number_in(value, 1..=i64::from(i32::MAX));
            let ratio = ratio.and_then(|ratio| usize::try_from(ratio).ok());
            plan.sample_ratio = ratio.ok_or(ServerError::SampleRatio)?;
        } else if word.eq_ignore_ascii_case(b"SLOTS") {
            return Err(ServerError::SlotsWithoutCluster.into());
        } else {
            return Err(ReplyError::Syntax);
        }
        options = options.tail(2);
    }
    Ok(plan)
}

fn number_in(arg: &[u8], range: RangeInclusive<i64>) -> Option<i64> {
    parse_i64(arg).filter(|number| range.contains(number))
}

/// An array of one map, so that those of several servers are easily put together.
fn write(findings: &Findings, mut reply: ReplyWriter<'_>) {
    let Plan { by_time, by_bytes, .. } = findings.plan;
    let field = |reply: &mut ReplyWriter<'_>, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    };
    reply.array(1);
    reply.map(7 + 3 * usize::from(by_time) + 2 * usize::from(by_bytes));
    field(&mut reply, "tracking-active", i64::from(findings.is_active));
    field(&mut reply, "sample-ratio", signed(findings.plan.sample_ratio as u64));
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.integer(0);
    reply.integer(i64::from(SLOT_COUNT) - 1);
    field(&mut reply, "all-commands-all-slots-us", signed(findings.nanos / 1000));
    field(&mut reply, "net-bytes-all-commands-all-slots", signed(findings.wire_bytes));
    field(&mut reply, "collection-start-time-unix-ms", findings.started_at.0);
    field(&mut reply, "collection-duration-ms", findings.duration_ms);
    if by_time {
        let (user_before, system_before) = findings.cpu_before;
        let (user, system) = cpu_micros();
        let millis = |after: u64, before: u64| signed(after.saturating_sub(before) / 1000);
        field(&mut reply, "total-cpu-time-user-ms", millis(user, user_before));
        field(&mut reply, "total-cpu-time-sys-ms", millis(system, system_before));
    }
    if by_bytes {
        field(&mut reply, "total-net-bytes", signed(findings.sampled_bytes));
    }
    if by_time {
        // Rounded up: there is no key among them that took no time.
        write_keys(&mut reply, "by-cpu-time-us", &findings.by_time, |nanos| nanos.div_ceil(1000));
    }
    if by_bytes {
        write_keys(&mut reply, "by-net-bytes", &findings.by_bytes, |bytes| bytes);
    }
}

/// Keys and sums by turns.
fn write_keys(
    reply: &mut ReplyWriter<'_>,
    name: &str,
    keys: &[(Vec<u8>, u64)],
    shown: impl Fn(u64) -> u64,
) {
    reply.bulk(name.as_bytes());
    reply.array(2 * keys.len());
    for (key, sum) in keys {
        reply.bulk(key);
        reply.integer(signed(shown(*sum)));
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
