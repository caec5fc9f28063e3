//! The stream of changes, cut into units: commands, and transactions as a whole.
//!
//! The stream is what clients send: requests in RESP, some of them between MULTI and EXEC. A replica carries out a unit or
//! nothing of it, and counts its bytes when it has, so that it can go on at the byte behind the last one from wherever
//! it gets the rest.

use darter_resp::{Args, Limits, Parsed, RequestParser, Span};

/// Longest transaction, in bytes: as much as a client may send without its being run.
const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// Finds the units in a window of bytes, one behind the other, and has the commands of all that were found. Nothing is
/// copied and, once the vectors have grown, nothing allocated. What the primary sends is trusted in nothing.
#[derive(Debug)]
pub struct Units {
    limits: Limits,
    parser: RequestParser,
    /// The arguments of the commands, those of a command relative to where it begins.
    spans: Vec<Span>,
    commands: Vec<Found>,
    /// Bytes of the window that have been looked at: units, and the beginning of a transaction.
    parsed: usize,
    in_transaction: bool,
    /// What of that is units.
    whole: Whole,
}

/// A command.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Where it begins in the window.
    at: usize,
    /// Where its spans end.
    spans_end: usize,
}

/// Whole units.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    bytes: usize,
    commands: usize,
}

/// What follows the units that were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// One more.
    Unit,
    /// Nothing whole: look again when the window, beginning with the same bytes, has so many.
    Unfinished {
        /// More than it has now. The primary chooses this number: it is a reason to wait, not to allocate.
        needed: usize,
    },
    /// Something else, at this byte of the window.
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong.
        why: &'static str,
    },
}

impl Units {
    /// At the beginning of a unit. `limits` are those of any client.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            parser: RequestParser::new(),
            spans: Vec::new(),
            commands: Vec::new(),
            parsed: 0,
            in_transaction: false,
            whole: Whole::default(),
        }
    }

    /// Looks for one more unit in `window`, which begins with those that were found.
    pub fn next(&mut self, window: &[u8]) -> Next {
        loop {
            let at = self.parsed;
            if at - self.whole.bytes > TRANSACTION_BYTES_MAX {
                return Next::Malformed { at, why: "a transaction that does not end" };
            }
            match self.parser.parse(&window[at..], &mut self.spans, &self.limits) {
                Parsed::Command { consumed } => {
                    if let Some(why) = self.take(&window[at..], consumed) {
                        return Next::Malformed { at, why };
                    }
                }
                // Empty lines keep a link alive.
                Parsed::Nothing { consumed } => self.parsed += consumed,
                Parsed::Incomplete { needed_bytes, .. } => {
                    return Next::Unfinished { needed: at.saturating_add(needed_bytes) };
                }
                Parsed::Malformed(_) | Parsed::Inline { .. } => {
                    return Next::Malformed { at, why: "a malformed command" };
                }
            }
            if !self.in_transaction {
                self.whole = Whole { bytes: self.parsed, commands: self.commands.len() };
                return Next::Unit;
            }
        }
    }

    /// Notes the command at the beginning of `rest`; what is wrong with it there.
    fn take(&mut self, rest: &[u8], consumed: usize) -> Option<&'static str> {
        let from = self.commands.last().map_or(0, |last| last.spans_end);
        let name = &rest[self.spans[from].start..self.spans[from].end];
        if name.eq_ignore_ascii_case(b"MULTI") {
            if self.in_transaction {
                return Some("MULTI within a transaction");
            }
            self.in_transaction = true;
        } else if name.eq_ignore_ascii_case(b"EXEC") {
            if !self.in_transaction {
                return Some("EXEC without MULTI");
            }
            self.in_transaction = false;
        }
        self.commands.push(Found { at: self.parsed, spans_end: self.spans.len() });
        self.parsed += consumed;
        None
    }

    /// Bytes of the units that were found.
    pub const fn bytes(&self) -> usize {
        self.whole.bytes
    }

    /// How many commands they have, MULTI and EXEC among them.
    pub const fn command_count(&self) -> usize {
        self.whole.commands
    }

    /// These commands.
    pub fn commands<'a>(&'a self, window: &'a [u8]) -> impl Iterator<Item = Args<'a>> {
        let mut from = 0;
        self.commands[..self.whole.commands].iter().map(move |&Found { at, spans_end }| {
            let args = Args::new(&window[at..], &self.spans[from..spans_end]);
            from = spans_end;
            args
        })
    }

    /// Forgets the units that were found: the window will begin behind them. How many bytes they had.
    pub fn consume(&mut self) -> usize {
        let Whole { bytes, commands } = std::mem::take(&mut self.whole);
        let spans = commands.checked_sub(1).map_or(0, |last| self.commands[last].spans_end);
        self.spans.drain(..spans);
        self.commands.drain(..commands);
        for found in &mut self.commands {
            found.at -= bytes;
            found.spans_end -= spans;
        }
        self.parsed -= bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The units of `bytes`, found in a window that grows a byte at a time and is consumed after every `batch` units.
    fn units(mut bytes: &[u8], batch: usize) -> Result<Vec<String>, Next> {
        let mut units = Units::new(Limits::default());
        let (mut found, mut seen, mut in_batch, mut shown) = (Vec::new(), 0, 0, 0);
        while units.bytes() < bytes.len() {
            match units.next(&bytes[..seen]) {
                Next::Unfinished { needed } if needed <= bytes.len() => {
                    assert!(needed > seen);
                    seen += 1;
                }
                Next::Unit => {
                    let words = |args: Args<'_>| {
                        let words: Vec<_> =
                            args.iter().map(|word| word.escape_ascii().to_string()).collect();
                        words.join(" ")
                    };
                    let commands = units.commands(&bytes[..seen]).skip(shown).map(words);
                    found.push(commands.collect::<Vec<_>>().join("; "));
                    shown = units.command_count();
                    in_batch += 1;
                    if in_batch == batch {
                        let consumed = units.consume();
                        bytes = &bytes[consumed..];
                        seen -= consumed;
                        (in_batch, shown) = (0, 0);
                    }
                }
                next => return Err(next),
            }
        }
        Ok(found)
    }

    fn bytes(commands: &[&str]) -> Vec<u8> {
        let encode =
            |line: &&str| darter_resp::request::encode(&line.split(' ').collect::<Vec<_>>());
        commands.iter().flat_map(encode).collect()
    }

    #[test]
    fn a_transaction_is_one_unit_and_empty_lines_are_counted() {
        let mut stream = bytes(&["SELECT 0", "SET a 1", "multi", "SET b 2", "DEL a", "EXEC"]);
        stream.extend_from_slice(b"\n\r\n");
        stream.extend(bytes(&["PING"]));
        let expected = ["SELECT 0", "SET a 1", "multi; SET b 2; DEL a; EXEC", "", "", "PING"];
        for batch in 1..8 {
            assert_eq!(units(&stream, batch).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_whole_is_no_unit() {
        let stream = bytes(&["MULTI", "SET b 2", "EXEC"]);
        for end in 1..stream.len() {
            assert!(matches!(units(&stream[..end], 2), Err(Next::Unfinished { .. })), "{end}");
        }
        assert_eq!(units(&stream, 2).unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_found_where_it_is() {
        for (stream, at) in [
            (b"SET a 1\r\n".to_vec(), 0),
            (b"*1\r\n$-1\r\n".to_vec(), 0),
            (b"*1\r\n$9999999999\r\n".to_vec(), 0),
            (b"$EOF:".to_vec(), usize::MAX),
            (bytes(&["EXEC"]), 0),
            (bytes(&["MULTI", "MULTI"]), 15),
            ([bytes(&["MULTI"]), b"x\n".to_vec()].concat(), 15),
        ] {
            let shown = stream.escape_ascii().to_string();
            match units(&stream, 2) {
                Err(Next::Malformed { at: found, .. }) => assert_eq!(found, at, "{shown}"),
                Err(Next::Unfinished { .. }) => assert_eq!(at, usize::MAX, "{shown}"),
                other => panic!("{shown}: {other:?}"),
            }
        }
    }
}
