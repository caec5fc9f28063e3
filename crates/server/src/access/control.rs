//! The users and the log of refusals, shared by all workers.

use crate::shared::lock;
use darter_acl::{AccessLog, Users};
use darter_command_table::Table;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Every user. Changes are rare, and take the lock for as long as rules take to be read.
#[derive(Debug)]
pub struct AccessControl {
    users: Mutex<Arc<Users>>,
    /// Changes with the users, after them.
    version: AtomicU64,
    log: Mutex<AccessLog>,
}

impl AccessControl {
    /// The default user alone.
    pub fn new(table: &Table) -> Self {
        Self {
            users: Mutex::new(Arc::new(Users::new(table))),
            version: AtomicU64::new(0),
            log: Mutex::default(),
        }
    }

    /// Changes whenever the users do.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Everybody, as of now.
    pub fn users(&self) -> Arc<Users> {
        Arc::clone(&lock(&self.users))
    }

    /// Everybody, and the version of that.
    pub fn users_and_version(&self) -> (Arc<Users>, u64) {
        let users = lock(&self.users);
        (Arc::clone(&users), self.version())
    }

    /// Changes the users, or not at all if that fails. Returns them as they were and as they are.
    pub fn change<E>(
        &self,
        change: impl FnOnce(&mut Users) -> Result<(), E>,
    ) -> Result<(Arc<Users>, Arc<Users>), E> {
        let mut users = lock(&self.users);
        let mut new = Users::clone(&users);
        change(&mut new)?;
        let old = std::mem::replace(&mut *users, Arc::new(new));
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok((old, Arc::clone(&users)))
    }

    /// Who was refused what.
    pub fn log(&self) -> MutexGuard<'_, AccessLog> {
        lock(&self.log)
    }
}
