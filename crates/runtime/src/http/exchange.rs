//! One connection: a request's head in, an answer out.

use super::{HEAD_BYTES_MAX, HEADERS_MAX, HttpAnswer};
use crate::socket::{Transfer, receive, transmit};
use std::os::fd::AsFd;

/// Read at once.
const READ_BYTES: usize = 4 * 1024;

/// How far an exchange is.
#[derive(Debug)]
pub(super) struct Exchange {
    head: Vec<u8>,
    /// The answer once there is one, and how much of it is sent.
    answer: Option<(Vec<u8>, usize)>,
}

/// What to do with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Wait for the socket.
    Waits,
    /// The answer is sent: say so to the client, and wait for it to close.
    Sent,
    /// Nothing more will come of it.
    Over,
}

impl Exchange {
    pub(super) const fn new() -> Self {
        Self { head: Vec::new(), answer: None }
    }

    /// Reads and writes as far as the socket lets it.
    pub(super) fn advance(
        &mut self,
        socket: impl AsFd,
        answer: &mut dyn FnMut(&str) -> HttpAnswer,
    ) -> Progress {
        while self.answer.is_none() {
            let mut piece = [0; READ_BYTES];
            match receive(&socket, &mut piece) {
                Transfer::Bytes(0) | Transfer::Failed(_) => return Progress::Over,
                Transfer::Bytes(count) => self.receive(&piece[..count], answer),
                Transfer::Blocked => return Progress::Waits,
            }
        }
        self.send(&socket)
    }

    fn send(&mut self, socket: impl AsFd) -> Progress {
        let Some((bytes, sent)) = &mut self.answer else { return Progress::Waits };
        while *sent < bytes.len() {
            match transmit(&socket, &bytes[*sent..]) {
                Transfer::Bytes(count) => *sent += count,
                Transfer::Blocked => return Progress::Waits,
                Transfer::Failed(_) => return Progress::Over,
            }
        }
        Progress::Sent
    }

    /// Takes a piece of the request; makes the answer when its head is complete, or cannot be.
    fn receive(&mut self, piece: &[u8], answer: &mut dyn FnMut(&str) -> HttpAnswer) {
        self.head.extend_from_slice(piece);
        if let Some((answer, with_body)) = answer_to(&self.head, answer) {
            self.answer = Some((encode(&answer, with_body), 0));
            self.head = Vec::new();
        }
    }
}

/// The answer to a request's head, and whether its body is sent. `None` while more is needed.
fn answer_to(
    head: &[u8],
    answer: &mut dyn FnMut(&str) -> HttpAnswer,
) -> Option<(HttpAnswer, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some((HttpAnswer::text(431, "the request is too long"), true));
        }
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some((HttpAnswer::text(400, "this is no HTTP request"), true)),
    }
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Some((HttpAnswer::text(405, "only GET and HEAD are answered"), true)),
    };
    let target = request.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    Some((answer(path), with_body))
}

fn encode(answer: &HttpAnswer, with_body: bool) -> Vec<u8> {
    let HttpAnswer { status, content_type, body } = answer;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    };
    let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         {allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> Option<(u16, bool)> {
        let mut answer = |path: &str| HttpAnswer::text(200, path);
        answer_to(head.as_bytes(), &mut answer).map(|(answer, body)| (answer.status, body))
    }

    #[test]
    fn only_a_whole_get_or_head_is_answered() {
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Some((200, true)));
        assert_eq!(status("HEAD /metrics HTTP/1.0\r\n\r\n"), Some((200, false)));
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(status(""), None);
        assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), Some((405, true)));
        assert_eq!(status("*1\r\n$4\r\nPING\r\n"), Some((400, true)));
        assert_eq!(status("GET /x\0y HTTP/1.1\r\n\r\n"), Some((400, true)));
    }

    #[test]
    fn a_request_has_an_end() {
        let endless = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(status(&endless), Some((431, true)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(status(&many), Some((431, true)));
    }

    #[test]
    fn the_path_ends_at_the_query() {
        let mut asked = String::new();
        let mut answer = |path: &str| {
            asked.push_str(path);
            HttpAnswer::text(200, "")
        };
        answer_to(b"GET /metrics?name[]=up HTTP/1.1\r\n\r\n", &mut answer);
        assert_eq!(asked, "/metrics");
    }

    #[test]
    fn an_answer_says_how_long_it_is_even_without_its_body() {
        let answer = HttpAnswer::text(200, "ok");
        let text = String::from_utf8(encode(&answer, false)).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Content-Length: 3\r\n"));
        assert!(text.ends_with("Connection: close\r\n\r\n"));
        assert!(encode(&answer, true).ends_with(b"\r\n\r\nok\n"));
    }
}
