//! Futures that run beside the network on a worker: snapshots, the journal, replication.
//!
//! Each worker has a small executor of its own, the same on both hosts. The driver runs it in
//! slices between ticks, so background work never makes a connection wait longer than one slice,
//! and it gets a share of a saturated worker (`Share`). Why not glommio's task queues: the driver
//! sleeps in `epoll_wait` inside the worker's thread, and glommio would bill that sleep to the
//! driver's queue; and the plain host needs an executor anyway (`docs/decisions/`).

use crate::blocking;
use crate::mailbox::Doorbell;
use crate::shared::WorkerKick;
use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A worker's handle for background work. Cheap to clone; stays on its worker's thread. What has
/// not ended with its worker is dropped.
#[derive(Clone, Debug)]
pub struct Background {
    tasks: Rc<Tasks>,
}

/// How much of a busy worker a background task gets. The network has [`Share::NETWORK`]; a task
/// with a tenth of that may run a tenth as long as the network did. On an idle worker any task may
/// run all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// What the network has.
    pub const NETWORK: Self = Self(1000);

    /// A share of `parts`, at least 1.
    pub const fn new(parts: u16) -> Self {
        Self(if parts == 0 { 1 } else { parts })
    }
}

/// The longest run of background work between two looks at the network. A task that works longer
/// without yielding makes connections wait longer.
pub const SLICE: Duration = Duration::from_micros(500);

/// What background work can owe the network at most. More would let one slice that the system
/// interrupted for long, which looks like one that ran for long, stop all background work of a busy
/// worker.
const DEBT_MAX: Duration = SLICE.saturating_mul(4);

impl Background {
    pub(crate) fn new(bell: Arc<Doorbell<WorkerKick>>) -> Self {
        Self { tasks: Rc::new(Tasks::new(bell)) }
    }

    /// Starts `future` on this worker. It runs in slices between ticks and must yield
    /// ([`Background::yield_now`]) at least every [`SLICE`] of work.
    pub fn spawn(&self, share: Share, future: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(share, Box::pin(future));
    }

    /// Lets the network and other tasks go first.
    pub fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let mut yielded = false;
        std::future::poll_fn(move |context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Completes after `duration`, rounded up to a millisecond when the worker sleeps.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let tasks = Rc::clone(&self.tasks);
        let deadline = Instant::now() + duration;
        std::future::poll_fn(move |context| {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            tasks.add_timer(deadline, context.waker().clone());
            Poll::Pending
        })
    }

    /// Runs `work` on another thread and completes with its result: for system calls that block and
    /// have no other form. Such work waits behind other such work; it must end by itself.
    pub fn blocking<T, W>(&self, work: W) -> impl Future<Output = T> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        blocking::run(work)
    }

    /// The same for work on a connection to another server ([`crate::Dialogue`]), which does not keep work on
    /// files waiting.
    pub fn blocking_socket<T, W>(&self, work: W) -> impl Future<Output = T> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        blocking::run_on_sockets(work)
    }

    /// Tasks that have not ended.
    pub fn task_count(&self) -> usize {
        self.tasks.alive.get()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

/// The executor of one worker.
pub(crate) struct Tasks {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Woken and not yet polled.
    ready: RefCell<Vec<u32>>,
    timers: RefCell<BinaryHeap<Reverse<Timer>>>,
    woken: Arc<Woken>,
    /// The smallest virtual run time a new task starts with.
    floor: Cell<u64>,
    alive: Cell<usize>,
    /// Run time the network's use of the worker has earned background work and that was not used,
    /// in nanoseconds. Negative after a slice that ran longer than it had earned.
    earned_nanos: Cell<i64>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("alive", &self.alive.get()).finish_non_exhaustive()
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Slot {
    /// `None` while it is polled and when the slot is free.
    task: Option<Task>,
    share: Share,
    /// Nanoseconds run, scaled by the inverse of the share: the least goes first.
    virtual_nanos: u64,
    wake: Arc<TaskWake>,
}

/// Tasks woken since the last slice, by anybody.
struct Woken {
    list: Mutex<Vec<u32>>,
    bell: Arc<Doorbell<WorkerKick>>,
}

struct TaskWake {
    index: u32,
    /// In the list or in `ready` already.
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The order of the two steps is that of `mailbox.rs`: first the list, under its lock, then the
    /// bell.
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Atomic::AcqRel) {
            self.woken
                .list
                .lock()
                .expect("no code that can panic runs under this lock")
                .push(self.index);
            self.woken.bell.ring();
        }
    }
}

struct Timer {
    deadline: Instant,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline.cmp(&other.deadline)
    }
}

impl Tasks {
    fn new(bell: Arc<Doorbell<WorkerKick>>) -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            ready: RefCell::default(),
            timers: RefCell::default(),
            woken: Arc::new(Woken { list: Mutex::default(), bell }),
            floor: Cell::new(0),
            alive: Cell::new(0),
            earned_nanos: Cell::new(0),
        }
    }

    fn spawn(&self, share: Share, task: Task) {
        let index = self.free.borrow_mut().pop();
        let mut slots = self.slots.borrow_mut();
        let index =
            index.unwrap_or_else(|| u32::try_from(slots.len()).expect("background tasks are few"));
        let woken = Arc::clone(&self.woken);
        let wake = Arc::new(TaskWake { index, queued: AtomicBool::new(true), woken });
        let slot = Slot { task: Some(task), share, virtual_nanos: self.floor.get(), wake };
        match slots.get_mut(index as usize) {
            Some(free) => *free = slot,
            None => slots.push(slot),
        }
        self.alive.set(self.alive.get() + 1);
        self.ready.borrow_mut().push(index);
    }

    fn add_timer(&self, deadline: Instant, waker: Waker) {
        self.timers.borrow_mut().push(Reverse(Timer { deadline, waker }));
    }

    /// When the first timer is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.borrow().peek().map(|Reverse(timer)| timer.deadline)
    }

    /// The look before sleeping: must follow `announce_sleep`.
    pub(crate) fn is_quiet_before_sleep(&self) -> bool {
        self.ready.borrow().is_empty()
            && self
                .woken
                .list
                .lock()
                .expect("no code that can panic runs under this lock")
                .is_empty()
    }

    /// Collects what was woken, by timers too. True when there is something to run.
    pub(crate) fn gather(&self) -> bool {
        if self.alive.get() == 0 {
            return false;
        }
        if self.deadline().is_some() {
            self.fire_timers();
        }
        let mut list = self.woken.list.lock().expect("no code that can panic runs under this lock");
        let mut ready = self.ready.borrow_mut();
        ready.append(&mut list);
        !ready.is_empty()
    }

    fn fire_timers(&self) {
        let now = Instant::now();
        loop {
            let mut timers = self.timers.borrow_mut();
            match timers.peek() {
                Some(Reverse(timer)) if timer.deadline <= now => {}
                _ => return,
            }
            let fired = timers.pop();
            drop(timers);
            if let Some(Reverse(timer)) = fired {
                timer.waker.wake();
            }
        }
    }

    /// How long background work may run now, if at all: a slice when the network is quiet, else
    /// what its use of the worker has earned.
    pub(crate) fn budget(
        &self,
        network_is_quiet: bool,
        network_time: Duration,
    ) -> Option<Duration> {
        if network_is_quiet {
            self.earned_nanos.set(0);
            return Some(SLICE);
        }
        let slots = self.slots.borrow();
        let shares: i64 =
            self.ready.borrow().iter().map(|index| i64::from(slots[*index as usize].share.0)).sum();
        let earned = nanos(network_time).saturating_mul(shares) / i64::from(Share::NETWORK.0);
        let total = self.earned_nanos.get().saturating_add(earned).min(nanos(SLICE));
        self.earned_nanos.set(total);
        u64::try_from(total).ok().filter(|total| *total > 0).map(Duration::from_nanos)
    }

    /// Polls ready tasks, the one furthest behind its share first, until `budget` is used or none
    /// is ready. True when some are still ready.
    pub(crate) fn run(&self, budget: Duration) -> bool {
        let started = Instant::now();
        let mut now = started;
        while now - started < budget {
            let Some(index) = self.take_next() else { break };
            let began = now;
            self.poll(index);
            now = Instant::now();
            self.bill(index, now - began);
            // One that yielded competes with the others at once, not only after each had its turn.
            self.gather();
        }
        let left = self.earned_nanos.get().saturating_sub(nanos(now - started));
        self.earned_nanos.set(left.max(-nanos(DEBT_MAX)));
        self.gather()
    }

    fn take_next(&self) -> Option<u32> {
        let mut ready = self.ready.borrow_mut();
        let slots = self.slots.borrow();
        let next = ready
            .iter()
            .enumerate()
            .min_by_key(|(_, index)| slots[**index as usize].virtual_nanos)
            .map(|(position, _)| position)?;
        Some(ready.swap_remove(next))
    }

    fn poll(&self, index: u32) {
        let (task, wake) = {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[index as usize];
            // A task's waker may outlive the task, and the slot's next task may be woken by it:
            // harmless.
            let Some(task) = slot.task.take() else { return };
            (task, Arc::clone(&slot.wake))
        };
        let mut task = task;
        wake.queued.store(false, Atomic::Release);
        let waker = Waker::from(wake);
        let outcome = task.as_mut().poll(&mut Context::from_waker(&waker));
        if outcome.is_pending() {
            self.slots.borrow_mut()[index as usize].task = Some(task);
        } else {
            // Dropped outside the borrow: its destructor may spawn.
            drop(task);
            self.free.borrow_mut().push(index);
            self.alive.set(self.alive.get() - 1);
        }
    }

    fn bill(&self, index: u32, run_time: Duration) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[index as usize];
        let nanos = nanos(run_time).unsigned_abs();
        let scaled = nanos.saturating_mul(u64::from(Share::NETWORK.0)) / u64::from(slot.share.0);
        // One that slept for long must not run for as long before the others.
        slot.virtual_nanos = slot.virtual_nanos.max(self.floor.get()).saturating_add(scaled.max(1));
        let behind = slots.iter().filter(|slot| slot.wake.queued.load(Atomic::Relaxed));
        if let Some(least) = behind.map(|slot| slot.virtual_nanos).min() {
            self.floor.set(self.floor.get().max(least));
        }
    }

    /// Drops all tasks, ended or not.
    pub(crate) fn clear(&self) {
        loop {
            let slots = std::mem::take(&mut *self.slots.borrow_mut());
            self.ready.borrow_mut().clear();
            self.free.borrow_mut().clear();
            self.timers.borrow_mut().clear();
            self.alive.set(0);
            if slots.is_empty() {
                return;
            }
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Tasks {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        Tasks::new(Arc::new(Doorbell::new(WorkerKick(waker))))
    }

    /// Always ready.
    fn eager() -> Task {
        Box::pin(std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    /// Runs the next task for as long as `run_time` says.
    fn step(tasks: &Tasks, run_time: Duration) -> u32 {
        tasks.gather();
        let index = tasks.take_next().unwrap();
        tasks.poll(index);
        tasks.bill(index, run_time);
        index
    }

    #[test]
    fn run_time_is_shared_out_by_share_and_not_by_turns() {
        let tasks = tasks();
        tasks.spawn(Share::new(400), eager());
        tasks.spawn(Share::new(100), eager());
        let mut micros = [0; 2];
        for turn in 0..10_000 {
            // The first one has turns of different length.
            let run_time = 5 + turn % 30;
            micros[step(&tasks, Duration::from_micros(run_time)) as usize] += run_time;
        }
        let tenths = micros[0] * 10 / micros[1];
        assert!((39..=41).contains(&tenths), "{micros:?}");
    }

    #[test]
    fn a_newcomer_does_not_make_up_for_the_time_before_it_came() {
        let tasks = tasks();
        tasks.spawn(Share::new(100), eager());
        for _ in 0..1000 {
            step(&tasks, Duration::from_micros(100));
        }
        tasks.spawn(Share::new(100), eager());
        let turns: Vec<u32> = (0..10).map(|_| step(&tasks, Duration::from_micros(100))).collect();
        assert_eq!(turns.iter().filter(|index| **index == 0).count(), 5, "{turns:?}");
    }

    #[test]
    fn a_busy_network_earns_background_work_its_share_and_no_more() {
        let tasks = tasks();
        tasks.spawn(Share::new(250), eager());
        tasks.gather();
        assert_eq!(tasks.budget(true, Duration::ZERO), Some(SLICE));
        let earned = tasks.budget(false, Duration::from_micros(400));
        assert_eq!(earned, Some(Duration::from_micros(100)));
        tasks.run(Duration::ZERO);
        let capped = tasks.budget(false, Duration::from_secs(1));
        assert_eq!(capped, Some(SLICE));
        // A task that overran pays it back.
        tasks.earned_nanos.set(-nanos(Duration::from_micros(60)));
        assert_eq!(tasks.budget(false, Duration::from_micros(200)), None);
        assert_eq!(
            tasks.budget(false, Duration::from_micros(200)),
            Some(Duration::from_micros(40))
        );
    }
}
