//! Libraries of functions, as FUNCTION DUMP and RDB files have them: each an opcode and its text.

use crate::Corrupt;
use crate::reader::Reader;
use crate::writer::push_string;

/// A library since Redis 7.0.
const FUNCTION: u8 = 245;
/// A library of a release candidate before that, which nobody reads.
const FUNCTION_BEFORE_GA: u8 = 246;

/// Why bytes are no libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFunctions {
    /// A library in the form of a release candidate.
    BeforeGa,
    /// Something that is no library.
    OtherType,
    /// A library that ends too early.
    Corrupt,
}

impl From<Corrupt> for NoFunctions {
    fn from(_: Corrupt) -> Self {
        Self::Corrupt
    }
}

/// Appends a library.
pub fn encode_functions(out: &mut Vec<u8>, text: &[u8]) {
    out.push(FUNCTION);
    push_string(out, text);
}

/// The texts of the libraries in `bytes`.
pub fn decode_functions(bytes: &[u8]) -> Result<Vec<Vec<u8>>, NoFunctions> {
    let mut reader = Reader::new(bytes);
    let mut texts = Vec::new();
    while !reader.is_at_end() {
        match reader.byte()? {
            FUNCTION => texts.push(reader.string()?.into_owned()),
            FUNCTION_BEFORE_GA => return Err(NoFunctions::BeforeGa),
            _ => return Err(NoFunctions::OtherType),
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_as_they_are_written() {
        let mut bytes = Vec::new();
        encode_functions(&mut bytes, b"#!lua name=a\n");
        encode_functions(&mut bytes, &[b'x'; 300]);
        let texts = decode_functions(&bytes).unwrap();
        assert_eq!(texts, [b"#!lua name=a\n".to_vec(), vec![b'x'; 300]]);
        for end in 1..bytes.len() {
            let read = decode_functions(&bytes[..end]);
            assert!(read == Err(NoFunctions::Corrupt) || read.unwrap().len() == 1);
        }
        assert_eq!(decode_functions(b"\xf6x"), Err(NoFunctions::BeforeGa));
        assert_eq!(decode_functions(b"\x00x"), Err(NoFunctions::OtherType));
    }
}
