//! What DUMP answers and RESTORE takes: a value, a version and a checksum.
//!
//! ```text
//! +---------------+--------------------+-----------------------------+
//! | type, content | version, 2, little | checksum of all before, 8,  |
//! |               | end first          | little end first, 0: none   |
//! +---------------+--------------------+-----------------------------+
//! ```

use darter_base::crc64::crc64;

use crate::types::Version;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// A payload with a version and the right checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Type and content of the value.
    pub value: &'a [u8],
    /// The version of the format.
    pub version: Version,
}

impl<'a> Payload<'a> {
    /// The payload that `bytes` is, of a known version.
    pub fn checked(bytes: &'a [u8]) -> Option<Self> {
        Self::of_any_version(bytes).filter(|payload| payload.version.is_known())
    }

    /// As [`checked`](Self::checked), also of a version to come.
    pub fn of_any_version(bytes: &'a [u8]) -> Option<Self> {
        let (summed, checksum) = summed(bytes)?;
        let is_right = checksum == crc64(0, summed);
        Self::parse(summed).filter(|payload| is_right && payload.version.is_possible())
    }

    /// As [`checked`](Self::checked), whatever its checksum.
    pub fn unchecked(bytes: &'a [u8]) -> Option<Self> {
        Self::unchecked_of_any_version(bytes).filter(|payload| payload.version.is_known())
    }

    /// As [`of_any_version`](Self::of_any_version), whatever its checksum.
    pub fn unchecked_of_any_version(bytes: &'a [u8]) -> Option<Self> {
        let (summed, _) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        Self::parse(summed).filter(|payload| payload.version.is_possible())
    }

    fn parse(summed: &'a [u8]) -> Option<Self> {
        let (value, version) = summed.split_last_chunk::<VERSION_BYTES>()?;
        Some(Self { value, version: Version(u16::from_le_bytes(*version)) })
    }
}

/// What the checksum of a payload is of, and the checksum it has.
pub fn summed(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let (summed, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    Some((summed, u64::from_le_bytes(*checksum)))
}

/// Appends version and checksum to a value.
pub fn seal(value: &mut Vec<u8>, version: Version) {
    let checksum = crc64(0, value);
    seal_summed(value, version, checksum);
}

/// As [`seal`], for a value whose own [checksum](crc64) is known.
pub fn seal_summed(value: &mut Vec<u8>, version: Version, checksum: u64) {
    let version = version.0.to_le_bytes();
    value.extend(version);
    value.extend(crc64(checksum, &version).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_checked() {
        // DUMP of the string "hello", from redis-server 7.0.
        let recorded = b"\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a";
        let mut sealed = recorded[..7].to_vec();
        seal(&mut sealed, Version::REDIS_7_0);
        assert_eq!(sealed, recorded);
        let payload = Payload::checked(&sealed).unwrap();
        assert_eq!(payload, Payload { value: b"\x00\x05hello", version: Version::REDIS_7_0 });
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(Payload::checked(&damaged), None, "{at}");
            assert_eq!(Payload::checked(&sealed[..at]), None, "{at}");
        }
        let mut unknown = b"\x00\x00".to_vec();
        seal(&mut unknown, Version(Version::REDIS_MAX.0 + 1));
        assert_eq!(Payload::checked(&unknown), None);
        assert!(Payload::of_any_version(&unknown).is_some());
        let mut none = b"\x00\x00".to_vec();
        seal(&mut none, Version(0));
        assert_eq!(Payload::of_any_version(&none), None);
    }
}
