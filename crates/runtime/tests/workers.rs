//! Letters, ticks, background work and the end of workers, on both hosts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use darter_base::WorkerId;
use darter_runtime::{CloseReason, Connections, NextTick, Share, Stopping};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use support::{Client, Errand, HOSTS, Lab, Mail, Note, PATIENCE, config, start, start_with};

/// A letter that is passed on until it has travelled far enough. Between two workers with nothing
/// else to do every hop wakes a sleeper.
fn pass_on(hops: u64, done: Sender<()>) -> Errand {
    Box::new(move |lab, _| {
        if hops == 0 {
            done.send(()).unwrap();
            return;
        }
        let next = (lab.worker.index() + 1) % lab.post.worker_count();
        let next = WorkerId(u16::try_from(next).unwrap());
        lab.post.send(next, Mail::Errand(pass_on(hops - 1, done)));
    })
}

#[test]
fn no_letter_is_slept_on() {
    for host in HOSTS {
        let lab = start(&config(host, 3));
        let (done, arrivals) = channel();
        // Letters that meet on the way find workers awake, about to sleep, and asleep.
        for worker in [0, 0, 1, 2] {
            let first = Mail::Errand(pass_on(20_000, done.clone()));
            lab.runtime.post().send(WorkerId(worker), first);
        }
        for _ in 0..4 {
            arrivals.recv_timeout(PATIENCE).unwrap();
        }
        lab.stop();
    }
}

#[test]
fn letters_of_one_sender_arrive_in_order() {
    let lab = start(&config(HOSTS[0], 2));
    let (numbers, arrivals) = channel();
    let count = 50_000;
    lab.on_worker(0, move |lab, _| {
        for number in 0..count {
            let numbers = numbers.clone();
            let letter: Errand = Box::new(move |_, _| numbers.send(number).unwrap());
            lab.post.send(WorkerId(1), Mail::Errand(letter));
        }
        assert!(lab.post.waiting(WorkerId(1)) <= count);
    });
    for expected in 0..count {
        assert_eq!(arrivals.recv_timeout(PATIENCE).unwrap(), expected);
    }
    lab.stop();
}

/// Has a worker do `letter`, which came before `request` of a client of its own, while it was busy.
fn meanwhile(
    lab: &support::Running,
    client: &mut Client,
    request: &[u8],
    letter: impl FnOnce(&mut Lab, &mut Connections<'_, Lab>) + Send + 'static,
) {
    let (busy, is_busy) = channel();
    let (release, released) = channel::<()>();
    let work: Errand = Box::new(move |_, _| {
        busy.send(()).unwrap();
        released.recv_timeout(PATIENCE).unwrap();
    });
    lab.runtime.post().send(WorkerId(0), Mail::Errand(work));
    is_busy.recv_timeout(PATIENCE).unwrap();
    lab.runtime.post().send(WorkerId(0), Mail::Errand(Box::new(letter)));
    client.send(request);
    release.send(()).unwrap();
}

#[test]
fn a_letter_that_came_before_a_request_is_read_before_it() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut client, id) = lab.connect();
        // Little is kept, and then so much that it is read into a place of its own.
        for begun in [0, 1, 40_000] {
            client.send("PING\n".to_owned() + &" ".repeat(begun));
            assert_eq!(client.line(), "+PONG");
            meanwhile(&lab, &mut client, b"PING\n", move |_, connections| {
                connections.with(id, |_, output| output.write(b"+NEWS\r\n"));
            });
            assert_eq!([client.line(), client.line()], ["+NEWS", "+PONG"], "{begun} bytes kept");
        }
        lab.stop();
    }
}

#[test]
fn what_was_read_of_a_connection_that_a_letter_closes_is_not_answered() {
    for host in HOSTS {
        for after_flush in [false, true] {
            let lab = start(&config(host, 1));
            let (mut client, id) = lab.connect();
            let (mut other, _) = lab.connect();
            other.send("PING\n");
            assert_eq!(other.line(), "+PONG");
            meanwhile(&lab, &mut client, b"PING\n", move |_, connections| {
                connections.with(id, |_, output| output.write(b"+BYE\r\n"));
                assert!(connections.close(id, after_flush));
            });
            let expected: &[u8] = if after_flush { b"+BYE\r\n" } else { b"" };
            assert_eq!(client.rest(), expected);
            assert_eq!(lab.close_reason(id), CloseReason::Requested);
            assert_eq!(other.ask("PING"), "+PONG");
            lab.stop();
        }
    }
}

/// Ticks of worker 0 while it sleeps on a timer of its own.
fn ticks_in(lab: &support::Running, duration: Duration) -> u64 {
    let before = lab.on_worker(0, |lab, _| lab.ticks);
    let began = Instant::now();
    let (sender, receiver) = channel();
    lab.on_worker(0, move |lab, _| {
        let sleep = lab.background.sleep(duration);
        lab.background.spawn(Share::NETWORK, async move {
            sleep.await;
            sender.send(()).unwrap();
        });
    });
    receiver.recv_timeout(PATIENCE).unwrap();
    assert!(began.elapsed() >= duration);
    lab.on_worker(0, |lab, _| lab.ticks) - before
}

#[test]
fn a_worker_ticks_when_its_service_asks_for_it_and_not_otherwise() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let idle = ticks_in(&lab, Duration::from_millis(300));
        assert!(idle <= 8, "{idle} ticks of an idle worker");
        lab.on_worker(0, |lab, _| lab.next_tick = NextTick::After(Duration::from_millis(10)));
        let timed = ticks_in(&lab, Duration::from_millis(300));
        assert!((10..=40).contains(&timed), "{timed} ticks, asked for one every 10 ms");
        lab.on_worker(0, |lab, _| lab.next_tick = NextTick::Now);
        let eager = ticks_in(&lab, Duration::from_millis(100));
        assert!(eager > 1000, "{eager} ticks, asked for one at once");
        lab.stop();
    }
}

#[test]
fn a_panic_on_one_worker_ends_all() {
    let lab = start(&config(HOSTS[0], 2));
    let (mut client, _) = lab.connect();
    client.send("BOOM\n");
    assert!(lab.runtime.join().is_err());
}

#[test]
fn a_shutdown_answers_what_was_read_and_ends_in_time() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (mut waiting, id) = lab.connect();
        let (mut blocked, blocked_id) = lab.connect();
        let (mut large, _) = lab.connect();
        blocked.send("BLOCK\n");
        assert_eq!(lab.note(), Note::Blocked(blocked_id));
        large.send("BIG 30000000\n");
        large.skip(1);
        // The answer of the other worker is held back until the shutdown has begun.
        let other = 1 - id.worker.0;
        let (go, gate) = channel::<()>();
        lab.runtime.post().send(
            WorkerId(other),
            Mail::Errand(Box::new(move |_, _| gate.recv_timeout(PATIENCE).unwrap())),
        );
        waiting.send(format!("PING\nASK {other}\nPING\n"));
        assert_eq!(waiting.line(), "+PONG");
        let began = Instant::now();
        lab.runtime.shutdown().begin();
        while !matches!(lab.note(), Note::StoppingAsked(_)) {}
        go.send(()).unwrap();
        assert_eq!(waiting.line(), format!("+{other}"));
        assert_eq!(waiting.line(), "+PONG");
        large.skip(30_000_000 + 1);
        assert_eq!(blocked.rest(), b"");
        lab.runtime.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(waiting.rest(), b"");
        let reasons: Vec<_> =
            lab.notes.iter().filter(|note| matches!(note, Note::Closed(..))).collect();
        assert_eq!(reasons.len(), 3);
        assert!(reasons.iter().all(|note| matches!(note, Note::Closed(_, CloseReason::Shutdown))));
    }
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_a_shutdown() {
    let mut config = config(HOSTS[0], 2);
    config.shutdown_grace = Duration::from_millis(300);
    let lab = start(&config);
    let (mut stuck, _) = lab.connect();
    stuck.send("BIG 50000000\n");
    stuck.skip(1);
    let began = Instant::now();
    lab.runtime.shutdown().begin();
    lab.runtime.join().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_service_can_delay_a_shutdown_or_call_it_off() {
    let lab = start_with(&config(HOSTS[0], 2), |lab| {
        lab.stopping = if lab.worker.0 == 1 { Stopping::Wait } else { Stopping::Ready };
    });
    let (mut client, _) = lab.connect();
    let (mut other, _) = lab.connect();
    lab.runtime.shutdown().begin();
    while lab.note() != Note::StoppingAsked(WorkerId(1)) {}
    assert_eq!(client.ask("PING"), "+PONG", "served as usual while a service saves");
    lab.on_worker(1, |lab, _| lab.stopping = Stopping::Cancel);
    // Two rounds: the first may have been in the tick that called it off.
    for _ in 0..2 {
        assert_eq!(client.ask("PING"), "+PONG");
        assert_eq!(other.ask("PING"), "+PONG");
    }
    lab.on_worker(1, |lab, _| lab.stopping = Stopping::Ready);
    lab.stop();
}

#[test]
fn background_work_and_the_network_do_not_starve_each_other() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let rounds = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, stopped) = (Arc::clone(&rounds), Arc::clone(&stop));
        lab.on_worker(0, move |lab, _| {
            let background = lab.background.clone();
            lab.background.spawn(Share::new(250), async move {
                while !stopped.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_micros(100) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    background.yield_now().await;
                }
            });
        });
        let (mut busy, _) = lab.connect();
        let (mut quick, _) = lab.connect();
        let mut slowest = Duration::ZERO;
        let begin = rounds.load(Ordering::Relaxed);
        // A pipeline that keeps the worker busy, and a client that wants single answers.
        for _ in 0..200 {
            busy.send("PING\n".repeat(2000));
            let began = Instant::now();
            assert_eq!(quick.ask("PING"), "+PONG");
            slowest = slowest.max(began.elapsed());
            busy.skip(2000 * 7);
        }
        assert!(rounds.load(Ordering::Relaxed) > begin, "the background stood still");
        assert!(slowest < Duration::from_secs(1), "a request took {slowest:?}");
        stop.store(true, Ordering::Relaxed);
        lab.stop();
    }
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("darter-{name}-{}", std::process::id()))
}

#[test]
fn files_are_written_while_the_network_serves() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let path = temporary(&format!("files-{host:?}"));
        let (sender, receiver) = channel();
        let target = path.clone();
        let block = 64 << 10;
        lab.on_worker(0, move |lab, _| {
            let (files, background) = (lab.files.clone(), lab.background.clone());
            lab.background.spawn(Share::new(250), async move {
                let file = files.create(&target).await.unwrap();
                for index in 0..40_u8 {
                    let offset = u64::from(index) * block as u64;
                    let written = file.write_at(vec![index; block], offset).await.unwrap();
                    assert_eq!(written, block);
                    background.sleep(Duration::from_millis(1)).await;
                }
                file.sync_data().await.unwrap();
                let read = file.read_at(2 * block, 7 * block as u64).await.unwrap();
                file.close().await.unwrap();
                let missing = files.open(&target.with_extension("missing")).await;
                sender.send((read, missing.unwrap_err().kind())).unwrap();
            });
        });
        let (mut client, _) = lab.connect();
        let (read, missing) = loop {
            assert_eq!(client.ask("PING"), "+PONG");
            if let Ok(outcome) = receiver.try_recv() {
                break outcome;
            }
        };
        assert_eq!(missing, std::io::ErrorKind::NotFound);
        assert_eq!(read[..block], vec![7; block]);
        assert_eq!(read[block..], vec![8; block]);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 40 * block);
        std::fs::remove_file(&path).unwrap();
        lab.stop();
    }
}

#[test]
fn a_file_operation_completes_while_the_worker_sleeps() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let path = temporary(&format!("asleep-{host:?}"));
        let (sender, receiver) = channel();
        let target = path.clone();
        lab.on_worker(0, move |lab, _| {
            let files = lab.files.clone();
            lab.background.spawn(Share::new(250), async move {
                for _ in 0..50 {
                    let file = files.create(&target).await.unwrap();
                    file.write_at(vec![1; 100_000], 0).await.unwrap();
                    file.sync_data().await.unwrap();
                    file.close().await.unwrap();
                }
                sender.send(()).unwrap();
            });
        });
        // Nothing but the completions wakes the worker.
        receiver.recv_timeout(PATIENCE).unwrap();
        std::fs::remove_file(&path).unwrap();
        lab.stop();
    }
}

#[test]
fn letters_from_background_work_wake_their_receivers() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (sender, receiver) = channel();
        lab.on_worker(0, move |lab, _| {
            let (post, background) = (lab.post.clone(), lab.background.clone());
            lab.background.spawn(Share::new(100), async move {
                for round in 0..100 {
                    // Long enough for the other worker to be asleep, mostly.
                    background.sleep(Duration::from_millis(1)).await;
                    let sender = sender.clone();
                    let letter: Errand = Box::new(move |_, _| sender.send(round).unwrap());
                    post.send(WorkerId(1), Mail::Errand(letter));
                }
                background.sleep(Duration::from_hours(1)).await;
            });
        });
        for round in 0..100 {
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), round);
        }
        lab.stop();
    }
}

#[test]
fn blocking_work_runs_elsewhere_and_comes_back() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (sender, receiver) = channel();
        lab.on_worker(0, move |lab, _| {
            let here = std::thread::current().id();
            let work = lab.background.blocking(move || std::thread::current().id() != here);
            lab.background.spawn(Share::new(100), async move { sender.send(work.await).unwrap() });
        });
        assert!(receiver.recv_timeout(PATIENCE).unwrap(), "it ran on the worker");
        lab.stop();
    }
}

#[test]
fn unfinished_background_work_is_dropped_with_its_worker() {
    struct Farewell(Sender<()>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (sender, receiver) = channel();
        lab.on_worker(0, move |lab: &mut Lab, _: &mut Connections<'_, Lab>| {
            let background = lab.background.clone();
            let farewell = Farewell(sender);
            lab.background.spawn(Share::new(100), async move {
                let _farewell = farewell;
                background.sleep(Duration::from_hours(1)).await;
            });
            assert_eq!(lab.background.task_count(), 1);
        });
        lab.stop();
        receiver.recv_timeout(PATIENCE).unwrap();
    }
}
