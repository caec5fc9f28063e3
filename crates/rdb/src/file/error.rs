//! Why a file cannot be read.

use std::{fmt, io};

use crate::types::Version;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub struct ReadError {
    /// Bytes from the start of the file, up to which everything could be read.
    pub offset: u64,
    /// What was being read.
    pub during: During,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// The system could not read it.
    Io(io::Error),
    /// It ends in the middle of something.
    EndsEarly,
    /// It does not begin as RDB files do.
    Signature,
    /// A version that is not known, as the file has it.
    Version(Version),
    /// A record, or a value, of a kind that is not known.
    Type(u8),
    /// Likewise, in a version that only Redis has had since Valkey parted from it.
    ForeignType(u8, Version),
    /// A number that has no known form.
    Number,
    /// A string that has no known form, or does not unpack.
    String,
    /// A library of functions in the form of a release candidate of Redis 7.0.
    FunctionsBeforeGa,
    /// A value that only the module of this name can read.
    ModuleValue(String),
    /// Data of this module is not as modules write it.
    ModuleData(String),
    /// The checksum of what is there is not the one that the file has.
    Checksum {
        /// Of what is there.
        computed: u64,
        /// Of what was written.
        recorded: u64,
    },
    /// Something follows the end.
    Trailing,
}

/// The part of a file that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// The version.
    Header,
    /// What kind of record follows.
    Type,
    /// What precedes a key.
    Attributes,
    /// The name of a key.
    Key,
    /// The value of a key.
    Value,
    /// Numbers of a database.
    Lengths,
    /// An auxiliary field.
    Aux,
    /// Data of a module.
    ModuleAux,
    /// A library of functions.
    Functions,
    /// The end.
    Checksum,
}

impl Why {
    /// A type that is unknown.
    pub(super) const fn of_type(kind: u8, version: Version) -> Self {
        if version.is_foreign() { Self::ForeignType(kind, version) } else { Self::Type(kind) }
    }
}

impl During {
    /// In the words of redis-check-rdb.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "start",
            Self::Type => "read-type",
            Self::Attributes => "read-expire",
            Self::Key => "read-key",
            Self::Value => "read-object-value",
            Self::Lengths => "read-len",
            Self::Aux => "read-aux",
            Self::ModuleAux => "read-module-aux",
            Self::Functions => "read-functions",
            Self::Checksum => "check-sum",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "cannot be read: {error}"),
            Self::EndsEarly => out.write_str("the file ends too early"),
            Self::Signature => {
                out.write_str("not an RDB file: it begins with neither REDIS nor VALKEY")
            }
            Self::Version(version) => {
                write!(out, "Can't handle RDB format version {}", version.0)
            }
            // As the peers say it, for those who search logs for that.
            Self::Type(kind) => write!(
                out,
                "Unknown type or opcode when loading DB. Unrecoverable error, aborting now. It is {kind}"
            ),
            Self::ForeignType(kind, version) => write!(
                out,
                "Can't handle foreign type or opcode {kind} in RDB with version {}",
                version.0
            ),
            Self::Number => out.write_str("a number in an unknown form"),
            Self::String => out.write_str("a string in an unknown form"),
            Self::FunctionsBeforeGa => {
                out.write_str("functions in the format of a release candidate are not supported")
            }
            Self::ModuleValue(module) => {
                write!(out, "a value of the module type '{module}': modules are not supported")
            }
            Self::ModuleData(module) => write!(out, "malformed data of the module '{module}'"),
            Self::Checksum { computed, recorded } => write!(
                out,
                "RDB CRC error: {recorded:016x} was written, {computed:016x} is right for what is there"
            ),
            Self::Trailing => out.write_str("something follows the end of the RDB data"),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (at byte {})", self.why, self.offset)
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Why::Io(error) = &self.why { Some(error) } else { None }
    }
}
