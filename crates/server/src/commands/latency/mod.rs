//! LATENCY: events that took too long, and how long commands take.

mod doctor;
mod graph;

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Command, CommandId, Entry, Flags, Group, Handler};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] =
    &[&LATENCY, &DOCTOR, &GRAPH, &HELP, &HISTOGRAM, &HISTORY, &LATEST, &RESET];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands about latency.
static LATENCY: SessionCommand = SessionCommand::container(Command {
    name: "LATENCY",
    group: Group::Server,
    since: "2.8.13",
    summary: "A container for commands about latency.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &DOCTOR.command,
        &GRAPH.command,
        &HELP.command,
        &HISTOGRAM.command,
        &HISTORY.command,
        &LATEST.command,
        &RESET.command,
    ],
    ..Command::BASE
});

/// A report for people.
static DOCTOR: SessionCommand = SessionCommand::alone(
    Command {
        name: "DOCTOR",
        summary: "A report on what took too long, for people.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let report = doctor::report(call.shared, call.turn.now);
        call.text(&report)
    },
)
.within();

/// A picture of a series.
static GRAPH: SessionCommand = SessionCommand::alone(
    Command {
        name: "GRAPH",
        summary: "A picture of the events of a kind.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("event")],
        ..BASE
    },
    |call| {
        let event = call.args.at(2);
        let Some((event, series)) = call.shared.latency.of(event) else {
            return Err(ServerError::NoLatencySamples(event.to_vec()).into());
        };
        let graph = graph::draw(event, &series, call.turn.now);
        call.text(&graph)
    },
)
.within();

/// How long commands take.
static HISTOGRAM: SessionCommand = SessionCommand::alone(
    Command {
        name: "HISTOGRAM",
        since: "7.0.0",
        summary: "How long commands take, as cumulative distributions.",
        complexity: "O(N) where N is the number of commands with latency information",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("command").optional().multiple()],
        ..BASE
    },
    histogram,
)
.within();

fn histogram(call: &mut SessionCall<'_>) -> SessionResult {
    let names = call.args.tail(2);
    let table = &call.shared.table;
    let mut entries: Vec<&Entry> = Vec::new();
    if names.is_empty() {
        table.commands().iter().for_each(|entry| add_with_subcommands(entry, &mut entries));
    } else {
        let known = names.iter().filter_map(|name| table.full_named(name));
        known.for_each(|entry| add_with_subcommands(entry, &mut entries));
    }
    let distributions: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry, call.shared.latency_of(entry.id)))
        .filter(|(_, histogram)| histogram.count() > 0)
        .collect();
    let mut reply = call.reply();
    reply.map(distributions.len());
    for (entry, histogram) in distributions {
        reply.bulk(entry.full_name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(signed(histogram.count()));
        reply.bulk(b"histogram_usec");
        let steps = histogram.doublings();
        reply.map(steps.len());
        for (micros, count) in steps {
            reply.integer(signed(micros));
            reply.integer(signed(count));
        }
    }
    Ok(Flow::Next)
}

fn add_with_subcommands<'t>(entry: &'t Entry, entries: &mut Vec<&'t Entry>) {
    entries.push(entry);
    entry.subcommands.iter().for_each(|entry| add_with_subcommands(entry, entries));
}

/// The events of a kind.
static HISTORY: SessionCommand = SessionCommand::alone(
    Command {
        name: "HISTORY",
        summary: "The latest events of a kind: when, and for how long.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("event")],
        ..BASE
    },
    |call| {
        let samples = call.shared.latency.of(call.args.at(2)).map(|(_, series)| series.samples);
        let samples = samples.unwrap_or_default();
        let mut reply = call.reply();
        reply.array(samples.len());
        for sample in samples {
            reply.array(2);
            reply.integer(sample.at_seconds);
            reply.integer(signed(sample.millis));
        }
        Ok(Flow::Next)
    },
)
.within();

/// The latest event of each kind.
static LATEST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LATEST",
        summary: "The latest event of each kind.",
        arity: Arity::Exactly(2),
        history: &[("8.1.0", "Added the total and the number of events.")],
        ..BASE
    },
    |call| {
        let all = call.shared.latency.all();
        let mut reply = call.reply();
        reply.array(all.len());
        for (event, series) in all {
            let last = series.samples.back().copied();
            reply.array(6);
            reply.bulk(event.as_bytes());
            reply.integer(last.map_or(0, |last| last.at_seconds));
            reply.integer(signed(last.map_or(0, |last| last.millis)));
            reply.integer(signed(series.max_millis));
            reply.integer(signed(series.sum_millis));
            reply.integer(signed(series.count));
        }
        Ok(Flow::Next)
    },
)
.within();

/// Forgets events.
static RESET: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESET",
        summary: "Forgets the events of some kinds, or all.",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("event").optional().multiple()],
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        ..BASE
    },
    |call| {
        let events = call.args.tail(2);
        let latency = &call.shared.latency;
        let forgotten: usize = if events.is_empty() {
            latency.forget(None)
        } else {
            events.iter().map(|event| latency.forget(Some(event))).sum()
        };
        call.reply().integer(signed(forgotten as u64));
        Ok(Flow::Next)
    },
)
.within();

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        tips: &[],
        ..BASE
    },
    |call| call.help("LATENCY", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The worst commands by their 99th percentile, for the report.
fn slowest(shared: &crate::shared::Shared, count: usize) -> Vec<(&Entry, u64)> {
    let mut entries = Vec::new();
    shared.table.commands().iter().for_each(|entry| add_with_subcommands(entry, &mut entries));
    let percentile = |id: CommandId| shared.latency_of(id).percentile(99.0);
    let mut slowest: Vec<(&Entry, u64)> = entries
        .into_iter()
        .map(|entry| (entry, percentile(entry.id)))
        .filter(|(_, nanos)| *nanos > 0)
        .collect();
    slowest.sort_by_key(|(_, nanos)| std::cmp::Reverse(*nanos));
    slowest.truncate(count);
    slowest
}
