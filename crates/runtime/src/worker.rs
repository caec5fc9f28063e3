//! A worker's loop.

use crate::acceptor::Acceptor;
use crate::background::Tasks;
use crate::clock::{TickTimer, wall_clock};
use crate::host::Host;
use crate::listening::Listeners;
use crate::network::Network;
use crate::shared::{Desk, Letter, Shared};
use crate::shutdown::Stage;
use crate::{Background, Connections, NextTick, Post, Service, Stopping, Turn};
use darter_base::WorkerId;
use mio::{Events, Poll, Token};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Another thread woke us.
pub(crate) const WAKE: Token = Token(usize::MAX);
/// io_uring completions.
pub(crate) const RINGS: Token = Token(usize::MAX - 1);
/// The first listener; connections are far below.
pub(crate) const LISTENERS: Token = Token(usize::MAX >> 1);
/// Taken from the kernel in one call.
pub(crate) const EVENTS_MAX: usize = 1024;

/// A worker: what runs on it, and what drives that.
pub(crate) struct Worker<S: Service> {
    pub(crate) service: S,
    pub(crate) driver: Driver<S>,
}

/// All of a worker but its service.
pub(crate) struct Driver<S: Service> {
    pub(crate) id: WorkerId,
    pub(crate) poll: Poll,
    pub(crate) events: Events,
    pub(crate) network: Network<S>,
    /// On worker 0, until a shutdown drains.
    pub(crate) acceptor: Option<Acceptor>,
    /// The worker the last accepted connection went to.
    pub(crate) last_assigned: WorkerId,
    pub(crate) shared: Arc<Shared<S::Mail>>,
    pub(crate) post: Post<S::Mail>,
    pub(crate) background: Background,
    pub(crate) host: Host,
    /// Letters taken out of the mailbox; empty between ticks.
    pub(crate) letters: Vec<Letter<S::Mail>>,
    /// Letters that were put off while a connection was served apart.
    pub(crate) deferred: Vec<S::Mail>,
    /// Whether io_uring reported completions in a tick that does no background work.
    pub(crate) completions_seen: bool,
    pub(crate) next_tick: NextTick,
    pub(crate) timer: TickTimer,
    pub(crate) shutdown_grace: Duration,
    /// When draining ends, once it began.
    pub(crate) drain_deadline: Option<Instant>,
}

/// What the worker has to do besides the sockets.
#[derive(Default)]
struct Seen {
    /// Connections had events or work of their own, or letters came.
    network: bool,
    completions: bool,
}

impl<S: Service> Worker<S> {
    /// Runs until the runtime stops.
    pub(crate) fn run(self) {
        let Self { mut service, mut driver } = self;
        while driver.shared.shutdown.stage() != Stage::Stopped {
            driver.tick(&mut service);
        }
        driver.network.close_all();
        driver.network.reap(&mut service);
        let tasks = driver.background.tasks();
        driver.host.enter(|| tasks.clear());
        // Connections nobody opened are closed with their letters.
        driver.shared.desks[driver.id.index()].mailbox.take_all(&mut driver.letters);
        driver.shared.listening.clear();
    }
}

impl<S: Service> Driver<S> {
    fn tick(&mut self, service: &mut S) {
        self.wait();
        let mut turn = read_clocks(self.id);
        turn.last_tick = self.timer.begin(turn.instant);
        self.network.begin_tick(turn);
        let mut seen = self.dispatch_events(service);
        seen.completions |= std::mem::take(&mut self.completions_seen);
        seen.network |= self.network.is_runnable();
        self.run_queue(service);
        self.serve_apart(service);
        self.network.send_listed(service);
        self.accept();
        self.post.kick_receivers();
        seen.network |= self.read_letters(service);
        self.next_tick = service.tick(&mut Connections::new(&mut self.network));
        self.follow_shutdown(service);
        self.network.finish_letters(service);
        if self.network.waiting_apart() > 0 {
            self.serve_apart(service);
            self.network.send_listed(service);
        }
        self.finish(service);
        self.run_background(&seen);
        self.post.kick_receivers();
    }

    /// A tick for the others while one connection is served apart: without sleep, background work and the
    /// end.
    pub(crate) fn tick_within(&mut self, service: &mut S) {
        debug_assert!(self.network.has_lent(), "only while one is served apart");
        self.poll_events(Some(Duration::ZERO));
        self.network.begin_tick(read_clocks(self.id));
        let seen = self.dispatch_events(service);
        self.completions_seen |= seen.completions;
        self.run_queue(service);
        self.network.send_listed(service);
        self.accept();
        self.post.kick_receivers();
        self.read_letters(service);
        self.next_tick = service.tick(&mut Connections::new(&mut self.network));
        self.network.finish_letters(service);
        self.finish(service);
    }

    /// The end of a tick, as far as connections are concerned.
    fn finish(&mut self, service: &mut S) {
        service.served();
        self.network.limit_listed(service);
        self.network.close_idle();
        self.network.reap(service);
        self.post.kick_receivers();
    }

    /// Sleeps until there is something to do. The last look at what others can fill follows the
    /// announcement, see `mailbox.rs`.
    fn wait(&mut self) {
        let mut timeout = self.timeout();
        let desk: &Desk<S::Mail> = &self.shared.desks[self.id.index()];
        if timeout != Some(Duration::ZERO) {
            desk.bell.announce_sleep();
            if !desk.mailbox.is_empty_before_sleep()
                || !self.background.tasks().is_quiet_before_sleep()
            {
                timeout = Some(Duration::ZERO);
            }
        }
        self.poll_events(timeout);
        self.shared.desks[self.id.index()].bell.awake();
    }

    fn poll_events(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout) {
            // A signal, or io_uring's task work, which interrupts like one. Anything else is a
            // broken epoll.
            assert!(error.kind() == std::io::ErrorKind::Interrupted, "epoll_wait: {error}");
            self.events.clear();
        }
    }

    /// How long this worker may sleep; `None` for ever.
    fn timeout(&mut self) -> Option<Duration> {
        let desk = &self.shared.desks[self.id.index()];
        let tasks = self.background.tasks();
        if self.next_tick == NextTick::Now
            || self.network.is_runnable()
            || self.completions_seen
            || !self.deferred.is_empty()
            || desk.mailbox.count() > 0
        {
            return Some(Duration::ZERO);
        }
        let turn = &self.network.turn;
        let service = match self.next_tick {
            NextTick::After(duration) => turn.instant.checked_add(duration),
            NextTick::Now | NextTick::Idle => None,
        };
        let acceptor = self.acceptor.as_ref().and_then(|acceptor| acceptor.deadline(turn.instant));
        let idle = self.network.idle_deadline();
        let limit = self.network.limit_deadline();
        let first = [service, acceptor, idle, limit, tasks.deadline(), self.drain_deadline];
        let deadline = first.into_iter().flatten().min()?;
        let now = Instant::now();
        self.timer.end(now);
        Some(deadline.saturating_duration_since(now))
    }

    /// Reads connections that have input, and shows it to the service.
    fn dispatch_events(&mut self, service: &mut S) -> Seen {
        let mut seen = Seen::default();
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                WAKE => {}
                RINGS => seen.completions = true,
                Token(token) if token >= LISTENERS.0 => {
                    if let Some(acceptor) = &mut self.acceptor {
                        acceptor.mark_ready(token - LISTENERS.0);
                    }
                }
                _ => {
                    seen.network = true;
                    if self.network.is_full() {
                        self.show(service);
                    }
                    self.network.event(event);
                }
            }
        }
        self.events = events;
        self.show(service);
        seen
    }

    /// Gives the connections that had more to do their turn: each once.
    fn run_queue(&mut self, service: &mut S) {
        for _ in 0..self.network.queue_len() {
            if self.network.is_full() {
                self.show(service);
            }
            self.network.run_next(service);
        }
        self.show(service);
    }

    /// Shows the service what was read, and sends what it answers. Letters are read before: what other
    /// workers had sent before they answered their clients comes before the answer to whatever is asked
    /// after that. (The kernel orders the look into the mailbox behind the read.)
    fn show(&mut self, service: &mut S) {
        let mailbox = &self.shared.desks[self.id.index()].mailbox;
        if self.network.has_arrivals() && mailbox.count() > 0 {
            self.read_letters(service);
            self.network.forget_closing_arrivals();
        }
        self.network.show_and_send(service);
    }

    fn accept(&mut self) {
        let Some(acceptor) = &mut self.acceptor else { return };
        let (shared, post, last) = (&self.shared, &self.post, &mut self.last_assigned);
        acceptor.accept(self.network.turn.instant, &shared.tunables, |accepted| {
            *last = shared.census.assign(*last);
            post.send_letter(*last, Letter::Connection(Box::new(accepted)));
        });
    }

    /// Unless this runtime does not accept any more.
    fn listen(&mut self, listeners: Listeners) {
        if let Some(acceptor) = &mut self.acceptor
            && let Err(error) = acceptor.watch(listeners, self.poll.registry(), LISTENERS)
        {
            tracing::error!(%error, "could not watch a listening socket");
        }
    }

    /// True when there were letters.
    pub(crate) fn read_letters(&mut self, service: &mut S) -> bool {
        let is_within = self.network.has_lent();
        let mut any = false;
        if !is_within && !self.deferred.is_empty() {
            any = true;
            for mail in std::mem::take(&mut self.deferred) {
                service.mail(mail, &mut Connections::new(&mut self.network));
            }
        }
        let mut letters = std::mem::take(&mut self.letters);
        self.shared.desks[self.id.index()].mailbox.take_all(&mut letters);
        any |= !letters.is_empty();
        for letter in letters.drain(..) {
            match letter {
                Letter::Mail(mail) if is_within && service.defers(&mail) => {
                    self.deferred.push(mail);
                }
                Letter::Mail(mail) => {
                    service.mail(mail, &mut Connections::new(&mut self.network));
                }
                Letter::Connection(accepted) => self.network.open(service, *accepted),
                Letter::Listen(listeners) => self.listen(listeners),
                Letter::LookAround => {}
            }
        }
        self.letters = letters;
        any
    }

    fn run_background(&mut self, seen: &Seen) {
        let tasks: &Tasks = self.background.tasks();
        let completed = seen.completions && self.host.completions_are_wanted();
        if !tasks.gather() && !completed {
            return;
        }
        let turn = &self.network.turn;
        let Some(budget) = tasks.budget(!seen.network, turn.instant.elapsed()) else {
            if completed {
                self.host.enter(|| ());
            }
            return;
        };
        self.host.enter(|| {
            tasks.gather();
            tasks.run(budget)
        });
    }

    fn follow_shutdown(&mut self, service: &mut S) {
        let (shutdown, worker) = (&self.shared.shutdown, self.id.index());
        match shutdown.stage() {
            Stage::Running | Stage::Stopped => {}
            Stage::Stopping => match service.stopping(&mut Connections::new(&mut self.network)) {
                Stopping::Ready => {
                    if shutdown.vote(worker, Stage::Stopping) {
                        self.shared.wake_all();
                    }
                }
                Stopping::Wait => shutdown.unvote(worker, Stage::Stopping),
                Stopping::Cancel => {
                    if shutdown.cancel() {
                        tracing::info!("the shutdown was called off");
                    }
                }
            },
            Stage::Draining => self.drain(),
        }
    }

    fn drain(&mut self) {
        let now = self.network.turn.instant;
        if self.drain_deadline.is_none() {
            self.drain_deadline = Some(now + self.shutdown_grace);
            self.acceptor = None;
            self.shared.listening.clear();
            self.network.drain();
        }
        let (shutdown, worker) = (&self.shared.shutdown, self.id.index());
        if self.drain_deadline.is_some_and(|deadline| now >= deadline) {
            shutdown.stop();
            self.shared.wake_all();
        } else if self.network.is_drained() {
            if shutdown.vote(worker, Stage::Draining) {
                self.shared.wake_all();
            }
        } else {
            shutdown.unvote(worker, Stage::Draining);
        }
    }
}

/// Both clocks, for one tick.
pub(crate) fn read_clocks(worker: WorkerId) -> Turn {
    Turn { now: wall_clock(), instant: Instant::now(), worker, last_tick: Duration::ZERO }
}
