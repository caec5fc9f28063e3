//! Bytes to groups: commands, and transactions as a whole.

use darter_resp::sequence::{Sequence, Step};
use darter_resp::{Args, Limits};

use crate::line::{CHUNK_MARK, HEADER_MARK};

/// Longest comment, with its end: what Redis reads.
const COMMENT_BYTES_MAX: usize = 1023;

/// Finds the groups in a window of bytes, one after the other.
#[derive(Debug)]
pub(super) struct Groups {
    /// The group's commands so far.
    sequence: Sequence,
}

/// What the window begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A group of so many bytes; [`Groups::commands`] has what is in it.
    Group(usize),
    /// A comment of so many bytes, outside of any group.
    Comment(usize),
    /// Nothing whole: look again when the window, beginning with the same bytes, has so many.
    Unfinished { needed: usize },
    /// Something else, at this byte of the window.
    Malformed { at: usize, why: &'static str },
}

impl Groups {
    pub(super) fn new(limits: Limits) -> Self {
        Self { sequence: Sequence::new(limits) }
    }

    /// Whatever was unfinished will not be looked at again.
    pub(super) fn forget(&mut self) {
        self.sequence.restart();
    }

    /// What `window` begins with.
    pub(super) fn next(&mut self, window: &[u8]) -> Next {
        let sequence = &mut self.sequence;
        if !sequence.is_in_transaction() {
            sequence.forget_all();
        }
        loop {
            let at = sequence.parsed();
            let rest = &window[at..];
            match rest.first() {
                Some(b'*') => {}
                Some(b'#') => match comment(rest) {
                    Next::Comment(bytes) if sequence.is_in_transaction() => {
                        sequence.skip(bytes);
                        continue;
                    }
                    Next::Unfinished { needed } => return Next::Unfinished { needed: at + needed },
                    Next::Malformed { why, .. } => return Next::Malformed { at, why },
                    next => return next,
                },
                Some(_) => return Next::Malformed { at, why: "neither a command nor a comment" },
                None => return Next::Unfinished { needed: at + 1 },
            }
            match sequence.parse(window) {
                Step::Command if sequence.is_in_transaction() => {}
                Step::Command => return Next::Group(sequence.parsed()),
                Step::Unfinished { needed } => return Next::Unfinished { needed },
                Step::Nothing(_) => return Next::Malformed { at, why: "a malformed command" },
                Step::Malformed(why) => return Next::Malformed { at, why },
            }
        }
    }

    /// Whether the window ended within a transaction.
    pub(super) const fn is_in_transaction(&self) -> bool {
        self.sequence.is_in_transaction()
    }

    /// The commands of the group that was found at the beginning of `window`, each with where it begins.
    pub(super) fn commands<'a>(
        &'a self,
        window: &'a [u8],
    ) -> impl Iterator<Item = (usize, Args<'a>)> {
        self.sequence.commands(window, self.sequence.len())
    }
}

/// The comment that `rest` begins with.
fn comment(rest: &[u8]) -> Next {
    let line = &rest[..rest.len().min(COMMENT_BYTES_MAX)];
    if line.starts_with(CHUNK_MARK) || line.starts_with(HEADER_MARK) {
        return Next::Malformed { at: 0, why: "a line with a checksum where none can be" };
    }
    match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => Next::Comment(end + 1),
        None if line.len() == COMMENT_BYTES_MAX => {
            Next::Malformed { at: 0, why: "a comment that is too long" }
        }
        None => Next::Unfinished { needed: rest.len() + 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of `bytes`, looked at in a window that grows a byte at a time.
    fn groups(mut bytes: &[u8]) -> Result<Vec<String>, Next> {
        let mut groups = Groups::new(Limits::default());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let mut seen = 0;
            let next = loop {
                match groups.next(&bytes[..seen]) {
                    Next::Unfinished { needed } if needed <= bytes.len() => {
                        assert!(needed > seen);
                        seen += 1;
                    }
                    next => break next,
                }
            };
            let len = match next {
                Next::Group(len) => {
                    let words = |(_, args): (usize, Args<'_>)| {
                        let words: Vec<_> =
                            args.iter().map(|word| word.escape_ascii().to_string()).collect();
                        words.join(" ")
                    };
                    found.push(groups.commands(bytes).map(words).collect::<Vec<_>>().join("; "));
                    len
                }
                Next::Comment(len) => len,
                next => return Err(next),
            };
            bytes = &bytes[len..];
        }
        Ok(found)
    }

    fn bytes(commands: &[&str]) -> Vec<u8> {
        commands
            .iter()
            .flat_map(|command| match command.strip_prefix('#') {
                Some(_) => format!("{command}\r\n").into_bytes(),
                None => darter_resp::request::encode(&command.split(' ').collect::<Vec<_>>()),
            })
            .collect()
    }

    #[test]
    fn a_transaction_is_one_group_and_comments_are_passed_over() {
        let log =
            bytes(&["#TS:1", "SET a 1", "MULTI", "SET b 2", "#TS:2", "DEL a", "exec", "INCR c"]);
        assert_eq!(groups(&log).unwrap(), ["SET a 1", "MULTI; SET b 2; DEL a; exec", "INCR c"]);
    }

    #[test]
    fn what_is_not_whole_is_no_group() {
        let log = bytes(&["MULTI", "SET b 2"]);
        assert_eq!(groups(&log), Err(Next::Unfinished { needed: log.len() + 1 }));
        let log = bytes(&["MULTI", "SET b 2", "EXEC"]);
        for end in 1..log.len() {
            assert!(matches!(groups(&log[..end]), Err(Next::Unfinished { .. })), "{end}");
        }
    }

    #[test]
    fn what_is_wrong_is_found_where_it_is() {
        for (log, at) in [
            (b"SET a 1\r\n".to_vec(), 0),
            (b"*0\r\n".to_vec(), 0),
            (b"*-1\r\n".to_vec(), 0),
            (b"*1\r\n$-1\r\n".to_vec(), 0),
            (b"*1\r\n$9999999999\r\n".to_vec(), 0),
            (b"\r\n".to_vec(), 0),
            (bytes(&["EXEC"]), 0),
            (bytes(&["MULTI", "MULTI"]), 15),
            ([bytes(&["MULTI"]), b"x".to_vec()].concat(), 15),
            (b"#C 0\r\n".to_vec(), 0),
            ([b"#", "a".repeat(2000).as_bytes()].concat(), 0),
        ] {
            let shown = log.escape_ascii().to_string();
            let found = groups(&log);
            assert!(
                matches!(found, Err(Next::Malformed { at: found, .. }) if found == at),
                "{shown}: {found:?}"
            );
        }
    }
}
