//! What the others can rely on while one connection is served apart, on both hosts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use darter_runtime::CloseReason;
use std::net::Shutdown;
use std::sync::mpsc::{TryRecvError, channel};
use support::{Errand, HOSTS, Mail, Note, config, start};

#[test]
fn the_others_are_served_and_new_ones_accepted() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut long, id) = lab.connect();
        let (mut other, _) = lab.connect();
        long.send("PING\nAPART\nPING\n");
        assert_eq!(lab.note(), Note::Apart(id));
        assert_eq!(long.line(), "+PONG");
        assert_eq!(other.ask("PING"), "+PONG");
        assert_eq!(other.ask("ASK 0"), "+0");
        let (mut new, _) = lab.connect();
        assert_eq!(new.ask("AGAIN 3"), "+DONE");
        // Its own input is not read meanwhile, and not forgotten.
        long.send("BIG 2\n");
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!([long.line(), long.line(), long.line()], ["+APART", "+PONG", "xx"]);
        lab.stop();
    }
}

#[test]
fn letters_that_are_put_off_are_read_when_it_is_over() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut long, id) = lab.connect();
        let (mut other, _) = lab.connect();
        long.send("APART\n");
        assert_eq!(lab.note(), Note::Apart(id));
        let (sender, receiver) = channel();
        let errand: Errand = Box::new(move |lab, connections| {
            let is_there = connections.with(id, |_, _| ()).is_some();
            sender.send((lab.released, is_there)).unwrap();
        });
        lab.runtime.post().send(id.worker, Mail::Errand(errand));
        // A later letter is read.
        assert_eq!(other.ask("ASK 0"), "+0");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!(long.line(), "+APART");
        assert_eq!(receiver.recv(), Ok((true, true)));
        lab.stop();
    }
}

#[test]
fn what_was_answered_before_is_sent_after_all() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut long, id) = lab.connect();
        let (mut other, _) = lab.connect();
        // It is resumed by a letter, and has output when it is served apart.
        long.send("ASK 0\nPING\nAPART\nPING\n");
        assert_eq!(lab.note(), Note::Apart(id));
        assert_eq!([other.ask("PING"), other.ask("ASK 0")], ["+PONG", "+0"]);
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!([long.line(), long.line()], ["+0", "+PONG"]);
        assert_eq!([long.line(), long.line()], ["+APART", "+PONG"]);
        // The same for one that has more to do.
        long.send("AGAIN 2\nAPART\nAGAIN 2\n");
        assert_eq!(lab.note(), Note::Apart(id));
        assert_eq!([other.ask("PING"), other.ask("RELEASE")], ["+PONG", "+OK"]);
        assert_eq!([long.line(), long.line(), long.line()], ["+DONE", "+APART", "+DONE"]);
        lab.stop();
    }
}

#[test]
fn who_leaves_while_being_served_apart_is_noticed_afterwards() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut long, id) = lab.connect();
        let (mut other, _) = lab.connect();
        long.send("APART\n");
        assert_eq!(lab.note(), Note::Apart(id));
        long.send("PING\n");
        long.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(other.ask("PING"), "+PONG");
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!(long.rest(), b"+APART\r\n+PONG\r\n");
        assert_eq!(lab.close_reason(id), CloseReason::PeerClosed);
        lab.stop();
    }
}

#[test]
fn they_are_served_apart_one_after_the_other() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut first, first_id) = lab.connect();
        let (mut second, second_id) = lab.connect();
        let (mut other, _) = lab.connect();
        first.send("APART\n");
        assert_eq!(lab.note(), Note::Apart(first_id));
        second.send("APART\n");
        assert_eq!(lab.note(), Note::Apart(second_id));
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!(first.line(), "+APART");
        assert_eq!(other.ask("RELEASE"), "+OK");
        assert_eq!(second.line(), "+APART");
        lab.stop();
    }
}
