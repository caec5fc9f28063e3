//! The stream of changes, cut into units: commands, and transactions as a whole.
//!
//! The stream is what clients send: requests in RESP, some of them between MULTI and EXEC. A replica carries out a unit or
//! nothing of it, and counts its bytes when it has, so that it can go on at the byte behind the last one from wherever
//! it gets the rest.

use darter_resp::sequence::{Sequence, Step};
use darter_resp::{Args, Limits};

/// Longest transaction, in bytes: as much as a client may send without its being run.
const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// Finds the units in a window of bytes, one behind the other, and has the commands of all that were found. What the
/// primary sends is trusted in nothing.
#[derive(Debug)]
pub struct Units {
    /// The commands: of units, and of the beginning of a transaction.
    sequence: Sequence,
    /// What of that is units.
    whole: Whole,
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
        Self { sequence: Sequence::new(limits), whole: Whole::default() }
    }

    /// Looks for one more unit in `window`, which begins with those that were found.
    pub fn next(&mut self, window: &[u8]) -> Next {
        let sequence = &mut self.sequence;
        loop {
            let at = sequence.parsed();
            if at - self.whole.bytes > TRANSACTION_BYTES_MAX {
                return Next::Malformed { at, why: "a transaction that does not end" };
            }
            match sequence.parse(window) {
                Step::Command => {}
                // Empty lines keep a link alive.
                Step::Nothing(bytes) => sequence.skip(bytes),
                Step::Unfinished { needed } => return Next::Unfinished { needed },
                Step::Malformed(why) => return Next::Malformed { at, why },
            }
            if !sequence.is_in_transaction() {
                self.whole = Whole { bytes: sequence.parsed(), commands: sequence.len() };
                return Next::Unit;
            }
        }
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
        self.sequence.commands(window, self.whole.commands).map(|(_, args)| args)
    }

    /// Forgets the units that were found: the window will begin behind them. How many bytes they had.
    pub fn consume(&mut self) -> usize {
        let Whole { bytes, commands } = std::mem::take(&mut self.whole);
        self.sequence.forget_first(commands, bytes);
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
