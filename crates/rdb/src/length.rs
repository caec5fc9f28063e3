//! Numbers in the form of a length, wherever they are read from.
//!
//! ```text
//! 00nnnnnn                  6 bits          10000000, 4 bytes      32 bits, great end first
//! 01nnnnnn, a byte          14 bits         10000001, 8 bytes      64 bits
//! 11ssssss                  no number: the way a string is written
//! ```

/// A number, or the way a string is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Plain(u64),
    Special(u8),
}

/// Where bytes come from.
pub(crate) trait Bytes {
    type Error;

    fn take_array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Self::Error>;

    /// What is there is no number.
    fn no_number(&self) -> Self::Error;
}

/// Reads one.
pub(crate) fn length_or_special<B: Bytes>(from: &mut B) -> Result<Length, B::Error> {
    let [first] = from.take_array()?;
    let low = first & 0x3f;
    Ok(match first >> 6 {
        0 => Length::Plain(u64::from(low)),
        1 => {
            let [next] = from.take_array()?;
            Length::Plain(u64::from(low) << 8 | u64::from(next))
        }
        2 if first == 0x80 => Length::Plain(u64::from(u32::from_be_bytes(from.take_array()?))),
        2 if first == 0x81 => Length::Plain(u64::from_be_bytes(from.take_array()?)),
        2 => return Err(from.no_number()),
        _ => Length::Special(low),
    })
}
