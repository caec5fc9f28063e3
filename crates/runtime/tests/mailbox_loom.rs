//! The wake-up handshake of `src/mailbox.rs`, the very file, under every interleaving with at most
//! three preemptions, as loom advises, and every value a relaxed load may return.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

/// loom's types in place of the standard library's.
mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

#[path = "../src/mailbox.rs"]
mod mailbox;

use loom::sync::{Arc, Notify};
use loom::thread;
use mailbox::{Doorbell, Kick, Mailbox};

/// An eventfd: a wait returns at once when there was a kick since the last one.
struct EventFd(Notify);

impl Kick for Arc<EventFd> {
    fn kick(&self) {
        self.0.notify();
    }
}

struct Desk {
    mailbox: Mailbox<u8>,
    bell: Doorbell<Arc<EventFd>>,
    fd: Arc<EventFd>,
}

fn desk() -> Arc<Desk> {
    let fd = Arc::new(EventFd(Notify::new()));
    let bell = Doorbell::new(Arc::clone(&fd));
    Arc::new(Desk { mailbox: Mailbox::new(), bell, fd })
}

/// The owner's side, as in `worker.rs`: returns after `count` letters, however often it sleeps. A
/// letter it sleeps on is a deadlock, which loom reports.
fn read(desk: &Desk, count: usize) -> Vec<u8> {
    let (mut letters, mut taken) = (Vec::new(), Vec::new());
    while letters.len() < count {
        desk.bell.announce_sleep();
        if desk.mailbox.is_empty_before_sleep() {
            desk.fd.0.wait();
        }
        desk.bell.awake();
        desk.mailbox.take_all(&mut taken);
        letters.append(&mut taken);
    }
    letters
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn two_senders_cannot_leave_a_letter_to_a_sleeping_owner() {
    explore(|| {
        let desk = desk();
        let senders: Vec<_> = (0..2)
            .map(|number| {
                let desk = Arc::clone(&desk);
                thread::spawn(move || {
                    desk.mailbox.push(number);
                    desk.bell.ring();
                })
            })
            .collect();
        let mut letters = read(&desk, 2);
        letters.sort_unstable();
        assert_eq!(letters, [0, 1]);
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(desk.mailbox.count(), 0);
    });
}

#[test]
fn letters_sent_before_one_ring_arrive_in_order() {
    explore(|| {
        let desk = desk();
        let sender = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || {
                desk.mailbox.push(1);
                desk.mailbox.push(2);
                desk.bell.ring();
                desk.mailbox.push(3);
                desk.bell.ring();
            })
        };
        let letters = read(&desk, 3);
        assert_eq!(letters, [1, 2, 3]);
        sender.join().unwrap();
    });
}
