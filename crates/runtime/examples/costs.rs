//! What waking, parking and letters cost, in CPU time of the whole process (`docs/runtime.md`).
//!
//! `costs`

#[cfg(target_os = "linux")]
#[path = "../src/mailbox.rs"]
#[allow(dead_code, reason = "the comparison uses a part")]
mod mailbox;

#[cfg(target_os = "linux")]
mod sync {
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use crate::mailbox::Mailbox;
    use crossbeam_queue::SegQueue;
    use glommio::{LocalExecutorBuilder, Placement};
    use std::future::poll_fn;
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier, Mutex};
    use std::task::{Poll, Waker};
    use std::thread;
    use std::time::{Duration, Instant};

    const WAKES: u32 = 100_000;
    const LETTERS: u32 = 4_000_000;

    pub(crate) fn main() {
        report("epoll sleep and wake, one side", WAKES * 2, || epoll_ping_pong(WAKES));
        report("glommio park and wake, one side", WAKES * 2, || glommio_ping_pong(WAKES));
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(64 << 10)
            .preempt_timer(Duration::from_hours(24))
            .make()
            .expect("glommio runs here");
        report("one pass of glommio's reactor", WAKES, || {
            for _ in 0..WAKES {
                executor.run(async {});
            }
        });
        for batch in [1, 16] {
            let name = format!("letter, mutex and vector, {batch} at a time");
            report(&name, LETTERS, || letters_by_mutex(LETTERS, batch));
            let name = format!("letter, crossbeam's SegQueue, {batch} at a time");
            report(&name, LETTERS, || letters_by_queue(LETTERS, batch));
        }
    }

    /// Three times, because the first one starts cold.
    fn report(name: &str, operations: u32, mut work: impl FnMut()) {
        let mut results = Vec::new();
        for _ in 0..3 {
            let (cpu, wall) = (cpu_time(), Instant::now());
            work();
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(operations);
            results.push((each(cpu_time().saturating_sub(cpu)), each(wall.elapsed())));
        }
        let mut out = std::io::stdout();
        let times: Vec<String> =
            results.iter().map(|(cpu, wall)| format!("{cpu:.3} ({wall:.3})")).collect();
        let line = format!("{name}: CPU µs (wall µs): {}", times.join(", "));
        writeln!(out, "{line}").expect("standard output is open");
    }

    /// User and system time of all threads, in the kernel's steps of 10 ms.
    fn cpu_time() -> Duration {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("a number of ticks");
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Two threads wake each other, as workers do.
    fn epoll_ping_pong(rounds: u32) {
        let make = || {
            let poll = mio::Poll::new().expect("an epoll instance");
            let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
            (poll, waker)
        };
        // The wakers outlive both threads: closing an eventfd takes back a wake that was not seen
        // yet.
        let ((mut poll_a, waker_a), (mut poll_b, waker_b)) = (make(), make());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut events = mio::Events::with_capacity(8);
                for _ in 0..rounds {
                    poll_b.poll(&mut events, None).expect("epoll_wait");
                    waker_a.wake().expect("a write to an eventfd");
                }
            });
            let mut events = mio::Events::with_capacity(8);
            for _ in 0..rounds {
                waker_b.wake().expect("a write to an eventfd");
                poll_a.poll(&mut events, None).expect("epoll_wait");
            }
        });
    }

    /// A flag that wakes a task on another executor.
    #[derive(Default)]
    struct Flag {
        set: AtomicBool,
        waker: Mutex<Option<Waker>>,
    }

    impl Flag {
        fn raise(&self) {
            self.set.store(true, Ordering::SeqCst);
            let waker = self.waker.lock().expect("nobody panics").take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }

        async fn taken(&self) {
            poll_fn(|context| {
                *self.waker.lock().expect("nobody panics") = Some(context.waker().clone());
                if self.set.swap(false, Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Two glommio executors wake each other through tasks, each parking in between.
    fn glommio_ping_pong(rounds: u32) {
        let (ping, pong) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
        let (theirs, back) = (Arc::clone(&ping), Arc::clone(&pong));
        let builder = || LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10);
        let other = builder()
            .spawn(move || async move {
                for _ in 0..rounds {
                    theirs.taken().await;
                    back.raise();
                }
            })
            .expect("glommio runs here");
        let this = builder()
            .spawn(move || async move {
                for _ in 0..rounds {
                    ping.raise();
                    pong.taken().await;
                }
            })
            .expect("glommio runs here");
        this.join().expect("nobody panics");
        other.join().expect("nobody panics");
    }

    /// One thread sends batches, another takes whatever is there: both at full speed, the worst
    /// case.
    fn letters_by_mutex(count: u32, batch: u32) {
        let mailbox = Mailbox::new();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                send_batches(count, batch, |letter| mailbox.push(letter));
            });
            start.wait();
            let (mut taken, mut seen) = (Vec::new(), 0);
            while seen < count as usize {
                mailbox.take_all(&mut taken);
                seen += taken.len();
                for letter in taken.drain(..) {
                    std::hint::black_box(letter);
                }
                pause();
            }
        });
    }

    fn letters_by_queue(count: u32, batch: u32) {
        let queue = SegQueue::new();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                send_batches(count, batch, |letter| queue.push(letter));
            });
            start.wait();
            let mut seen = 0;
            while seen < count as usize {
                let mut taken = 0;
                while let Some(letter) = queue.pop() {
                    std::hint::black_box(letter);
                    taken += 1;
                }
                seen += taken;
                pause();
            }
        });
    }

    /// Letters of 48 bytes; some work between batches, as there is between two ticks.
    fn send_batches(count: u32, batch: u32, push: impl Fn([u64; 6])) {
        for number in 0..count / batch {
            for letter in 0..batch {
                push([u64::from(number + letter); 6]);
            }
            pause();
        }
    }

    fn pause() {
        for _ in 0..4 {
            std::hint::spin_loop();
        }
    }
}
