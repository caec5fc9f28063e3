//! What one connection can rely on, on both hosts.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use darter_base::WorkerId;
use darter_runtime::{CloseReason, Connections, ListenerConfig, Outgoing, OutputLimit};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use support::{Client, HOSTS, Lab, Mail, Note, PATIENCE, config, start, start_with};

#[test]
fn a_request_may_be_split_at_every_byte() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut client, _) = lab.connect();
        let requests = b"PING\nBIG 3\nASK 0\nAGAIN 2\nPING\n";
        for split in 0..=requests.len() {
            client.send(&requests[..split]);
            client.send(&requests[split..]);
            let replies: Vec<String> = (0..5).map(|_| client.line()).collect();
            assert_eq!(replies, ["+PONG", "xxx", "+0", "+DONE", "+PONG"], "split at {split}");
        }
        for byte in requests {
            client.send([*byte]);
        }
        let replies: Vec<String> = (0..5).map(|_| client.line()).collect();
        assert_eq!(replies, ["+PONG", "xxx", "+0", "+DONE", "+PONG"]);
        lab.stop();
    }
}

#[test]
fn a_pipeline_longer_than_any_buffer_is_answered_in_order() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (mut client, id) = lab.connect();
        let other = 1 - id.worker.0;
        let rounds: usize = 20_000;
        let mut writer = client.stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            let mut pipeline = Vec::new();
            for round in 0..rounds {
                match round % 5 {
                    0 => writeln!(pipeline, "ASK {other}").unwrap(),
                    1 => writeln!(pipeline, "BIG {}", round % 700).unwrap(),
                    2 => writeln!(pipeline, "AGAIN 1").unwrap(),
                    _ => writeln!(pipeline, "PING").unwrap(),
                }
            }
            writer.write_all(&pipeline).unwrap();
        });
        for round in 0..rounds {
            let expected = match round % 5 {
                0 => format!("+{other}"),
                1 => "x".repeat(round % 700),
                2 => "+DONE".to_owned(),
                _ => "+PONG".to_owned(),
            };
            assert_eq!(client.line(), expected, "reply {round}");
        }
        sender.join().unwrap();
        lab.stop();
    }
}

#[test]
fn a_large_request_grows_no_more_than_what_arrived_and_gives_the_memory_back() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut client, id) = lab.connect();
        let idle = lab.on_worker(0, |_, connections| connections.buffer_bytes());
        let mut request = vec![b' '; 5 << 20];
        request.extend_from_slice(b"PING\n");
        client.send(&request[..request.len() - 1]);
        let kept = loop {
            let info = lab.on_worker(0, move |_, connections| connections.info(id).unwrap());
            assert!(info.memory_bytes <= 2 * info.kept_input_bytes + (32 << 10), "{info:?}");
            if info.kept_input_bytes == request.len() - 1 {
                break info;
            }
        };
        assert_eq!(kept.received_bytes, request.len() as u64 - 1);
        client.send("\n");
        assert_eq!(client.line(), "+PONG");
        let info = lab.on_worker(0, move |_, connections| connections.info(id).unwrap());
        assert_eq!((info.memory_bytes, info.kept_input_bytes, info.unsent_bytes), (0, 0, 0));
        let after = lab.on_worker(0, |_, connections| connections.buffer_bytes());
        assert!(after <= idle + (128 << 10), "{idle} before, {after} after");
        lab.stop();
    }
}

#[test]
fn too_much_unconsumed_input_closes_the_connection() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        lab.runtime.tunables().set_query_buffer_limit_bytes(100_000);
        let (mut client, id) = lab.connect();
        // The reset may overtake the end of the request.
        let _ = client.stream.write_all(&vec![b'x'; 200_000]);
        assert_eq!(lab.close_reason(id), CloseReason::QueryBufferLimit);
        lab.stop();
    }
}

/// The buffer is as large as what was announced, so that one read can bring all that is missing: a request that ended with it
/// used to be run.
#[test]
fn a_request_beyond_the_limit_is_not_shown_however_much_one_read_brings() {
    const REQUEST_BYTES: usize = 120_000;
    for host in HOSTS {
        let mut config = config(host, 1);
        let path =
            std::env::temp_dir().join(format!("darter-beyond-{}-{host:?}", std::process::id()));
        config.listeners.push(ListenerConfig {
            address: darter_runtime::BindAddress::Unix { path: path.clone(), mode: Some(0o700) },
            backlog: 511,
            optional: false,
        });
        let lab = start_with(&config, |lab| lab.awaited_bytes = REQUEST_BYTES);
        lab.runtime.tunables().set_query_buffer_limit_bytes(100_000);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let Note::Opened(id, _) = lab.note() else { panic!("not opened") };
        // All of it has arrived when the worker reads the first of it.
        let (release, held) = channel::<()>();
        let hold = move |_: &mut Lab, _: &mut Connections<'_, Lab>| {
            held.recv_timeout(PATIENCE).unwrap();
        };
        lab.runtime.post().send(WorkerId(0), Mail::Errand(Box::new(hold)));
        let mut request = vec![b' '; REQUEST_BYTES];
        request[REQUEST_BYTES - 5..].copy_from_slice(b"PING\n");
        stream.write_all(&request).unwrap();
        release.send(()).unwrap();
        assert_eq!(lab.close_reason(id), CloseReason::QueryBufferLimit);
        lab.stop();
    }
}

#[test]
fn output_above_the_hard_limit_closes_the_connection_before_it_is_sent() {
    for host in HOSTS {
        let lab = start_with(&config(host, 1), |lab| {
            lab.output_limit = OutputLimit { hard_bytes: 100_000, ..OutputLimit::default() };
        });
        let (mut client, id) = lab.connect();
        client.send("BIG 90000\nPING\n");
        client.skip(90_002);
        assert_eq!(client.line(), "+PONG");
        // What is beyond the first 16 KiB counts in blocks: six of them are below the limit.
        client.send("BIG 114000\n");
        client.skip(114_002);
        client.send("BIG 115000\n");
        assert_eq!(lab.close_reason(id), CloseReason::OutputLimit);
        assert_eq!(client.rest(), b"");
        // What others write to a connection is limited, too.
        let (_client, id) = lab.connect();
        lab.on_worker(0, move |_, connections| {
            connections.with(id, |_, output| output.write(&vec![b'x'; 200_000]));
        });
        assert_eq!(lab.close_reason(id), CloseReason::OutputLimit);
        lab.stop();
    }
}

#[test]
fn output_above_the_soft_limit_closes_the_connection_when_it_stays_there() {
    for host in HOSTS {
        let lab = start_with(&config(host, 1), |lab| {
            lab.output_limit = OutputLimit { hard_bytes: 0, soft_bytes: 100_000, soft_seconds: 1 };
        });
        let (mut reader, reads) = lab.connect();
        let (mut sleeper, sleeps) = lab.connect();
        for client in [&mut reader, &mut sleeper] {
            // More than the sockets hold.
            client.send("BIG 20000000\n");
        }
        reader.skip(20_000_002);
        assert_eq!(lab.close_reason(sleeps), CloseReason::OutputLimit);
        assert_eq!(reader.ask("PING"), "+PONG");
        let info = lab.on_worker(0, move |_, connections| connections.info(reads).unwrap());
        assert_eq!((info.unsent_bytes, info.limited_bytes()), (0, 0));
        lab.stop();
    }
}

#[test]
fn many_connections_at_once_are_each_answered_in_their_order() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let mut clients: Vec<Client> = (0..200).map(|_| lab.connect().0).collect();
        for round in 0..20 {
            // Whole requests, parts of them, and more than fits the worker's read buffer at once.
            for (number, client) in clients.iter_mut().enumerate() {
                match number % 4 {
                    0 => client.send("PING\nPI"),
                    1 => client.send(format!("BIG {}\n", number * round)),
                    2 => client.send(vec![b' '; 10_000]),
                    _ => client.send("AGAIN 2\nPING\n"),
                }
            }
            for (number, client) in clients.iter_mut().enumerate() {
                match number % 4 {
                    0 => {
                        assert_eq!(client.line(), "+PONG");
                        client.send("NG\n");
                        assert_eq!(client.line(), "+PONG");
                    }
                    1 => assert_eq!(client.line().len(), number * round),
                    2 => assert_eq!(client.ask("PING"), "+PONG"),
                    _ => assert_eq!([client.line(), client.line()], ["+DONE", "+PONG"]),
                }
            }
        }
        lab.stop();
    }
}

#[test]
fn a_suspended_connection_goes_on_when_another_worker_says_so() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (mut client, id) = lab.connect();
        client.send("PING\nBLOCK\nPING\n");
        assert_eq!(lab.note(), Note::Blocked(id));
        assert_eq!(client.line(), "+PONG");
        // What is sent meanwhile waits, too.
        client.send("PING\n");
        lab.on_worker(1 - id.worker.0, move |lab, _| {
            let wake = move |_: &mut Lab, connections: &mut Connections<'_, _>| {
                assert!(connections.resume(id));
                assert!(!connections.resume(id), "it is not suspended any more");
            };
            lab.post.send(id.worker, Mail::Errand(Box::new(wake)));
        });
        let replies: Vec<String> = (0..3).map(|_| client.line()).collect();
        assert_eq!(replies, ["+WOKEN", "+PONG", "+PONG"]);
        lab.stop();
    }
}

#[test]
fn a_suspended_connection_ends_with_its_peer() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        for hang_up in [true, false] {
            let (mut client, id) = lab.connect();
            client.send("PING\nBLOCK\n");
            assert_eq!(lab.note(), Note::Blocked(id));
            assert_eq!(client.line(), "+PONG");
            if hang_up {
                drop(client);
            } else {
                client.stream.shutdown(Shutdown::Write).unwrap();
            }
            assert_eq!(lab.close_reason(id), CloseReason::PeerClosed);
        }
        lab.stop();
    }
}

#[test]
fn a_peer_that_closed_its_side_gets_the_answers_to_what_it_sent_before() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (mut client, id) = lab.connect();
        let other = 1 - id.worker.0;
        client.send(format!("PING\nASK {other}\nAGAIN 3\nPING\nASK {other}\nPING\nPART"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        let expected = format!("+PONG\r\n+{other}\r\n+DONE\r\n+PONG\r\n+{other}\r\n+PONG\r\n");
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
        assert_eq!(lab.close_reason(id), CloseReason::PeerClosed);
        let (mut client, id) = lab.connect();
        client.send("PING\nBLOCK\n");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(
            client.rest(),
            b"+PONG\r\n",
            "what came before the blocking request is answered"
        );
        assert_eq!(lab.close_reason(id), CloseReason::PeerClosed);
        lab.stop();
    }
}

#[test]
fn quitting_sends_the_last_reply_and_dying_does_not_wait() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut client, id) = lab.connect();
        client.send("BIG 3000000\nQUIT\nPING\n");
        let rest = client.rest();
        assert_eq!(rest.len(), 3_000_000 + 2 + 6);
        assert!(rest.ends_with(b"\r\n+BYE\r\n"));
        assert_eq!(lab.close_reason(id), CloseReason::Requested);
        let (mut client, id) = lab.connect();
        client.send("DIE\n");
        assert_eq!(client.rest(), b"");
        assert_eq!(lab.close_reason(id), CloseReason::Requested);
        lab.stop();
    }
}

#[test]
fn a_slow_reader_is_not_read_and_its_output_stays_bounded() {
    for host in HOSTS {
        let mut config = config(host, 1);
        config.output_high_water_bytes = 100_000;
        config.output_low_water_bytes = 20_000;
        let lab = start(&config);
        let (mut slow, id) = lab.connect();
        let (mut other, _) = lab.connect();
        let rounds: usize = 4000;
        let mut writer = slow.stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            let pipeline = "BIG 50000\n".repeat(rounds);
            writer.write_all(pipeline.as_bytes()).unwrap();
        });
        // 200 MB are asked for; the kernel's buffers take a few.
        let mut stuck_for = 0;
        let mut last_sent = 0;
        while stuck_for < 50 {
            assert_eq!(other.ask("PING"), "+PONG");
            let info = lab.on_worker(0, move |_, connections| connections.info(id).unwrap());
            assert!(info.unsent_bytes <= 100_000 + 50_002, "{info:?}");
            assert!(info.memory_bytes <= 400_000, "{info:?}");
            stuck_for = if info.sent_bytes == last_sent { stuck_for + 1 } else { 0 };
            last_sent = info.sent_bytes;
        }
        assert!(last_sent < rounds as u64 * 50_002);
        slow.skip(rounds * 50_002);
        assert_eq!(slow.ask("PING"), "+PONG");
        sender.join().unwrap();
        let info = lab.on_worker(0, move |_, connections| connections.info(id).unwrap());
        assert_eq!((info.unsent_bytes, info.memory_bytes), (0, 0));
        lab.stop();
    }
}

#[test]
fn a_client_killed_in_the_middle_of_its_output_leaves_nothing_behind() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        for _ in 0..20 {
            let (mut client, id) = lab.connect();
            client.send("BIG 20000000\nPING\n");
            client.skip(100_000);
            drop(client);
            assert!(matches!(
                lab.close_reason(id),
                CloseReason::Failed(_) | CloseReason::PeerClosed
            ));
        }
        assert_eq!(lab.runtime.open_connections(), 0);
        let bytes = lab.on_worker(0, |_, connections| {
            assert_eq!(connections.count(), 0);
            connections.buffer_bytes()
        });
        assert!(bytes < 4 << 20, "{bytes}");
        lab.stop();
    }
}

#[test]
fn one_connection_with_much_to_do_does_not_keep_another_waiting() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut greedy, _) = lab.connect();
        let (mut modest, _) = lab.connect();
        greedy.send("AGAIN 4000000000\n");
        for _ in 0..100 {
            assert_eq!(modest.ask("PING"), "+PONG");
        }
        drop(greedy);
        // What is in turn all the time notices its end when it reads, which it never does: the
        // service decides.
        lab.runtime.shutdown().stop();
        lab.runtime.join().unwrap();
    }
}

#[test]
fn writing_to_another_connection_reaches_it_at_once() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (mut one, first) = lab.connect();
        let (mut two, second) = lab.connect();
        lab.on_worker(0, move |_, connections| {
            assert_eq!(connections.with(first, |_, output| output.write(b"+ONE\r\n")), Some(()));
            assert_eq!(connections.with(second, |_, output| output.write(b"+T")), Some(()));
            assert_eq!(connections.with(second, |_, output| output.write(b"WO\r\n")), Some(()));
            assert_eq!(connections.with(second, |_, output| output.len()), Some(6));
            let mut seen = Vec::new();
            connections.for_each(|id, _, info| seen.push((id, info.unsent_bytes)));
            assert_eq!(seen, [(first, 6), (second, 6)]);
        });
        assert_eq!(one.line(), "+ONE");
        assert_eq!(two.line(), "+TWO");
        lab.on_worker(0, move |_, connections| {
            connections.with(first, |_, output| output.write(b"+LAST\r\n"));
            assert!(connections.close(first, true));
            assert!(connections.close(second, false));
            assert!(!connections.close(second, false));
            assert_eq!(connections.with(first, |_, _| ()), None);
            assert_eq!(connections.ids(), [first]);
        });
        assert_eq!(one.rest(), b"+LAST\r\n");
        assert_eq!(two.rest(), b"");
        assert_eq!(lab.close_reason(first), CloseReason::Requested);
        lab.stop();
    }
}

#[test]
fn a_stale_id_reaches_nobody() {
    let lab = start(&config(HOSTS[0], 1));
    let (client, stale) = lab.connect();
    drop(client);
    lab.close_reason(stale);
    let (mut client, id) = lab.connect();
    assert_ne!(stale, id);
    lab.on_worker(0, move |_, connections| {
        assert_eq!(connections.with(stale, |_, _| ()), None);
        assert!(!connections.resume(stale));
        assert!(!connections.close(stale, false));
        assert!(connections.info(stale).is_none());
    });
    assert_eq!(client.ask("PING"), "+PONG");
    lab.stop();
}

#[test]
fn clients_beyond_the_limit_get_last_words_and_the_count_is_exact() {
    for host in HOSTS {
        let lab = start_with(&config(host, 2), |lab| lab.clients_max = 10);
        let clients: Vec<_> = (0..10).map(|_| lab.connect()).collect();
        for _ in 0..5 {
            let mut refused = Client::new(std::net::TcpStream::connect(lab.address()).unwrap());
            assert_eq!(lab.note(), Note::Refused(11));
            assert_eq!(refused.rest(), b"-ERR full\r\n");
        }
        let of_worker_0 = clients.iter().filter(|(_, id)| id.worker.0 == 0).count();
        assert_eq!(of_worker_0, 5, "each worker has the same number");
        assert_eq!(lab.runtime.open_connections(), 10);
        let ids: Vec<_> = clients.iter().map(|(_, id)| *id).collect();
        drop(clients);
        for _ in ids {
            assert!(matches!(lab.note(), Note::Closed(_, CloseReason::PeerClosed)));
        }
        assert_eq!(lab.runtime.open_connections(), 0);
        let (mut client, _) = lab.connect();
        assert_eq!(client.ask("PING"), "+PONG");
        lab.stop();
    }
}

#[test]
fn idle_connections_are_closed_and_exempt_ones_are_not() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let (_idle, idle_id) = lab.connect();
        let (mut exempt, exempt_id) = lab.connect();
        let (mut blocked, blocked_id) = lab.connect();
        lab.on_worker(0, move |_, connections| connections.set_idle_exempt(exempt_id, true));
        blocked.send("BLOCK\n");
        assert_eq!(lab.note(), Note::Blocked(blocked_id));
        lab.runtime.tunables().set_idle_timeout_seconds(1);
        assert_eq!(lab.note(), Note::Closed(idle_id, CloseReason::Idle));
        assert_eq!(exempt.ask("PING"), "+PONG");
        lab.on_worker(0, move |_, connections| assert!(connections.resume(blocked_id)));
        assert_eq!(blocked.line(), "+WOKEN");
        assert_eq!(lab.note(), Note::Closed(blocked_id, CloseReason::Idle));
        assert_eq!(exempt.ask("PING"), "+PONG");
        lab.stop();
    }
}

#[test]
fn unix_sockets_and_both_ip_versions_are_served() {
    for host in HOSTS {
        let mut config = config(host, 2);
        let path = std::env::temp_dir().join(format!("darter-lab-{}-{host:?}", std::process::id()));
        config.listeners.push(ListenerConfig::tcp("-::1", 0, 511).unwrap());
        config.listeners.push(ListenerConfig {
            address: darter_runtime::BindAddress::Unix { path: path.clone(), mode: Some(0o700) },
            backlog: 511,
            optional: false,
        });
        let lab = start(&config);
        let addresses = lab.runtime.addresses();
        let Some(darter_runtime::PeerAddress::Tcp(v6)) = &addresses[1] else {
            panic!("this machine has no IPv6 loopback")
        };
        let mut client = Client::new(std::net::TcpStream::connect(v6).unwrap());
        assert_eq!(client.ask("PING"), "+PONG");

        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Output larger than the socket's buffer: sent in parts, by write edges asked for only
        // then.
        stream.write_all(b"PING\nBIG 5000000\nPING\nQUIT\n").unwrap();
        let mut replies = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut replies).unwrap();
        assert_eq!(replies.len(), 7 + 5_000_002 + 7 + 6);
        assert!(replies.ends_with(b"+PONG\r\n+BYE\r\n"));
        lab.stop();
        assert!(!path.exists(), "the socket file is gone");
    }
}

#[test]
fn the_addresses_can_change_while_connections_stay() {
    for host in HOSTS {
        let lab = start(&config(host, 2));
        let (mut client, _) = lab.connect();
        let before = lab.address();
        let elsewhere = [ListenerConfig::tcp("127.0.0.2", 0, 511).unwrap()];
        let addresses = lab.runtime.listen().change(&elsewhere).unwrap();
        assert_eq!(addresses, lab.runtime.addresses());
        let (mut other, _) = lab.connect();
        assert_eq!(other.ask("PING"), "+PONG");
        assert_eq!(client.ask("PING"), "+PONG");
        // The worker closes the old socket after it has read the letter, in its own time; by now it
        // has.
        assert!(std::net::TcpStream::connect(before).is_err());
        lab.stop();
    }
}

#[test]
fn a_connection_made_by_ourselves_is_served_and_is_no_client() {
    for host in HOSTS {
        let lab = start(&config(host, 1));
        let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        let id = lab.on_worker(0, move |_, connections| {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let id = connections.adopt(stream, support::Session::default()).unwrap();
            connections.with(id, |_, output| output.write(b"+HELLO\r\n"));
            id
        });
        let mut peer = Client::new(theirs.accept().unwrap().0);
        assert_eq!(peer.line(), "+HELLO");
        assert_eq!(peer.ask("PING"), "+PONG");
        assert_eq!(lab.runtime.open_connections(), 0);
        drop(peer);
        assert_eq!(lab.note(), Note::Closed(id, CloseReason::PeerClosed));
        assert_eq!(lab.runtime.open_connections(), 0);
        lab.stop();
    }
}
