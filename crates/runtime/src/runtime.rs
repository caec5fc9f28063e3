//! Starting the workers.

use crate::acceptor::Acceptor;
use crate::census::Census;
use crate::clock::TickTimer;
use crate::config::WakeAll;
use crate::files::{Files, RingUse};
use crate::host::Host;
use crate::listening::Listening;
use crate::mailbox::{Doorbell, Mailbox};
use crate::network::Network;
use crate::placement;
use crate::shared::{Desk, Shared, WorkerKick};
use crate::shutdown::Shutdown;
use crate::signals::SignalThread;
use crate::worker::{Driver, EVENTS_MAX, RINGS, WAKE, Worker, read_clocks};
use crate::{
    Background, ListenHandle, NextTick, Post, ReactorChoice, ReactorKind, RuntimeConfig,
    RuntimeHandle, Service, ShutdownHandle, StartError, Tunables,
};
use darter_base::WorkerId;
use mio::{Events, Poll, Waker};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// What the service factory gets, on the worker's own thread.
#[derive(Debug)]
pub struct WorkerContext<M> {
    /// The worker the service is for.
    pub worker: WorkerId,
    /// How many workers there are.
    pub worker_count: usize,
    /// Which host runs and why, the same on all workers.
    pub reactor: ReactorChoice,
    /// Mailboxes of all workers.
    pub post: Post<M>,
    /// Background work on this worker.
    pub background: Background,
    /// Files for background work on this worker.
    pub files: Files,
    /// What can be changed while running.
    pub tunables: Tunables,
    /// Changes where the runtime listens.
    pub listen: ListenHandle,
    /// Ends it all.
    pub shutdown: ShutdownHandle,
}

/// Workers there can be: they are numbered by a `u16`, and a process has few CPUs.
pub const WORKERS_MAX: usize = 1024;

/// Binds the listeners, starts the workers and returns once all serve. `factory` runs once on each
/// worker's thread.
pub fn start<S, F>(config: &RuntimeConfig, factory: F) -> Result<RuntimeHandle<S::Mail>, StartError>
where
    S: Service,
    F: Fn(WorkerContext<S::Mail>) -> S + Send + Sync + 'static,
{
    let worker_count =
        config.workers.map_or_else(placement::default_worker_count, Into::into).min(WORKERS_MAX);
    let choice = ReactorChoice::decide(config.reactor, worker_count)
        .map_err(StartError::ReactorUnavailable)?;
    let (shared, polls) = share::<S::Mail>(config, worker_count)?;
    shared.listen(&config.listeners, |_| ())?;
    let shutdown = ShutdownHandle::new(&shared);
    let mut threads = start_threads(config, choice, &shared, polls, &Arc::new(factory))?;
    let signals = if config.handle_signals {
        match SignalThread::start(config.on_signal.clone(), shutdown.clone()) {
            Ok(signals) => Some(signals),
            Err(error) => {
                shutdown.stop();
                threads.join();
                return Err(system("handle signals")(error));
            }
        }
    } else {
        None
    };
    Ok(RuntimeHandle { shared, threads, signals })
}

fn system(purpose: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System { purpose, error }
}

/// Everything shared, and the epoll instance of each worker.
fn share<M: Send + 'static>(
    config: &RuntimeConfig,
    worker_count: usize,
) -> Result<(Arc<Shared<M>>, Vec<Poll>), StartError> {
    let mut polls = Vec::new();
    let mut desks = Vec::new();
    for _ in 0..worker_count {
        let poll = Poll::new().map_err(system("make an epoll instance"))?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(system("make a waker"))?;
        let bell = Arc::new(Doorbell::new(WorkerKick(waker)));
        desks.push(Desk { mailbox: Mailbox::new(), bell });
        polls.push(poll);
    }
    let shared = Arc::new(Shared {
        desks: desks.into_boxed_slice(),
        census: Arc::new(Census::new(worker_count)),
        tunables: Tunables::new(config),
        shutdown: Shutdown::new(worker_count),
        listening: Listening::default(),
    });
    let weak = Arc::downgrade(&shared);
    shared.tunables.connect(WakeAll(Arc::new(move || {
        if let Some(shared) = weak.upgrade() {
            shared.wake_all();
        }
    })));
    Ok((shared, polls))
}

/// The workers' threads.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) choice: ReactorChoice,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// False when one had panicked.
    pub(crate) fn join(&mut self) -> bool {
        self.handles.drain(..).map(JoinHandle::join).filter(Result::is_err).count() == 0
    }
}

/// What a starting worker reports.
enum Report {
    /// Its host could be made.
    HostReady,
    HostFailed(String),
    Serving,
}

/// What a worker is made of, on its way to its thread.
struct Seed<M> {
    id: WorkerId,
    cpu: Option<usize>,
    poll: Poll,
    config: RuntimeConfig,
    shared: Arc<Shared<M>>,
    reports: Sender<Report>,
    decision: Receiver<ReactorChoice>,
}

/// Starts the workers in two steps: each makes its host; then all run the same one. If one could
/// not make glommio's after all (the probe is a moment ago), none uses it.
fn start_threads<S, F>(
    config: &RuntimeConfig,
    mut choice: ReactorChoice,
    shared: &Arc<Shared<S::Mail>>,
    polls: Vec<Poll>,
    factory: &Arc<F>,
) -> Result<Threads, StartError>
where
    S: Service,
    F: Fn(WorkerContext<S::Mail>) -> S + Send + Sync + 'static,
{
    let cpus = placement::cpus(config.pinning, polls.len());
    let (reports, inbox) = mpsc::channel();
    let mut decisions = Vec::new();
    let mut handles = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let (decide, decision) = mpsc::channel();
        let seed = Seed {
            id: WorkerId(u16::try_from(index).expect("there are at most WORKERS_MAX")),
            cpu: cpus.as_ref().map(|cpus| cpus[index]),
            poll,
            config: config.clone(),
            shared: Arc::clone(shared),
            reports: reports.clone(),
            decision,
        };
        let (kind, factory) = (choice.kind, Arc::clone(factory));
        let thread = thread::Builder::new()
            .name(format!("darter-w{index}"))
            .spawn(move || run_worker::<S>(seed, kind, &*factory))
            .map_err(system("start a worker thread"))?;
        handles.push(thread);
        decisions.push(decide);
    }
    drop(reports);
    let mut failure = None;
    for report in inbox.iter().take(handles.len()) {
        if let Report::HostFailed(reason) = report {
            failure = Some(reason);
        }
    }
    if let Some(reason) = failure {
        if config.reactor == crate::Reactor::Glommio {
            return Err(StartError::ReactorUnavailable(reason));
        }
        choice = ReactorChoice { kind: ReactorKind::Epoll, reason };
    }
    for decide in decisions {
        // A worker that is gone has panicked, which shows below.
        let _ = decide.send(choice.clone());
    }
    let serving = inbox.iter().take(handles.len()).count();
    let mut threads = Threads { choice, handles };
    if serving < threads.handles.len() {
        shared.shutdown.stop();
        shared.wake_all();
        threads.join();
        let error = io::Error::other("it panicked while starting");
        return Err(StartError::System { purpose: "start a worker", error });
    }
    Ok(threads)
}

/// The life of a worker's thread.
fn run_worker<S: Service>(
    seed: Seed<S::Mail>,
    kind: ReactorKind,
    factory: &(dyn Fn(WorkerContext<S::Mail>) -> S + Send + Sync),
) {
    let alarm = Alarm { shared: Arc::clone(&seed.shared) };
    if let Some(cpu) = seed.cpu
        && let Err(error) = placement::bind(&[cpu])
    {
        tracing::warn!(cpu, %error, "could not bind a worker to its CPU");
    }
    let (host, ring_use, report) = make_host(kind, &seed.poll);
    // The starter is gone only if it failed, and then the decision never comes.
    let _ = seed.reports.send(report);
    let Ok(choice) = seed.decision.recv() else { return };
    let (host, ring_use) =
        if choice.kind == ReactorKind::Epoll { (Host::Plain, None) } else { (host, ring_use) };
    let reports = seed.reports.clone();
    let worker = match make_worker(seed, choice, host, ring_use, factory) {
        Ok(worker) => worker,
        Err(error) => {
            tracing::error!(%error, "could not start a worker");
            return;
        }
    };
    let _ = reports.send(Report::Serving);
    drop(reports);
    worker.run();
    drop(alarm);
}

fn make_host(kind: ReactorKind, poll: &Poll) -> (Host, Option<Rc<RingUse>>, Report) {
    match kind {
        ReactorKind::Epoll => (Host::Plain, None, Report::HostReady),
        #[cfg(target_os = "linux")]
        ReactorKind::Glommio => {
            use crate::host::glommio_host::GlommioHost;
            let ring_use = Rc::new(RingUse::default());
            match GlommioHost::new(poll.registry(), RINGS, Rc::clone(&ring_use)) {
                Ok(host) => (Host::Glommio(Box::new(host)), Some(ring_use), Report::HostReady),
                Err(reason) => (Host::Plain, None, Report::HostFailed(reason)),
            }
        }
        #[cfg(not(target_os = "linux"))]
        ReactorKind::Glommio => {
            (Host::Plain, None, Report::HostFailed("there is no io_uring here".to_owned()))
        }
    }
}

fn make_worker<S: Service>(
    seed: Seed<S::Mail>,
    reactor: ReactorChoice,
    host: Host,
    ring_use: Option<Rc<RingUse>>,
    factory: &(dyn Fn(WorkerContext<S::Mail>) -> S + Send + Sync),
) -> io::Result<Worker<S>> {
    let Seed { id, poll, config, shared, .. } = seed;
    let acceptor = (id.index() == 0).then(Acceptor::default);
    let post = Post::new(id, Arc::clone(&shared));
    let background = Background::new(Arc::clone(&shared.desks[id.index()].bell));
    let turn = read_clocks(id);
    let network = Network::new(
        poll.registry().try_clone()?,
        &config,
        shared.tunables.clone(),
        Arc::clone(&shared.census),
        turn,
    );
    let service = factory(WorkerContext {
        worker: id,
        worker_count: shared.desks.len(),
        reactor,
        post: post.clone(),
        background: background.clone(),
        files: Files::new(background.clone(), ring_use),
        tunables: shared.tunables.clone(),
        listen: ListenHandle::new(&shared),
        shutdown: ShutdownHandle::new(&shared),
    });
    let last = u16::try_from(shared.desks.len() - 1).expect("there are at most WORKERS_MAX");
    let driver = Driver {
        id,
        poll,
        events: Events::with_capacity(EVENTS_MAX),
        network,
        acceptor,
        last_assigned: WorkerId(last),
        shared,
        post,
        background,
        host,
        letters: Vec::new(),
        deferred: Vec::new(),
        completions_seen: false,
        next_tick: NextTick::Now,
        timer: TickTimer::new(turn.instant),
        shutdown_grace: config.shutdown_grace,
        drain_deadline: None,
    };
    Ok(Worker { service, driver })
}

/// Stops all workers when one panics: the others would wait for its letters.
struct Alarm<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Drop for Alarm<M> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.shutdown.stop();
            self.shared.wake_all();
        }
    }
}
