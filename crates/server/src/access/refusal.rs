//! What a client hears that may not do something, and what is noted of it.

use crate::commands::client::line;
use crate::session::Session;
use crate::worker::Core;
use darter_acl::{Context, Denial, LogEntry, Reason, Refused, User};
use darter_base::UnixMillis;
use darter_command_table::{Entry, ReplyError, ReplyResult, until_nul};
use darter_resp::Args;
use darter_runtime::ConnectionInfo;
use std::time::Duration;

/// What is lacking, without a code.
fn message(user: &User, entry: &Entry, denial: Denial) -> Vec<u8> {
    match denial.reason {
        Reason::Command => [
            b"User ",
            until_nul(user.name()),
            b" has no permissions to run the '",
            entry.full_name.as_bytes(),
            b"' command",
        ]
        .concat(),
        Reason::Key => b"No permissions to access a key".to_vec(),
        Reason::Channel => b"No permissions to access a channel".to_vec(),
        Reason::Database => b"No permissions to access database".to_vec(),
    }
}

/// The same with the argument that is meant.
pub fn verbose_message(user: &User, entry: &Entry, args: Args<'_>, denial: Denial) -> Vec<u8> {
    let (before, after): (&str, &str) = match denial.reason {
        Reason::Command => return message(user, entry, denial),
        Reason::Key => ("the '", "' key"),
        Reason::Channel => ("the '", "' channel"),
        Reason::Database => ("database ", ""),
    };
    [
        b"User ",
        until_nul(user.name()),
        b" has no permissions to access ",
        before.as_bytes(),
        until_nul(args.get(denial.index).unwrap_or_default()),
        after.as_bytes(),
    ]
    .concat()
}

/// Why a command of a transaction is not run that was queued.
pub fn reason_in_transaction(denial: Denial) -> &'static str {
    match denial.reason {
        Reason::Command => "no permission to execute the command or subcommand",
        Reason::Key => "no permission to touch the specified keys",
        Reason::Channel => "no permission to access one of the channels used as arguments",
        Reason::Database => "no permission",
    }
}

/// The reply to a command that is refused.
pub(super) fn refusal_of(user: &User, entry: &Entry, denial: Denial) -> ReplyError {
    ReplyError::NoPermission([b"NOPERM ", &*message(user, entry, denial)].concat())
}

impl Core {
    /// Notes that a command was refused when it was about to run at last, if that is its result.
    pub fn note_late_denial(
        &self,
        session: &mut Session,
        (entry, args): (&Entry, Args<'_>),
        result: &ReplyResult,
        now: UnixMillis,
    ) {
        if matches!(result, Err(ReplyError::NoPermission(_))) {
            self.follow_users(session);
            if let Err(denial) = self.check_access(session, entry, args) {
                self.note_denial(session, (entry, args), denial, Context::TopLevel, now);
            }
        }
    }

    /// Notes that a command was refused.
    #[cold]
    pub fn note_denial(
        &self,
        session: &Session,
        (entry, args): (&Entry, Args<'_>),
        denial: Denial,
        context: Context,
        now: UnixMillis,
    ) {
        let object = match denial.reason {
            Reason::Command => entry.full_name.as_bytes(),
            Reason::Database if denial.index == 0 => entry.full_name.as_bytes(),
            _ => args.get(denial.index).unwrap_or_default(),
        };
        let user = session.access.user.name();
        self.note_refusal(session, Refused::Permission(denial.reason), context, object, user, now);
    }

    /// Notes a refusal in the statistics and in the log.
    #[cold]
    pub fn note_refusal(
        &self,
        session: &Session,
        refused: Refused,
        context: Context,
        object: &[u8],
        user: &[u8],
        now: UnixMillis,
    ) {
        self.statistics().access_refused(refused);
        let entries_max = self.shared.config.current().access_log_entries_max;
        // What only the network knows of a connection is not known here.
        let info = ConnectionInfo {
            unsent_bytes: 0,
            kept_input_bytes: 0,
            memory_bytes: 0,
            idle: Duration::ZERO,
            received_bytes: 0,
            sent_bytes: 0,
        };
        let new = LogEntry {
            count: 1,
            refused,
            context,
            object: object.to_vec(),
            user: user.to_vec(),
            client: line::describe(session, &info, now),
            id: 0,
            created_at: now,
            updated_at: now,
        };
        self.shared.acl.log().add(new, entries_max);
    }
}
