//! Zipmaps: small hashes of Redis 2.4 and before.
//!
//! ```text
//! count, 1 | length, field, length, unused, value, unused bytes | ... | ff
//! ```
//!
//! A length is a byte up to 253, or fe and 4 bytes, little-endian, which is for longer ones alone: servers differ in
//! what they make of a short one there (CVE-2026-25243). The count is 254 where there are as many or more.

use crate::reader::{Corrupt, Reader};

const END: u8 = 0xff;
const WIDE: u8 = 0xfe;

/// Calls `visit` with every field and value of the zipmap that `bytes` is. On an error it may have been
/// called.
pub(crate) fn each<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<usize, Corrupt> {
    let mut reader = Reader::new(bytes);
    let declared = usize::from(reader.byte()?);
    let mut count = 0;
    while let Some(field_len) = length(&mut reader)? {
        let field = reader.take(field_len)?;
        let value_len = length(&mut reader)?.ok_or(reader.corrupt())?;
        let unused = usize::from(reader.byte()?);
        let value = reader.take(value_len)?;
        reader.take(unused)?;
        visit(field, value);
        count += 1;
    }
    let counted = declared == usize::from(WIDE) || declared == count;
    if counted && reader.is_at_end() { Ok(count) } else { Err(reader.corrupt()) }
}

/// A length; `None` at the end.
fn length(reader: &mut Reader<'_>) -> Result<Option<usize>, Corrupt> {
    Ok(match reader.byte()? {
        END => None,
        WIDE => {
            let len = u32::from_le_bytes(reader.array()?);
            let len = usize::try_from(len).map_err(|_| reader.corrupt())?;
            if len < usize::from(WIDE) {
                return Err(reader.corrupt());
            }
            Some(len)
        }
        short => Some(usize::from(short)),
    })
}
