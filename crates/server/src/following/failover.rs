//! Handing over to a replica (`FAILOVER`): writes are held back until one has everything, then this server becomes its
//! replica and it the primary.
//!
//! ```text
//!   waiting-for-sync          failover-in-progress
//!   writes are held back; --> this server follows it, and asks it to  --> it answered: writers are told that
//!   somebody has everything   be the primary (PSYNC ... FAILOVER)         this is a replica
//!        |                         |
//!        +-------------------------+--> given up: this server is the primary as before
//! ```
//!
//! A thread of its own drives that, since it waits most of the time.

use super::shards::Access;
use super::{Following, Primary};
use crate::mail::Mail;
use crate::pause::{Cause, FOR_EVER, Paused};
use crate::shared::{Shared, lock};
use darter_base::{UnixMillis, WorkerId};
use darter_runtime::wall_clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often is looked who has everything.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Tickets of these threads begin here.
const TICKETS_FROM: u64 = 1 << 62;

/// Handing over, as everybody may look at it.
#[derive(Debug, Default)]
pub struct Failover {
    /// Whether it is under way.
    is_under_way: AtomicBool,
    attempt: Mutex<Option<Attempt>>,
    changed: Condvar,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// To whom; `None`: whoever has everything first.
    pub target: Option<Primary>,
    /// Until when it is waited for; `None`: for ever.
    pub until: Option<UnixMillis>,
    /// Whether it is handed over then, although something is lost.
    pub is_forced: bool,
}

#[derive(Debug)]
struct Attempt {
    number: u64,
    wanted: Wanted,
    is_in_progress: bool,
    is_given_up: bool,
    /// What the replica answered.
    verdict: Option<Result<(), String>>,
}

impl Failover {
    /// Whether it is under way: pings would move what a replica has to have.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Relaxed)
    }

    /// Its name in INFO.
    pub fn state(&self) -> &'static str {
        match &*lock(&self.attempt) {
            None => "no-failover",
            Some(attempt) if attempt.is_in_progress => "failover-in-progress",
            Some(_) => "waiting-for-sync",
        }
    }

    /// Begins it and holds writes back, of which workers are to be told; `false`: it is under way already.
    pub fn begin(shared: &'static Shared, wanted: Wanted, now: UnixMillis) -> bool {
        let failover = &shared.following.failover;
        let mut attempt = lock(&failover.attempt);
        if attempt.is_some() {
            return false;
        }
        if let Some(Primary { host, port }) = &wanted.target {
            tracing::info!("FAILOVER requested to {host}:{port}.");
        } else {
            tracing::info!("FAILOVER requested to any replica.");
        }
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        *attempt = Some(Attempt {
            number,
            wanted,
            is_in_progress: false,
            is_given_up: false,
            verdict: None,
        });
        failover.is_under_way.store(true, Ordering::Relaxed);
        shared.pause.begin(Cause::HandingOver, Paused::Writes, FOR_EVER, now);
        drop(attempt);
        let run = move || run(shared, number);
        let started = std::thread::Builder::new().name("darter-failover".to_owned()).spawn(run);
        if let Err(error) = started {
            tracing::error!(%error, "There is no thread to hand over");
            failover.finish(shared, number, "there is no thread");
        }
        true
    }

    /// Gives it up; `false`: there is none. It is over at once unless the replica is asked already.
    pub fn give_up(&self, shared: &Shared) -> bool {
        let mut guard = lock(&self.attempt);
        let Some(attempt) = guard.as_mut() else { return false };
        attempt.is_given_up = true;
        if attempt.is_in_progress {
            self.changed.notify_all();
        } else {
            self.end(guard, shared, GIVEN_UP);
        }
        true
    }

    /// What the replica answered that is to be the primary.
    pub(super) fn note_verdict(&self, verdict: Result<(), String>) {
        if let Some(attempt) = &mut *lock(&self.attempt) {
            attempt.verdict.get_or_insert(verdict);
        }
        self.changed.notify_all();
    }

    /// Waits for a while, or until something is new.
    fn wait<'a>(
        &self,
        attempt: MutexGuard<'a, Option<Attempt>>,
    ) -> MutexGuard<'a, Option<Attempt>> {
        let waited = self.changed.wait_timeout(attempt, LOOK_INTERVAL);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// This attempt is over, if it has not been given up.
    fn finish(&self, shared: &Shared, number: u64, why: &str) {
        let guard = lock(&self.attempt);
        if guard.as_ref().is_some_and(|attempt| attempt.number == number) {
            self.end(guard, shared, why);
        }
    }

    /// It is over, and writers go on.
    fn end(&self, mut guard: MutexGuard<'_, Option<Attempt>>, shared: &Shared, why: &str) {
        let Some(attempt) = guard.take() else { return };
        self.is_under_way.store(false, Ordering::Relaxed);
        if !why.is_empty() {
            if let Some(Primary { host, port }) = &attempt.wanted.target {
                tracing::info!("FAILOVER to {host}:{port} aborted: {why}");
            } else {
                tracing::info!("FAILOVER aborted: {why}");
            }
        }
        shared.pause.end(Cause::HandingOver);
        drop(guard);
        self.changed.notify_all();
        for worker in (0..shared.router().worker_count()).map(WorkerId) {
            shared.send(worker, Mail::FollowPause);
        }
    }
}

/// Why an attempt ended that an operator has ended.
const GIVEN_UP: &str = "Failover manually aborted";

static NEXT_NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Drives an attempt to its end.
fn run(shared: &'static Shared, number: u64) {
    let failover = &shared.following.failover;
    let access = Access::by_ticket(shared, TICKETS_FROM | number);
    let why = loop {
        match wait_for_sync(shared, number) {
            Ok((target, is_forced)) => match hand_over(shared, &access, number, &target, is_forced)
            {
                Some(Ok(())) => {
                    Following::configure(shared, Some(&target));
                    // Who waits for what comes to a primary is told now that it is none.
                    for worker in (0..shared.router().worker_count()).map(WorkerId) {
                        shared.send(worker, Mail::Demoted);
                    }
                    break String::new();
                }
                Some(Err(why)) => break why,
                // Somebody wrote meanwhile, or gave it up.
                None => {}
            },
            Err(why) => break why.to_owned(),
        }
    };
    failover.finish(shared, number, &why);
}

/// Waits until a replica has everything: which one, and whether it is handed over in any case.
fn wait_for_sync(shared: &Shared, number: u64) -> Result<(Primary, bool), &'static str> {
    let failover = &shared.following.failover;
    let mut guard = lock(&failover.attempt);
    loop {
        let Some(attempt) = guard.as_ref().filter(|attempt| attempt.number == number) else {
            return Err("it is another's turn");
        };
        if attempt.is_given_up {
            return Err(GIVEN_UP);
        }
        let Wanted { target, until, is_forced } = &attempt.wanted;
        if until.is_some_and(|until| wall_clock() >= until) {
            return match target {
                Some(target) if *is_forced => {
                    let Primary { host, port } = target;
                    tracing::info!("FAILOVER to {host}:{port} time out exceeded, failing over.");
                    Ok((target.clone(), true))
                }
                _ => Err("Replica never caught up before timeout"),
            };
        }
        if let Some(found) = shared.replication.caught_up(target.as_ref()) {
            return Ok((found, false));
        }
        guard = failover.wait(guard);
    }
}

/// Makes this server a replica of `target`, which is asked to be the primary: what became of that. `None`: it does not have
/// everything any more, which it is to have unless `is_forced`, or the attempt was given up.
fn hand_over(
    shared: &'static Shared,
    access: &Access,
    number: u64,
    target: &Primary,
    is_forced: bool,
) -> Option<Result<(), String>> {
    let failover = &shared.following.failover;
    let all = || shared.router().shards().collect();
    let begun = access.with(all(), |_| {
        if !is_forced && shared.replication.caught_up(Some(target)).is_none() {
            return false;
        }
        let mut guard = lock(&failover.attempt);
        let Some(attempt) = guard.as_mut().filter(|attempt| attempt.number == number) else {
            return false;
        };
        attempt.is_in_progress = true;
        drop(guard);
        Following::hand_over(shared, target.clone());
        true
    });
    match begun {
        None => return Some(Err("the server is to end".to_owned())),
        Some(false) => return None,
        Some(true) => {}
    }
    let mut guard = lock(&failover.attempt);
    let result = loop {
        let Some(attempt) = guard.as_ref().filter(|attempt| attempt.number == number) else {
            break Err("it is another's turn".to_owned());
        };
        if let Some(verdict) = &attempt.verdict {
            break verdict.clone();
        }
        if attempt.is_given_up {
            break Err(GIVEN_UP.to_owned());
        }
        guard = failover.wait(guard);
    };
    drop(guard);
    if result.is_err() {
        access.with(all(), |_| Following::lead(shared));
    }
    Some(result)
}
