//! Big values read step by step, by whoever stops in between: RESTORE in slices.
//!
//! The collection itself is built from the bytes, so that nothing is left to be done at the end, and finds out what is
//! there twice. What comes of it is what [`decode`](crate::decode) and [`build`](crate::build) make of the same bytes.

use darter_base::UnixMillis;
use darter_value::hash::{FieldExpiry, HashGrowth, PreviousField};
use darter_value::integer::IntegerText;
use darter_value::{Collection as _, End, Hash, List, Rules, Set, SortedSet, Stream, packing};
use std::ops::Range;

use crate::build::{Built, expiry_until, text_of};
use crate::decode::push_quicklist_node;
use crate::hash_fields::FieldForm;
use crate::lzf::Unpacking;
use crate::reader::{Corrupt, Reader, Written};
use crate::stream;
use crate::stream_rest::Rest;
use crate::texts::Texts;
use crate::types::{
    LIST, LIST_QUICKLIST_2, SET, SORTED_SET, STREAM_1, STREAM_2, STREAM_3, STREAM_4, STREAM_5,
    STRING, Version,
};

/// Elements read in one step, at most.
const ELEMENTS_PER_STEP: usize = 2048;

/// Bytes read in one step, and then the rest of an element.
const BYTES_PER_STEP: usize = 64 << 10;

/// Bytes of a string that are copied, or unpacked, in one step.
const TEXT_BYTES_PER_STEP: usize = 256 << 10;

/// A value under way.
#[derive(Debug)]
pub struct Gradual {
    kind: u8,
    /// Where to read on.
    offset: usize,
    /// Elements, fields or nodes that are yet to be read.
    left: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Text(Text),
    List(List),
    Set(Set),
    SortedSet(SortedSet),
    Hash(Fields),
    Stream(Stream, Rest),
}

/// A hash under way.
#[derive(Debug)]
struct Fields {
    form: FieldForm,
    hash: Hash,
    /// Fields that have expired. They stay in the hash until all are read, since none may be there twice.
    expired: Texts,
    /// So many of them are removed.
    removed: usize,
}

impl Fields {
    /// Reads the next field; whether it is the first of its name.
    fn read_one(
        &mut self,
        reader: &mut Reader<'_>,
        rules: Rules<'_>,
        now: UnixMillis,
    ) -> Result<bool, Corrupt> {
        let growth = HashGrowth { limits: rules.limits.hash, hasher: rules.hasher };
        let field = self.form.read(reader)?;
        let expiry = match field.deadline_ms {
            None => FieldExpiry::Clear,
            Some(deadline_ms) => expiry_until(deadline_ms, now).unwrap_or_else(|| {
                self.expired.push(&field.name);
                FieldExpiry::Clear
            }),
        };
        let before = self.hash.set(&field.name, &field.value, expiry, now.0, growth);
        Ok(before == PreviousField::Absent)
    }

    /// Removes some of the fields that have expired; whether there are more.
    fn remove_expired(&mut self, now: UnixMillis) -> bool {
        let end = self.expired.len().min(self.removed + ELEMENTS_PER_STEP);
        for index in self.removed..end {
            self.hash.remove(self.expired.get(index).unwrap_or_default(), now.0);
        }
        self.removed = end;
        end < self.expired.len()
    }
}

/// A string under way.
#[derive(Debug)]
enum Text {
    /// It is whole: it was the text of an integer.
    Whole(Vec<u8>),
    /// What of the bytes is still to be copied.
    Plain(Range<usize>, Vec<u8>),
    /// It is unpacked from these bytes.
    Packed(Range<usize>, Unpacking),
}

impl Text {
    fn begin(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let written = reader.written_string()?;
        let end = reader.offset();
        Ok(match written {
            Written::Plain(text) => {
                Self::Plain(end - text.len()..end, Vec::with_capacity(text.len()))
            }
            Written::Integer(integer) => {
                Self::Whole(IntegerText::new().format(integer).as_bytes().to_vec())
            }
            Written::Packed { packed, len } => {
                let unpacking = Unpacking::begin(packed, len).ok_or(reader.corrupt())?;
                Self::Packed(end - packed.len()..end, unpacking)
            }
        })
    }

    /// Reads on in the same bytes; whether there is more, `None` if they are damaged.
    fn go_on(&mut self, bytes: &[u8]) -> Option<bool> {
        match self {
            Self::Whole(_) => Some(false),
            Self::Plain(rest, text) => {
                let next = rest.end.min(rest.start + TEXT_BYTES_PER_STEP);
                text.extend_from_slice(bytes.get(rest.start..next)?);
                rest.start = next;
                Some(next < rest.end)
            }
            Self::Packed(packed, unpacking) => {
                unpacking.go_on(bytes.get(packed.clone())?, TEXT_BYTES_PER_STEP)
            }
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Whole(text) | Self::Plain(_, text) => text,
            Self::Packed(_, unpacking) => unpacking.into_text(),
        }
    }
}

impl Gradual {
    /// Whether a value of this type can be read so: strings, and the types that big collections are written in.
    pub const fn is_of(kind: u8, version: Version) -> bool {
        match kind {
            STRING | LIST | LIST_QUICKLIST_2 | SET | SORTED_SET | STREAM_1 | STREAM_2
            | STREAM_3 => true,
            STREAM_4 | STREAM_5 => !version.is_valkey(),
            _ => FieldForm::is_of(kind, version),
        }
    }

    /// Begins to read `bytes`, a type and its content, in `version` of the format.
    pub fn begin(bytes: &[u8], version: Version, rules: Rules<'_>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte()?;
        if kind == STRING {
            let form = Form::Text(Text::begin(&mut reader)?);
            return Ok(Self { kind, offset: reader.offset(), left: 0, form });
        }
        if !Self::is_of(kind, version) {
            return Err(Corrupt::at(0));
        }
        if FieldForm::is_of(kind, version) {
            let form = FieldForm::begin(&mut reader, kind, version)?;
            let left = reader.count()?;
            let (hash, expired) = (Hash::default(), Texts::new());
            let form = Form::Hash(Fields { form, hash, expired, removed: 0 });
            return Ok(Self { kind, offset: reader.offset(), left, form });
        }
        let left = reader.count()?;
        let form = match kind {
            LIST | LIST_QUICKLIST_2 => Form::List(List::default()),
            SET => {
                let mut set = Set::default();
                if left > 0 {
                    set.expect(&reader.clone().string()?, left, rules);
                }
                Form::Set(set)
            }
            SORTED_SET => {
                let mut set = SortedSet::default();
                set.expect(left, 0, rules);
                Form::SortedSet(set)
            }
            _ => Form::Stream(Stream::default(), Rest::new(kind)),
        };
        Ok(Self { kind, offset: reader.offset(), left, form })
    }

    /// Reads on in the same bytes; whether there is more. After an error it is to be thrown away.
    pub fn go_on(
        &mut self,
        bytes: &[u8],
        rules: Rules<'_>,
        now: UnixMillis,
    ) -> Result<bool, Corrupt> {
        let mut reader = Reader::at(bytes, self.offset);
        for _ in 0..ELEMENTS_PER_STEP.min(self.left) {
            self.read_one(&mut reader, rules, now)?;
            self.left -= 1;
            if reader.offset() - self.offset >= BYTES_PER_STEP {
                break;
            }
        }
        self.offset = reader.offset();
        if self.left > 0 {
            return Ok(true);
        }
        let has_more = match &mut self.form {
            Form::Stream(stream, rest) => rest.go_on(&mut reader, stream, ELEMENTS_PER_STEP)?,
            Form::Text(text) => text.go_on(bytes).ok_or(reader.corrupt())?,
            Form::Hash(fields) => fields.remove_expired(now),
            Form::List(_) | Form::Set(_) | Form::SortedSet(_) => false,
        };
        self.offset = reader.offset();
        if has_more {
            return Ok(true);
        }
        if !reader.is_at_end() || self.is_empty() {
            return Err(reader.corrupt());
        }
        Ok(false)
    }

    /// The value, when all is read, or what there is of it.
    pub fn into_built(self) -> Built {
        Built::Object(match self.form {
            Form::Text(text) => return text_of(text.into_bytes()),
            Form::List(list) => list.into_object(),
            Form::Set(set) => set.into_object(),
            Form::SortedSet(set) => set.into_object(),
            // Of a hash whose fields have all expired there is nothing.
            Form::Hash(Fields { hash, .. }) if hash.is_empty() => return Built::Nothing,
            Form::Hash(Fields { hash, .. }) => hash.into_object(),
            Form::Stream(stream, _) => stream.into_object(),
        })
    }

    /// The fields that are left out because they have expired.
    pub fn expired_fields(&self) -> impl Iterator<Item = &[u8]> {
        let expired =
            if let Form::Hash(fields) = &self.form { Some(&fields.expired) } else { None };
        expired.into_iter().flat_map(Texts::iter)
    }

    fn read_one(
        &mut self,
        reader: &mut Reader<'_>,
        rules: Rules<'_>,
        now: UnixMillis,
    ) -> Result<(), Corrupt> {
        let is_new = match &mut self.form {
            Form::List(list) => {
                if self.kind == LIST {
                    push(list, &reader.string()?, rules);
                } else {
                    let mut texts = Texts::new();
                    push_quicklist_node(reader, &mut texts)?;
                    texts.iter().for_each(|text| push(list, text, rules));
                }
                true
            }
            Form::Set(set) => set.add(packing::item_of(&reader.string()?), rules),
            Form::SortedSet(set) => {
                let member = reader.string()?;
                set.set(&member, reader.score()?, rules)
            }
            Form::Hash(fields) => fields.read_one(reader, rules, now)?,
            Form::Stream(stream, _) => {
                stream::read_next_node(reader, stream)?;
                true
            }
            // It has no elements.
            Form::Text(_) => true,
        };
        if is_new { Ok(()) } else { Err(reader.corrupt()) }
    }

    /// Whether it is a collection without elements; an empty stream is one with a history.
    fn is_empty(&self) -> bool {
        match &self.form {
            Form::List(list) => list.is_empty(),
            Form::Set(set) => set.is_empty(),
            Form::SortedSet(set) => set.is_empty(),
            Form::Hash(fields) => fields.hash.is_empty() && fields.expired.is_empty(),
            Form::Stream(..) | Form::Text(_) => false,
        }
    }
}

fn push(list: &mut List, text: &[u8], rules: Rules<'_>) {
    list.prepare(text.len(), 1, rules.limits.list);
    list.push(End::Back, text, rules.limits.list);
}

#[cfg(test)]
mod tests {
    use crate::exercise::{encoded, value};
    use crate::types::HASH_2_VALKEY;
    use crate::{Plain, Value, encode_element, encode_field, encode_member};
    use darter_value::stream::{Group, Pending, StreamId};
    use darter_value::{Item, Stream};

    /// `count` elements behind a head, and the same with the last one twice.
    fn check(kind: Plain, count: i64, push: impl Fn(&mut Vec<u8>, i64)) {
        for numbers in [(0..count).collect::<Vec<_>>(), (0..count - 1).chain([0]).collect()] {
            let mut bytes = Vec::new();
            kind.encode_head(&mut bytes, numbers.len());
            for number in numbers {
                push(&mut bytes, number * 7919 % 100_003);
            }
            value(&bytes);
            bytes.pop();
            value(&bytes);
        }
    }

    #[test]
    fn strings_of_many_steps_are_what_they_are_in_one_piece() {
        // Of which the last is of two steps at least.
        for len in [0, 1, 2048, 2049, 300_000] {
            let noise = (0..len).map(|at: usize| (at * at % 251).to_le_bytes()[0]).collect();
            for text in [vec![b'a'; len], noise] {
                let (mut bytes, _) = encoded(&Value::String(text));
                value(&bytes);
                bytes.pop();
                value(&bytes);
            }
        }
        // A number.
        value(b"\x00\xc1\x00\x01");
    }

    #[test]
    fn values_of_many_steps_are_what_they_are_in_one_piece() {
        for count in [1, 100, 600, 10_000] {
            check(Plain::List, count, |out, number| encode_element(out, Item::Integer(number)));
            check(Plain::Set, count, |out, number| encode_element(out, Item::Integer(number)));
            check(Plain::Set, count, |out, number| {
                encode_element(out, Item::Bytes(format!("m{number}").as_bytes()));
            });
            check(Plain::SortedSet, count, |out, number| {
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                encode_member(out, Item::Integer(number), number as f64 / 3.0);
            });
            check(Plain::Hash, count, |out, number| {
                encode_field(out, false, Item::Integer(number), Item::Bytes(b"value"), None);
            });
        }
    }
    #[test]
    fn fields_that_expire_are_left_out_at_the_end() {
        for count in [1_i64, 100, 10_000] {
            // None, some, and all of them before the time that the check knows.
            for step in [1 << 40, 1 << 28, 1] {
                for last in [count - 1, 0] {
                    let mut bytes = vec![HASH_2_VALKEY];
                    let len = u32::try_from(count).expect("few");
                    bytes.push(0x80);
                    bytes.extend(len.to_be_bytes());
                    for number in (0..count - 1).chain([last]) {
                        let deadline = (number % 3 < 2).then_some(1 + number.unsigned_abs() * step);
                        encode_field(
                            &mut bytes,
                            true,
                            Item::Integer(number),
                            Item::Bytes(b"value"),
                            deadline,
                        );
                    }
                    value(&bytes);
                }
            }
        }
    }

    #[test]
    fn groups_of_many_steps_are_what_they_are_in_one_piece() {
        for count in [1_u64, 3000, 10_000] {
            let mut stream = Stream::default();
            for name in [b"one".as_slice(), b"two", b"empty"] {
                let mut group = Group::new(StreamId::new(count, 0), Some(7));
                for number in 0..if name == b"empty" { 0 } else { count } {
                    let consumer = [b'a' + (number % 5).to_le_bytes()[0]];
                    let (consumer, _) = group.add_consumer(&consumer, 5);
                    let pending = Pending { consumer, delivered_at_ms: 17, deliveries: number };
                    group.set_pending(StreamId::new(number, 1), pending);
                }
                stream.add_group(name, group);
            }
            let (mut bytes, _) = encoded(&Value::Stream(stream));
            value(&bytes);
            bytes.pop();
            value(&bytes);
        }
    }
}
