//! Sets of integers: their width in bytes, their number, then the integers in ascending order, all
//! little-endian.

use crate::reader::{Corrupt, Reader};

/// Calls `visit` with every integer of the set that `bytes` is. On an error it may have been called.
pub(crate) fn each(bytes: &[u8], mut visit: impl FnMut(i64)) -> Result<usize, Corrupt> {
    let mut reader = Reader::new(bytes);
    let width = u32::from_le_bytes(reader.array()?);
    let count = u32::from_le_bytes(reader.array()?);
    let len = u64::from(count) * u64::from(width);
    if !matches!(width, 2 | 4 | 8) || len != reader.rest().len() as u64 {
        return Err(reader.corrupt());
    }
    let mut before = None;
    while !reader.is_at_end() {
        let integer = match width {
            2 => i64::from(i16::from_le_bytes(reader.array()?)),
            4 => i64::from(i32::from_le_bytes(reader.array()?)),
            _ => i64::from_le_bytes(reader.array()?),
        };
        if before >= Some(integer) {
            return Err(reader.corrupt());
        }
        before = Some(integer);
        visit(integer);
    }
    usize::try_from(count).map_err(|_| reader.corrupt())
}
