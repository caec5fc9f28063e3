//! The shapes of replies, in either protocol.

use std::sync::Arc;

use crate::Output;

/// The protocol a client chose with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// Typed replies.
    Resp3,
}

/// Where the length of an array goes once it is known.
#[derive(Debug)]
#[must_use = "an array without its length breaks the protocol"]
pub struct DeferredLength {
    at: usize,
}

/// Writes replies to an [`Output`] in the client's protocol.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Output,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A writer of replies in `protocol` at the end of `out`.
    pub fn new(out: &'a mut Output, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol being written.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The output being written to.
    pub const fn output(&mut self) -> &mut Output {
        self.out
    }

    /// `+text`. The text must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.extend(b"+OK\r\n");
    }

    /// `-text`, the error code being the first word. CR, LF and NUL become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let text: Vec<u8> = text
            .as_ref()
            .iter()
            .map(|&byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte })
            .collect();
        self.line(b'-', &text);
    }

    /// `:value`.
    pub fn integer(&mut self, value: i64) {
        self.line(b':', value.to_string().as_bytes());
    }

    /// `$len` and the bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.line(b'$', bytes.len().to_string().as_bytes());
        self.out.extend(bytes);
        self.out.extend(b"\r\n");
    }

    /// The decimal text of `value` as a bulk string.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(value.to_string().as_bytes());
    }

    /// A bulk string borrowed from a value without copying it, unless it is small.
    pub fn bulk_shared(&mut self, data: &Arc<Vec<u8>>) {
        self.bulk(data);
    }

    /// No value: `$-1` in RESP2, `_` in RESP3.
    pub fn null(&mut self) {
        self.out.extend(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.extend(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// An array of `len` values, which must follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// A map of `len` pairs, which must follow as key, value, key, value. RESP2: an array.
    pub fn map(&mut self, len: usize) {
        if self.is_resp3() { self.header(b'%', len) } else { self.header(b'*', len * 2) }
    }

    /// A set of `len` values, which must follow. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    /// An out-of-band message of `len` values, which must follow. RESP2: an array.
    pub fn push(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, len);
    }

    /// `len` pairs about the reply that comes after them. RESP3 only.
    pub fn attribute(&mut self, len: usize) {
        debug_assert!(self.is_resp3(), "RESP2 has no attributes");
        self.header(b'|', len);
    }

    /// A floating point number. RESP2: its text as a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = value.to_string();
        if self.is_resp3() { self.line(b',', text.as_bytes()) } else { self.bulk(text.as_bytes()) }
    }

    /// `#t` or `#f`. RESP2: `:1` or `:0`.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend(match (self.is_resp3(), value) {
            (true, true) => b"#t\r\n",
            (true, false) => b"#f\r\n",
            (false, true) => b":1\r\n",
            (false, false) => b":0\r\n",
        });
    }

    /// An integer of any size, as decimal digits. RESP2: a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        if self.is_resp3() {
            self.line(b'(', digits.as_bytes());
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Text in a `format` of three letters, such as `txt`. RESP2: a bulk string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.is_resp3() {
            self.header(b'=', text.len() + 4);
            self.out.extend(format.as_bytes());
            self.out.extend(b":");
            self.out.extend(text);
            self.out.extend(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Begins an array whose length is not known yet.
    pub fn begin_array(&mut self) -> DeferredLength {
        DeferredLength { at: self.out.len() }
    }

    /// Ends an array of `len` values begun with [`begin_array`](Self::begin_array).
    pub fn end_array(&mut self, deferred: DeferredLength, len: usize) {
        self.end(deferred, b'*', len);
    }

    /// Ends a set of `len` values begun with [`begin_array`](Self::begin_array). RESP2: an array.
    pub fn end_set(&mut self, deferred: DeferredLength, len: usize) {
        self.end(deferred, if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    /// Ends a map of `len` pairs begun with [`begin_array`](Self::begin_array). RESP2: an array.
    pub fn end_map(&mut self, deferred: DeferredLength, len: usize) {
        if self.is_resp3() {
            self.end(deferred, b'%', len);
        } else {
            self.end(deferred, b'*', len * 2);
        }
    }

    const fn is_resp3(&self) -> bool {
        matches!(self.protocol, Protocol::Resp3)
    }

    fn header(&mut self, kind: u8, len: usize) {
        self.line(kind, len.to_string().as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.extend(&[kind]);
        self.out.extend(text);
        self.out.extend(b"\r\n");
    }

    fn end(&mut self, deferred: DeferredLength, kind: u8, len: usize) {
        let tail = self.out.first_chunk()[deferred.at..].to_vec();
        let head = self.out.first_chunk()[..deferred.at].to_vec();
        self.out.clear(usize::MAX);
        self.out.extend(&head);
        self.header(kind, len);
        self.out.extend(&tail);
    }
}
