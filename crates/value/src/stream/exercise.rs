//! Streams against an ordered map: the entry point of the fuzz target, and of the model test.

use std::collections::BTreeMap;

use super::{Group, Keep, NodeLimits, Pending, References, Removed, Stream, StreamId, Trim};
use crate::integer::IntegerText;
use crate::packing::bytes_of;

/// Bytes as a source of choices; zeroes once they are used up.
struct Choices<'a> {
    bytes: &'a [u8],
}

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// Small numbers mostly.
    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::from(self.byte()) << 40,
            1 => u64::from(self.byte()) << 8,
            2 => u64::MAX - u64::from(self.byte()),
            _ => u64::from(self.below(16)),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => i64::from(self.byte().cast_signed()).to_string().into_bytes(),
            1 => (self.number().cast_signed() >> (self.below(64))).to_string().into_bytes(),
            2 => vec![b'x'; usize::from(self.byte()) * 3],
            3 => b"007".to_vec(),
            4 => Vec::new(),
            _ => vec![b'a' + self.below(4)],
        }
    }
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What a group should hold: for each pending id, who has it, and since when.
type Delivered = BTreeMap<StreamId, (u8, i64)>;

/// Runs the operations that `bytes` stands for on a stream and on maps, which must agree throughout.
pub fn stream(bytes: &[u8]) {
    let mut choices = Choices { bytes };
    let limits = NodeLimits {
        bytes_max: u32::from(choices.byte()) * 8,
        entries_max: u32::from(choices.below(9)),
    };
    let mut stream = Stream::default();
    let mut model: BTreeMap<StreamId, Fields> = BTreeMap::new();
    let mut delivered: BTreeMap<Vec<u8>, Delivered> = BTreeMap::new();
    while !choices.bytes.is_empty() {
        step(&mut choices, &mut stream, &mut model, &mut delivered, limits);
        if choices.bytes.len().is_multiple_of(3) {
            crate::object::move_everything(&mut stream);
        }
        stream.check_invariants();
        check(&stream, &model, &delivered);
    }
    let copy = stream.clone();
    check(&copy, &model, &delivered);
    let mut dropped = stream;
    let mut slices = 0;
    while crate::object::Contents::drop_slice(&mut dropped) {
        slices += 1;
        assert!(slices < 1_000_000, "dropping ends");
    }
}

fn step(
    choices: &mut Choices<'_>,
    stream: &mut Stream,
    model: &mut BTreeMap<StreamId, Fields>,
    delivered: &mut BTreeMap<Vec<u8>, Delivered>,
    limits: NodeLimits,
) {
    match choices.below(10) {
        0..=3 => {
            let last = stream.log().last_id();
            let ms = last.ms.checked_add(choices.number() / 2).unwrap_or(last.ms);
            let seq = if ms == last.ms {
                last.seq.saturating_add(1 + choices.number() / 2)
            } else {
                choices.number()
            };
            let id = StreamId::new(ms, seq);
            if id <= last {
                return;
            }
            let fields: Fields =
                (0..choices.below(4)).map(|_| (choices.text(), choices.text())).collect();
            let pairs = fields.iter().map(|(field, value)| (&**field, &**value));
            stream.log_mut().append(id, pairs, limits);
            model.insert(id, fields);
        }
        4 => {
            let ids: Vec<_> = (0..=choices.below(4)).map(|_| pick(choices, model)).collect();
            let references = any_references(choices);
            let removed = stream.remove_entries(&ids, references);
            assert_eq!(removed.len(), ids.len());
            for (id, removed) in ids.iter().zip(removed) {
                let expected = match (model.contains_key(id), references) {
                    (false, _) => Removed::Absent,
                    (true, References::Acknowledged) if is_needed(stream, *id) => {
                        Removed::Referenced
                    }
                    _ => Removed::Removed,
                };
                assert_eq!(removed, expected);
                if expected == Removed::Removed {
                    model.remove(id);
                }
                if references == References::Delete {
                    for held in delivered.values_mut() {
                        held.remove(id);
                    }
                }
            }
        }
        5 => {
            let keep = if choices.below(2) == 0 {
                Keep::Latest(u64::from(choices.below(20)))
            } else {
                Keep::From(pick(choices, model))
            };
            let trim = Trim { keep, whole_nodes: choices.below(2) == 0, removed_max: 0 };
            let references = any_references(choices);
            let mut left = model.clone();
            for id in model.keys() {
                let goes = match keep {
                    Keep::Latest(len) => left.len() as u64 > len,
                    Keep::From(first) => *id < first,
                };
                if goes && !(references == References::Acknowledged && is_needed(stream, *id)) {
                    left.remove(id);
                }
            }
            let removed = stream.trim(trim, references).count;
            if trim.whole_nodes {
                // Some of what may go, from the first on.
                let goes = model.keys().filter(|id| !left.contains_key(id));
                let stays: Vec<_> = goes
                    .skip(usize::try_from(removed).expect("as many as there were"))
                    .copied()
                    .collect();
                left.extend(stays.into_iter().map(|id| (id, model[&id].clone())));
            }
            assert_eq!(removed, (model.len() - left.len()) as u64);
            if references == References::Delete {
                for held in delivered.values_mut() {
                    held.retain(|id, _| !model.contains_key(id) || left.contains_key(id));
                }
            }
            *model = left;
        }
        6 => {
            let name = vec![b'g', choices.below(3)];
            if choices.below(4) == 0 {
                assert_eq!(stream.remove_group(&name), delivered.remove(&name).is_some());
            } else {
                let group = Group::new(pick(choices, model), None);
                let is_new = !delivered.contains_key(&name);
                assert_eq!(stream.add_group(&name, group), is_new);
                delivered.entry(name).or_default();
            }
        }
        7 | 8 => {
            let name = vec![b'g', choices.below(3)];
            let id = pick(choices, model);
            let consumer_name = choices.below(4);
            let delivered_at_ms = i64::from(choices.below(5));
            let latest_ms = i64::from(choices.below(7)) - 1;
            let asks = choices.below(3) == 0;
            let ids = delivered.get_mut(&name);
            let edited = stream.edit_group(&name, |group, _| {
                let (consumer, _) = group.add_consumer(&[consumer_name], 5);
                group.set_pending(id, Pending { consumer, delivered_at_ms, deliveries: 1 });
                let ids = ids.expect("the model has the same groups");
                ids.insert(id, (consumer_name, delivered_at_ms));
                if asks {
                    let mut due: Vec<_> = ids.iter().map(|(id, (_, at))| (*at, *id)).collect();
                    due.retain(|(at, _)| *at <= latest_ms);
                    due.sort_unstable();
                    let mut any: Vec<_> = group.delivered_by_in_any_order(latest_ms).collect();
                    let from = due.get(due.len() / 2).copied().unwrap_or((0, StreamId::MIN));
                    let late = due.iter().copied().filter(|delivery| *delivery >= from);
                    assert!(group.delivered_by(from, latest_ms).eq(late));
                    let all = (i64::MIN, StreamId::MIN);
                    assert!(group.delivered_by(all, latest_ms).eq(due.iter().copied()));
                    any.sort_unstable();
                    due.sort_unstable_by_key(|(_, id)| *id);
                    assert!(any.iter().eq(due.iter().map(|(_, id)| id)));
                    assert!(group.delivered_by_in_any_order(latest_ms).count() == due.len());
                }
            });
            assert_eq!(edited.is_some(), delivered.contains_key(&name));
        }
        _ => {
            let name = vec![b'g', choices.below(3)];
            let id = pick(choices, model);
            let consumer_name = choices.below(4);
            let whole = choices.below(4) == 0;
            let Some(ids) = delivered.get_mut(&name) else { return };
            stream.edit_group(&name, |group, _| {
                if whole {
                    let expected = ids.values().filter(|(name, _)| *name == consumer_name).count();
                    assert_eq!(group.remove_consumer(&[consumer_name]).unwrap_or(0), expected);
                } else {
                    assert_eq!(group.acknowledge(id), ids.contains_key(&id));
                }
            });
            if whole {
                ids.retain(|_, (name, _)| *name != consumer_name);
            } else {
                ids.remove(&id);
            }
        }
    }
}

fn any_references(choices: &mut Choices<'_>) -> References {
    match choices.below(3) {
        0 => References::Keep,
        1 => References::Delete,
        _ => References::Acknowledged,
    }
}

/// Whether some group has yet to read the entry `id`, or has not acknowledged it.
fn is_needed(stream: &Stream, id: StreamId) -> bool {
    stream.groups().any(|(_, group)| group.last_id < id || group.pending(id).is_some())
}

/// An id that may be there.
fn pick(choices: &mut Choices<'_>, model: &BTreeMap<StreamId, Fields>) -> StreamId {
    let index = usize::from(choices.byte());
    match model.keys().nth(index % (model.len() + 1)) {
        Some(id) => *id,
        None => StreamId::new(choices.number(), choices.number()),
    }
}

fn check(
    stream: &Stream,
    model: &BTreeMap<StreamId, Fields>,
    delivered: &BTreeMap<Vec<u8>, Delivered>,
) {
    let log = stream.log();
    assert_eq!(log.len(), model.len() as u64);
    let all = || log.entries(StreamId::MIN, StreamId::MAX);
    let fields_of = |entry: &super::Entry<'_>| -> Fields {
        let text = |item| bytes_of(item, &mut IntegerText::new()).to_vec();
        entry.fields().map(|(field, value)| (text(field), text(value))).collect()
    };
    assert!(all().map(|entry| (entry.id(), fields_of(&entry))).eq(model.clone()));
    let reversed = log.entries_reversed(StreamId::MIN, StreamId::MAX).map(|entry| entry.id());
    assert!(reversed.eq(model.keys().rev().copied()));
    if let Some(middle) = model.keys().nth(model.len() / 2) {
        let upper = log.entries(*middle, StreamId::MAX).map(|entry| entry.id());
        assert!(upper.eq(model.range(middle..).map(|(id, _)| *id)));
        let lower = log.entries_reversed(StreamId::MIN, *middle).map(|entry| entry.id());
        assert!(lower.eq(model.range(..=middle).rev().map(|(id, _)| *id)));
        assert!(log.contains(*middle));
    }
    for (name, ids) in delivered {
        let group = stream.group(name).expect("the model has it");
        let pending = group.pending_in(StreamId::MIN..=StreamId::MAX).map(|(id, pending)| {
            let name = group.consumer(pending.consumer).name();
            (id, (name.first().copied().unwrap_or_default(), pending.delivered_at_ms))
        });
        assert!(pending.eq(ids.iter().map(|(id, held)| (*id, *held))));
    }
    assert_eq!(stream.groups().len(), delivered.len());
}
