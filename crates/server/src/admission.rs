//! Which commands a client may run.

use crate::commands::error::ServerError;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::Core;
use darter_command_table::{Entry, Flags, ReplyError};
use darter_resp::Args;

/// Why what changes data is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDurable {
    /// The data could not be saved.
    Save,
    /// The log cannot be written.
    Log,
}

impl Core {
    /// Why what changes data is refused now, if it is.
    pub fn not_durable(&self) -> Option<NotDurable> {
        let shared = self.shared;
        if shared.journal.has_failed() {
            return Some(NotDurable::Log);
        }
        shared.saving.refuses_writes(&shared.config).then_some(NotDurable::Save)
    }

    /// The command these arguments ask for, if this client may run it. Whoever answers a refusal counts
    /// it ([`Core::count_refusal`]).
    #[inline]
    pub fn admit(&self, session: &Session, args: Args<'_>) -> Result<&'static Entry, ReplyError> {
        let shared: &'static Shared = self.shared;
        let found = shared.table.find(args).and_then(|entry| {
            let flags = entry.command.flags;
            if flags.has(Flags::PROTECTED) {
                crate::commands::debug::check_permission(shared, session)?;
            }
            Ok(entry)
        });
        if session.authenticated && !session.confined && self.refused_writes.get().is_none() {
            return found;
        }
        self.admit_some(session, args, found)
    }

    /// What a client may run that may not run everything, or while data cannot be saved.
    #[cold]
    fn admit_some(
        &self,
        session: &Session,
        args: Args<'_>,
        found: Result<&'static Entry, ReplyError>,
    ) -> Result<&'static Entry, ReplyError> {
        if !session.authenticated {
            return self.without_auth(args, found);
        }
        let entry = found?;
        if session.confined && !entry.command.flags.has(Flags::FOR_SUBSCRIBERS) {
            return Err(ServerError::OnlyForSubscribers(&entry.full_name).into());
        }
        // PING as well, so that probes see it.
        if let Some(cause) = self.refused_writes.get()
            && (entry.command.flags.has(Flags::WRITE) || entry.command.name == "PING")
        {
            return Err(match cause {
                NotDurable::Save => ServerError::CannotSave,
                NotDurable::Log => ServerError::CannotLog(self.shared.journal.failure()),
            }
            .into());
        }
        Ok(entry)
    }

    /// The same for a client that may be in a transaction, where some commands are not allowed; nor are
    /// those that a busy script is in the way of.
    pub fn admit_in(
        &self,
        session: &Session,
        args: Args<'_>,
    ) -> Result<&'static Entry, ReplyError> {
        let entry = self.admit(session, args)?;
        if session.transaction.is_some() && entry.command.flags.has(Flags::NO_MULTI) {
            return Err(ServerError::NotInTransaction(entry.full_name.clone()).into());
        }
        if entry.command.flags.has(Flags::DENYOOM)
            && self.queues(session, entry)
            && self.shared.is_out_of_memory(&self.limits.get().memory)
        {
            return Err(ReplyError::OutOfMemory);
        }
        if self.shared.scripts.busy.any()
            && let Some(error) = self.busy_with(session, entry, args)
        {
            return Err(error);
        }
        Ok(entry)
    }

    /// Before authentication nothing is told about commands but that they need it, not even whether
    /// they exist.
    fn without_auth(
        &self,
        args: Args<'_>,
        found: Result<&'static Entry, ReplyError>,
    ) -> Result<&'static Entry, ReplyError> {
        let shared: &'static Shared = self.shared;
        let named = shared.table.named(args.at(0));
        match named {
            Some(entry) if entry.command.flags.has(Flags::NO_AUTH) => found,
            _ => Err(ReplyError::NoAuth),
        }
    }

    /// Counts a command that was not admitted.
    #[cold]
    pub fn count_refusal(&self, args: Args<'_>, error: &ReplyError) {
        let statistics = self.statistics();
        let Some(mut entry) = self.shared.table.named(args.at(0)) else {
            return statistics.error(error);
        };
        if let Some(subcommand) = args.get(1).and_then(|name| entry.subcommand(name)) {
            entry = subcommand;
        }
        statistics.refused(entry.counted_as, error);
    }
}
