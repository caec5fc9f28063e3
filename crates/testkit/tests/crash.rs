//! Servers that are killed under load: what was acknowledged is there again, whole, and in the order in which it
//! happened.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::Server;
use darter_testkit::durable::darter_in;
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::rounds::{Rounds, WRITERS, check, load};

/// Times the server is killed, per mode.
const CYCLES: usize = 13;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_torn() {
    let modes = [SERVER_MODES[2], SERVER_MODES[3], SERVER_MODES[6], SERVER_MODES[7]];
    for mode in modes {
        survives(mode, "always");
    }
}

/// Nobody waits for the disk, and a killed process leaves what it had written: all but what had to wait for a sync.
#[test]
fn what_is_left_without_waiting_for_the_disk_is_a_prefix() {
    for mode in [SERVER_MODES[0], SERVER_MODES[2], SERVER_MODES[6]] {
        survives(mode, "everysec");
    }
}

/// Kills a server again and again.
fn survives(mode: ServerMode, policy: &str) {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
    let mut rounds = [Rounds::default(); WRITERS];
    for cycle in 0..=CYCLES {
        let mut server = Server::start(&darter_in(mode, directory.path(), &arguments)).unwrap();
        let mut client = server.connect().unwrap();
        for (writer, rounds) in rounds.iter_mut().enumerate() {
            let context = format!("{mode}, {policy}, cycle {cycle}");
            // Who did not wait for the disk may have been told of what is not there.
            let least = match policy {
                "always" => rounds.acknowledged(),
                _ => rounds.begun(),
            };
            check(&mut client, writer, rounds, least, &context);
        }
        if cycle == CYCLES {
            break;
        }
        let rewrites = cycle % 2 == 1;
        // Always others, so that the server is killed at other moments.
        let enough = 200 + cycle as u64 * 7919 % 1000;
        load(&mut server, &mut rounds, enough, rewrites);
    }
}
