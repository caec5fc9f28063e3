//! HyperLogLog: how many different elements a string has seen, to about 0.8 percent.
//!
//! The value is an ordinary string in Redis's format, so that it can be read with GET, set with SET and
//! exchanged with other servers:
//!
//! ```text
//!  0      4          5       8                    16
//! +------+----------+-------+--------------------+---------------------------+
//! | HYLL | encoding | 0 0 0 | cached cardinality | registers                 |
//! |      | 0 dense  |       | little-endian, top |                           |
//! |      | 1 sparse |       | bit: out of date   |                           |
//! +------+----------+-------+--------------------+---------------------------+
//! ```
//!
//! There are 16384 registers of 6 bits. An element's hash picks a register with its low 14 bits; the
//! register remembers the longest run of zeroes, plus one, that followed. *Dense* registers are packed
//! from the lowest bit up, in 12288 bytes ([`dense`]). *Sparse* ones are run lengths in a few bytes
//! ([`sparse`]), until they need more than `hll-sparse-max-bytes` or a register exceeds 32.
//!
//! Hash (MurmurHash64A), estimator and the way sparse runs are edited are Redis's, so counts are equal
//! and strings equal byte for byte. Estimator: Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches", arXiv:1702.01284.
//!
//! Strings come from clients, so anything in them may be wrong: whatever reads registers answers
//! [`Corrupt`] instead of going past an end.

mod dense;
mod estimate;
mod hash;
mod registers;
mod sparse;

use std::fmt;

pub use registers::Registers;
pub use sparse::Run;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 14;
const HEADER_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// The top bit of the cached cardinality's last byte: it is out of date.
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;

/// How the registers of a string are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 6 bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

impl Form {
    /// As PFDEBUG reports it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The registers of a string that claims to be a HyperLogLog make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl fmt::Display for Corrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the registers of the HyperLogLog are corrupt")
    }
}

impl std::error::Error for Corrupt {}

/// The form of `bytes` if its header is that of a HyperLogLog; the registers may still be corrupt.
pub fn form_of(bytes: &[u8]) -> Option<Form> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        DENSE if bytes.len() == HEADER_BYTES + dense::BYTES => Some(Form::Dense),
        SPARSE => Some(Form::Sparse),
        _ => None,
    }
}

/// One that has seen nothing.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    sparse::append_zeros(&mut bytes, REGISTERS);
    bytes
}

/// Shows `element` to a dense string; whether that changed a register.
pub fn add_to_dense(bytes: &mut [u8], element: &[u8]) -> bool {
    let (index, value) = hash::register_of(element);
    let changed = dense::raise(&mut bytes[HEADER_BYTES..], index, value);
    if changed {
        mark_stale(bytes);
    }
    changed
}

/// Shows `element` to a string of either form, which becomes dense if it would be longer than
/// `sparse_bytes_max` otherwise; whether that changed a register.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes_max: u32) -> Result<bool, Corrupt> {
    let (index, value) = hash::register_of(element);
    raise(bytes, index, value, sparse_bytes_max)
}

/// Raises a register to `value` if it is lower; whether it was.
fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes_max: u32,
) -> Result<bool, Corrupt> {
    let changed = match form_of(bytes) {
        None => return Err(Corrupt),
        Some(Form::Dense) => dense::raise(&mut bytes[HEADER_BYTES..], index, value),
        Some(Form::Sparse) => match sparse::raise(bytes, index, value, sparse_bytes_max)? {
            sparse::Raised::Unchanged => false,
            sparse::Raised::Changed => true,
            sparse::Raised::DoesNotFit => {
                make_dense(bytes)?;
                dense::raise(&mut bytes[HEADER_BYTES..], index, value)
            }
        },
    };
    if changed {
        mark_stale(bytes);
    }
    Ok(changed)
}

/// Makes a sparse string dense; whether it was sparse.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    match form_of(bytes) {
        None => Err(Corrupt),
        Some(Form::Dense) => Ok(false),
        Some(Form::Sparse) => {
            let mut dense = vec![0; HEADER_BYTES + dense::BYTES];
            dense[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
            dense[ENCODING_AT] = DENSE;
            let registers = &mut dense[HEADER_BYTES..];
            sparse::each_value(&bytes[HEADER_BYTES..], |index, value| {
                dense::raise(registers, index, value);
            })?;
            *bytes = dense;
            Ok(true)
        }
    }
}

/// The cached cardinality, unless it is out of date.
pub fn cached_count(bytes: &[u8]) -> Option<u64> {
    let cached: [u8; 8] = bytes.get(8..HEADER_BYTES)?.try_into().ok()?;
    (cached[7] & STALE == 0).then(|| u64::from_le_bytes(cached))
}

/// Marks the cached cardinality as out of date.
pub fn mark_stale(bytes: &mut [u8]) {
    bytes[STALE_AT] |= STALE;
}

/// Caches `count` in the header.
pub fn cache_count(bytes: &mut [u8], count: u64) {
    bytes[8..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// How many different elements the string has seen, about.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0; estimate::VALUES];
    match form_of(bytes) {
        None => return Err(Corrupt),
        Some(Form::Dense) => dense::count_values(&bytes[HEADER_BYTES..], &mut histogram),
        Some(Form::Sparse) => sparse::count_values(&bytes[HEADER_BYTES..], &mut histogram)?,
    }
    Ok(estimate::cardinality(&histogram))
}

/// The value of each register.
pub fn registers(bytes: &[u8]) -> Result<Registers, Corrupt> {
    let mut registers = Registers::new();
    registers.merge(bytes)?;
    Ok(registers)
}

/// The runs of a sparse string; `Corrupt` where one is cut off.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    sparse::runs(bytes.get(HEADER_BYTES..).unwrap_or_default())
}

/// Makes `bytes` the union of itself and `union`, which it is part of, and its cached cardinality
/// out of date. It becomes dense if `dense` is asked for or it does not fit otherwise.
pub fn absorb(
    bytes: &mut Vec<u8>,
    union: &Registers,
    dense: bool,
    sparse_bytes_max: u32,
) -> Result<(), Corrupt> {
    if dense {
        make_dense(bytes)?;
    }
    for (index, value) in union.values().iter().enumerate() {
        if *value != 0 {
            raise(bytes, index, *value, sparse_bytes_max)?;
        }
    }
    mark_stale(bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
