//! Whole files: written, read, damaged.

use std::borrow::Cow;
use std::io::Read;

use darter_base::UnixMillis;
use darter_value::ValueRef;

use super::*;
use crate::{Compressor, Value, Version};

/// Reads as a slow connection does: a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(7);
        self.0.read(&mut out[..len])
    }
}

/// A value of every type, as different servers write them: its type, its content, and the version that has it.
const VALUES: &[(u8, &[u8], Version)] = &[
    (0, b"\x05hello", Version::REDIS_7_0),
    (0, b"\xc3\x05\x0a\x00a\xe0\0\0", Version::REDIS_7_0),
    (1, b"\x02\x01a\xc1\x2c\x01", Version::REDIS_7_0),
    (2, b"\x02\x01a\x01b", Version::REDIS_7_0),
    (3, b"\x03\x01a\x031.5\x01b\xff\x01c\xfe", Version::REDIS_7_0),
    (4, b"\x01\x01f\xc2\0\0\x01\0", Version::REDIS_7_0),
    (5, b"\x01\x01a\0\0\0\0\0\0\xf8\x3f", Version::REDIS_7_0),
    (9, b"\x0e\x02\x01a\x01\x001\x01b\x02\x0122x\xff", Version(3)),
    (10, b"\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff", Version(3)),
    (11, b"\x0c\x02\0\0\0\x02\0\0\0\xfb\xff\x07\0", Version(3)),
    (12, b"\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff", Version(3)),
    (13, b"\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff", Version(3)),
    (14, b"\x01\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff", Version(7)),
    (15, STREAM_OF_REDIS_5, Version(9)),
    (16, b"\x0d\x0d\0\0\0\x02\0\x81f\x02\x81v\x02\xff", Version::REDIS_7_0),
    (17, b"\x0c\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff", Version::REDIS_7_0),
    (18, b"\x02\x01\x03big\x02\x0a\x0a\0\0\0\x01\0\x81a\x02\xff", Version::REDIS_7_0),
    (20, b"\x0a\x0a\0\0\0\x01\0\x81a\x02\xff", Version(11)),
    (22, b"\x01\x01f\x01v\xff\xff\xff\xff\xff\xff\xff\xff", Version::VALKEY_9),
    (22, b"\x01\x00\x01f\x01v", Version::REDIS_MAX),
    (23, b"\x0f\x0f\0\0\0\x03\0\x81f\x02\x81v\x02\0\x01\xff", Version::REDIS_MAX),
    (24, b"\xe8\x03\0\0\0\0\0\0\x01\x01\x01f\x01v", Version::REDIS_MAX),
    (
        25,
        b"\xe8\x03\0\0\0\0\0\0\x0f\x0f\0\0\0\x03\0\x81f\x02\x81v\x02\0\x01\xff",
        Version::REDIS_MAX,
    ),
    (27, STREAM_OF_REDIS_8_8, Version::REDIS_MAX),
];

/// Of one entry, 1-1 f v, with a group and a consumer that has it pending.
const STREAM_OF_REDIS_5: &[u8] = b"\x01\
    \x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff\
    \x01\x01\x01\
    \x01\x01g\x01\x01\
    \x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\xe8\x03\0\0\0\0\0\0\x01\
    \x01\x01c\xe8\x03\0\0\0\0\0\0\
    \x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01";

/// The same, but that nobody has the entry pending, and that it was added by a producer.
const STREAM_OF_REDIS_8_8: &[u8] = b"\x01\
    \x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81f\x02\0\x01\x02\x01\0\x01\0\x01\x81v\x02\x04\x01\xff\
    \x01\x01\x01\x01\x01\0\0\x01\
    \x01\x01g\x01\x01\x01\
    \x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x01\
    \x01\x01c\xe8\x03\0\0\0\0\0\0\xe8\x03\0\0\0\0\0\0\0\
    \x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\
    \x40\x64\x40\x64\x01\x01p\x01\x02id\x01\x01\x01\0";

/// The values that a file of this version may have.
fn values_of(version: Version) -> Vec<(u8, &'static [u8], Version)> {
    let fits = |least: Version| {
        least.0 <= 11 || least <= version && least.is_valkey() == version.is_valkey()
    };
    VALUES.iter().filter(|(.., least)| fits(*least)).copied().collect()
}

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let mut checksum = Checksum::new();
    checksum.add(&out);
    push_end(&mut out, Some(checksum));
    out
}

/// A file with every kind of record and `values`.
fn file_with(version: Version, values: &[(u8, &[u8], Version)]) -> Vec<u8> {
    let mut out = Vec::new();
    push_header(&mut out, version);
    push_aux(&mut out, b"redis-ver", b"7.0.15");
    push_function(&mut out, b"#!lua name=a\n");
    // A module's aux data: unsigned, string, double, end.
    out.extend(
        b"\xf7\x81\x12\x34\x56\x78\x9a\xbc\xde\xf0\x02\x02\x05\x03abc\x04\0\0\0\0\0\0\0\0\0",
    );
    push_database(&mut out, 9, 3, 1);
    out.extend(b"\xf4\x05\x01\x00");
    for (index, (kind, content, _)) in values.iter().enumerate() {
        match index % 4 {
            0 => out.extend(b"\xfc\xe8\x03\0\0\0\0\0\0\xf8\x05"),
            1 => out.extend(b"\xfd\x01\0\0\0\xf9\xff"),
            _ => {}
        }
        out.push(*kind);
        crate::writer::push_string(&mut out, index.to_string().as_bytes());
        out.extend_from_slice(content);
    }
    sealed(out)
}

/// Everything in a file, each record as text.
fn records(from: impl Read) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::new(from)?;
    let mut all = Vec::new();
    loop {
        let record = reader.next_record()?;
        if let Record::Entry(entry) = &record {
            // May be corrupt, but nothing worse.
            let _ = entry.value.decode();
        }
        all.push(format!("{record:?}"));
        if matches!(record, Record::End { .. }) {
            reader.finish()?;
            return Ok(all);
        }
    }
}

#[test]
fn every_type_of_value_is_cut_where_it_ends() {
    for version in [Version(3), Version(9), Version::REDIS_MAX, Version::VALKEY_9] {
        let values = values_of(version);
        let mut file = file_with(version, &values);
        if version.0 < 5 {
            // Without a checksum.
            file.truncate(file.len() - 8);
        }
        for slow in [false, true] {
            let from: Box<dyn Read> =
                if slow { Box::new(Trickle(&file)) } else { Box::new(&file[..]) };
            let mut reader = Reader::new(from).unwrap();
            assert_eq!(reader.version(), version);
            let mut found = 0;
            loop {
                match reader.next_record().unwrap() {
                    Record::Entry(entry) => {
                        let (kind, content, _) = values[found];
                        assert_eq!(entry.key, found.to_string().as_bytes());
                        assert_eq!((entry.value.kind, entry.value.content), (kind, content));
                        let expected = match found % 4 {
                            0 => (Some(1000), Some(5), None),
                            1 => (Some(1000), None, Some(255)),
                            _ => (None, None, None),
                        };
                        let attributes = (entry.deadline_ms, entry.idle_seconds, entry.frequency);
                        assert_eq!(attributes, expected);
                        let decoded = entry.value.decode();
                        assert!(matches!(decoded, Ok(Some(_))), "{kind} {decoded:?}");
                        found += 1;
                    }
                    Record::End { checked } => {
                        assert_eq!(checked, version.0 >= 5);
                        break;
                    }
                    _ => {}
                }
            }
            assert_eq!(found, values.len());
            reader.finish().unwrap();
        }
    }
}

#[test]
fn what_is_around_the_values_is_told() {
    let file = file_with(Version::REDIS_7_0, &[]);
    let mut reader = Reader::new(&file[..]).unwrap();
    let text = |text: &'static [u8]| Cow::Borrowed(text);
    let expected = [
        Record::Aux { name: text(b"redis-ver"), value: text(b"7.0.15") },
        Record::Function(text(b"#!lua name=a\n")),
        Record::ModuleAux { module: "EjRWeJq83".to_owned() },
        Record::Database(9),
        Record::Sizes { keys: 3, with_deadline: 1 },
        Record::Slot { slot: 5, keys: 1, with_deadline: 0 },
        Record::End { checked: true },
    ];
    for record in expected {
        assert_eq!(reader.next_record().unwrap(), record);
    }
    assert_eq!(reader.offset(), file.len() as u64);
    reader.finish().unwrap();
}

#[test]
fn a_log_may_follow() {
    let mut file = file_with(Version::REDIS_7_0, VALUES[..3].as_ref());
    file.extend(b"*1\r\n");
    let mut reader = Reader::new(&file[..]).unwrap();
    while !matches!(reader.next_record().unwrap(), Record::End { .. }) {}
    let error = reader.finish().unwrap_err();
    assert_eq!(error.to_string(), format!("{} (at byte {})", Why::Trailing, file.len() - 4));
    let mut rest = Vec::new();
    reader.into_rest().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"*1\r\n");
}

#[test]
fn damage_at_any_place_is_an_error() {
    for version in [Version::REDIS_MAX, Version::VALKEY_9] {
        let file = file_with(version, &values_of(version));
        let whole = records(&file[..]).unwrap();
        for at in 0..file.len() {
            assert!(records(&file[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                // The last digits of the version may be those of another one.
                let read = records(&damaged[..]);
                assert!(read.is_err(), "bit {bit} of {at}");
            }
        }
        assert_eq!(records(Trickle(&file)).unwrap(), whole);
    }
}

#[test]
fn damage_without_a_checksum_is_an_error_or_another_file() {
    let mut file = file_with(Version::REDIS_MAX, &values_of(Version::REDIS_MAX));
    let end = file.len() - 8;
    file[end..].fill(0);
    for at in 0..end {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            crate::exercise::file(&damaged);
        }
        let mut cut = file.clone();
        cut.remove(at);
        crate::exercise::file(&cut);
    }
}

#[test]
fn lengths_that_are_only_declared_cost_nothing() {
    for bomb in [
        // A string, a compressed one, a set, a stream's node, and a database of many keys.
        &b"\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x00\x01k\x80\xff\xff\xff\xff",
        b"\x00\x01k\xc3\x05\x81\x7f\xff\xff\xff\xff\xff\xff\xff\0a\xe0\0\0",
        b"\x00\xc3\x05\x81\x7f\xff\xff\xff\xff\xff\xff\xff\0a\xe0\0\0",
        b"\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x13\x01k\x01\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xfb\x81\xff\xff\xff\xff\xff\xff\xff\xff\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut file = b"REDIS0010".to_vec();
        file.extend_from_slice(bomb);
        assert!(records(&file[..]).is_err());
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let cases: [(&[u8], &str); 13] = [
        (b"", "the file ends too early (at byte 0)"),
        (b"REDIS00", "the file ends too early (at byte 0)"),
        (b"GARBAGE!!", "not an RDB file: it begins with neither REDIS nor VALKEY (at byte 9)"),
        (b"REDIS00x1", "not an RDB file: it begins with neither REDIS nor VALKEY (at byte 9)"),
        (b"REDIS0015", "Can't handle RDB format version 15 (at byte 9)"),
        (b"REDIS0080", "Can't handle RDB format version 80 (at byte 9)"),
        (b"VALKEY011", "Can't handle RDB format version 11 (at byte 9)"),
        (b"REDIS0000", "Can't handle RDB format version 0 (at byte 9)"),
        (
            b"REDIS0010\x08\x01k\x01v",
            "Unknown type or opcode when loading DB. Unrecoverable error, aborting now. It is 8 (at byte 10)",
        ),
        (
            b"REDIS0010\xf3\x01k\x00",
            "Unknown type or opcode when loading DB. Unrecoverable error, aborting now. It is 243 (at byte 10)",
        ),
        (
            b"REDIS0010\xf6\x01k\x00",
            "functions in the format of a release candidate are not supported (at byte 10)",
        ),
        (
            b"REDIS0010\x07\x01k\x81\x12\x34\x56\x78\x9a\xbc\xde\xf0\x00",
            "a value of the module type 'EjRWeJq83': modules are not supported (at byte 21)",
        ),
        (
            b"REDIS0010\xff\x01\0\0\0\0\0\0\0",
            "RDB CRC error: 0000000000000001 was written, eb7ea789fe37fda9 is right for what is there \
             (at byte 18)",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(records(file).unwrap_err().to_string(), expected);
    }
    let mut reader = Reader::new(&b"REDIS0010\x01\x03key\x02\x01v"[..]).unwrap();
    let error = reader.next_record().unwrap_err();
    assert_eq!(error.during, During::Value);
    assert_eq!(reader.in_hand(), Some((1, Cow::Borrowed(&b"key"[..]))));
}

#[test]
fn values_of_modules_may_be_read_over() {
    let file = b"REDIS0010\xfd\x01\0\0\0\x07\x01k\x81\x12\x34\x56\x78\x9a\xbc\xde\xf0\x02\x05\x05\x01x\0\xff\0\0\0\0\0\0\0\0";
    let mut reader = Reader::new(&file[..]).unwrap().with_modules();
    let expected = Record::ModuleEntry {
        key: Cow::Borrowed(b"k"),
        module: "EjRWeJq83".to_owned(),
        deadline_ms: Some(1000),
    };
    assert_eq!(reader.next_record().unwrap(), expected);
    assert_eq!(reader.next_record().unwrap(), Record::End { checked: false });
}

#[test]
fn collections_without_elements_are_no_keys() {
    let file = sealed(b"REDIS0010\x01\x01l\x00\x10\x01h\x07\x07\0\0\0\0\0\xff".to_vec());
    let mut reader = Reader::new(&file[..]).unwrap();
    for _ in 0..2 {
        let Record::Entry(entry) = reader.next_record().unwrap() else { panic!("a key") };
        assert!(matches!(entry.value.decode(), Ok(None)));
    }
}

#[test]
fn records_longer_than_the_buffer_are_read_and_their_memory_given_back() {
    let long = vec![b'x'; 5 << 20];
    let mut out = Vec::new();
    push_header(&mut out, Version::REDIS_7_0);
    for (key, value) in [("a", &long[..]), ("b", b"y"), ("c", &long[..3 << 20]), ("d", b"z")] {
        let entry = Entry {
            key: key.as_bytes(),
            value: ValueRef::Bytes(value),
            deadline_ms: None,
            hint: Hint::None,
        };
        push_entry(&mut out, &entry, &mut Compressor::off(), UnixMillis(0));
    }
    let file = sealed(out);
    let mut reader = Reader::new(&file[..]).unwrap();
    for len in [5 << 20, 1, 3 << 20, 1] {
        let Record::Entry(entry) = reader.next_record().unwrap() else { panic!("a key") };
        let Ok(Some(Value::String(text))) = entry.value.decode() else { panic!("a string") };
        assert_eq!(text.len(), len);
    }
    assert_eq!(reader.next_record().unwrap(), Record::End { checked: true });
}
