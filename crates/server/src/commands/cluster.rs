//! CLUSTER and what belongs to it: there is no cluster here, and whoever asks is told so.
//!
//! Clients that can do both ask first, and go on as clients of one server when they are refused in these
//! words.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::crc16::slot_of;
use darter_command_table::{
    Access, Arg, Arity, Category, Command, Deprecation, Flags, Group, Handler, KeySpec,
};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[
    &ASKING,
    &CLUSTER,
    &ADDSLOTS,
    &ADDSLOTSRANGE,
    &BUMPEPOCH,
    &CANCELSLOTMIGRATIONS,
    &COUNT_FAILURE_REPORTS,
    &COUNTKEYSINSLOT,
    &DELSLOTS,
    &DELSLOTSRANGE,
    &FAILOVER,
    &FLUSHSLOT,
    &FLUSHSLOTS,
    &FORGET,
    &GETKEYSINSLOT,
    &GETSLOTMIGRATIONS,
    &HELP,
    &INFO,
    &KEYSLOT,
    &LINKS,
    &MEET,
    &MIGRATESLOTS,
    &MYID,
    &MYSHARDID,
    &NODES,
    &REPLICAS,
    &REPLICATE,
    &RESET,
    &SAVECONFIG,
    &SET_CONFIG_EPOCH,
    &SETSLOT,
    &SHARDS,
    &SLAVES,
    &SLOT_STATS,
    &SLOTS,
    &SYNCSLOTS,
    &CLUSTERSCAN,
    &SFLUSH,
];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Cluster,
    since: "3.0.0",
    complexity: "O(1)",
    flags: Flags::STALE,
    handler: Handler::Session,
    ..Command::BASE
};

/// What those have that change a cluster.
const ADMIN: Command =
    Command { flags: Flags::ADMIN.and(Flags::STALE).and(Flags::NO_ASYNC_LOADING), ..BASE };

fn refuse(_: &mut SessionCall<'_>) -> SessionResult {
    Err(ServerError::NoCluster.into())
}

/// A subcommand about a cluster.
const fn refused(command: Command) -> SessionCommand {
    SessionCommand::alone(command, refuse).within()
}

/// Lets the next command reach a slot that is arriving.
static ASKING: SessionCommand = SessionCommand::alone(
    Command {
        name: "ASKING",
        summary: "Lets the next command reach keys of a slot that is moving here.",
        arity: Arity::Exactly(1),
        flags: Flags::FAST,
        acl: Category::CONNECTION,
        ..BASE
    },
    refuse,
);

/// The container.
static CLUSTER: SessionCommand = SessionCommand::container(Command {
    name: "CLUSTER",
    summary: "A container for commands about a cluster.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    subcommands: &[
        &ADDSLOTS.command,
        &ADDSLOTSRANGE.command,
        &BUMPEPOCH.command,
        &CANCELSLOTMIGRATIONS.command,
        &COUNT_FAILURE_REPORTS.command,
        &COUNTKEYSINSLOT.command,
        &DELSLOTS.command,
        &DELSLOTSRANGE.command,
        &FAILOVER.command,
        &FLUSHSLOT.command,
        &FLUSHSLOTS.command,
        &FORGET.command,
        &GETKEYSINSLOT.command,
        &GETSLOTMIGRATIONS.command,
        &HELP.command,
        &INFO.command,
        &KEYSLOT.command,
        &LINKS.command,
        &MEET.command,
        &MIGRATESLOTS.command,
        &MYID.command,
        &MYSHARDID.command,
        &NODES.command,
        &REPLICAS.command,
        &REPLICATE.command,
        &RESET.command,
        &SAVECONFIG.command,
        &SET_CONFIG_EPOCH.command,
        &SETSLOT.command,
        &SHARDS.command,
        &SLAVES.command,
        &SLOT_STATS.command,
        &SLOTS.command,
        &SYNCSLOTS.command,
    ],
    handler: Command::BASE.handler,
    ..BASE
});

const SLOT_RANGES: &[Arg] =
    &[Arg::block("range", &[Arg::integer("start-slot"), Arg::integer("end-slot")]).multiple()];

static ADDSLOTS: SessionCommand = refused(Command {
    name: "ADDSLOTS",
    summary: "Gives slots to this node.",
    arity: Arity::AtLeast(3),
    args: &[Arg::integer("slot").multiple()],
    ..ADMIN
});

static ADDSLOTSRANGE: SessionCommand = refused(Command {
    name: "ADDSLOTSRANGE",
    since: "7.0.0",
    summary: "Gives ranges of slots to this node.",
    arity: Arity::AtLeast(4),
    args: SLOT_RANGES,
    ..ADMIN
});

static BUMPEPOCH: SessionCommand = refused(Command {
    name: "BUMPEPOCH",
    summary: "Begins a new epoch.",
    arity: Arity::Exactly(2),
    ..ADMIN
});

static CANCELSLOTMIGRATIONS: SessionCommand = refused(Command {
    name: "CANCELSLOTMIGRATIONS",
    since: "9.0.0",
    summary: "Gives up moving slots.",
    arity: Arity::Exactly(2),
    ..ADMIN
});

static COUNT_FAILURE_REPORTS: SessionCommand = refused(Command {
    name: "COUNT-FAILURE-REPORTS",
    summary: "How many nodes say that a node has failed.",
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.and(Flags::STALE),
    args: &[Arg::string("node-id")],
    ..BASE
});

static COUNTKEYSINSLOT: SessionCommand = refused(Command {
    name: "COUNTKEYSINSLOT",
    summary: "How many keys a slot has.",
    arity: Arity::Exactly(3),
    args: &[Arg::integer("slot")],
    ..BASE
});

static DELSLOTS: SessionCommand = refused(Command {
    name: "DELSLOTS",
    summary: "Takes slots from this node.",
    arity: Arity::AtLeast(3),
    args: &[Arg::integer("slot").multiple()],
    ..ADMIN
});

static DELSLOTSRANGE: SessionCommand = refused(Command {
    name: "DELSLOTSRANGE",
    since: "7.0.0",
    summary: "Takes ranges of slots from this node.",
    arity: Arity::AtLeast(4),
    args: SLOT_RANGES,
    ..ADMIN
});

static FAILOVER: SessionCommand = refused(Command {
    name: "FAILOVER",
    summary: "Makes a replica the primary of its slots.",
    arity: Arity::AtLeast(2),
    args: &[Arg::one_of(
        "options",
        &[Arg::word("force", "FORCE"), Arg::word("takeover", "TAKEOVER")],
    )
    .optional()],
    ..ADMIN
});

static FLUSHSLOT: SessionCommand = refused(Command {
    name: "FLUSHSLOT",
    since: "9.0.0",
    summary: "Deletes all keys of a slot.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::ADMIN).and(Flags::NO_ASYNC_LOADING),
    acl: Category::KEYSPACE,
    args: &[
        Arg::integer("slot"),
        Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")])
            .optional(),
    ],
    ..BASE
});

static FLUSHSLOTS: SessionCommand = refused(Command {
    name: "FLUSHSLOTS",
    summary: "Takes all slots from this node.",
    arity: Arity::Exactly(2),
    ..ADMIN
});

static FORGET: SessionCommand = refused(Command {
    name: "FORGET",
    summary: "Removes a node from the cluster.",
    arity: Arity::Exactly(3),
    args: &[Arg::string("node-id")],
    ..ADMIN
});

static GETKEYSINSLOT: SessionCommand = refused(Command {
    name: "GETKEYSINSLOT",
    summary: "Keys of a slot.",
    arity: Arity::Exactly(4),
    args: &[Arg::integer("slot"), Arg::integer("count")],
    ..BASE
});

static GETSLOTMIGRATIONS: SessionCommand = refused(Command {
    name: "GETSLOTMIGRATIONS",
    since: "9.0.0",
    summary: "Which slots are moving or have moved.",
    arity: Arity::Exactly(2),
    ..ADMIN
});

static HELP: SessionCommand = refused(Command {
    name: "HELP",
    since: "5.0.0",
    summary: "Tells which subcommands there are.",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    ..BASE
});

static INFO: SessionCommand = refused(Command {
    name: "INFO",
    summary: "The state of the cluster as this node sees it.",
    arity: Arity::Exactly(2),
    ..BASE
});

/// Needs no cluster.
static KEYSLOT: SessionCommand = SessionCommand::alone(
    Command {
        name: "KEYSLOT",
        summary: "The slot of a key.",
        complexity: "O(N) where N is the number of bytes in the key",
        arity: Arity::Exactly(3),
        args: &[Arg::string("key")],
        ..BASE
    },
    |call| {
        let slot = slot_of(call.args.at(2));
        call.reply().integer(i64::from(slot.number()));
        Ok(Flow::Next)
    },
)
.within();

static LINKS: SessionCommand = refused(Command {
    name: "LINKS",
    since: "7.0.0",
    summary: "Connections with other nodes.",
    arity: Arity::Exactly(2),
    ..BASE
});

static MEET: SessionCommand = refused(Command {
    name: "MEET",
    summary: "Makes another node part of the cluster.",
    arity: Arity::AtLeast(4),
    args: &[Arg::string("ip"), Arg::integer("port"), Arg::integer("cluster-bus-port").optional()],
    ..ADMIN
});

static MIGRATESLOTS: SessionCommand = refused(Command {
    name: "MIGRATESLOTS",
    since: "9.0.0",
    summary: "Moves slots to another node.",
    arity: Arity::AtLeast(4),
    args: &[Arg::block(
        "migration",
        &[
            Arg::block("range", &[Arg::integer("start-slot"), Arg::integer("end-slot")])
                .token("SLOTSRANGE")
                .multiple(),
            Arg::string("node-id").token("NODE"),
        ],
    )
    .multiple()],
    ..ADMIN
});

static MYID: SessionCommand = refused(Command {
    name: "MYID",
    summary: "The id of this node.",
    arity: Arity::Exactly(2),
    ..BASE
});

static MYSHARDID: SessionCommand = refused(Command {
    name: "MYSHARDID",
    since: "7.2.0",
    summary: "The id of this node's primary and replicas together.",
    arity: Arity::Exactly(2),
    ..BASE
});

static NODES: SessionCommand = refused(Command {
    name: "NODES",
    summary: "The nodes of the cluster as this one sees them.",
    arity: Arity::Exactly(2),
    ..BASE
});

static REPLICAS: SessionCommand =
    refused(Command { name: "REPLICAS", since: "5.0.0", ..REPLICAS_OF });

static SLAVES: SessionCommand = refused(Command {
    name: "SLAVES",
    deprecated: Some(Deprecation { since: "5.0.0", replaced_by: "`CLUSTER REPLICAS`" }),
    ..REPLICAS_OF
});

/// What both have in common.
const REPLICAS_OF: Command = Command {
    summary: "The replicas of a node.",
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.and(Flags::STALE),
    args: &[Arg::string("node-id")],
    ..BASE
};

static REPLICATE: SessionCommand = refused(Command {
    name: "REPLICATE",
    summary: "Makes this node a replica of another one.",
    arity: Arity::AtLeast(3),
    args: &[Arg::one_of(
        "args",
        &[
            Arg::string("node-id"),
            Arg::block("no-one", &[Arg::word("no", "NO"), Arg::word("one", "ONE")]),
        ],
    )],
    ..ADMIN
});

static RESET: SessionCommand = refused(Command {
    name: "RESET",
    summary: "Makes this node forget the cluster.",
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE),
    args: &[Arg::one_of("reset-type", &[Arg::word("hard", "HARD"), Arg::word("soft", "SOFT")])
        .optional()],
    ..BASE
});

static SAVECONFIG: SessionCommand = refused(Command {
    name: "SAVECONFIG",
    summary: "Writes down what this node knows of the cluster.",
    arity: Arity::Exactly(2),
    ..ADMIN
});

static SET_CONFIG_EPOCH: SessionCommand = refused(Command {
    name: "SET-CONFIG-EPOCH",
    summary: "Sets the epoch of a new node.",
    arity: Arity::Exactly(3),
    args: &[Arg::integer("config-epoch")],
    ..ADMIN
});

static SETSLOT: SessionCommand = refused(Command {
    name: "SETSLOT",
    summary: "Says where a slot is, or where it moves.",
    arity: Arity::AtLeast(4),
    args: &[
        Arg::integer("slot"),
        Arg::one_of(
            "subcommand",
            &[
                Arg::string("importing").shown("node-id").token("IMPORTING"),
                Arg::string("migrating").shown("node-id").token("MIGRATING"),
                Arg::string("node").shown("node-id").token("NODE"),
                Arg::word("stable", "STABLE"),
            ],
        ),
    ],
    ..ADMIN
});

static SHARDS: SessionCommand = refused(Command {
    name: "SHARDS",
    since: "7.0.0",
    summary: "Which nodes have which slots, primaries with their replicas.",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    ..BASE
});

static SLOT_STATS: SessionCommand = refused(Command {
    name: "SLOT-STATS",
    since: "8.0.0",
    summary: "What is known of the use of slots.",
    arity: Arity::AtLeast(4),
    flags: Flags::LOADING.and(Flags::STALE),
    args: &[Arg::one_of(
        "filter",
        &[
            Arg::block("slotsrange", &[Arg::integer("start-slot"), Arg::integer("end-slot")])
                .token("SLOTSRANGE"),
            Arg::block(
                "orderby",
                &[
                    Arg::string("metric"),
                    Arg::integer("limit").token("LIMIT").optional(),
                    Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")])
                        .optional(),
                ],
            )
            .token("ORDERBY"),
        ],
    )],
    ..BASE
});

static SLOTS: SessionCommand = refused(Command {
    name: "SLOTS",
    summary: "Which nodes have which slots.",
    deprecated: Some(Deprecation { since: "7.0.0", replaced_by: "`CLUSTER SHARDS`" }),
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    ..BASE
});

static SYNCSLOTS: SessionCommand = refused(Command {
    name: "SYNCSLOTS",
    is_internal: true,
    since: "9.0.0",
    summary: "What nodes say to each other when slots move.",
    arity: Arity::AtLeast(3),
    ..ADMIN
});

/// SCAN over the nodes of a cluster.
static CLUSTERSCAN: SessionCommand = SessionCommand::alone(
    Command {
        name: "CLUSTERSCAN",
        summary: "Walks through the keys of a cluster.",
        complexity: "O(N) in the keys returned.",
        since: "9.1.0",
        arity: Arity::AtLeast(2),
        flags: Flags::READONLY,
        acl: Category::KEYSPACE,
        keys: &[KeySpec::at(1, Access::NOT_KEY)],
        args: &[
            Arg::string("cursor"),
            Arg::pattern("match-pattern").token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
            Arg::string("type").token("TYPE").optional(),
            Arg::integer("slot").token("SLOT").optional(),
        ],
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        ..BASE
    },
    refuse,
);

/// FLUSHDB of some slots.
static SFLUSH: SessionCommand = SessionCommand::alone(
    Command {
        name: "SFLUSH",
        summary: "Deletes all keys of ranges of slots.",
        complexity: "O(N) in the keys deleted.",
        group: Group::Server,
        since: "8.0.0",
        arity: Arity::AtLeast(3),
        flags: Flags::WRITE,
        acl: Category::KEYSPACE.and(Category::DANGEROUS),
        args: &[
            Arg::block("data", &[Arg::integer("slot-start"), Arg::integer("slot-last")]).multiple(),
            Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")])
                .optional(),
        ],
        ..BASE
    },
    refuse,
);
