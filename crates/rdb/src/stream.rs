//! Streams: nodes of entries in listpacks, what the stream remembers, and its groups.
//!
//! ```text
//! nodes: count, each: id, listpack
//! length, last id, [first id, greatest deleted id, entries added]        (in brackets: version 2)
//! groups: count, each:
//!     name, last id, [entries read]
//!     pending: count, each: id, delivered at, deliveries
//!     consumers: count, each: name, seen at, {active at}, pending: count, each: id   (in braces: 3)
//!     5: pending with nobody: count, each: id
//! 4: seconds and number of ids that are known of each producer
//!     producers: count, each: name, count, each: idempotent id, id
//!     ids ever added, duplicates
//!
//! listpack: count, deleted, fields, field ..., 0, then of each entry:
//!     flags, ms and number relative to the node's id, [count] texts, how many entries back it began
//! flags: 1 deleted, 2 the fields of the node: only values follow
//! ```

use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::stream::{Entry, Log, NodeLimits, Stream, StreamId};

use crate::encode::push_name;
use crate::listpack::{Listpack, Writer};
use crate::reader::{Corrupt, Reader};
use crate::stream_rest::Rest;
use crate::texts::Texts;
use crate::writer::{Output, push_count, push_number, push_raw_string};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// The nodes of a stream that is read; it does not say how they were limited.
const LIMITS: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 100 };

/// Reads a stream of type `kind`.
pub(crate) fn read(reader: &mut Reader<'_>, kind: u8) -> Result<Stream, Corrupt> {
    let mut stream = Stream::default();
    for _ in 0..reader.count()? {
        read_next_node(reader, &mut stream)?;
    }
    let mut rest = Rest::new(kind);
    while rest.go_on(reader, &mut stream, usize::MAX)? {}
    Ok(stream)
}

/// Reads a node, of as many as the count says that a stream begins with.
pub(crate) fn read_next_node(reader: &mut Reader<'_>, stream: &mut Stream) -> Result<(), Corrupt> {
    let key = reader.string()?;
    let node_id = id_of_key(&key).ok_or(reader.corrupt())?;
    let bytes = reader.string()?;
    read_node(stream, node_id, &bytes)
}

/// Adds the entries of a node.
fn read_node(stream: &mut Stream, node_id: StreamId, bytes: &[u8]) -> Result<(), Corrupt> {
    let corrupt = Corrupt::at(0);
    let unsigned = |number: i64| usize::try_from(number).map_err(|_| corrupt);
    let mut listpack = Listpack::checked(bytes)?;
    let live = unsigned(listpack.take_integer()?)?;
    let deleted = unsigned(listpack.take_integer()?)?;
    let fields_len = unsigned(listpack.take_integer()?)?;
    let mut names = Texts::new();
    if fields_len > listpack.len() {
        return Err(corrupt);
    }
    for _ in 0..fields_len {
        names.push(bytes_of(listpack.take()?, &mut IntegerText::new()));
    }
    if listpack.take_integer()? != 0 {
        return Err(corrupt);
    }
    let (mut live_read, mut deleted_read) = (0, 0);
    while listpack.len() > 0 {
        let before = listpack.len();
        let flags = listpack.take_integer()?;
        let ms = listpack.take_integer()?;
        let seq = listpack.take_integer()?;
        let id = StreamId::new(
            node_id.ms.checked_add_signed(ms).ok_or(corrupt)?,
            node_id.seq.wrapping_add_signed(seq),
        );
        let same = flags & SAME_FIELDS != 0;
        let count = if same { fields_len } else { unsigned(listpack.take_integer()?)? };
        let texts_len = if same { count } else { count.checked_mul(2).ok_or(corrupt)? };
        if texts_len > listpack.len() {
            return Err(corrupt);
        }
        let mut texts = Texts::new();
        for _ in 0..texts_len {
            texts.push(bytes_of(listpack.take()?, &mut IntegerText::new()));
        }
        let back = unsigned(listpack.take_integer()?)?;
        // The count itself is not counted.
        if back != before - listpack.len() - 1 {
            return Err(corrupt);
        }
        if flags & DELETED != 0 {
            deleted_read += 1;
            continue;
        }
        live_read += 1;
        if id <= stream.log().last_id() {
            return Err(corrupt);
        }
        let pair = |index: usize| {
            let (field, value) = if same {
                (names.get(index), texts.get(index))
            } else {
                (texts.get(2 * index), texts.get(2 * index + 1))
            };
            (field.unwrap_or_default(), value.unwrap_or_default())
        };
        stream.log_mut().append(id, (0..count).map(pair), LIMITS);
    }
    if live_read == live && deleted_read == deleted { Ok(()) } else { Err(corrupt) }
}

pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, Corrupt> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

pub(crate) fn read_raw_id(reader: &mut Reader<'_>) -> Result<StreamId, Corrupt> {
    Ok(StreamId::new(u64::from_be_bytes(reader.array()?), u64::from_be_bytes(reader.array()?)))
}

fn id_of_key(key: &[u8]) -> Option<StreamId> {
    let (ms, seq) = key.split_at_checked(8)?;
    let (ms, seq) = (ms.try_into().ok()?, seq.try_into().ok()?);
    Some(StreamId::new(u64::from_be_bytes(ms), u64::from_be_bytes(seq)))
}

/// How far a stream in version 2 has been written.
#[derive(Clone, Debug)]
pub(crate) enum StreamAt {
    /// Up to the node of this index.
    Node(usize),
    /// Up to the group of this name.
    Group(Box<[u8]>),
    /// Of this group, up to what is pending under this id.
    Pending(Box<[u8]>, StreamId),
    /// Of this group, up to the consumer of this index, and of what is pending there up to this id; nothing of the
    /// consumer yet if there is none.
    Consumer(Box<[u8]>, usize, Option<StreamId>),
}

/// Pending entries and consumers that are written in one part.
const PENDING_PER_PART: usize = 1024;

/// Appends a stream in version 2.
pub(crate) fn write(out: &mut Output<'_>, stream: &Stream) {
    let mut next = Some(begin(out, stream));
    while let Some(at) = next {
        next = write_part(out, stream, at);
    }
}

/// Appends what a stream begins with; where to go on.
pub(crate) fn begin(out: &mut Output<'_>, stream: &Stream) -> StreamAt {
    push_count(out.bytes(), stream.log().nodes_len());
    StreamAt::Node(0)
}

/// Appends what comes `at`; where to go on, `None` at the end.
pub(crate) fn write_part(out: &mut Output<'_>, stream: &Stream, at: StreamAt) -> Option<StreamAt> {
    match at {
        StreamAt::Node(index) if index < stream.log().nodes_len() => {
            write_node(out, stream.log().entries_of_node(index));
            Some(StreamAt::Node(index + 1))
        }
        StreamAt::Node(_) => {
            write_counters(out, stream.log());
            push_count(out.bytes(), stream.groups().len());
            let (first, _) = stream.groups().next()?;
            Some(StreamAt::Group(first.into()))
        }
        StreamAt::Group(name) => {
            let group = stream.group(&name)?;
            push_name(out, &name);
            push_id(out.bytes(), group.last_id);
            push_number(out.bytes(), group.entries_read.unwrap_or(u64::MAX));
            push_count(out.bytes(), group.pending_len());
            Some(StreamAt::Pending(name, StreamId::MIN))
        }
        StreamAt::Pending(name, from) => {
            let group = stream.group(&name)?;
            let mut next = None;
            for (written, (id, pending)) in group.pending_in(from..=StreamId::MAX).enumerate() {
                if written == PENDING_PER_PART {
                    next = Some(id);
                    break;
                }
                out.bytes().extend(raw_id(id));
                out.bytes().extend(pending.delivered_at_ms.to_le_bytes());
                push_number(out.bytes(), pending.deliveries);
            }
            if let Some(next) = next {
                return Some(StreamAt::Pending(name, next));
            }
            push_count(out.bytes(), group.holders().count());
            Some(StreamAt::Consumer(name, 0, None))
        }
        StreamAt::Consumer(name, index, mut from) => {
            let mut left = PENDING_PER_PART;
            for (index, consumer) in stream.group(&name)?.holders().enumerate().skip(index) {
                if left == 0 {
                    return Some(StreamAt::Consumer(name, index, None));
                }
                left -= 1;
                if from.is_none() {
                    push_name(out, consumer.name());
                    out.bytes().extend(consumer.seen_at_ms.to_le_bytes());
                    push_count(out.bytes(), consumer.pending_len());
                }
                for id in consumer.pending_in(from.take().unwrap_or(StreamId::MIN)..=StreamId::MAX)
                {
                    if left == 0 {
                        return Some(StreamAt::Consumer(name, index, Some(id)));
                    }
                    left -= 1;
                    out.bytes().extend(raw_id(id));
                }
            }
            let (next, _) = stream.groups_from(&name).nth(1)?;
            Some(StreamAt::Group(next.into()))
        }
    }
}

/// Appends a node: each of a stream becomes one, so that their number is known before they are written.
fn write_node<'s>(out: &mut Output<'_>, mut entries: impl Iterator<Item = Entry<'s>>) {
    let first = entries.next().expect("no node is empty");
    let mut node = Node::new(&first);
    entries.for_each(|entry| node.push(&entry));
    push_raw_string(out.bytes(), &raw_id(first.id()));
    out.push_raw_string(&node.finish());
}

fn write_counters(out: &mut Output<'_>, log: &Log) {
    push_number(out.bytes(), log.len());
    push_id(out.bytes(), log.last_id());
    push_id(out.bytes(), log.first_id());
    push_id(out.bytes(), log.max_deleted_id());
    push_number(out.bytes(), log.entries_added());
}

fn push_id(out: &mut Vec<u8>, id: StreamId) {
    push_number(out, id.ms);
    push_number(out, id.seq);
}

fn raw_id(id: StreamId) -> [u8; 16] {
    let mut raw = [0; 16];
    raw[..8].copy_from_slice(&id.ms.to_be_bytes());
    raw[8..].copy_from_slice(&id.seq.to_be_bytes());
    raw
}

/// A node being written: its entries first, since their number comes before them.
struct Node<'a> {
    first: Entry<'a>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Node<'a> {
    fn new(first: &Entry<'a>) -> Self {
        Self { first: *first, entries: vec![*first] }
    }

    fn push(&mut self, entry: &Entry<'a>) {
        self.entries.push(*entry);
    }

    fn finish(self) -> Vec<u8> {
        let mut listpack = Writer::new();
        listpack.push_count(self.entries.len());
        listpack.push_count(0);
        listpack.push_count(self.first.fields_len());
        for (field, _) in self.first.fields() {
            listpack.push(field);
        }
        listpack.push_count(0);
        let node_id = self.first.id();
        for entry in &self.entries {
            let names = || self.first.fields().map(|(field, _)| field);
            let same = entry.fields().map(|(field, _)| field).eq(names());
            listpack.push(darter_value::Item::Integer(if same { SAME_FIELDS } else { 0 }));
            let id = entry.id();
            let relative = |number: u64, base: u64| {
                darter_value::Item::Integer(number.wrapping_sub(base).cast_signed())
            };
            listpack.push(relative(id.ms, node_id.ms));
            listpack.push(relative(id.seq, node_id.seq));
            let mut pieces = 3;
            if !same {
                listpack.push_count(entry.fields_len());
                pieces += 1;
            }
            for (field, value) in entry.fields() {
                if !same {
                    listpack.push(field);
                    pieces += 1;
                }
                listpack.push(value);
                pieces += 1;
            }
            listpack.push_count(pieces);
        }
        debug_assert!(listpack.len() > 0);
        listpack.finish()
    }
}
