//! Fields of a hash that is written field by field.
//!
//! ```text
//! plain:   count, each: field, value
//! Valkey:  count, each: field, value, deadline in 8 bytes, -1: none
//! Redis:   earliest deadline in 8 bytes, count, each: deadline as a number, field, value
//! ```
//!
//! Redis's deadlines are one more than the time since the earliest, or since 1 where the earliest was not written yet, and 0
//! is none.

use std::borrow::Cow;

use crate::reader::{Corrupt, Reader};
use crate::types::{HASH, HASH_2_VALKEY, HASH_DEADLINES, HASH_DEADLINES_EARLY, Version};

/// The latest deadline of a field that Redis allows: 46 bits of milliseconds.
pub(crate) const DEADLINE_MS_MAX: u64 = (1 << 46) - 1;

/// How fields are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldForm {
    Plain,
    Valkey,
    Redis {
        /// What deadlines are relative to.
        earliest_ms: u64,
    },
}

/// A field as it was read.
#[derive(Debug)]
pub(crate) struct FieldRead<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Cow<'a, [u8]>,
    pub(crate) deadline_ms: Option<u64>,
}

impl FieldForm {
    /// Whether type `kind` is a hash that is written so.
    pub(crate) const fn is_of(kind: u8, version: Version) -> bool {
        match kind {
            HASH => true,
            HASH_2_VALKEY if version.is_valkey() => true,
            HASH_DEADLINES_EARLY | HASH_DEADLINES => !version.is_valkey(),
            _ => false,
        }
    }

    /// The form of a type that it [is of](Self::is_of). Reads what comes before the count.
    pub(crate) fn begin(
        reader: &mut Reader<'_>,
        kind: u8,
        version: Version,
    ) -> Result<Self, Corrupt> {
        Ok(match kind {
            HASH_2_VALKEY if version.is_valkey() => Self::Valkey,
            HASH_DEADLINES => {
                let earliest_ms = u64::try_from(reader.millis()?).map_err(|_| reader.corrupt())?;
                Self::Redis { earliest_ms }
            }
            HASH_DEADLINES_EARLY => Self::Redis { earliest_ms: 1 },
            _ => Self::Plain,
        })
    }

    /// Reads the next field.
    pub(crate) fn read<'a>(self, reader: &mut Reader<'a>) -> Result<FieldRead<'a>, Corrupt> {
        let deadline_ms = match self {
            Self::Plain | Self::Valkey => None,
            Self::Redis { earliest_ms } => match reader.number()? {
                0 => None,
                deadline => Some(
                    deadline
                        .checked_add(earliest_ms)
                        .map(|sum| sum - 1)
                        .filter(|deadline_ms| *deadline_ms <= DEADLINE_MS_MAX)
                        .ok_or(reader.corrupt())?,
                ),
            },
        };
        let (name, value) = (reader.string()?, reader.string()?);
        let deadline_ms = match self {
            Self::Plain | Self::Redis { .. } => deadline_ms,
            Self::Valkey => match reader.millis()? {
                -1 => None,
                deadline => Some(u64::try_from(deadline).map_err(|_| reader.corrupt())?),
            },
        };
        Ok(FieldRead { name, value, deadline_ms })
    }
}
