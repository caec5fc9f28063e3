//! The HTTP endpoint from outside: what it answers, and what a hostile client cannot do to it.

#![expect(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use darter_runtime::http::{CONNECTIONS_MAX, HEAD_BYTES_MAX, HttpAnswer, HttpEndpoint, serve};
use darter_runtime::{ListenerConfig, PeerAddress};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn endpoint(body_bytes: usize) -> (HttpEndpoint, SocketAddr) {
    let listener = ListenerConfig::tcp("127.0.0.1", 0, 16).unwrap();
    let endpoint = serve(&[listener], move |path| match path {
        "/large" => {
            HttpAnswer { status: 200, content_type: "text/plain", body: vec![b'x'; body_bytes] }
        }
        "/ok" => HttpAnswer::text(200, "fine"),
        _ => HttpAnswer::text(404, "nothing here"),
    })
    .unwrap();
    let PeerAddress::Tcp(address) = endpoint.addresses()[0] else { panic!("TCP was asked for") };
    (endpoint, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends `request` and reads until the endpoint closes.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn each_path_has_its_answer_and_each_answer_an_end() {
    let (_endpoint, address) = endpoint(3 << 20);
    let fine = exchange(address, b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(fine.starts_with("HTTP/1.1 200 OK\r\n") && fine.ends_with("\r\n\r\nfine\n"), "{fine}");
    assert!(exchange(address, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    let large = exchange(address, b"GET /large HTTP/1.1\r\n\r\n");
    assert!(large.ends_with("xxx") && large.len() > 3 << 20);
    let post = b"POST /ok HTTP/1.1\r\nContent-Length: 20000\r\n\r\n";
    let post = [&post[..], &vec![b'y'; 20_000]].concat();
    assert!(exchange(address, &post).starts_with("HTTP/1.1 405 "));
}

#[test]
fn what_is_no_request_is_told_so() {
    let (_endpoint, address) = endpoint(0);
    assert!(exchange(address, b"*1\r\n$4\r\nPING\r\n").starts_with("HTTP/1.1 400 "));
    assert!(exchange(address, &[0x16, 3, 1, 2, 0, 1, 0]).starts_with("HTTP/1.1 400 "));
    let endless = [b"GET / HTTP/1.1\r\nCookie: ".as_slice(), &vec![b'c'; HEAD_BYTES_MAX]].concat();
    assert!(exchange(address, &endless).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let (_endpoint, address) = endpoint(0);
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "));
}

#[test]
fn clients_that_never_finish_keep_nobody_out() {
    let (_endpoint, address) = endpoint(0);
    let mut idle = Vec::new();
    for _ in 0..3 * CONNECTIONS_MAX {
        let mut stream = connect(address);
        stream.write_all(b"GET /ok HTTP/1.1\r\nX: ").unwrap();
        idle.push(stream);
    }
    assert!(exchange(address, b"GET /ok HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
    // The last of them has its place until its time is over.
    let mut rest = Vec::new();
    idle.pop().unwrap().read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn an_endpoint_ends_when_it_is_dropped() {
    let (endpoint, address) = endpoint(0);
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err());
}
