//! ACL GETUSER, LIST, USERS, WHOAMI and DRYRUN: who there is, and what they may do.

use super::{BASE, HARMLESS};
use crate::access::verbose_message;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_acl::{Asked, Selector, User};
use darter_command_table::{Arg, Arity, Command, ReplyError};
use darter_resp::ReplyWriter;
use std::sync::Arc;

/// What a user may do.
pub(super) static GETUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETUSER",
        summary: "What a user may do.",
        complexity: "O(N). Where N is the number of password, command and pattern rules that the \
                     user has.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("username")],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list to \
                 their rule representation.",
            ),
        ],
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    get_user,
)
.within();

fn get_user(call: &mut SessionCall<'_>) -> SessionResult {
    let users = call.shared.acl.users();
    let Some(user) = users.get(call.args.at(2)) else {
        call.reply().null();
        return Ok(Flow::Next);
    };
    let mut reply = call.reply();
    reply.map(7);
    reply.bulk(b"flags");
    let flags: Vec<&str> = user.flags().collect();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for (password, ()) in user.passwords().iter() {
        reply.bulk(&password.digits());
    }
    write_fields(&mut reply, user.root());
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(selector.fields().len());
        write_fields(&mut reply, selector);
    }
    Ok(Flow::Next)
}

fn write_fields(reply: &mut ReplyWriter<'_>, selector: &Selector) {
    for (field, rules) in selector.fields() {
        reply.bulk(field.as_bytes());
        reply.bulk(&rules);
    }
}

/// Every user, as in a configuration file.
pub(super) static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        summary: "Every user, as a line of a configuration file.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |call| list_users(call, |reply, user| reply.bulk(&user.line())),
)
.within();

/// Every user's name.
pub(super) static USERS: SessionCommand = SessionCommand::alone(
    Command {
        name: "USERS",
        summary: "The name of every user.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |call| list_users(call, |reply, user| reply.bulk(user.name())),
)
.within();

fn list_users(
    call: &mut SessionCall<'_>,
    write: impl Fn(&mut ReplyWriter<'_>, &User),
) -> SessionResult {
    let users = call.shared.acl.users();
    let mut reply = call.reply();
    reply.array(users.len());
    users.iter().for_each(|user| write(&mut reply, user));
    Ok(Flow::Next)
}

/// The user of the connection.
pub(super) static WHOAMI: SessionCommand = SessionCommand::alone(
    Command { name: "WHOAMI", summary: "The user of the connection.", flags: HARMLESS, ..BASE },
    |call| {
        let user = Arc::clone(&call.session.access.user);
        call.reply().bulk(user.name());
        Ok(Flow::Next)
    },
)
.within();

/// Whether a user may run a command.
pub(super) static DRYRUN: SessionCommand = SessionCommand::alone(
    Command {
        name: "DRYRUN",
        since: "7.0.0",
        summary: "Whether a user may run a command, without running it.",
        arity: Arity::AtLeast(4),
        args: &[
            Arg::string("username"),
            Arg::string("command"),
            Arg::string("arg").optional().multiple(),
        ],
        ..BASE
    },
    dry_run,
)
.within();

fn dry_run(call: &mut SessionCall<'_>) -> SessionResult {
    let users = call.shared.acl.users();
    let name = call.args.at(2);
    let user = users.get(name).ok_or_else(|| ServerError::UserNotFound(name.to_vec()))?;
    let args = call.args.tail(3);
    let entry = match call.shared.table.find(args) {
        Ok(entry) => entry,
        Err(error @ ReplyError::WrongArity(_)) => return Err(error),
        Err(_) => return Err(ServerError::CommandNotFound(args.at(0).to_vec()).into()),
    };
    let databases = call.shared.config.current().databases;
    let db = call.session.db;
    match user.check(&Asked { entry, args, db, databases }) {
        Ok(()) => call.ok(),
        Err(denial) => {
            let message = verbose_message(user, entry, args, denial);
            call.reply().bulk(&message);
            Ok(Flow::Next)
        }
    }
}
