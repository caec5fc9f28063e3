//! ACL SETUSER and DELUSER.

use super::{ALL_NODES, BASE};
use crate::access::Revocation;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_acl::{DEFAULT_USER, Users};
use darter_command_table::{Arg, Arity, Command};
use std::convert::Infallible;

/// Makes or changes a user.
pub(super) static SETUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "SETUSER",
        summary: "Makes or changes a user.",
        complexity: "O(N). Where N is the number of rules provided.",
        arity: Arity::AtLeast(3),
        args: &[Arg::string("username"), Arg::string("rule").optional().multiple()],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ],
        tips: ALL_NODES,
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    set_user,
)
.within();

fn set_user(call: &mut SessionCall<'_>) -> SessionResult {
    let name = call.args.at(2);
    if !Users::is_name(name) {
        return Err(ServerError::UserNameWithSpaces.into());
    }
    let given: Vec<&[u8]> = call.args.tail(3).iter().collect();
    let rules = call.shared.rules();
    let changed = call.shared.acl.change(|users| users.set(name, &given, rules));
    let (old, new) = changed.map_err(|error| ServerError::UserNotChanged(error.text()))?;
    let ends = call.core.revoke(&Revocation::between(&old, &new), call.session, call.id);
    call.reply().ok();
    Ok(if ends { Flow::Close } else { Flow::Next })
}

/// Deletes users.
pub(super) static DELUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "DELUSER",
        summary: "Deletes users, and ends their connections.",
        arity: Arity::AtLeast(3),
        args: &[Arg::string("username").multiple()],
        tips: ALL_NODES,
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    delete_users,
)
.within();

fn delete_users(call: &mut SessionCall<'_>) -> SessionResult {
    let names = call.args.tail(2);
    if names.iter().any(|name| name == DEFAULT_USER) {
        return Err(ServerError::DefaultUserStays.into());
    }
    let mut deleted = 0;
    let Ok((old, new)) = call.shared.acl.change::<Infallible>(|users| {
        deleted = names.iter().filter(|name| users.remove(name).is_some()).count();
        Ok(())
    });
    let ends = call.core.revoke(&Revocation::between(&old, &new), call.session, call.id);
    call.reply().integer(i64::try_from(deleted).unwrap_or(i64::MAX));
    Ok(if ends { Flow::Close } else { Flow::Next })
}
