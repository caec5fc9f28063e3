//! Changing what code is known, the libraries of functions above all, for a client or as the log says.

use super::WorkerScripts;
use super::library::compile;
use super::run::add_script;
use super::store::{Libraries, Library};
use crate::observed::Together;
use crate::session_command::SessionCall;
use crate::shared::Shared;
use darter_base::{DbIndex, WorkerId};
use darter_command_table::ReplyError;
use darter_resp::{Args, OwnedArgs};
use darter_script::Digest;
use std::cell::RefCell;

/// A command that changes what code is known.
#[derive(Debug)]
pub struct CodeChange<'a> {
    pub shared: &'static Shared,
    pub args: Args<'a>,
    /// Who compiles.
    worker: WorkerId,
    scripts: &'a RefCell<WorkerScripts>,
    /// The database it is run in, if it does not come from the log.
    db: Option<DbIndex>,
    together: Option<&'a Together>,
}

/// How such a command is carried out; the name of a library that was loaded.
pub type CarryOut = fn(&CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError>;

impl<'a> CodeChange<'a> {
    /// For a client.
    pub fn of_call(call: &'a SessionCall<'_>) -> Self {
        Self {
            shared: call.shared,
            args: call.args,
            worker: call.core.worker,
            scripts: &call.core.scripts,
            db: Some(call.session.db),
            together: call.together,
        }
    }

    /// As the log says, before any worker runs.
    pub const fn of_log(
        shared: &'static Shared,
        scripts: &'a RefCell<WorkerScripts>,
        args: Args<'a>,
    ) -> Self {
        Self { shared, args, worker: WorkerId(0), scripts, db: None, together: None }
    }

    /// As the primary says.
    pub const fn of_primary(
        shared: &'static Shared,
        scripts: &'a RefCell<WorkerScripts>,
        args: Args<'a>,
        db: DbIndex,
        together: Option<&'a Together>,
    ) -> Self {
        Self { shared, args, worker: WorkerId(0), scripts, db: Some(db), together }
    }

    /// Whether it is something that has happened before. What it does may be there already then: nothing keeps a base
    /// from being newer than a change behind it, as no shard is held for one.
    pub const fn is_replayed(&self) -> bool {
        self.db.is_none()
    }

    /// Compiles a library to see that it can be, and what functions it has. `check` sees its name before.
    pub fn compiled(
        &self,
        text: &[u8],
        check: impl FnOnce(&Libraries, &[u8]) -> Result<(), ReplyError>,
    ) -> Result<Library, ReplyError> {
        let (shared, scripts) = (self.shared, &mut self.scripts.borrow_mut());
        compile(scripts, self.worker, &shared.stopwatch, text, |name| {
            check(&shared.scripts.libraries(), name)
        })
    }

    /// Makes a script known, for good. That is not recorded.
    pub fn add_script(&self, text: &[u8]) -> Result<Digest, ReplyError> {
        let digest = Digest::of(text);
        let mut engine = self.scripts.borrow_mut().take_engine(self.worker)?;
        let added = add_script(self.shared, &mut engine, digest, text, true);
        self.scripts.borrow_mut().put_back(engine);
        added.map(|_| digest)
    }

    /// Lets `change` change the libraries, and records that as the command of these words, which does the same
    /// however often it is run. If it errs, it has changed nothing.
    pub fn change(
        &self,
        words: &[&[u8]],
        change: impl FnOnce(&mut Libraries) -> Result<(), ReplyError>,
    ) -> Result<(), ReplyError> {
        self.shared.scripts.change_libraries(|libraries| {
            change(libraries)?;
            // While nobody else changes them, so that the log has the changes in their order.
            if let Some(db) = self.db
                && self.shared.is_recorded()
            {
                let args: OwnedArgs = words.iter().collect();
                match self.together {
                    Some(together) => together.record(db, args.as_args()),
                    None => self.shared.record(db, args.as_args()),
                }
            }
            Ok(())
        })
    }
}
