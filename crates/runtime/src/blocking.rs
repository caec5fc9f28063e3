//! A few threads for system calls that block.

use crate::placement;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::thread;

/// Threads of the whole process for files, started when first needed: enough for a slow sync and something
/// else.
const FILE_THREADS_MAX: usize = 2;

/// The same for other servers, which can be slower than any file: enough that a few that do not answer leave
/// some for the others.
const SOCKET_THREADS_MAX: usize = 16;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

struct Pool {
    name: &'static str,
    threads_max: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
}

static FILES: LazyLock<Pool> = LazyLock::new(|| Pool::new("darter-files", FILE_THREADS_MAX));
static SOCKETS: LazyLock<Pool> = LazyLock::new(|| Pool::new("darter-sockets", SOCKET_THREADS_MAX));

/// The result on its way back.
struct Outcome<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// Work on files.
pub(crate) fn run<T, W>(work: W) -> impl Future<Output = T> + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    run_on(&FILES, work)
}

/// Work on connections to other servers.
pub(crate) fn run_on_sockets<T, W>(work: W) -> impl Future<Output = T> + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    run_on(&SOCKETS, work)
}

fn run_on<T, W>(pool: &'static Pool, work: W) -> impl Future<Output = T> + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let outcome = Arc::new(Mutex::new(Outcome { value: None, waker: None }));
    let theirs = Arc::clone(&outcome);
    pool.submit(Box::new(move || {
        let value = work();
        let mut outcome = lock(&theirs);
        outcome.value = Some(value);
        let waker = outcome.waker.take();
        drop(outcome);
        if let Some(waker) = waker {
            waker.wake();
        }
    }));
    std::future::poll_fn(move |context| {
        let mut outcome = lock(&outcome);
        if let Some(value) = outcome.value.take() {
            return Poll::Ready(value);
        }
        outcome.waker = Some(context.waker().clone());
        Poll::Pending
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code that can panic runs under these locks")
}

impl Pool {
    fn new(name: &'static str, threads_max: usize) -> Self {
        Self { name, threads_max, queue: Mutex::default(), wake: Condvar::new() }
    }

    fn submit(&'static self, work: Work) {
        let mut queue = lock(&self.queue);
        queue.work.push_back(work);
        if queue.idle == 0 && queue.threads < self.threads_max {
            let named = thread::Builder::new().name(self.name.to_owned());
            match named.spawn(|| self.serve()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    tracing::warn!(%error, "no thread for blocking work, doing it in place");
                    let work = queue.work.pop_back();
                    drop(queue);
                    if let Some(work) = work {
                        work();
                    }
                    return;
                }
                // Those that exist will come to it.
                Err(_) => {}
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    fn serve(&self) {
        placement::unbind();
        let mut queue = lock(&self.queue);
        loop {
            if let Some(work) = queue.work.pop_front() {
                drop(queue);
                work();
                queue = lock(&self.queue);
            } else {
                queue.idle += 1;
                queue = self.wake.wait(queue).expect("no code that can panic runs under this lock");
                queue.idle -= 1;
            }
        }
    }
}
