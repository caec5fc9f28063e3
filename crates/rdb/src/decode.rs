//! From bytes to values.

use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Stream};

use crate::hash_fields::{DEADLINE_MS_MAX, FieldForm};
use crate::listpack::Listpack;
use crate::reader::{Corrupt, Reader, parse_score};
use crate::texts::Texts;
use crate::types::{
    HASH_LISTPACK, HASH_LISTPACK_DEADLINES, HASH_LISTPACK_DEADLINES_EARLY, HASH_ZIPLIST,
    HASH_ZIPMAP, LIST, LIST_QUICKLIST, LIST_QUICKLIST_2, LIST_ZIPLIST, SET, SET_INTSET,
    SET_LISTPACK, SORTED_SET, SORTED_SET_LISTPACK, SORTED_SET_TEXT, SORTED_SET_ZIPLIST, STREAM_1,
    STREAM_2, STREAM_3, STREAM_4, STREAM_5, STRING, Version,
};
use crate::{intset, stream, ziplist, zipmap};

/// A value, whatever form it had. Collections have at least one element, and members and fields are there
/// once.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// Elements in order.
    List(Texts),
    /// Members.
    Set(Texts),
    /// Members, and the score of each.
    SortedSet(Texts, Vec<f64>),
    /// Fields and values in turn, and the deadline of each field that has one.
    Hash(Texts, Vec<HashField>),
    /// A stream.
    Stream(Stream),
}

/// A field that expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashField {
    /// Which field, counted from 0.
    pub index: usize,
    /// When it expires, in Unix milliseconds.
    pub deadline_ms: u64,
}

/// How the deadline of a field is written in a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

/// The value that `bytes`, a type and its content, is in `version` of the format. All bytes must be
/// part of it.
pub fn decode(bytes: &[u8], version: Version) -> Result<Value, Corrupt> {
    let mut reader = Reader::new(bytes);
    let kind = reader.byte()?;
    decode_rest(reader, kind, version)?.ok_or(Corrupt::at(0))
}

/// As [`decode`], for a type and its content apart; `None` for a collection without elements.
pub(crate) fn decode_content(
    kind: u8,
    content: &[u8],
    version: Version,
) -> Result<Option<Value>, Corrupt> {
    decode_rest(Reader::new(content), kind, version)
}

fn decode_rest(
    mut reader: Reader<'_>,
    kind: u8,
    version: Version,
) -> Result<Option<Value>, Corrupt> {
    let value = match kind {
        STRING => Value::String(reader.string()?.into_owned()),
        LIST => Value::List(read_texts(&mut reader)?),
        SET => Value::Set(read_texts(&mut reader)?),
        SORTED_SET => read_sorted_set(&mut reader, Reader::score)?,
        SORTED_SET_TEXT => read_sorted_set(&mut reader, Reader::score_text)?,
        HASH_ZIPMAP => {
            let bytes = reader.string()?;
            let mut texts = Texts::new();
            zipmap::each(&bytes, |field, value| {
                texts.push(field);
                texts.push(value);
            })?;
            Value::Hash(texts, Vec::new())
        }
        LIST_ZIPLIST => Value::List(read_ziplist(&mut reader)?),
        HASH_ZIPLIST => Value::Hash(read_ziplist(&mut reader)?, Vec::new()),
        SORTED_SET_ZIPLIST => pairs_with_scores(&read_ziplist(&mut reader)?, &reader)?,
        SET_INTSET => {
            let bytes = reader.string()?;
            let mut texts = Texts::new();
            intset::each(&bytes, |integer| {
                texts.push(IntegerText::new().format(integer).as_bytes());
            })?;
            Value::Set(texts)
        }
        SET_LISTPACK => Value::Set(read_listpack(&mut reader)?),
        HASH_LISTPACK => Value::Hash(read_listpack(&mut reader)?, Vec::new()),
        SORTED_SET_LISTPACK => pairs_with_scores(&read_listpack(&mut reader)?, &reader)?,
        LIST_QUICKLIST => {
            let mut texts = Texts::new();
            for _ in 0..reader.count()? {
                push_ziplist(&mut texts, &reader.string()?)?;
            }
            Value::List(texts)
        }
        LIST_QUICKLIST_2 => Value::List(read_quicklist(&mut reader)?),
        STREAM_1 | STREAM_2 | STREAM_3 => Value::Stream(stream::read(&mut reader, kind)?),
        STREAM_4 | STREAM_5 if !version.is_valkey() => {
            Value::Stream(stream::read(&mut reader, kind)?)
        }
        _ if FieldForm::is_of(kind, version) => read_hash(&mut reader, kind, version)?,
        HASH_LISTPACK_DEADLINES_EARLY | HASH_LISTPACK_DEADLINES if !version.is_valkey() => {
            if kind == HASH_LISTPACK_DEADLINES {
                // The earliest deadline, which is among the others too.
                reader.millis()?;
            }
            read_redis_listpack(&mut reader)?
        }
        _ => return Err(Corrupt::at(0)),
    };
    if !reader.is_at_end() {
        return Err(reader.corrupt());
    }
    check(&value, &reader)?;
    Ok((!is_empty(&value)).then_some(value))
}

/// Whether it is a collection without elements; an empty stream is one with a history.
const fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Stream(_) => false,
        Value::List(texts)
        | Value::Set(texts)
        | Value::SortedSet(texts, _)
        | Value::Hash(texts, _) => texts.is_empty(),
    }
}

/// Refuses halves of pairs, and members or fields that are there twice.
fn check(value: &Value, reader: &Reader<'_>) -> Result<(), Corrupt> {
    let sound = match value {
        Value::String(_) | Value::Stream(_) | Value::List(_) => true,
        Value::Set(texts) | Value::SortedSet(texts, _) => !texts.has_duplicates(),
        Value::Hash(texts, _) => {
            let fields: Texts = texts.iter().step_by(2).collect();
            texts.len().is_multiple_of(2) && !fields.has_duplicates()
        }
    };
    if sound { Ok(()) } else { Err(reader.corrupt()) }
}

/// As many strings as are declared.
fn read_texts(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let mut texts = Texts::new();
    for _ in 0..reader.count()? {
        texts.push(&reader.string()?);
    }
    Ok(texts)
}

fn read_sorted_set<'a>(
    reader: &mut Reader<'a>,
    score: impl Fn(&mut Reader<'a>) -> Result<f64, Corrupt>,
) -> Result<Value, Corrupt> {
    let mut members = Texts::new();
    let mut scores = Vec::new();
    for _ in 0..reader.count()? {
        members.push(&reader.string()?);
        scores.push(score(reader)?);
    }
    Ok(Value::SortedSet(members, scores))
}

fn read_ziplist(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let mut texts = Texts::new();
    push_ziplist(&mut texts, &reader.string()?)?;
    Ok(texts)
}

fn push_ziplist(texts: &mut Texts, bytes: &[u8]) -> Result<(), Corrupt> {
    ziplist::each(bytes, |item| push_item(texts, item)).map(drop)
}

fn read_listpack(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let mut texts = Texts::new();
    push_listpack(&mut texts, &reader.string()?)?;
    Ok(texts)
}

fn push_listpack(texts: &mut Texts, bytes: &[u8]) -> Result<(), Corrupt> {
    let mut listpack = Listpack::checked(bytes)?;
    for _ in 0..listpack.len() {
        push_item(texts, listpack.take()?);
    }
    Ok(())
}

fn push_item(texts: &mut Texts, item: Item<'_>) {
    texts.push(bytes_of(item, &mut IntegerText::new()));
}

fn read_quicklist(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let mut texts = Texts::new();
    for _ in 0..reader.count()? {
        push_quicklist_node(reader, &mut texts)?;
    }
    Ok(texts)
}

/// Adds the elements of the next node of a quicklist in the form of Redis 7.
pub(crate) fn push_quicklist_node(
    reader: &mut Reader<'_>,
    texts: &mut Texts,
) -> Result<(), Corrupt> {
    let container = reader.number()?;
    let bytes = reader.string()?;
    match container {
        // Short elements are packed.
        NODE_PLAIN if !bytes.is_empty() => texts.push(&bytes),
        NODE_PACKED => push_listpack(texts, &bytes)?,
        _ => return Err(reader.corrupt()),
    }
    Ok(())
}

/// Members and scores out of `pairs` of them.
fn pairs_with_scores(pairs: &Texts, reader: &Reader<'_>) -> Result<Value, Corrupt> {
    let mut members = Texts::new();
    let mut scores = Vec::new();
    let mut rest = pairs.iter();
    while let Some(member) = rest.next() {
        members.push(member);
        scores.push(rest.next().and_then(parse_score).ok_or(reader.corrupt())?);
    }
    Ok(Value::SortedSet(members, scores))
}

/// Fields written one by one.
fn read_hash(reader: &mut Reader<'_>, kind: u8, version: Version) -> Result<Value, Corrupt> {
    let form = FieldForm::begin(reader, kind, version)?;
    let mut texts = Texts::new();
    let mut deadlines = Vec::new();
    for index in 0..reader.count()? {
        let field = form.read(reader)?;
        texts.push(&field.name);
        texts.push(&field.value);
        deadlines.extend(field.deadline_ms.map(|deadline_ms| HashField { index, deadline_ms }));
    }
    Ok(Value::Hash(texts, deadlines))
}

/// Field, value and deadline in turn in a listpack; a deadline of 0 is none.
fn read_redis_listpack(reader: &mut Reader<'_>) -> Result<Value, Corrupt> {
    let bytes = reader.string()?;
    let mut listpack = Listpack::checked(&bytes)?;
    if !listpack.len().is_multiple_of(3) {
        return Err(reader.corrupt());
    }
    let mut texts = Texts::new();
    let mut deadlines = Vec::new();
    for index in 0..listpack.len() / 3 {
        push_item(&mut texts, listpack.take()?);
        push_item(&mut texts, listpack.take()?);
        let deadline = u64::try_from(listpack.take_integer()?);
        let deadline_ms = deadline.map_err(|_| reader.corrupt())?;
        if deadline_ms > DEADLINE_MS_MAX {
            return Err(reader.corrupt());
        }
        if deadline_ms != 0 {
            deadlines.push(HashField { index, deadline_ms });
        }
    }
    Ok(Value::Hash(texts, deadlines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(of: &[&str]) -> Texts {
        of.iter().map(|text| text.as_bytes()).collect()
    }

    /// A type and a string that is its content.
    fn packed(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        crate::writer::push_raw_string(&mut bytes, content);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Value, Corrupt> {
        decode(bytes, Version::REDIS_7_0)
    }

    #[test]
    fn forms_of_old_versions_are_read() {
        let zipmap = b"\x02\x01a\x01\x001\x01b\x02\x0122x\xff";
        let Ok(Value::Hash(fields, deadlines)) = read(&packed(HASH_ZIPMAP, zipmap)) else {
            panic!("a hash");
        };
        assert_eq!((fields, deadlines), (texts(&["a", "1", "b", "22"]), Vec::new()));
        let ziplist = b"\x11\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xfe\xfb\xff";
        for kind in [LIST_ZIPLIST, HASH_ZIPLIST, SORTED_SET_ZIPLIST] {
            match read(&packed(kind, ziplist)) {
                Ok(Value::List(all) | Value::Hash(all, _)) => assert_eq!(all, texts(&["a", "-5"])),
                Ok(Value::SortedSet(members, scores)) => {
                    assert_eq!((members, scores), (texts(&["a"]), vec![-5.0]));
                }
                other => panic!("{other:?}"),
            }
        }
        let mut quicklist = vec![LIST_QUICKLIST, 2];
        for _ in 0..2 {
            crate::writer::push_raw_string(&mut quicklist, ziplist);
        }
        let Ok(Value::List(elements)) = read(&quicklist) else { panic!("a list") };
        assert_eq!(elements, texts(&["a", "-5", "a", "-5"]));
        assert!(read(b"\x12\x01\x01\x01x").is_ok());
        assert!(read(b"\x12\x01\x01\x00").is_err(), "an element alone in its node is long");
        let intset = b"\x02\x00\x00\x00\x02\x00\x00\x00\xfb\xff\x07\x00";
        let Ok(Value::Set(members)) = read(&packed(SET_INTSET, intset)) else { panic!("a set") };
        assert_eq!(members, texts(&["-5", "7"]));
        let Ok(Value::SortedSet(members, scores)) = read(b"\x03\x02\x01a\x031.5\x01b\xff") else {
            panic!("a sorted set");
        };
        assert_eq!((members, scores), (texts(&["a", "b"]), vec![1.5, f64::NEG_INFINITY]));
    }

    #[test]
    fn fields_with_deadlines_are_read_as_redis_and_as_valkey_write_them() {
        let deadline = |index, deadline_ms| HashField { index, deadline_ms };
        let valkey =
            b"\x16\x02\x01a\x011\xff\xff\xff\xff\xff\xff\xff\xff\x01b\x012\xe8\x03\0\0\0\0\0\0";
        let Ok(Value::Hash(fields, deadlines)) = decode(valkey, Version::VALKEY_9) else {
            panic!("a hash");
        };
        assert_eq!(fields, texts(&["a", "1", "b", "2"]));
        assert_eq!(deadlines, [deadline(1, 1000)]);
        let redis = b"\x18\xe8\x03\0\0\0\0\0\0\x03\x00\x01a\x011\x01\x01b\x012\x05\x01c\x013";
        let Ok(Value::Hash(fields, deadlines)) = decode(redis, Version::REDIS_MAX) else {
            panic!("a hash");
        };
        assert_eq!(fields, texts(&["a", "1", "b", "2", "c", "3"]));
        assert_eq!(deadlines, [deadline(1, 1000), deadline(2, 1004)]);
        assert!(decode(redis, Version::VALKEY_9).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bad: [&[u8]; 15] = [
            b"",
            b"\x00",
            b"\x63\x00",
            // Something behind the value.
            b"\x00\x01ab",
            // No element.
            b"\x01\x00",
            b"\x02\x00",
            b"\x04\x00",
            b"\x05\x00",
            // Twice the same.
            b"\x02\x02\x01a\x01a",
            b"\x04\x02\x01a\x011\x01a\x012",
            b"\x03\x02\x01a\x011\x01a\x012",
            // No number.
            b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
            b"\x03\x01\x01a\xfd",
            // A length of 1 written as a long one.
            b"\x09\x0b\x01\xfe\x01\0\0\0a\x01\x001\xff",
            // Declares four thousand million elements.
            b"\x02\x80\xff\xff\xff\xff\x01a",
        ];
        for bytes in bad {
            assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let seeds: [&[u8]; 6] = [
            b"\x01\x02\x01a\xc0\x05",
            b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x3f",
            b"\x0b\x0c\x02\0\0\0\x02\0\0\0\xfb\xff\x07\0",
            b"\x0a\x11\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xfe\xfb\xff",
            b"\x14\x0b\x0b\0\0\0\x01\0\x81a\x02\xff",
            b"\x00\xc3\x05\x0a\x00a\xe0\0\0",
        ];
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()
        };
        for round in 0..60_000 {
            let mut bytes = seeds[round % seeds.len()].to_vec();
            for _ in 0..=random()[0] % 3 {
                let [at, byte, how, ..] = random();
                let at = usize::from(at) % bytes.len();
                match how % 4 {
                    0 => bytes[at] = byte,
                    1 => bytes[at] ^= 1 << (byte % 8),
                    2 => bytes.insert(at, byte),
                    _ => bytes.truncate(at + 1),
                }
            }
            crate::exercise::value(&bytes);
        }
    }
}
