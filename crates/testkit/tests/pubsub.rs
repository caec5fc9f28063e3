//! Subscribers and publishers on many workers.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use darter_testkit::durable::wait_for;
use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// How long a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_secs(30);
const PUBLISHERS: usize = 4;
const SUBSCRIBERS: usize = 8;
const MESSAGES: usize = 2000;

fn specs() -> impl Iterator<Item = ServerSpec> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    [SERVER_MODES[0], SERVER_MODES[6], SERVER_MODES[7]]
        .into_iter()
        .map(move |mode| mode.spec(&program))
}

fn start(spec: &ServerSpec) -> Server {
    Server::start(spec).unwrap_or_else(|error| panic!("{error}"))
}

fn message(client: &mut Client) -> (usize, usize) {
    let reply = client.read_reply().unwrap().value;
    let payload = reply.elements().unwrap().last().unwrap().text().unwrap().to_vec();
    let text = String::from_utf8(payload).unwrap();
    let (publisher, number) = text.split_once(' ').unwrap();
    (publisher.parse().unwrap(), number.parse().unwrap())
}

#[test]
fn every_subscriber_gets_every_message_once_and_each_publishers_in_order() {
    for spec in specs() {
        let server = start(&spec);
        let subscribers: Vec<Client> = (0..SUBSCRIBERS)
            .map(|index| {
                let mut client = server.connect().unwrap();
                let command =
                    if index % 2 == 0 { ["SUBSCRIBE", "news"] } else { ["PSUBSCRIBE", "n*s"] };
                client.call(&command).unwrap();
                client
            })
            .collect();
        std::thread::scope(|scope| {
            for mut subscriber in subscribers {
                scope.spawn(move || {
                    let mut next = [0; PUBLISHERS];
                    for _ in 0..PUBLISHERS * MESSAGES {
                        let (publisher, number) = message(&mut subscriber);
                        assert_eq!(number, next[publisher], "of publisher {publisher}");
                        next[publisher] += 1;
                    }
                });
            }
            for publisher in 0..PUBLISHERS {
                let mut client = server.connect().unwrap();
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let text = format!("{publisher} {number}");
                        let received = client.call(&["PUBLISH", "news", &text]).unwrap();
                        assert_eq!(received, Value::Integer(SUBSCRIBERS.try_into().unwrap()));
                    }
                });
            }
        });
        // They are gone, and with them what they subscribed to.
        let mut client = server.connect().unwrap();
        wait_for("nobody listens", PATIENCE, || {
            client.call(&["PUBLISH", "news", "x"]).unwrap() == Value::Integer(0)
        });
        assert_eq!(client.call(&["PUBSUB", "CHANNELS"]).unwrap(), Value::Array(Vec::new()));
        assert_eq!(client.call(&["PUBSUB", "NUMPAT"]).unwrap(), Value::Integer(0));
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_at_the_limit_of_its_class() {
    for spec in specs() {
        let server = start(&spec);
        let mut client = server.connect().unwrap();
        let limit = "pubsub 262144 0 0";
        client.call(&["CONFIG", "SET", "client-output-buffer-limit", limit]).unwrap();
        let mut sleeper = server.connect().unwrap();
        sleeper.call(&["SUBSCRIBE", "news"]).unwrap();
        // It has read less than the sockets' buffers hold by the time it is closed.
        let payload = "x".repeat(32 << 10);
        let mut published = 0;
        wait_for("the subscriber is closed", PATIENCE, || {
            published += 1;
            client.call(&["PUBLISH", "news", &payload]).unwrap() == Value::Integer(0)
        });
        assert!(published > 8, "closed before its limit");
        let info = client.call(&["INFO", "stats"]).unwrap();
        let info = String::from_utf8(info.text().unwrap().to_vec()).unwrap();
        assert!(info.contains("client_output_buffer_limit_disconnections:1\r\n"), "{info}");
    }
}

#[test]
fn a_publisher_far_ahead_waits_and_loses_nothing() {
    const LARGE: usize = 64;
    for spec in specs() {
        let server = start(&spec);
        let mut subscriber = server.connect().unwrap();
        subscriber.call(&["SUBSCRIBE", "news"]).unwrap();
        let mut client = server.connect().unwrap();
        client.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]).unwrap();
        let payload = "x".repeat(1 << 20);
        let request = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${}\r\n{payload}\r\n", 1 << 20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..LARGE {
                    let reply = subscriber.read_reply().unwrap().value;
                    let received = reply.elements().unwrap()[2].text().unwrap();
                    assert_eq!(received.len(), payload.len());
                }
            });
            for _ in 0..LARGE {
                client.send_bytes(request.as_bytes()).unwrap();
            }
            for _ in 0..LARGE {
                assert_eq!(client.read_reply().unwrap().value, Value::Integer(1));
            }
        });
    }
}

#[test]
fn thousands_of_channels_and_patterns() {
    const NAMES: usize = 5000;
    for spec in specs() {
        let server = start(&spec);
        let mut subscriber = server.connect().unwrap();
        for (command, prefix) in [("SUBSCRIBE", "channel:"), ("PSUBSCRIBE", "pattern:*:")] {
            let mut words = vec![command.to_owned()];
            words.extend((0..NAMES).map(|number| format!("{prefix}{number}")));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            subscriber.call(&words).unwrap();
            for _ in 1..NAMES {
                subscriber.read_reply().unwrap();
            }
        }
        let mut client = server.connect().unwrap();
        assert_eq!(
            client.call(&["PUBSUB", "NUMPAT"]).unwrap(),
            Value::Integer(NAMES.try_into().unwrap())
        );
        assert_eq!(client.call(&["PUBLISH", "channel:77", "x"]).unwrap(), Value::Integer(1));
        assert_eq!(client.call(&["PUBLISH", "pattern:a:4999", "x"]).unwrap(), Value::Integer(1));
        assert_eq!(subscriber.read_reply().unwrap().value.elements().unwrap().len(), 3);
        assert_eq!(subscriber.read_reply().unwrap().value.elements().unwrap().len(), 4);
        drop(subscriber);
        wait_for("the names are forgotten", PATIENCE, || {
            client.call(&["PUBSUB", "NUMPAT"]).unwrap() == Value::Integer(0)
                && client.call(&["PUBSUB", "CHANNELS"]).unwrap() == Value::Array(Vec::new())
        });
    }
}

/// Reads `count` confirmations: each has the number of subscriptions that `expected` says.
fn confirmations(client: &mut Client, word: &str, count: usize, expected: impl Fn(usize) -> usize) {
    for index in 0..count {
        let reply = client.read_reply().unwrap().value;
        let parts = reply.elements().unwrap();
        assert_eq!(parts[0].text().unwrap(), word.as_bytes());
        assert_eq!(parts[2], Value::Integer(expected(index).try_into().unwrap()), "at {index}");
    }
}

#[test]
fn very_many_names_are_subscribed_to_in_their_order_and_let_go_of_again() {
    const NAMES: usize = 5000;
    for spec in specs() {
        let server = start(&spec);
        let mut other = server.connect().unwrap();
        let mut count = |name: &str| other.call(&["PUBLISH", name, "x"]).unwrap();
        let with = |word: &str| {
            let names = (0..NAMES).map(|number| format!("name:{number}"));
            [word.to_owned()].into_iter().chain(names).collect::<Vec<_>>()
        };
        let last = format!("name:{}", NAMES - 1);
        let mut client = server.connect().unwrap();
        let rising = |index| index + 1;
        let sinking = |index| NAMES - 1 - index;

        // What comes behind waits for all of them.
        client.send(&with("SUBSCRIBE")).unwrap();
        client.send(&["PING"]).unwrap();
        confirmations(&mut client, "subscribe", NAMES, rising);
        assert_eq!(
            client.read_reply().unwrap().value.elements().unwrap()[0].text().unwrap(),
            b"pong"
        );
        assert_eq!(count(&last), Value::Integer(1));
        client.read_reply().unwrap();
        client.send(&["UNSUBSCRIBE"]).unwrap();
        confirmations(&mut client, "unsubscribe", NAMES, sinking);
        assert_eq!(count(&last), Value::Integer(0));

        // Confirmations are heard whatever CLIENT REPLY says.
        client.send(&["CLIENT", "REPLY", "OFF"]).unwrap();
        client.send(&with("PSUBSCRIBE")).unwrap();
        confirmations(&mut client, "psubscribe", NAMES, rising);
        client.send(&with("PUNSUBSCRIBE")).unwrap();
        confirmations(&mut client, "punsubscribe", NAMES, sinking);
        client.send(&["CLIENT", "REPLY", "ON"]).unwrap();
        assert_eq!(client.read_reply().unwrap().value, Value::Simple(b"OK".to_vec()));

        // In a transaction they are a part of it.
        client.send(&["MULTI"]).unwrap();
        client.send(&with("SSUBSCRIBE")).unwrap();
        client.send(&["EXEC"]).unwrap();
        for _ in ["OK", "QUEUED"] {
            client.read_reply().unwrap();
        }
        let executed = client.read_reply().unwrap().value;
        let first = executed.elements().unwrap()[0].elements().unwrap();
        assert_eq!(first[0].text().unwrap(), b"ssubscribe");
        confirmations(&mut client, "ssubscribe", NAMES - 1, |index| index + 2);
        assert_eq!(client.call(&["RESET"]).unwrap(), Value::Simple(b"RESET".to_vec()));
        let sharded = |client: &mut Client| client.call(&["SPUBLISH", &last, "x"]).unwrap();
        assert_eq!(sharded(&mut client), Value::Integer(0));

        // One that goes in the middle of it leaves nothing.
        client.send(&with("SUBSCRIBE")).unwrap();
        client.send(&with("SSUBSCRIBE")).unwrap();
        confirmations(&mut client, "subscribe", NAMES, rising);
        drop(client);
        wait_for("nobody listens", PATIENCE, || count(&last) == Value::Integer(0));
        wait_for("nothing is left", PATIENCE, || {
            let channels = other.call(&["PUBSUB", "CHANNELS"]).unwrap();
            let sharded = other.call(&["PUBSUB", "SHARDCHANNELS"]).unwrap();
            [channels, sharded] == [Value::Array(Vec::new()), Value::Array(Vec::new())]
        });
    }
}

#[test]
fn very_many_channels_are_listed_like_few() {
    const NAMES: usize = 12_000;
    for spec in specs() {
        let server = start(&spec);
        let mut subscriber = server.connect().unwrap();
        let words = |first: &[&str]| -> Vec<String> {
            let names = (0..NAMES).map(|number| format!("channel:{number:05}"));
            first.iter().map(|word| (*word).to_owned()).chain(names).collect()
        };
        subscriber.call(&words(&["SUBSCRIBE"])).unwrap();
        for _ in 1..NAMES {
            subscriber.read_reply().unwrap();
        }
        let mut client = server.connect().unwrap();
        let listed = |reply: &Value| {
            let names = reply.elements().unwrap().iter().map(|name| name.text().unwrap().to_vec());
            let mut names: Vec<Vec<u8>> = names.collect();
            names.sort_unstable();
            names
        };
        let all: Vec<Vec<u8>> = words(&[]).into_iter().map(String::into_bytes).collect();
        assert_eq!(listed(&client.call(&["PUBSUB", "CHANNELS"]).unwrap()), all);
        let some = client.call(&["PUBSUB", "CHANNELS", "channel:0000?"]).unwrap();
        assert_eq!(listed(&some), all[..10]);
        let counted = client.call(&words(&["PUBSUB", "NUMSUB"])).unwrap();
        let counted = counted.elements().unwrap();
        assert_eq!(counted.len(), 2 * NAMES);
        for (pair, name) in counted.chunks_exact(2).zip(&all) {
            assert_eq!(pair, [Value::Bulk(name.clone()), Value::Integer(1)]);
        }
        // As a part of a transaction, between others.
        client.call(&["MULTI"]).unwrap();
        for words in [&["PING"] as &[&str], &["PUBSUB", "CHANNELS"], &["ECHO", "behind"]] {
            client.call(words).unwrap();
        }
        let replies = client.call(&["EXEC"]).unwrap();
        let replies = replies.elements().unwrap();
        assert_eq!(listed(&replies[1]), all);
        assert_eq!(replies[2], Value::Bulk(b"behind".to_vec()));
    }
}

/// What a client hears when it sends PING, up to the answer.
fn heard_by_ping(client: &mut Client) -> Vec<Value> {
    client.send(&["PING"]).unwrap();
    let mut heard = Vec::new();
    loop {
        let reply = client.read_reply().unwrap();
        if reply.value.text() == Some(b"PONG") {
            return heard;
        }
        heard.push(reply.value);
    }
}

#[test]
fn what_an_answer_was_given_after_is_heard_before_the_next_one() {
    const ROUNDS: usize = 300;
    for spec in specs() {
        let server = start(&spec);
        // Each is on a worker of its own, as far as there are enough.
        let connect = |protocol: &str| {
            let mut client = server.connect().unwrap();
            client.call(&["HELLO", protocol]).unwrap();
            client
        };
        let mut subscriber = connect("3");
        let mut publisher = connect("2");
        let mut reader = connect("3");
        let mut writer = connect("2");
        subscriber.call(&["SUBSCRIBE", "news"]).unwrap();
        reader.call(&["CLIENT", "TRACKING", "ON"]).unwrap();
        for round in 0..ROUNDS {
            let number = round.to_string();
            publisher.call(&["PUBLISH", "news", &number]).unwrap();
            let heard = heard_by_ping(&mut subscriber);
            assert_eq!(heard.len(), 1, "round {round}: {heard:?}");
            let key = format!("key:{round}");
            reader.call(&["GET", &key]).unwrap();
            writer.call(&["SET", &key, &number]).unwrap();
            let heard = heard_by_ping(&mut reader);
            assert_eq!(heard.len(), 1, "round {round}: {heard:?}");
        }
    }
}

#[test]
fn who_is_told_for_several_clients_hears_of_changes_in_their_order() {
    const ROUNDS: usize = 300;
    for spec in specs() {
        let server = start(&spec);
        let mut target = server.connect().unwrap();
        target.call(&["HELLO", "3"]).unwrap();
        let id = target.call(&["CLIENT", "ID"]).unwrap();
        let Value::Integer(id) = id else { panic!("{id:?}") };
        let mut readers: Vec<Client> = (0..4)
            .map(|_| {
                let mut client = server.connect().unwrap();
                let id = id.to_string();
                client.call(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id]).unwrap();
                client
            })
            .collect();
        let mut writer = server.connect().unwrap();
        for round in 0..ROUNDS {
            for (index, reader) in readers.iter_mut().enumerate() {
                reader.call(&["GET", &format!("{index}:{round}")]).unwrap();
            }
            for index in 0..readers.len() {
                writer.call(&["SET", &format!("{index}:{round}"), "x"]).unwrap();
            }
            let heard = heard_by_ping(&mut target);
            let key = |push: &Value| push.elements()?[1].elements()?[0].text().map(<[u8]>::to_vec);
            let keys: Vec<_> = heard.iter().map(|push| key(push).unwrap()).collect();
            let expected = (0..readers.len()).map(|index| format!("{index}:{round}").into_bytes());
            assert_eq!(keys, expected.collect::<Vec<_>>(), "round {round}: {heard:?}");
        }
    }
}
