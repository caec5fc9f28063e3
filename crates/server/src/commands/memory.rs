//! MEMORY: what memory is used for. What a key takes is a command over its shard.

use crate::commands::info::field::as_f64;
use crate::commands::info::snapshot::Snapshot;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_command_table::{Arity, Command, Flags, Group, Handler, ShardView};
use darter_commands::server::memory as keys;
use darter_resp::ReplyWriter;
use darter_structures::allocator;

/// The container and its subcommands about the server.
pub static COMMANDS: &[&SessionCommand] = &[&MEMORY, &DOCTOR, &HELP, &MALLOC_STATS, &PURGE, &STATS];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    handler: Handler::Session,
    ..Command::BASE
};

const REPORT_TIPS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// Commands about memory.
pub static MEMORY: SessionCommand = SessionCommand::container(Command {
    name: "MEMORY",
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about memory.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &DOCTOR.command,
        &HELP.command,
        &MALLOC_STATS.command,
        &PURGE.command,
        &STATS.command,
        &keys::USAGE,
    ],
    ..Command::BASE
});

/// A report for people.
static DOCTOR: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "DOCTOR",
        summary: "A report on problems with memory, for people.",
        tips: REPORT_TIPS,
        ..BASE
    },
    |call, view| {
        let report = report(&Snapshot::gather(call, view));
        call.text(&report)
    },
)
.within();

/// Below this there is nothing to say, in bytes.
const REPORT_BYTES_MIN: u64 = 5 << 20;

/// Memory in RAM for each byte used, from which on it is a problem.
const FRAGMENTATION_MAX: f64 = 1.4;

/// Mean bytes of buffers for each client, from which on they are a problem.
const CLIENT_BYTES_MAX: u64 = 200 << 10;

/// Scripts that are kept, from which on they are a problem: more than anybody writes, so that they are made as they are needed.
const SCRIPTS_MAX: u64 = 1000;

fn report(memory: &Snapshot) -> String {
    if memory.used_bytes() < REPORT_BYTES_MIN {
        return "Hi Sam, this instance is empty or is using very little memory, my issues detector \
                can't be used in these conditions. Please, leave for your mission on Earth and fill \
                it with some data. The new Sam and I will be back to our programming as soon as I \
                finished rebooting.\n"
            .to_owned();
    }
    let mut problems = Vec::new();
    if memory.peak_bytes > memory.used_bytes() + memory.used_bytes() / 2 {
        problems.push(
            " * Peak memory: In the past this instance used more than 150% the memory that is \
             currently used. Memory of a peak goes back to the system only page by page: MEMORY \
             PURGE gives back what is free.\n\n",
        );
    }
    if memory.fragmentation_ratio() > FRAGMENTATION_MAX {
        problems.push(
            " * High total RSS: This instance has a memory fragmentation and RSS overhead greater \
             than 1.4: the process has much more memory than its data need, after a peak or after \
             values of other sizes were replaced.\n\n",
        );
    }
    if memory.buffer_bytes > CLIENT_BYTES_MAX * memory.connected_clients().max(1) {
        problems.push(
            " * Big client buffers: The clients' buffers take more than 200 KB each on average. \
             CLIENT LIST shows whose they are: clients that send large requests, or read their \
             replies too slowly.\n\n",
        );
    }
    if memory.scripts.scripts > SCRIPTS_MAX {
        problems.push(
            " * Many scripts: More than 1000 scripts are kept, each of which takes memory. They are probably \
             made with their values in them: values belong into KEYS and ARGV, so that one script serves for \
             all. SCRIPT FLUSH forgets them.\n\n",
        );
    }
    if problems.is_empty() {
        return "Hi Sam, I can't find any memory issue in your instance. I can only account for \
                what occurs on this base.\n"
            .to_owned();
    }
    format!(
        "Sam, I detected a few issues in this Darter instance memory implants:\n\n{}I'm here to keep \
         you safe, Sam. I want to help you.\n",
        problems.concat()
    )
}

/// What the allocator tells.
static MALLOC_STATS: SessionCommand = SessionCommand::alone(
    Command {
        name: "MALLOC-STATS",
        summary: "What the memory allocator tells of itself, as JSON.",
        complexity: "Depends on how much memory is allocated, could be slow",
        flags: Flags::LOADING,
        tips: REPORT_TIPS,
        ..BASE
    },
    |call| {
        let statistics = allocator::statistics_json();
        call.text(&statistics)
    },
)
.within();

/// Gives memory back.
static PURGE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PURGE",
        summary: "Gives unused memory back to the system.",
        complexity: "Depends on how much memory is allocated, could be slow",
        flags: Flags::LOADING,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..BASE
    },
    |call| call.ask(Question::Purge),
)
.within();

/// What memory is used for.
static STATS: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "STATS",
        summary: "What memory is used for, number by number.",
        tips: REPORT_TIPS,
        ..BASE
    },
    stats,
)
.within();

fn stats(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let memory = Snapshot::gather(call, view);
    let databases: Vec<(usize, u64)> = memory
        .shards
        .databases
        .iter()
        .enumerate()
        .filter(|(_, database)| database.keys > 0)
        .map(|(number, database)| (number, database.index_bytes))
        .collect();
    let keys: u64 = memory.shards.databases.iter().map(|database| database.keys).sum();
    let ratio = |part: u64, whole: u64| as_f64(part) / as_f64(whole.max(1));
    let difference = |more: u64, less: u64| more.cast_signed() - less.cast_signed();
    let used = memory.used_bytes();
    let net = used.saturating_sub(memory.startup_bytes);
    let mut reply = call.reply();
    reply.map(FIELDS + databases.len());
    for (name, bytes) in [
        ("peak.allocated", memory.peak_bytes),
        ("total.allocated", used),
        ("startup.allocated", memory.startup_bytes),
        ("replication.backlog", memory.counted_stream_bytes()),
        ("replicas.repl.buffer", memory.replication.beyond_bytes),
        ("clients.slaves", memory.replica_bytes()),
        ("clients.normal", memory.buffer_bytes),
        ("cluster.links", 0),
        ("cluster.slot_import", 0),
        ("cluster.slot_export", 0),
        ("aof.buffer", memory.log_buffer_bytes),
        ("lua.caches", memory.scripts.scripts_bytes),
        ("functions.caches", memory.scripts.functions_bytes),
    ] {
        count(&mut reply, name, bytes);
    }
    for (number, index_bytes) in databases {
        reply.bulk(format!("db.{number}").as_bytes());
        reply.map(2);
        count(&mut reply, "overhead.hashtable.main", index_bytes);
        // Deadlines are kept with their keys.
        count(&mut reply, "overhead.hashtable.expires", 0);
    }
    count(&mut reply, "overhead.db.hashtable.lut", memory.shards.index_bytes);
    count(&mut reply, "overhead.db.hashtable.rehashing", 0);
    count(&mut reply, "overhead.total", memory.overhead_bytes());
    count(&mut reply, "db.dict.rehashing.count", 0);
    count(&mut reply, "keys.count", keys);
    count(&mut reply, "keys.bytes-per-key", net.checked_div(keys).unwrap_or(0));
    count(&mut reply, "dataset.bytes", memory.dataset_bytes());
    double(&mut reply, "dataset.percentage", memory.dataset_percent());
    double(&mut reply, "peak.percentage", 100.0 * ratio(used, memory.peak_bytes));
    count(&mut reply, "allocator.allocated", used);
    count(&mut reply, "allocator.active", memory.committed_bytes);
    count(&mut reply, "allocator.resident", memory.resident_bytes);
    count(&mut reply, "allocator.muzzy", 0);
    double(&mut reply, "allocator-fragmentation.ratio", memory.allocator_ratio());
    signed(&mut reply, "allocator-fragmentation.bytes", difference(memory.committed_bytes, used));
    let (resident, committed) = (memory.resident_bytes, memory.committed_bytes);
    double(&mut reply, "allocator-rss.ratio", ratio(resident, committed));
    signed(&mut reply, "allocator-rss.bytes", difference(resident, committed));
    // The allocator has all memory but the program itself.
    double(&mut reply, "rss-overhead.ratio", 1.0);
    signed(&mut reply, "rss-overhead.bytes", 0);
    double(&mut reply, "fragmentation", memory.fragmentation_ratio());
    signed(&mut reply, "fragmentation.bytes", difference(resident, used));
    Ok(Flow::Next)
}

/// Fields of MEMORY STATS, databases apart.
const FIELDS: usize = 34;

fn count(reply: &mut ReplyWriter<'_>, name: &str, count: u64) {
    signed(reply, name, i64::try_from(count).unwrap_or(i64::MAX));
}

fn signed(reply: &mut ReplyWriter<'_>, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn double(reply: &mut ReplyWriter<'_>, name: &str, number: f64) {
    reply.bulk(name.as_bytes());
    reply.double(number);
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        summary: "Tells which subcommands there are.",
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("MEMORY", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];
