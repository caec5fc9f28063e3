//! AUTH and HELLO: who the client is and which protocol it speaks.

use crate::access::Access;
use crate::commands::client::identity::check_name;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::shared::REDIS_VERSION;
use darter_acl::{Context, DEFAULT_USER, Refused};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError};
use darter_resp::{Args, Protocol};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&AUTH, &HELLO];

/// What the commands of this file have in common.
const BASE: Command = Command {
    group: Group::Connection,
    complexity: "O(1)",
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::ALLOW_BUSY),
    acl: Category::CONNECTION,
    handler: Handler::Session,
    ..Command::BASE
};

/// Authenticates the connection.
pub static AUTH: SessionCommand = SessionCommand::alone(
    Command {
        name: "AUTH",
        summary: "Authenticates the connection.",
        complexity: "O(N) where N is the number of passwords of the user",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("username").optional().since("6.0.0"), Arg::string("password")],
        history: &[("6.0.0", "Added ACL style (username and password).")],
        secret: Some(|_, index| index > 0),
        ..BASE
    },
    auth,
);

fn auth(call: &mut SessionCall<'_>) -> SessionResult {
    let (user, password) = match call.args.len() {
        2 => (DEFAULT_USER, call.args.at(1)),
        3 => (call.args.at(1), call.args.at(2)),
        _ => return Err(ReplyError::Syntax),
    };
    let users = call.shared.acl.users();
    if call.args.len() == 2 && users.default_user().needs_no_password() {
        return Err(ServerError::NoPasswordConfigured.into());
    }
    authenticate(call, user, password)?;
    call.ok()
}

/// Makes the client the one it says it is, if the password is right.
fn authenticate(
    call: &mut SessionCall<'_>,
    user: &[u8],
    password: &[u8],
) -> Result<(), ReplyError> {
    let (users, version) = call.shared.acl.users_and_version();
    if let Some(user) = users.get(user).filter(|user| user.admits(password)) {
        let settings = call.shared.config.current();
        call.session.become_somebody(Access::of(user, version), &settings);
        return Ok(());
    }
    let context = if call.nested { Context::Multi } else { Context::TopLevel };
    let (command, now) = (call.args.at(0), call.turn.now);
    call.core.note_refusal(call.session, Refused::Auth, context, command, user, now);
    Err(ReplyError::WrongPass)
}

/// Chooses the protocol, and does what a client does first.
pub static HELLO: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELLO",
        since: "6.0.0",
        summary: "Chooses the protocol, and tells about the server.",
        arity: Arity::AtLeast(1),
        args: &[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")])
                    .token("AUTH")
                    .optional(),
                Arg::string("clientname").token("SETNAME").optional(),
            ],
        )
        .optional()],
        history: &[(
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports the \
             current connection's context.",
        )],
        secret: Some(is_secret_of_hello),
        ..BASE
    },
    hello,
);

/// User and password.
fn is_secret_of_hello(args: Args<'_>, index: usize) -> bool {
    let behind_auth = |distance| {
        let word = index.checked_sub(distance).filter(|at| *at >= 2).and_then(|at| args.get(at));
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH"))
    };
    behind_auth(1) || behind_auth(2)
}

fn hello(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args;
    let protocol = match args.get(1).map(parse_i64) {
        None => call.session.protocol,
        Some(None) => return Err(ServerError::ProtocolNotAnInteger.into()),
        Some(Some(2)) => Protocol::Resp2,
        Some(Some(3)) => Protocol::Resp3,
        Some(Some(_)) => return Err(ServerError::UnsupportedProtocol.into()),
    };
    let (mut credentials, mut name) = (None, None);
    let mut index = 2;
    while let Some(option) = args.get(index) {
        let rest = args.tail(index + 1);
        if option.eq_ignore_ascii_case(b"AUTH") && rest.len() >= 2 {
            credentials = Some((rest.at(0), rest.at(1)));
            index += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && !rest.is_empty() {
            check_name(rest.at(0))?;
            name = Some(rest.at(0));
            index += 2;
        } else {
            return Err(ServerError::HelloOption(option.to_vec()).into());
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(call, user, password)?;
    }
    if call.session.access.needs_authentication {
        return Err(ServerError::HelloNeedsAuth.into());
    }
    if let Some(name) = name {
        call.session.facts.name = name.to_vec();
    }
    call.session.protocol = protocol;
    call.session.confine();
    greet(call);
    Ok(Flow::Next)
}

fn greet(call: &mut SessionCall<'_>) {
    let client_id = call.session.client_id;
    let version = if call.session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let zone = call.shared.config.current().availability_zone.clone();
    let mut reply = call.reply();
    reply.map(7 + usize::from(!zone.is_empty()));
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(version);
    reply.bulk(b"id");
    reply.integer(i64::try_from(client_id).unwrap_or(i64::MAX));
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone.as_bytes());
    }
}
