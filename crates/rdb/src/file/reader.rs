//! A stream, cut into records.

use std::borrow::Cow;
use std::io::{Chain, Cursor, Read};
use std::ops::Range;

use super::error::{During, ReadError, Why};
use super::opcodes;
use super::skip::module_name;
use super::source::Source;
use crate::reader::Reader as Slice;
use crate::types::{MODULE, MODULE_EARLY, STRING, Version};
use crate::{Corrupt, Value, decode_content};

const HEADER_BYTES: usize = 9;
/// The first version with a checksum.
const CHECKSUM_SINCE: u16 = 5;

/// Cuts a stream into [`Record`]s. Memory is bounded by the longest record that has arrived.
///
/// Knows where a value ends, and leaves it to [`decode`](RawValue::decode) to say what it is and whether it is
/// sound.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    version: Version,
    during: During,
    /// The key whose value is being read: its type, and where it is in the record.
    in_hand: Option<(u8, Range<usize>)>,
    checks_sum: bool,
    takes_modules: bool,
    ended: bool,
}

/// A part of a file. Borrows the reader's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Something about the file; readers skip what they do not know.
    Aux {
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its value.
        value: Cow<'a, [u8]>,
    },
    /// The keys that follow are of this database. Where there is none before the first key, it is 0.
    Database(u64),
    /// How many keys of the database follow: a hint.
    Sizes {
        /// All of them.
        keys: u64,
        /// Those with a deadline.
        with_deadline: u64,
    },
    /// A library of functions.
    Function(Cow<'a, [u8]>),
    /// A key with its value.
    Entry(RawEntry<'a>),
    /// How many keys of a slot follow: a hint.
    Slot {
        /// The slot.
        slot: u64,
        /// All of its keys.
        keys: u64,
        /// Those with a deadline.
        with_deadline: u64,
    },
    /// Slots that the writer was about to own, of which the keys may be in the file.
    SlotImport {
        /// The name of the job.
        job: Cow<'a, [u8]>,
    },
    /// Something that only this module can read, and that belongs to no key.
    ModuleAux {
        /// Its name.
        module: String,
    },
    /// A key whose value only this module can read. An error, unless asked for.
    ModuleEntry {
        /// The key.
        key: Cow<'a, [u8]>,
        /// The name of the module's type.
        module: String,
        /// When it expires, in Unix milliseconds.
        deadline_ms: Option<i64>,
    },
    /// The end, and whether the checksum was checked: it is not if there is none.
    End {
        /// It was there and is right.
        checked: bool,
    },
}

/// A key, and its value undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// Its name.
    pub key: Cow<'a, [u8]>,
    /// What it holds.
    pub value: RawValue<'a>,
    /// When it expires, in Unix milliseconds; may be past, and anything in a damaged file.
    pub deadline_ms: Option<i64>,
    /// Seconds since the last use when the file was written.
    pub idle_seconds: Option<u64>,
    /// The counter of uses.
    pub frequency: Option<u8>,
}

/// A value as it is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawValue<'a> {
    /// The number of its type.
    pub kind: u8,
    /// Everything else.
    pub content: &'a [u8],
    /// The version of the file, which decides what the type means.
    pub version: Version,
}

impl<'a> RawValue<'a> {
    /// The value, if it is a string: copied only if it has to be unpacked.
    pub fn text(&self) -> Option<Result<Cow<'a, [u8]>, Corrupt>> {
        (self.kind == STRING).then(|| {
            let mut reader = Slice::new(self.content);
            let text = reader.string()?;
            if reader.is_at_end() { Ok(text) } else { Err(reader.corrupt()) }
        })
    }

    /// The value; `None` for a collection without elements, which old servers could write, and which is no key.
    pub fn decode(&self) -> Result<Option<Value>, Corrupt> {
        decode_content(self.kind, self.content, self.version)
    }
}

/// What stands before a key.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    deadline_ms: Option<i64>,
    idle_seconds: Option<u64>,
    frequency: Option<u8>,
}

impl<R: Read> Reader<R> {
    /// Begins with the header, of a version that is known.
    pub fn new(from: R) -> Result<Self, ReadError> {
        Self::begin(from, Version::is_known)
    }

    /// As [`new`](Self::new), of any version: what it shares with the known ones can be read.
    pub fn of_any_version(from: R) -> Result<Self, ReadError> {
        Self::begin(from, Version::is_possible)
    }

    fn begin(from: R, is_taken: impl Fn(Version) -> bool) -> Result<Self, ReadError> {
        let mut reader = Self {
            source: Source::new(from),
            version: Version(0),
            during: During::Header,
            in_hand: None,
            checks_sum: true,
            takes_modules: false,
            ended: false,
        };
        let version = read_header(&mut reader.source).and_then(|(version, is_valkey)| {
            // The two have numbers of their own; beyond those that are known nobody can tell.
            let fits = !version.is_known() || version.is_valkey() == is_valkey;
            if fits && is_taken(version) { Ok(version) } else { Err(Why::Version(version)) }
        });
        match version {
            Ok(version) => reader.version = version,
            Err(why) => return Err(reader.error(why)),
        }
        Ok(reader)
    }

    /// Does not check the sum at the end (`rdbchecksum no`).
    pub const fn without_checksum(mut self) -> Self {
        self.checks_sum = false;
        self.source.stop_summing();
        self
    }

    /// Reads over values of modules instead of refusing them.
    pub const fn with_modules(mut self) -> Self {
        self.takes_modules = true;
        self
    }

    /// The version that the header declares.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Bytes read so far.
    pub const fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// After an error in a value: its type and its key.
    pub fn in_hand(&self) -> Option<(u8, Cow<'_, [u8]>)> {
        let (kind, key) = self.in_hand.clone()?;
        Some((kind, text(self.source.part(key)).ok()?))
    }

    /// The next record; after [`Record::End`] the same again.
    pub fn next_record(&mut self) -> Result<Record<'_>, ReadError> {
        self.source.begin();
        self.in_hand = None;
        match self.cut() {
            Ok(cut) => {
                // Strings are unpacked here, so that there is something to borrow from.
                let offset = self.source.offset();
                let during = self.during;
                self.record_of(cut).map_err(|why| ReadError { offset, during, why })
            }
            Err(why) => Err(self.error(why)),
        }
    }

    /// Asserts that nothing follows the end.
    pub fn finish(&mut self) -> Result<(), ReadError> {
        match self.source.is_at_end() {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.error(Why::Trailing)),
            Err(why) => Err(self.error(why)),
        }
    }

    /// What follows the end, for a log that begins with an RDB file.
    pub fn into_rest(self) -> Chain<Cursor<Vec<u8>>, R> {
        let (buffered, from) = self.source.into_rest();
        Cursor::new(buffered).chain(from)
    }

    const fn error(&self, why: Why) -> ReadError {
        ReadError { offset: self.source.offset(), during: self.during, why }
    }

    /// Reads over the next record.
    fn cut(&mut self) -> Result<Cut, Why> {
        if self.ended {
            return Ok(Cut::End { checked: false });
        }
        let mut attributes = Attributes::default();
        loop {
            self.during = During::Type;
            let kind = self.source.byte()?;
            self.during = during(kind);
            let source = &mut self.source;
            match kind {
                opcodes::DEADLINE_MS => {
                    attributes.deadline_ms = Some(i64::from_le_bytes(source.array()?));
                }
                opcodes::DEADLINE_SECONDS => {
                    let seconds = i32::from_le_bytes(source.array()?);
                    attributes.deadline_ms = Some(i64::from(seconds) * 1000);
                }
                opcodes::IDLE => attributes.idle_seconds = Some(source.number()?),
                opcodes::FREQUENCY => attributes.frequency = Some(source.byte()?),
                opcodes::AUX => return Ok(Cut::Aux(source.string()?, source.string()?)),
                opcodes::DATABASE => return Ok(Cut::Database(source.number()?)),
                opcodes::SIZES => return Ok(Cut::Sizes(source.number()?, source.number()?)),
                opcodes::FUNCTION => return Ok(Cut::Function(source.string()?)),
                opcodes::FUNCTION_BEFORE_GA => return Err(Why::FunctionsBeforeGa),
                opcodes::SLOT_INFO => {
                    return Ok(Cut::Slot([source.number()?, source.number()?, source.number()?]));
                }
                opcodes::SLOT_IMPORT if self.version.is_valkey() => {
                    let job = source.string()?;
                    for _ in 0..source.number()? {
                        source.number()?;
                        source.number()?;
                    }
                    return Ok(Cut::SlotImport(job));
                }
                opcodes::MODULE_AUX => return source.module_aux().map(Cut::ModuleAux),
                opcodes::END => return self.cut_end(),
                _ => return self.cut_entry(kind, attributes),
            }
        }
    }

    fn cut_entry(&mut self, kind: u8, attributes: Attributes) -> Result<Cut, Why> {
        if !crate::types::is_value(kind, self.version) {
            self.during = During::Type;
            return Err(Why::of_type(kind, self.version));
        }
        let key = self.source.string()?;
        self.in_hand = Some((kind, key.clone()));
        self.during = During::Value;
        if kind == MODULE || kind == MODULE_EARLY {
            let id = self.source.number()?;
            if kind == MODULE_EARLY || !self.takes_modules {
                return Err(Why::ModuleValue(module_name(id)));
            }
            self.source.module_data(id)?;
            return Ok(Cut::ModuleEntry(key, id, attributes));
        }
        let start = self.source.record_len();
        self.source.value(kind, self.version)?;
        Ok(Cut::Entry(kind, key, start..self.source.record_len(), attributes))
    }

    fn cut_end(&mut self) -> Result<Cut, Why> {
        let mut checked = false;
        if self.version.is_valkey() || self.version.0 >= CHECKSUM_SINCE {
            let computed = self.source.checksum();
            let recorded = u64::from_le_bytes(self.source.array()?);
            if self.checks_sum && recorded != 0 {
                if computed != recorded {
                    return Err(Why::Checksum { computed, recorded });
                }
                checked = true;
            }
        }
        self.ended = true;
        Ok(Cut::End { checked })
    }

    fn record_of(&self, cut: Cut) -> Result<Record<'_>, Why> {
        let text = |range| text(self.source.part(range));
        Ok(match cut {
            Cut::Aux(name, value) => Record::Aux { name: text(name)?, value: text(value)? },
            Cut::Database(index) => Record::Database(index),
            Cut::Sizes(keys, with_deadline) => Record::Sizes { keys, with_deadline },
            Cut::Function(code) => Record::Function(text(code)?),
            Cut::Slot([slot, keys, with_deadline]) => Record::Slot { slot, keys, with_deadline },
            Cut::SlotImport(job) => Record::SlotImport { job: text(job)? },
            Cut::ModuleAux(module) => Record::ModuleAux { module },
            Cut::ModuleEntry(key, id, attributes) => Record::ModuleEntry {
                key: text(key)?,
                module: module_name(id),
                deadline_ms: attributes.deadline_ms,
            },
            Cut::Entry(kind, key, content, attributes) => Record::Entry(RawEntry {
                key: text(key)?,
                value: RawValue { kind, content: self.source.part(content), version: self.version },
                deadline_ms: attributes.deadline_ms,
                idle_seconds: attributes.idle_seconds,
                frequency: attributes.frequency,
            }),
            Cut::End { checked } => Record::End { checked },
        })
    }
}

/// A record that has been read over: where its parts are.
enum Cut {
    Aux(Range<usize>, Range<usize>),
    Database(u64),
    Sizes(u64, u64),
    Function(Range<usize>),
    Slot([u64; 3]),
    SlotImport(Range<usize>),
    ModuleAux(String),
    ModuleEntry(Range<usize>, u64, Attributes),
    Entry(u8, Range<usize>, Range<usize>, Attributes),
    End { checked: bool },
}

/// The string that is written as `bytes`.
fn text(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Why> {
    Slice::new(bytes).string().map_err(|_| Why::String)
}

/// What is read behind the first byte of a record.
const fn during(kind: u8) -> During {
    match kind {
        opcodes::DEADLINE_MS | opcodes::DEADLINE_SECONDS | opcodes::IDLE | opcodes::FREQUENCY => {
            During::Attributes
        }
        opcodes::AUX => During::Aux,
        opcodes::DATABASE | opcodes::SIZES | opcodes::SLOT_INFO | opcodes::SLOT_IMPORT => {
            During::Lengths
        }
        opcodes::FUNCTION | opcodes::FUNCTION_BEFORE_GA => During::Functions,
        opcodes::MODULE_AUX => During::ModuleAux,
        opcodes::END => During::Checksum,
        _ => During::Key,
    }
}

/// The version, and whether Valkey has written it.
fn read_header<R: Read>(source: &mut Source<R>) -> Result<(Version, bool), Why> {
    let header: [u8; HEADER_BYTES] = source.array()?;
    let (digits, is_valkey) = if let Some(digits) = header.strip_prefix(b"REDIS") {
        (digits, false)
    } else if let Some(digits) = header.strip_prefix(b"VALKEY") {
        (digits, true)
    } else {
        return Err(Why::Signature);
    };
    let number = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    let version =
        number.and_then(|number| number.parse().ok()).map(Version).ok_or(Why::Signature)?;
    Ok((version, is_valkey))
}
