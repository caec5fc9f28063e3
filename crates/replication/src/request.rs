//! What a replica asks for.

use crate::{Offset, ReplicationId};
use darter_base::number::parse_i64;

/// `PSYNC id offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncRequest {
    /// All data.
    Full,
    /// To go on behind what it has.
    Partial {
        /// Of which history.
        id: ReplicationId,
        /// Up to where it has it.
        have: Offset,
    },
}

impl SyncRequest {
    /// What the two arguments of PSYNC ask for: `?` and anything for all data, else a name and the number of the first byte that is
    /// wanted, which are counted from 1. `None` if that is no number. What nobody could have asked for asks for all
    /// data, as in Redis.
    pub fn parse(id: &[u8], first_byte: &[u8]) -> Option<Self> {
        let first = parse_i64(first_byte)?;
        let have = first.checked_sub(1).and_then(|have| u64::try_from(have).ok());
        let have = have.and_then(Offset::new);
        Some(match (ReplicationId::parse(id), have) {
            (Some(id), Some(have)) => Self::Partial { id, have },
            _ => Self::Full,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_first_byte_that_is_wanted() {
        let id = [b'a'; 40];
        let partial = SyncRequest::parse(&id, b"1");
        let known = ReplicationId::parse(&id).unwrap();
        assert_eq!(partial, Some(SyncRequest::Partial { id: known, have: Offset::ZERO }));
        assert_eq!(SyncRequest::parse(b"?", b"-1"), Some(SyncRequest::Full));
        assert_eq!(SyncRequest::parse(&id, b"0"), Some(SyncRequest::Full));
        assert_eq!(SyncRequest::parse(&id, b"-9223372036854775808"), Some(SyncRequest::Full));
        assert_eq!(SyncRequest::parse(&id, b"x"), None);
    }
}
