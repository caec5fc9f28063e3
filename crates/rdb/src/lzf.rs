//! Unpacking strings that were packed with LZF; `compress` packs them.
//!
//! ```text
//! 000nnnnn                     n + 1 bytes follow as they are
//! nnnooooo oooooooo            n + 2 bytes (n 1 to 6) from o + 1 bytes back
//! 111ooooo nnnnnnnn oooooooo   n + 9 bytes from o + 1 bytes back
//! ```
//!
//! (Marc Lehmann's liblzf.) The bytes copied may overlap those that are being written.

/// What `packed` unpacks to, if that is exactly `len` bytes.
pub(crate) fn unpacked(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut unpacking = Unpacking::begin(packed, len)?;
    unpacking.go_on(packed, usize::MAX)?;
    Some(unpacking.into_text())
}

/// A string that is being unpacked.
#[derive(Debug)]
pub(crate) struct Unpacking {
    /// Bytes of what is packed that have been read.
    at: usize,
    /// Bytes of text when it is whole.
    len: usize,
    text: Vec<u8>,
}

impl Unpacking {
    /// Begins; `None` if so few bytes cannot be that much text.
    pub(crate) fn begin(packed: &[u8], len: usize) -> Option<Self> {
        /// Three bytes make at most 264.
        const EXPANSION_MAX: usize = 88;
        if len > packed.len().saturating_mul(EXPANSION_MAX) {
            return None;
        }
        Some(Self { at: 0, len, text: Vec::with_capacity(len) })
    }

    /// Unpacks about `bytes` more of text from the same bytes; whether there is more, `None` if they are damaged.
    pub(crate) fn go_on(&mut self, packed: &[u8], bytes: usize) -> Option<bool> {
        let Self { len, text: out, .. } = self;
        let pause = out.len().saturating_add(bytes);
        let mut rest = packed.get(self.at..)?;
        while let Some((control, tail)) = rest.split_first() {
            if out.len() >= pause {
                self.at = packed.len() - rest.len();
                return Some(true);
            }
            let high = usize::from(control >> 5);
            let low = usize::from(control & 0x1f);
            rest = if high == 0 {
                let (literal, tail) = tail.split_at_checked(low + 1)?;
                if literal.len() > len.checked_sub(out.len())? {
                    return None;
                }
                out.extend_from_slice(literal);
                tail
            } else {
                let (count, tail) = match tail {
                    [more, tail @ ..] if high == 7 => (9 + usize::from(*more), tail),
                    tail => (high + 2, tail),
                };
                let (offset, tail) = tail.split_first()?;
                let from = out.len().checked_sub((low << 8 | usize::from(*offset)) + 1)?;
                if count > len.checked_sub(out.len())? {
                    return None;
                }
                for at in from..from + count {
                    out.push(out[at]);
                }
                tail
            };
        }
        (out.len() == *len).then_some(false)
    }

    /// The text, when there is no more, or what there is of it.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_copies_repeat() {
        assert_eq!(unpacked(&[1, b'a', b'b', 0x40, 1], 6), Some(b"ababab".to_vec()));
        assert_eq!(unpacked(&[], 0), Some(Vec::new()));
    }

    #[test]
    fn damaged_input_is_refused() {
        for (packed, len) in [
            (&[0][..], 1),
            (&[0x40, 0], 4),
            (&[1, b'a', b'b', 0x40, 2], 6),
            (&[1, b'a', b'b', 0x40, 1], 5),
            (&[1, b'a', b'b', 0x40, 1], 7),
            (&[1, b'a', b'b', 0x40], 6),
            (&[1, b'a', b'b', 0xe0, 200], 6),
            (&[0, b'a'], usize::MAX),
        ] {
            assert_eq!(unpacked(packed, len), None, "{packed:?}");
        }
    }
}
