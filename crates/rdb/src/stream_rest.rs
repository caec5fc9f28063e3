//! What comes behind the nodes of a stream ([`stream`](crate::stream) has the format), read in steps.
//!
//! A step ends behind an item: a pending entry, a consumer, an entry of one. A group becomes the stream's when it is whole.

use std::collections::BTreeMap;

use darter_value::stream::{Group, Pending, Stream, StreamId};

use crate::reader::{Corrupt, Reader};
use crate::stream::{read_id, read_raw_id};
use crate::types::{STREAM_1, STREAM_3, STREAM_4, STREAM_5};

/// How far it is.
#[derive(Debug)]
pub(crate) struct Rest {
    kind: u8,
    /// Groups that are yet to be begun; `None` until what the stream remembers is read.
    groups: Option<usize>,
    group: Option<GroupRest>,
}

/// A group under way.
#[derive(Debug)]
struct GroupRest {
    name: Vec<u8>,
    group: Group,
    /// When entries were delivered, and how often, until a consumer claims them.
    unclaimed: BTreeMap<StreamId, (i64, u64)>,
    part: Part,
}

/// What is read next of a group, and how many of that are left.
#[derive(Clone, Copy, Debug)]
enum Part {
    Pending(usize),
    Consumers(usize),
    /// Of one of the consumers, of which so many are left.
    Claimed {
        consumer: u32,
        left: usize,
        consumers: usize,
    },
    Unowned(usize),
}

impl Rest {
    /// Begins a stream of type `kind`, whose nodes are read.
    pub(crate) const fn new(kind: u8) -> Self {
        Self { kind, groups: None, group: None }
    }

    /// Reads about `items` items; whether there is more. After an error it is to be thrown away.
    pub(crate) fn go_on(
        &mut self,
        reader: &mut Reader<'_>,
        stream: &mut Stream,
        items: usize,
    ) -> Result<bool, Corrupt> {
        for _ in 0..items {
            if let Some(group) = &mut self.group {
                if group.read_one(reader, self.kind)? {
                    continue;
                }
                let GroupRest { name, mut group, unclaimed, .. } =
                    self.group.take().ok_or(reader.corrupt())?;
                group.recognise_nobody();
                if !unclaimed.is_empty() || !stream.add_group(&name, group) {
                    return Err(reader.corrupt());
                }
                continue;
            }
            match self.groups {
                None => {
                    read_counters(reader, stream, self.kind)?;
                    self.groups = Some(reader.count()?);
                }
                Some(0) if self.kind >= STREAM_4 => {
                    pass_producers(reader)?;
                    return Ok(false);
                }
                Some(0) => return Ok(false),
                Some(left) => {
                    self.group = Some(GroupRest::begin(reader, stream, self.kind)?);
                    self.groups = Some(left - 1);
                }
            }
        }
        Ok(true)
    }
}

impl GroupRest {
    fn begin(reader: &mut Reader<'_>, stream: &Stream, kind: u8) -> Result<Self, Corrupt> {
        let name = reader.string()?.into_owned();
        let last_id = read_id(reader)?;
        let entries_read = if kind == STREAM_1 {
            stream.log().entries_added_up_to(last_id)
        } else {
            // Written as a signed number; negative is unknown.
            u64::try_from(reader.number()?.cast_signed()).ok()
        };
        let group = Group::new(last_id, entries_read);
        let part = Part::Pending(reader.count()?);
        Ok(Self { name, group, unclaimed: BTreeMap::new(), part })
    }

    /// Reads the next item; `false` at the end.
    fn read_one(&mut self, reader: &mut Reader<'_>, kind: u8) -> Result<bool, Corrupt> {
        self.part = match self.part {
            Part::Pending(0) => Part::Consumers(reader.count()?),
            Part::Pending(left) => {
                let id = read_raw_id(reader)?;
                let delivered_at_ms = reader.millis()?;
                let deliveries = reader.number()?;
                if self.unclaimed.insert(id, (delivered_at_ms, deliveries)).is_some() {
                    return Err(reader.corrupt());
                }
                Part::Pending(left - 1)
            }
            Part::Consumers(0) if kind >= STREAM_5 => Part::Unowned(reader.count()?),
            Part::Consumers(0) | Part::Unowned(0) => return Ok(false),
            Part::Consumers(left) => {
                let consumer = self.read_consumer(reader, kind)?;
                Part::Claimed { consumer, left: reader.count()?, consumers: left - 1 }
            }
            Part::Claimed { left: 0, consumers, .. } => Part::Consumers(consumers),
            Part::Claimed { consumer, left, consumers } => {
                let id = read_raw_id(reader)?;
                // Claimed once, and by one consumer only.
                if !self.claim(id, consumer) {
                    let is_claimed = self.group.pending(id).is_some();
                    let words = is_claimed.then_some("Duplicated consumer PEL entry");
                    return Err(Corrupt { words, ..reader.corrupt() });
                }
                Part::Claimed { consumer, left: left - 1, consumers }
            }
            Part::Unowned(left) => {
                let id = read_raw_id(reader)?;
                let nobody = self.group.nobody();
                if !self.claim(id, nobody) {
                    return Err(reader.corrupt());
                }
                Part::Unowned(left - 1)
            }
        };
        Ok(true)
    }

    /// Adds a consumer; its number.
    fn read_consumer(&mut self, reader: &mut Reader<'_>, kind: u8) -> Result<u32, Corrupt> {
        let name = reader.string()?;
        let seen_at_ms = reader.millis()?;
        let active_at_ms = if kind >= STREAM_3 { reader.millis()? } else { seen_at_ms };
        let (consumer, added) = self.group.add_consumer(&name, seen_at_ms);
        if !added {
            let words = Some("Duplicate stream consumer detected");
            return Err(Corrupt { words, ..reader.corrupt() });
        }
        let active_at_ms = (active_at_ms != -1).then_some(active_at_ms);
        self.group.consumer_mut(consumer).active_at_ms = active_at_ms;
        Ok(consumer)
    }

    /// Makes `id` pending with a consumer; whether it was not yet, and was delivered.
    fn claim(&mut self, id: StreamId, consumer: u32) -> bool {
        let Some((delivered_at_ms, deliveries)) = self.unclaimed.remove(&id) else { return false };
        self.group.set_pending(id, Pending { consumer, delivered_at_ms, deliveries });
        true
    }
}

fn read_counters(reader: &mut Reader<'_>, stream: &mut Stream, kind: u8) -> Result<(), Corrupt> {
    let len = reader.number()?;
    let last_id = read_id(reader)?;
    let (mut entries_added, mut max_deleted_id) = (len, StreamId::MIN);
    if kind != STREAM_1 {
        // The first entry is known from the entries.
        read_id(reader)?;
        max_deleted_id = read_id(reader)?;
        entries_added = reader.number()?;
    }
    let top = stream.log().last_id();
    if len != stream.log().len() || last_id < top {
        return Err(reader.corrupt());
    }
    stream.log_mut().set_counters(last_id, entries_added, max_deleted_id);
    Ok(())
}

/// Reads over what producers have added: idempotent ids are not taken over from files.
fn pass_producers(reader: &mut Reader<'_>) -> Result<(), Corrupt> {
    reader.number()?;
    reader.number()?;
    for _ in 0..reader.count()? {
        reader.string()?;
        for _ in 0..reader.count()? {
            reader.string()?;
            read_id(reader)?;
        }
    }
    reader.number()?;
    reader.number()?;
    Ok(())
}
