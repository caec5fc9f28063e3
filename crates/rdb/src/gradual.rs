//! Big values read step by step, by whoever stops in between: RESTORE in slices.
//!
//! The collection itself is built from the bytes, so that nothing is left to be done at the end, and finds out what is
//! there twice. What comes of it is what [`decode`](crate::decode) and [`build`](crate::build) make of the same bytes.

use darter_base::UnixMillis;
use darter_value::hash::{FieldExpiry, HashGrowth, PreviousField};
use darter_value::integer::IntegerText;
use darter_value::{Collection as _, End, Hash, List, Rules, Set, SortedSet, Stream, packing};
use std::ops::Range;

use crate::build::{Built, text_of};
use crate::decode::push_quicklist_node;
use crate::lzf::Unpacking;
use crate::reader::{Corrupt, Reader, Written};
use crate::stream;
use crate::texts::Texts;
use crate::types::{
    HASH, LIST, LIST_QUICKLIST_2, SET, SORTED_SET, STREAM_1, STREAM_2, STREAM_3, STRING,
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
    Hash(Hash),
    Stream(Stream),
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
    pub const fn is_of(kind: u8) -> bool {
        matches!(
            kind,
            STRING
                | LIST
                | LIST_QUICKLIST_2
                | SET
                | HASH
                | SORTED_SET
                | STREAM_1
                | STREAM_2
                | STREAM_3
        )
    }

    /// Begins to read `bytes`, a type and its content.
    pub fn begin(bytes: &[u8], rules: Rules<'_>) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte()?;
        if kind == STRING {
            let form = Form::Text(Text::begin(&mut reader)?);
            return Ok(Self { kind, offset: reader.offset(), left: 0, form });
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
            HASH => Form::Hash(Hash::default()),
            STREAM_1 | STREAM_2 | STREAM_3 => Form::Stream(Stream::default()),
            _ => return Err(Corrupt::at(0)),
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
        if let Form::Stream(stream) = &mut self.form {
            stream::read_rest(&mut reader, stream, self.kind)?;
        }
        if let Form::Text(text) = &mut self.form
            && text.go_on(bytes).ok_or(reader.corrupt())?
        {
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
            Form::Hash(hash) => hash.into_object(),
            Form::Stream(stream) => stream.into_object(),
        })
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
            Form::Hash(hash) => {
                let growth = HashGrowth { limits: rules.limits.hash, hasher: rules.hasher };
                let field = reader.string()?;
                let value = reader.string()?;
                let before = hash.set(&field, &value, FieldExpiry::Clear, now.0, growth);
                before == PreviousField::Absent
            }
            Form::Stream(stream) => {
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
            Form::Hash(hash) => hash.is_empty(),
            Form::Stream(_) | Form::Text(_) => false,
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
    use crate::{Plain, Value, encode_element, encode_field, encode_member};
    use darter_value::Item;

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
}
