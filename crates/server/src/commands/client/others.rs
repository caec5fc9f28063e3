//! All connections: LIST, KILL, and INFO of one's own.
//!
//! Each of them is a question to the workers, see [`crate::survey`].

use super::BASE;
use super::filter::Filter;
use crate::session_command::{SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_command_table::{Arg, Arity, Command, Flags};

const TYPES: &[Arg] = &[
    Arg::word("normal", "NORMAL"),
    Arg::word("master", "MASTER"),
    Arg::word("primary", "PRIMARY"),
    Arg::word("slave", "SLAVE"),
    Arg::word("replica", "REPLICA"),
    Arg::word("pubsub", "PUBSUB"),
];

/// The options both LIST and KILL have, for documentation.
const OPTIONS: &[Arg] = &[
    Arg::one_of("client-type", TYPES).token("TYPE").optional(),
    Arg::integer("client-id").token("ID").optional().multiple(),
    Arg::string("username").token("USER").optional(),
    Arg::string("addr").shown("ip:port").token("ADDR").optional(),
    Arg::string("laddr").shown("ip:port").token("LADDR").optional(),
    Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])
        .token("SKIPME")
        .optional(),
    Arg::integer("maxage").token("MAXAGE").optional(),
    Arg::string("name").token("NAME").optional(),
    Arg::integer("idle").token("IDLE").optional(),
    Arg::string("flags").token("FLAGS").optional(),
    Arg::string("lib-name").token("LIB-NAME").optional(),
    Arg::string("lib-ver").token("LIB-VER").optional(),
    Arg::integer("db").token("DB").optional(),
    Arg::string("capa").token("CAPA").optional(),
    Arg::string("ip").token("IP").optional(),
    Arg::one_of("not-client-type", TYPES).token("NOT-TYPE").optional(),
    Arg::integer("not-client-id").token("NOT-ID").optional().multiple(),
    Arg::string("not-username").token("NOT-USER").optional(),
    Arg::string("not-addr").shown("ip:port").token("NOT-ADDR").optional(),
    Arg::string("not-laddr").shown("ip:port").token("NOT-LADDR").optional(),
    Arg::string("not-name").token("NOT-NAME").optional(),
    Arg::string("not-flags").token("NOT-FLAGS").optional(),
    Arg::string("not-lib-name").token("NOT-LIB-NAME").optional(),
    Arg::string("not-lib-ver").token("NOT-LIB-VER").optional(),
    Arg::integer("not-db").token("NOT-DB").optional(),
    Arg::string("not-capa").token("NOT-CAPA").optional(),
    Arg::string("not-ip").token("NOT-IP").optional(),
];

/// Tells about the connection.
pub static INFO: SessionCommand = SessionCommand::alone(
    Command {
        name: "INFO",
        since: "6.2.0",
        summary: "Tells about the connection.",
        arity: Arity::Exactly(2),
        tips: &["nondeterministic_output"],
        ..BASE
    },
    |call| {
        let filter = Filter::client(call.session.client_id);
        call.ask_own_worker(Question::List(filter))
    },
)
.within();

/// Tells about connections.
pub static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        since: "2.4.0",
        summary: "Tells about connections.",
        complexity: "O(N) where N is the number of connections",
        arity: Arity::AtLeast(2),
        flags: BASE.flags.and(Flags::ADMIN),
        args: OPTIONS,
        tips: &["nondeterministic_output"],
        ..BASE
    },
    |call| {
        let filter = parse_filter(call)?;
        call.ask(Question::List(filter))
    },
)
.within();

/// Closes connections.
pub static KILL: SessionCommand = SessionCommand::alone(
    Command {
        name: "KILL",
        since: "2.4.0",
        summary: "Closes connections.",
        complexity: "O(N) where N is the number of connections",
        arity: Arity::AtLeast(3),
        flags: BASE.flags.and(Flags::ADMIN),
        args: &[Arg::one_of(
            "filter",
            &[
                Arg::string("old-format").shown("ip:port"),
                Arg::one_of("new-format", OPTIONS).multiple(),
            ],
        )],
        ..BASE
    },
    kill,
)
.within();

fn kill(call: &mut SessionCall<'_>) -> SessionResult {
    let question = if call.args.len() == 3 {
        // The old form: an address alone, which may be one's own.
        Question::KillOne(Filter::address(call.args.at(2)))
    } else {
        let mut filter = parse_filter(call)?;
        filter.skips_asker.get_or_insert(true);
        Question::Kill(filter)
    };
    call.ask(question)
}

fn parse_filter(call: &SessionCall<'_>) -> Result<Filter, darter_command_table::ReplyError> {
    let users = call.shared.acl.users();
    Filter::parse(call.args.tail(2), call.shared.config.current().databases, &users)
}
