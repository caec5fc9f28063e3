//! Which commands a client may run.

use crate::commands::error::ServerError;
use crate::commands::syncing;
use crate::session::Session;
use crate::session_command::SessionRun;
use crate::shared::Shared;
use crate::worker::Core;
use darter_acl::Context;
use darter_base::UnixMillis;
use darter_command_table::{Entry, Flags, ReplyError};
use darter_resp::Args;

/// Why some commands are refused to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// The data are being loaded: what needs them is refused.
    Loading,
    /// The data could not be saved: what changes them is refused.
    CannotSave,
    /// The log cannot be written: likewise.
    CannotLog,
    /// Too few replicas keep up: likewise.
    LacksReplicas,
    /// This is a replica, which may not be written, and may not be read while it has old data.
    IsReplica,
}

/// What a command, or a whole transaction, cannot do without.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each can be refused for itself")]
pub struct Needs {
    /// To write.
    pub writing: bool,
    /// Files that can be written, although it does not write: PING, so that probes see when they cannot.
    pub health: bool,
    /// The data of the primary, if there is one.
    pub fresh_data: bool,
    /// Data that are not being loaded.
    pub data: bool,
}

impl Shared {
    /// Why some commands are refused to everybody now, if they are.
    pub fn restriction(&self) -> Option<Restriction> {
        if self.loading.is_under_way() {
            return Some(Restriction::Loading);
        }
        if self.journal.has_failed() {
            return Some(Restriction::CannotLog);
        }
        if self.saving.refuses_writes(&self.config) {
            return Some(Restriction::CannotSave);
        }
        if self.following.is_replica() {
            return Some(Restriction::IsReplica);
        }
        self.replication.lacks_replicas().then_some(Restriction::LacksReplicas)
    }

    /// Why something is refused that needs so much, if it is.
    fn refusal(&self, restriction: Option<Restriction>, needs: Needs) -> Option<ReplyError> {
        let error = match restriction {
            Some(Restriction::CannotSave) if needs.writing || needs.health => {
                ServerError::CannotSave
            }
            Some(Restriction::CannotLog) if needs.writing || needs.health => {
                ServerError::CannotLog(self.journal.failure())
            }
            Some(Restriction::LacksReplicas) if needs.writing => ServerError::TooFewReplicas,
            _ if needs.writing && self.following.refuses_writes() => ServerError::ReadOnlyReplica,
            _ if needs.fresh_data && self.following.is_stale() => ServerError::StaleReplica,
            Some(Restriction::Loading) if needs.data => ServerError::Loading,
            _ => return None,
        };
        Some(error.into())
    }

    /// Whether a command can be run while nobody has the shards: whether it is none about keys.
    pub fn runs_while_loading(&self, entry: &Entry) -> bool {
        entry.command.flags.has(Flags::LOADING)
            && match self.session_run(entry.id) {
                // What is over all shards does then with none.
                Some(
                    SessionRun::Alone(_)
                    | SessionRun::AllShards(_)
                    | SessionRun::AllShardsIf(..)
                    | SessionRun::Queued(_)
                    | SessionRun::Container,
                ) => true,
                Some(SessionRun::Keyed(_) | SessionRun::Script(_)) | None => false,
            }
    }
}

impl Core {
    /// Why some commands are refused to everybody, as of this tick or, where that matters, of this moment.
    fn restriction_now(&self) -> Option<Restriction> {
        if self.restriction.get() == Some(Restriction::Loading) {
            // Who was told that the data are there is not refused any more.
            self.restriction.set(self.shared.restriction());
        }
        self.restriction.get()
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
        if session.access.is_free && !session.confined && self.restriction.get().is_none() {
            return found;
        }
        let entry = self.admit_some(session, args, found)?;
        match self.refusal_of(session, entry, args) {
            None => Ok(entry),
            Some(error) => Err(error),
        }
    }

    /// The command that a script of this client calls, if the client may run it. What the server is in no state for is not
    /// looked at.
    pub fn admit_part(
        &self,
        session: &Session,
        args: Args<'_>,
    ) -> Result<&'static Entry, ReplyError> {
        self.admit_some(session, args, self.shared.table.find(args))
    }

    /// Why a command is refused that the server is in no state for, if it is.
    #[cold]
    fn refusal_of(&self, session: &Session, entry: &Entry, args: Args<'_>) -> Option<ReplyError> {
        let restriction = self.restriction_now()?;
        let flags = self.flags_of(entry, args);
        if let Some(elsewhere) = self.redirection(session, flags) {
            return (!self.is_handing_over()).then_some(elsewhere);
        }
        let needs = Needs {
            writing: flags.has(Flags::WRITE),
            health: entry.command.name == "PING",
            fresh_data: !flags.has(Flags::STALE),
            data: !self.shared.runs_while_loading(entry),
        };
        self.shared.refusal(Some(restriction), needs)
    }

    /// Why a command of a script is refused that the server is in no state for, if it is. One that has written is not stopped
    /// half way by what can come at any time.
    pub fn refusal_in_script(&self, entry: &Entry, has_written: bool) -> Option<ReplyError> {
        let restriction = self.restriction_now();
        if restriction.is_none() && !self.shared.following.is_replica() {
            return None;
        }
        let flags = entry.command.flags;
        let (writing, data) = (flags.has(Flags::WRITE) && !has_written, false);
        let needs = Needs { writing, health: false, fresh_data: false, data };
        if let Some(error) = self.shared.refusal(restriction, needs) {
            return Some(error);
        }
        let is_stale = self.shared.following.is_stale() && !flags.has(Flags::STALE);
        is_stale.then(|| ServerError::ScriptCommandStale.into())
    }

    /// What a client may run that may not run everything.
    #[cold]
    fn admit_some(
        &self,
        session: &Session,
        args: Args<'_>,
        found: Result<&'static Entry, ReplyError>,
    ) -> Result<&'static Entry, ReplyError> {
        if session.access.needs_authentication {
            self.without_auth(args)?;
        }
        let entry = found?;
        if session.facts.replica.is_some() && !syncing::is_for_replicas(entry) {
            return Err(ServerError::ReplicaAsks.into());
        }
        if !session.access.is_free {
            self.refuse_by_user(session, entry, args)?;
        }
        let confined = session.confined && session.facts.replica.is_none();
        if confined && !entry.command.flags.has(Flags::FOR_SUBSCRIBERS) {
            return Err(ServerError::OnlyForSubscribers(&entry.full_name).into());
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
        if let Some(error) = self.refusal_of_queued(session, entry) {
            let waits = self.is_handing_over() && self.redirects_queued(session);
            return if waits { Ok(entry) } else { Err(error) };
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

    /// Where a client that follows redirections is sent with commands that have these flags, on a replica: to its primary, unless
    /// they only read and the client wants to read from replicas.
    fn redirection(&self, session: &Session, flags: Flags) -> Option<ReplyError> {
        let facts = &session.facts;
        let reads = flags.has(Flags::READONLY) && !facts.reads_from_replicas;
        let concerns = facts.takes_redirects && (flags.has(Flags::WRITE) || reads);
        concerns.then(|| self.shared.following.redirection()).flatten()
    }

    /// Whether a replica of this server is about to be the primary, as far as this worker has been told.
    fn is_handing_over(&self) -> bool {
        self.pause.get().is_some_and(|pause| pause.hands_over)
    }

    /// Whether a command of a client that follows redirections waits until it is certain who the primary is: the replica that is
    /// to be it would send it back here.
    #[cold]
    pub fn waits_for_primary(&self, session: &Session, flags: Flags) -> bool {
        self.is_handing_over() && self.redirection(session, flags).is_some()
    }

    /// Whether what a client has queued is to be sent to the primary.
    pub fn redirects_queued(&self, session: &Session) -> bool {
        let queued = session.transaction.as_ref();
        queued.is_some_and(|queue| self.redirection(session, queue.flags()).is_some())
    }

    /// Why a command that runs what the client has queued is refused, if something of that would be.
    pub fn refusal_of_queued(&self, session: &Session, entry: &Entry) -> Option<ReplyError> {
        let transaction = session.transaction.as_ref().filter(|_| self.runs_queue(entry))?;
        let elsewhere = self.redirection(session, transaction.flags());
        elsewhere.or_else(|| self.shared.refusal(self.shared.restriction(), transaction.needs()))
    }

    /// Before authentication nothing is told about commands but that they need it, not even whether
    /// they exist.
    fn without_auth(&self, args: Args<'_>) -> Result<(), ReplyError> {
        match self.shared.table.named(args.at(0)) {
            Some(entry) if entry.command.flags.has(Flags::NO_AUTH) => Ok(()),
            _ => Err(ReplyError::NoAuth),
        }
    }

    /// Counts a command that was not admitted, and notes it if its user may not run it.
    #[cold]
    pub fn count_refusal(
        &self,
        session: &Session,
        args: Args<'_>,
        error: &ReplyError,
        context: Context,
        now: UnixMillis,
    ) {
        if matches!(error, ReplyError::NoPermission(_))
            && let Ok(entry) = self.shared.table.find(args)
            && let Err(denial) = self.check_access(session, entry, args)
        {
            self.note_denial(session, (entry, args), denial, context, now);
        }
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
