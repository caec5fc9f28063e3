//! Users that change while their clients are at work, on several workers.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Client, Server, Value};
use std::fs;

const CLIENTS: usize = 16;
const ROUNDS: usize = 50;

fn servers() -> impl Iterator<Item = Server> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    SERVER_MODES.iter().map(move |mode| {
        Server::start(&mode.spec(&program)).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn call(client: &mut Client, line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn clients_of(server: &Server, user: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect().unwrap()).collect();
    for client in &mut clients {
        assert_eq!(call(client, &format!("AUTH {user} any")), Value::Simple(b"OK".to_vec()));
    }
    clients
}

fn is_refused(value: &Value) -> bool {
    matches!(value, Value::Error(line) if line.starts_with(b"NOPERM"))
}

#[test]
fn a_change_is_in_force_everywhere_once_it_is_answered() {
    for server in servers() {
        let mut admin = server.connect().unwrap();
        call(&mut admin, "ACL SETUSER u reset on nopass ~* +get");
        let mut clients = clients_of(&server, "u");
        for round in 0..ROUNDS {
            let key = format!("GET key{round}");
            call(&mut admin, "ACL SETUSER u -get");
            assert!(clients.iter_mut().all(|client| is_refused(&call(client, &key))));
            call(&mut admin, "ACL SETUSER u +get");
            assert!(!clients.iter_mut().any(|client| is_refused(&call(client, &key))));
        }
    }
}

#[test]
fn nothing_that_was_written_after_rights_were_taken_is_read() {
    for server in servers() {
        let mut admin = server.connect().unwrap();
        for round in 0..ROUNDS {
            call(&mut admin, "ACL SETUSER u reset on nopass ~* +get");
            let mut clients = clients_of(&server, "u");
            // They are on their way while rights are taken.
            for client in &mut clients {
                client.send_bytes("GET secret\r\n".repeat(200).as_bytes()).unwrap();
            }
            call(&mut admin, "ACL SETUSER u -get");
            call(&mut admin, &format!("SET secret {round}"));
            for client in &mut clients {
                let mut is_over = false;
                for _ in 0..200 {
                    let value = client.read_reply().unwrap().value;
                    let found = matches!(&value, Value::Bulk(_));
                    is_over |= is_refused(&value);
                    assert!(!found && is_over == is_refused(&value), "{value:?}");
                }
            }
            call(&mut admin, "DEL secret");
        }
    }
}

#[test]
fn who_is_deleted_is_closed_on_every_worker() {
    for server in servers() {
        let mut admin = server.connect().unwrap();
        call(&mut admin, "ACL SETUSER u reset on nopass ~* +@all");
        call(&mut admin, "ACL SETUSER other reset on nopass ~* +@all");
        let mut clients = clients_of(&server, "u");
        let mut others = clients_of(&server, "other");
        assert_eq!(call(&mut admin, "ACL DELUSER u"), Value::Integer(1));
        assert!(clients.iter_mut().all(|client| client.read_end().is_ok()));
        for client in &mut others {
            assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()));
        }
    }
}

#[test]
fn users_come_from_a_file_and_go_there() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.acl");
    fs::write(&file, "user kept on nopass ~* +@all\nuser gone on nopass ~* +@all\n").unwrap();
    let spec = SERVER_MODES[0].spec(&program);
    let path = file.to_str().unwrap();
    let server = Server::start(&spec.with_arguments(&["--aclfile".into(), path.into()])).unwrap();
    let mut admin = server.connect().unwrap();
    let (mut kept, mut gone) = (clients_of(&server, "kept"), clients_of(&server, "gone"));
    fs::write(&file, "user kept on nopass ~* +@all\nuser new off -@all\n").unwrap();
    assert_eq!(call(&mut admin, "ACL LOAD"), Value::Simple(b"OK".to_vec()));
    assert!(gone.iter_mut().all(|client| client.read_end().is_ok()));
    assert_eq!(call(&mut kept[0], "ACL WHOAMI"), Value::Bulk(b"kept".to_vec()));
    fs::write(&file, "user broken +nosuch\n").unwrap();
    let refused = call(&mut admin, "ACL LOAD");
    let expected = format!(
        "ERR {path}:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
         WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    );
    assert_eq!(refused, Value::Error(expected.into_bytes()));
    assert_eq!(call(&mut admin, "ACL SAVE"), Value::Simple(b"OK".to_vec()));
    let saved = fs::read_to_string(&file).unwrap();
    let expected = "user default on nopass ~* &* +@all\n\
                    user kept on nopass ~* resetchannels +@all\n\
                    user new off resetchannels -@all\n";
    assert_eq!(saved, expected);
}
