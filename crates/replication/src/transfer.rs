//! A full sync's data on the wire: RDB data of a length that is told, or up to a mark.
//!
//! ```text
//! $<bytes> CR LF    so many bytes of data
//! $EOF:<40 bytes> CR LF    data, then the same 40 bytes again; the primary did not know their length
//! ```
//!
//! Before that line there may be empty ones, which keep the link alive while the primary gets ready.

use darter_base::number::parse_u64;

/// Bytes of the mark behind data of unknown length.
const MARK_BYTES: usize = 40;

/// What a primary says before it sends the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nothing yet: it is alive.
    Alive,
    /// So many bytes follow.
    Bytes(u64),
    /// They end where these come again.
    UpTo([u8; MARK_BYTES]),
    /// It gave up; its words.
    Refused(Vec<u8>),
    /// It does not speak the protocol.
    Malformed,
}

impl Announced {
    /// What a line, without its end, says.
    pub fn of_line(line: &[u8]) -> Self {
        match line {
            b"" => Self::Alive,
            [b'-', words @ ..] => Self::Refused(words.to_vec()),
            [b'$', b'E', b'O', b'F', b':', mark @ ..] => {
                mark.try_into().map_or(Self::Malformed, Self::UpTo)
            }
            [b'$', length @ ..] => parse_u64(length).map_or(Self::Malformed, Self::Bytes),
            _ => Self::Malformed,
        }
    }
}

/// Tells where the data of a full sync end, as they come.
#[derive(Debug)]
pub struct Extent {
    ends: Ends,
    received: u64,
}

#[derive(Debug)]
enum Ends {
    /// When so many more have come.
    After(u64),
    /// With a mark, whose beginning may have come already.
    With { mark: [u8; MARK_BYTES], tail: Vec<u8> },
    /// They have ended.
    Ended,
}

impl Extent {
    /// Of data of so many bytes.
    pub const fn of_bytes(bytes: u64) -> Self {
        let ends = if bytes == 0 { Ends::Ended } else { Ends::After(bytes) };
        Self { ends, received: 0 }
    }

    /// Of data up to a mark.
    pub const fn up_to(mark: [u8; MARK_BYTES]) -> Self {
        Self { ends: Ends::With { mark, tail: Vec::new() }, received: 0 }
    }

    /// Whether all data have come.
    pub const fn is_whole(&self) -> bool {
        matches!(self.ends, Ends::Ended)
    }

    /// How many bytes the data have, if that was told.
    pub const fn total_bytes(&self) -> Option<u64> {
        match self.ends {
            Ends::After(left) => Some(self.received + left),
            Ends::With { .. } => None,
            Ends::Ended => Some(self.received),
        }
    }

    /// Bytes of data that have come.
    pub const fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Appends to `data` what of `bytes`, and of those held back before, belongs to the data. Returns what is behind
    /// the end of all data.
    pub fn take<'a>(&mut self, bytes: &'a [u8], data: &mut Vec<u8>) -> &'a [u8] {
        match &mut self.ends {
            Ends::Ended => bytes,
            Ends::After(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                self.received += count as u64;
                if *left == 0 {
                    self.ends = Ends::Ended;
                }
                data.extend_from_slice(&bytes[..count]);
                &bytes[count..]
            }
            Ends::With { mark, tail } => {
                let held_back = tail.len();
                let before = data.len();
                data.append(tail);
                data.extend_from_slice(bytes);
                let found = find(&data[before..], mark);
                if let Some(at) = found {
                    data.truncate(before + at);
                    self.received += at as u64;
                    self.ends = Ends::Ended;
                    // The mark began among those held back at the earliest.
                    return &bytes[at + MARK_BYTES - held_back..];
                }
                let kept = (data.len() - before).min(MARK_BYTES - 1);
                let end = data.len() - kept;
                tail.extend_from_slice(&data[end..]);
                data.truncate(end);
                self.received += (end - before) as u64;
                &[]
            }
        }
    }
}

/// Where `mark` begins in `bytes`.
fn find(bytes: &[u8], mark: &[u8; MARK_BYTES]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == mark[0]) {
        let at = from + at;
        let rest = &bytes[at..];
        if rest.len() < MARK_BYTES {
            return None;
        }
        if rest.starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: [u8; MARK_BYTES] = *b"0123456789abcdef0f1e2d3c4b5a69788796a5b4";

    #[test]
    fn lines_say_how_the_data_end() {
        for (line, announced) in [
            (b"".as_slice(), Announced::Alive),
            (b"$0", Announced::Bytes(0)),
            (b"$123", Announced::Bytes(123)),
            (b"$-1", Announced::Malformed),
            (b"$99999999999999999999999", Announced::Malformed),
            (b"$EOF:0123", Announced::Malformed),
            (b"$EOF:0123456789abcdef0f1e2d3c4b5a69788796a5b4", Announced::UpTo(MARK)),
            (b"$EOF:0123456789abcdef0f1e2d3c4b5a69788796a5b4c", Announced::Malformed),
            (b"-ERR no", Announced::Refused(b"ERR no".to_vec())),
            (b"+OK", Announced::Malformed),
        ] {
            assert_eq!(Announced::of_line(line), announced, "{}", line.escape_ascii());
        }
    }

    /// What the data are and what comes behind them, with `bytes` in pieces of `size`.
    fn taken(mut extent: Extent, bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut data, mut behind) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            behind.extend_from_slice(extent.take(piece, &mut data));
        }
        assert!(extent.is_whole());
        assert_eq!(extent.received_bytes(), data.len() as u64);
        (data, behind)
    }

    #[test]
    fn data_end_however_they_are_cut() {
        // Beginnings of the mark are among the data.
        let data: Vec<u8> =
            [b"REDIS0011", &MARK[..39], &MARK[..1], b"xx", &MARK[..20], &MARK[..16]].concat();
        let marked = [data.as_slice(), &MARK, b"*1\r\n$4\r\nPING\r\n"].concat();
        let counted = [data.as_slice(), b"*1\r\n$4\r\nPING\r\n"].concat();
        for size in 1..=marked.len() {
            let expected = (data.clone(), b"*1\r\n$4\r\nPING\r\n".to_vec());
            assert_eq!(taken(Extent::up_to(MARK), &marked, size), expected, "{size}");
            let extent = Extent::of_bytes(data.len() as u64);
            assert_eq!(taken(extent, &counted, size), expected, "{size}");
        }
    }
}
