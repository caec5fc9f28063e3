//! What a session knows of its user.

use super::refusal::refusal_of;
use crate::config::Settings;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::Core;
use darter_acl::{Asked, Context, Denial, User, Users};
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{Entry, Flags, ReplyError};
use darter_resp::Args;
use std::sync::Arc;

/// Who a session is.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one session")]
pub struct Access {
    /// The user, as of the version.
    pub user: Arc<User>,
    version: u64,
    /// Whether it may run every command: it is somebody, who may do everything.
    pub is_free: bool,
    /// Whether it has said who it is, or need not have when it connected.
    pub is_authenticated: bool,
    /// Whether it has to.
    pub needs_authentication: bool,
    /// Whether its user is gone, and it will be as well.
    pub is_revoked: bool,
}

impl Access {
    /// That of a session which has not said who it is.
    pub fn of_stranger((users, version): (Arc<Users>, u64)) -> Self {
        let is_open = users.default_user().is_open();
        let user = Arc::clone(users.default_user());
        let mut this = Self {
            user,
            version,
            is_free: false,
            is_authenticated: is_open,
            needs_authentication: !is_open,
            is_revoked: false,
        };
        this.follow(&users);
        this
    }

    /// That of a session which has said it is `user`.
    pub fn of(user: &Arc<User>, version: u64) -> Self {
        Self {
            user: Arc::clone(user),
            version,
            is_free: user.may_do_everything(),
            is_authenticated: true,
            needs_authentication: false,
            is_revoked: false,
        }
    }

    /// Why a command may not run any more that was admitted with this: because the users have changed since.
    #[inline]
    pub fn refusal_since(
        &self,
        shared: &Shared,
        entry: &Entry,
        args: Args<'_>,
        db: DbIndex,
    ) -> Option<ReplyError> {
        if self.version == shared.acl.version() {
            None
        } else {
            self.refusal(shared, entry, args, db)
        }
    }

    #[cold]
    fn refusal(
        &self,
        shared: &Shared,
        entry: &Entry,
        args: Args<'_>,
        db: DbIndex,
    ) -> Option<ReplyError> {
        let users = shared.acl.users();
        let Some(user) = users.now(&self.user) else { return Some(ReplyError::NoAuth) };
        let databases = shared.config.current().databases;
        let denial = user.check(&Asked { entry, args, db, databases }).err()?;
        Some(refusal_of(user, entry, denial))
    }

    fn follow(&mut self, users: &Users) {
        if let Some(user) = users.now(&self.user) {
            self.user = Arc::clone(user);
        } else {
            self.user = Arc::clone(users.default_user());
            (self.is_revoked, self.is_authenticated) = (true, false);
        }
        self.needs_authentication =
            self.is_revoked || !self.is_authenticated && !users.default_user().is_open();
        self.is_free = !self.needs_authentication && self.user.may_do_everything();
    }
}

impl Shared {
    /// Lets a session be what it is before it says who it is.
    pub fn estrange(&self, session: &mut Session) {
        session.become_somebody(
            Access::of_stranger(self.acl.users_and_version()),
            &self.config.current(),
        );
    }
}

impl Session {
    /// Notes who it is.
    pub fn become_somebody(&mut self, access: Access, settings: &Settings) {
        self.ever_authenticated |= access.is_authenticated;
        self.limits = settings.request_limits(access.needs_authentication);
        self.access = access;
    }

    /// Whether a command may read keys that are not among its arguments (SORT BY, GET).
    #[inline]
    pub fn may_reach_beyond(&self, entry: &Entry, args: Args<'_>, databases: u16) -> bool {
        self.access.is_free
            || entry.command.reaches_beyond.is_none()
            || self.access.user.may_run_and_read_all(&Asked { entry, args, db: self.db, databases })
    }
}

impl Core {
    /// Sees to it that a session knows its user as it is now. To be called before its commands are looked at.
    #[inline]
    pub fn follow_users(&self, session: &mut Session) {
        if session.access.version != self.shared.acl.version() {
            self.take_user_anew(session);
        }
    }

    /// The same before a command runs that was admitted a while ago. Why it may not any more.
    #[inline]
    pub fn refusal_since_admitted(
        &self,
        session: &mut Session,
        entry: &Entry,
        args: Args<'_>,
        now: UnixMillis,
    ) -> Option<ReplyError> {
        let error = session.access.refusal_since(self.shared, entry, args, session.db)?;
        self.follow_users(session);
        self.count_refusal(session, args, &error, Context::TopLevel, now);
        Some(error)
    }

    #[cold]
    fn take_user_anew(&self, session: &mut Session) {
        let (users, version) = self.shared.acl.users_and_version();
        session.access.version = version;
        session.access.follow(&users);
        let needs_authentication = session.access.needs_authentication;
        if needs_authentication != session.limits.unauthenticated {
            session.limits = self.shared.config.current().request_limits(needs_authentication);
        }
    }

    /// What a session's user lacks to run a command, if anything.
    pub fn check_access(
        &self,
        session: &Session,
        entry: &Entry,
        args: Args<'_>,
    ) -> Result<(), Denial> {
        let db = session.transaction.as_ref().map_or(session.db, |queue| queue.db());
        self.check_access_in(session, entry, args, db)
    }

    /// The same where the database is known that is selected when it runs.
    pub fn check_access_in(
        &self,
        session: &Session,
        entry: &Entry,
        args: Args<'_>,
        db: DbIndex,
    ) -> Result<(), Denial> {
        let databases = self.limits.get().databases;
        session.access.user.check(&Asked { entry, args, db, databases })
    }

    /// Refuses what a session's user may not do. Of those that need no authentication the command itself is not
    /// asked about.
    #[cold]
    pub fn refuse_by_user(
        &self,
        session: &Session,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), ReplyError> {
        // That is told first.
        if session.transaction.is_some() && entry.command.flags.has(Flags::NO_MULTI) {
            return Ok(());
        }
        self.check_access(session, entry, args)
            .map_err(|denial| refusal_of(&session.access.user, entry, denial))
    }
}
