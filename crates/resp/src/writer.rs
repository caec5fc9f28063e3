//! The shapes of replies, in either protocol.
//!
//! A handler says what a reply *is* (a map, a double, nothing) and the writer picks the bytes for the
//! protocol the client speaks. RESP2 knows five types; the others fall back on them as Redis does:
//! maps, sets and pushes are arrays, doubles, big numbers and verbatim texts are bulk strings, true is
//! 1 and false 0. (The RESP3 specification, <https://github.com/redis/redis-specifications>; the
//! fallbacks are those of Redis 7.0.)

use std::ops::Range;

use darter_base::SharedBytes;
use darter_base::float::format_f64;
use darter_base::number::{format_i64, format_u64};

use crate::output::{Mark, SHARED_BYTES_MIN};
use crate::{Args, Output};

/// From this size on a byte string is copied into a buffer of its own: the other one would be copied, too, when it outgrows
/// itself.
const COPIED_APART_BYTES_MIN: usize = 1 << 20;

/// The protocol a client chose with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// Typed replies.
    Resp3,
}

/// Where the header of an array goes once its length is known: hand it back to the writer.
#[derive(Debug)]
#[must_use = "an array without its length breaks the protocol"]
pub struct DeferredLength {
    mark: Mark,
}

/// Writes replies to the end of an [`Output`] in the client's protocol.
///
/// What declares a length (`array`, `map`, `set`, `push`, `attribute`) must be followed by as many
/// values; builds with debug assertions check that.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Output,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A writer of replies in `protocol` at the end of `out`.
    pub const fn new(out: &'a mut Output, protocol: Protocol) -> Self {
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

    /// A status: `+text`. The text must not contain line ends.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.out.ledger.scalar();
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.ledger.scalar();
        self.out.extend(b"+OK\r\n");
    }

    /// An error: `-text`, the first word of which is the error code. Whatever the text quotes, it
    /// stays one line: line ends at its ends are dropped; CR, LF and NUL within become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.out.ledger.scalar();
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let mut text = text.as_ref();
        while let [first, rest @ ..] = text
            && is_line_end(first)
        {
            text = rest;
        }
        while let [rest @ .., last] = text
            && is_line_end(last)
        {
            text = rest;
        }
        self.out.extend(b"-");
        let mark = self.out.mark();
        self.out.extend(text);
        self.out.replace_line_ends_since(mark);
        self.out.extend(b"\r\n");
    }

    /// `:value`.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.out.ledger.scalar();
        match u64::try_from(value) {
            Ok(value) => self.header(b':', value),
            Err(_) if value == -1 => self.out.extend(b":-1\r\n"),
            Err(_) => self.line(b':', &format_i64(value)),
        }
    }

    /// A byte string: `$len` and the bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() >= COPIED_APART_BYTES_MIN {
            return self.bulk_shared(&SharedBytes::from(bytes.to_vec()));
        }
        self.out.ledger.scalar();
        self.header(b'$', bytes.len() as u64);
        self.out.extend(bytes);
        self.out.extend(b"\r\n");
    }

    /// The decimal text of `value` as a byte string.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(&format_i64(value));
    }

    /// The argument at `index` as a byte string, held by reference if it can be shared.
    pub fn bulk_argument(&mut self, args: Args<'_>, index: usize) {
        match args.share(index) {
            Some(shared) => self.bulk_shared(&shared),
            None => self.bulk(args.at(index)),
        }
    }

    /// A byte string held by reference until it is sent, unless it is short of
    /// [`SHARED_BYTES_MIN`].
    pub fn bulk_shared(&mut self, data: &SharedBytes) {
        if data.len() < SHARED_BYTES_MIN {
            return self.bulk(data);
        }
        self.out.ledger.scalar();
        self.header(b'$', data.len() as u64);
        self.out.extend_shared(data);
        self.out.extend(b"\r\n");
    }

    /// The part `data[range]` of a byte string, held by reference where
    /// [`Output::extend_shared_range`] does.
    pub fn bulk_shared_range(&mut self, data: &SharedBytes, range: Range<usize>) {
        self.out.ledger.scalar();
        self.header(b'$', range.len() as u64);
        self.out.extend_shared_range(data, range);
        self.out.extend(b"\r\n");
    }

    /// No value: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.out.ledger.scalar();
        if self.is_resp3() {
            self.out.extend(b"_\r\n");
        } else {
            self.out.extend(b"$-1\r\n");
        }
    }

    /// No array: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.ledger.scalar();
        self.out.extend(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// An array of `len` values, which must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.aggregate(b'*', len);
    }

    /// An array of `len` values that follow one by one, each whole by itself: what was written may be sent
    /// between any two.
    pub fn array_in_parts(&mut self, len: usize) {
        self.header(b'*', len as u64);
    }

    /// So many values as they were written before.
    pub fn written(&mut self, bytes: &[u8], values: usize) {
        for _ in 0..values {
            self.out.ledger.scalar();
        }
        self.out.extend(bytes);
    }

    /// A map of `len` pairs, which must follow: key, value, key, value. RESP2: an array of twice
    /// `len`.
    pub fn map(&mut self, len: usize) {
        self.out.ledger.aggregate(2 * len as u64);
        if self.is_resp3() {
            self.header(b'%', len as u64);
        } else {
            self.header(b'*', 2 * len as u64);
        }
    }

    /// A set of `len` values, which must follow. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.aggregate(if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    /// An out-of-band message of `len` values, which must follow; the first names its kind. RESP2: an
    /// array.
    pub fn push(&mut self, len: usize) {
        self.aggregate(if self.is_resp3() { b'>' } else { b'*' }, len);
    }

    /// A [`push`](Self::push) after the first one of a command that answers with several. Within an
    /// array, such as the replies of EXEC, it is one element more than was declared, as in Redis.
    pub fn further_push(&mut self, len: usize) {
        self.out.ledger.further_aggregate(len as u64);
        self.header(if self.is_resp3() { b'>' } else { b'*' }, len as u64);
    }

    /// `len` pairs about the value that comes after them; both must follow. RESP3 only: a RESP2 client
    /// would take the pairs for the value.
    pub fn attribute(&mut self, len: usize) {
        assert!(self.is_resp3(), "RESP2 has no attributes");
        self.out.ledger.attribute(2 * len as u64);
        self.header(b'|', len as u64);
    }

    /// A floating point number, in the shortest text that reads back as the same number; `inf`,
    /// `-inf` and `nan` otherwise. RESP2: that text as a byte string. (Redis 7.0 prints 17 digits
    /// instead; 7.2 and later, and Valkey, the shortest text.)
    pub fn double(&mut self, value: f64) {
        self.double_text(&format_f64(value));
    }

    /// A floating point number already in text form, such as the result of
    /// [`Extended::to_text`](darter_base::extended::Extended::to_text). RESP2: a byte string.
    pub fn double_text(&mut self, text: &[u8]) {
        if self.is_resp3() {
            self.out.ledger.scalar();
            self.line(b',', text);
        } else {
            self.bulk(text);
        }
    }

    /// `#t` or `#f`. RESP2: `:1` or `:0`.
    pub fn boolean(&mut self, value: bool) {
        self.out.ledger.scalar();
        self.out.extend(match (self.is_resp3(), value) {
            (true, true) => b"#t\r\n",
            (true, false) => b"#f\r\n",
            (false, true) => b":1\r\n",
            (false, false) => b":0\r\n",
        });
    }

    /// An integer of any size, as decimal digits. RESP2: a byte string.
    pub fn big_number(&mut self, digits: &str) {
        if self.is_resp3() {
            self.out.ledger.scalar();
            self.line(b'(', digits.as_bytes());
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Text for people, `format` being `txt` or `mkd`. RESP2: a byte string, without the format.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        if self.is_resp3() {
            self.out.ledger.scalar();
            self.header(b'=', text.len() as u64 + 4);
            self.out.extend(&format);
            self.out.extend(b":");
            self.out.extend(text);
            self.out.extend(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// One value that is already in wire format, such as a reply kept from before.
    pub fn encoded(&mut self, value: &[u8]) {
        self.out.ledger.scalar();
        self.out.extend(value);
    }

    /// Begins an array, a set or a map whose length will be known at its end. They nest: what was
    /// begun last ends first. Nothing may be sent in between.
    pub fn begin_deferred(&mut self) -> DeferredLength {
        self.out.ledger.deferred();
        DeferredLength { mark: self.out.mark() }
    }

    /// Ends an array of `len` values.
    pub fn end_array(&mut self, deferred: DeferredLength, len: usize) {
        self.end(deferred, b'*', len, len);
    }

    /// Ends a set of `len` values. RESP2: an array.
    pub fn end_set(&mut self, deferred: DeferredLength, len: usize) {
        self.end(deferred, if self.is_resp3() { b'~' } else { b'*' }, len, len);
    }

    /// Ends a map of `len` pairs. RESP2: an array of twice `len`.
    pub fn end_map(&mut self, deferred: DeferredLength, len: usize) {
        if self.is_resp3() {
            self.end(deferred, b'%', len, 2 * len);
        } else {
            self.end(deferred, b'*', 2 * len, 2 * len);
        }
    }

    /// Whether the client speaks RESP3, for replies whose shape depends on it.
    pub const fn is_resp3(&self) -> bool {
        matches!(self.protocol, Protocol::Resp3)
    }

    #[inline]
    fn aggregate(&mut self, kind: u8, len: usize) {
        self.out.ledger.aggregate(len as u64);
        self.header(kind, len as u64);
    }

    #[expect(clippy::needless_pass_by_value, reason = "a deferred length is used once")]
    fn end(&mut self, deferred: DeferredLength, kind: u8, declared: usize, values: usize) {
        self.out.ledger.end_deferred(values as u64);
        let digits = format_u64(declared as u64);
        let mut header = [kind; 23];
        let digits_end = 1 + digits.len();
        header[1..digits_end].copy_from_slice(&digits);
        header[digits_end..digits_end + 2].copy_from_slice(b"\r\n");
        self.out.insert(deferred.mark, &header[..digits_end + 2]);
    }

    /// `kind` and `number` on a line. The short ones are arrays of constant size, which the compiler
    /// stores without calling anything.
    #[inline]
    fn header(&mut self, kind: u8, number: u64) {
        let digit = |unit: u64| b'0' + (number / unit % 10) as u8;
        match number {
            0..=9 => self.out.extend(&[kind, digit(1), b'\r', b'\n']),
            10..=99 => self.out.extend(&[kind, digit(10), digit(1), b'\r', b'\n']),
            100..=999 => self.out.extend(&[kind, digit(100), digit(10), digit(1), b'\r', b'\n']),
            1000..=9999 => {
                let digits = [digit(1000), digit(100), digit(10), digit(1)];
                self.out.extend(&[kind, digits[0], digits[1], digits[2], digits[3], b'\r', b'\n']);
            }
            _ => self.line(kind, &format_u64(number)),
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.extend(&[kind]);
        self.out.extend(text);
        self.out.extend(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
