//! The file of users: at the start, and for ACL LOAD and SAVE.

use super::revocation::{Revocation, send_revocation};
use crate::commands::error::ServerError;
use crate::config::line::LoadError;
use crate::config::load::UserLine;
use crate::config::rewrite::replace_file;
use crate::config::special::reason;
use crate::mail::Mail;
use crate::shared::Shared;
use crate::survey::Answer;
use crate::worker::Core;
use darter_acl::users::ConfigureError;
use darter_acl::{Rules, Users};
use darter_runtime::{ConnectionId, Share};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs};

/// What of a busy worker waiting for a thread that does the work takes: next to nothing.
const SHARE: Share = Share::new(100);

/// Why the server does not start with its users.
#[derive(Debug)]
pub enum UsersError {
    /// A line of the configuration.
    Line(LoadError),
    /// Lines of the configuration beside a file.
    Twice,
    /// The file.
    File(Vec<u8>),
}

impl fmt::Display for UsersError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(formatter),
            Self::Twice => formatter.write_str(
                "Configuring Darter with users defined in the configuration and at the same setting an \
                 ACL file path is invalid. This setup is very likely to lead to configuration errors \
                 and security holes, please define either an ACL file or declare users directly in the \
                 configuration, but not both.",
            ),
            Self::File(errors) => {
                let errors = String::from_utf8_lossy(errors);
                write!(formatter, "Aborting Darter startup because of ACL errors: {errors}")
            }
        }
    }
}

impl std::error::Error for UsersError {}

/// A change of users: who there was, and who there is.
type Changed = (Arc<Users>, Arc<Users>);

impl Shared {
    /// What rules are read with.
    pub fn rules(&self) -> Rules<'_> {
        Rules { table: &self.table, channels: self.config.current().channel_default }
    }

    /// Makes the users that the configuration says there are. To be called before anybody is one.
    pub fn begin_users(&self, lines: &[UserLine]) -> Result<(), UsersError> {
        let settings = self.config.current();
        self.follow_password(b"");
        let Some(file) = &settings.user_file else {
            return lines.iter().enumerate().try_for_each(|(index, line)| {
                let is_known = lines[..index].iter().any(|before| before.name == line.name);
                self.configure(line, is_known).map_err(UsersError::Line)
            });
        };
        if !lines.is_empty() {
            return Err(UsersError::Twice);
        }
        self.load_users(file).map(|_| ()).map_err(UsersError::File)
    }

    fn configure(&self, user: &UserLine, is_known: bool) -> Result<(), LoadError> {
        let rules: Vec<&[u8]> = user.rules.iter().map(Vec::as_slice).collect();
        let made = self.acl.change(|users| {
            if is_known {
                return Err(ConfigureError::Duplicate);
            }
            users.configure(&user.name, &rules, self.rules())
        });
        made.map(|_| ()).map_err(|error| LoadError::Line {
            line: user.line.clone(),
            reason: format!(
                "Error in user declaration '{}': {error}",
                String::from_utf8_lossy(&user.name)
            ),
        })
    }

    /// Gives the default user the password of `requirepass`, unless that still is `before`.
    pub fn follow_password(&self, before: &[u8]) {
        let settings = self.config.current();
        if settings.requirepass != before {
            let rules = self.rules();
            let Ok(_) = self.acl.change::<Infallible>(|users| {
                users.set_default_password(&settings.requirepass, rules);
                Ok(())
            });
        }
    }

    /// Takes the users of a file in place of those there are, or says what is wrong with it. Blocks.
    pub fn load_users(&self, file: &Path) -> Result<Changed, Vec<u8>> {
        let name = file.display().to_string();
        let text = fs::read(file).map_err(|error| {
            let reason = reason(&error);
            format!("Error loading ACLs, opening file '{name}': {reason}").into_bytes()
        })?;
        let rules = self.rules();
        self.acl.change(|users| {
            *users = users.replaced_by_file(&text, &name, rules)?;
            Ok(())
        })
    }
}

impl Core {
    /// Lets the users of a file be taken, and the client hear of it.
    pub fn load_users(&self, file: PathBuf, to: ConnectionId) {
        let (shared, worker) = (self.shared, self.worker);
        let (post, background) = (self.post.clone(), self.background.clone());
        self.background.spawn(SHARE, async move {
            let loaded = background.blocking(move || shared.load_users(&file)).await;
            let revocation = loaded.map(|(old, new)| Revocation::between(&old, &new));
            if let Ok(revocation) = &revocation {
                send_revocation(&post, revocation, to);
            }
            let answer = Answer::UsersLoaded(revocation.map_err(ServerError::UsersNotLoaded));
            post.send(worker, Mail::Answer { to, answer });
        });
    }

    /// Lets the users be written into a file, and the client hear of it.
    pub fn save_users(&self, file: PathBuf, to: ConnectionId) {
        let (users, worker) = (self.shared.acl.users(), self.worker);
        let (post, background) = (self.post.clone(), self.background.clone());
        self.background.spawn(SHARE, async move {
            let saved = background.blocking(move || replace_file(&file, |_| users.lines())).await;
            let result = saved.map_err(|error| {
                tracing::warn!("Writing ACL file for ACL SAVE: {}", reason(&error));
                ServerError::UsersNotSaved
            });
            post.send(worker, Mail::Answer { to, answer: Answer::Tried(result) });
        });
    }
}
