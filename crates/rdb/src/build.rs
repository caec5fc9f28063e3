//! From what was read to what a keyspace holds.

use darter_base::UnixMillis;
use darter_value::hash::{FieldExpiry, HashGrowth};
use darter_value::{
    Collection as _, Deadline, End, Hash, LargeString, List, Object, Rules, Set, SortedSet, packing,
};

use crate::decode::{HashField, Value};
use crate::texts::Texts;

/// What a key is to be set to.
#[derive(Clone, Debug)]
pub enum Built {
    /// A string that is short enough for the keyspace's blocks; it may be the text of an integer.
    Text(Vec<u8>),
    /// Anything else.
    Object(Object),
    /// Nothing: every field of the hash has expired.
    Nothing,
}

/// Makes a value of the keyspace out of one that was read, each collection in the form that `rules` ask for
/// and hashes without the fields that have expired at `now`. Fit for any thread.
pub fn build(value: Value, rules: Rules<'_>, now: UnixMillis) -> Built {
    Built::Object(match value {
        Value::String(text) => return text_of(text),
        Value::List(texts) => list_of(&texts, rules).into_object(),
        Value::Set(texts) => set_of(&texts, rules).into_object(),
        Value::SortedSet(members, scores) => sorted_set_of(&members, &scores, rules).into_object(),
        Value::Hash(texts, deadlines) => {
            let hash = hash_of(&texts, &deadlines, rules, now);
            if hash.is_empty() {
                return Built::Nothing;
            }
            hash.into_object()
        }
        Value::Stream(stream) => Object::Stream(stream),
    })
}

/// A string in the form for its length.
pub(crate) fn text_of(text: Vec<u8>) -> Built {
    if text.len() <= LargeString::BYTES_MIN {
        return Built::Text(text);
    }
    Built::Object(Object::Large(LargeString::new(text)))
}

fn list_of(texts: &Texts, rules: Rules<'_>) -> List {
    let limit = rules.limits.list;
    let mut list = List::default();
    for text in texts.iter() {
        list.prepare(text.len(), 1, limit);
        list.push(End::Back, text, limit);
    }
    list
}

fn set_of(texts: &Texts, rules: Rules<'_>) -> Set {
    let mut set = Set::default();
    set.expect(texts.get(0).unwrap_or_default(), texts.len(), rules);
    for text in texts.iter() {
        set.add(packing::item_of(text), rules);
    }
    set
}

fn sorted_set_of(members: &Texts, scores: &[f64], rules: Rules<'_>) -> SortedSet {
    let mut set = SortedSet::default();
    let longest = members.iter().map(<[u8]>::len).max().unwrap_or(0);
    set.expect(members.len(), longest, rules);
    for (member, score) in members.iter().zip(scores) {
        set.set(member, *score, rules);
    }
    set
}

fn hash_of(texts: &Texts, deadlines: &[HashField], rules: Rules<'_>, now: UnixMillis) -> Hash {
    let growth = HashGrowth { limits: rules.limits.hash, hasher: rules.hasher };
    let mut hash = Hash::default();
    hash.prepare(texts.iter(), growth);
    let mut expiring = deadlines.iter().peekable();
    let mut words = texts.iter();
    let mut index = 0;
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        let expiry = expiring
            .next_if(|next| next.index == index)
            .map_or(Some(FieldExpiry::Clear), |own| expiry_until(own.deadline_ms, now));
        if let Some(expiry) = expiry {
            hash.set(field, value, expiry, now.0, growth);
        }
        index += 1;
    }
    hash
}

/// How a field is set that expires at `deadline_ms`; `None` if it has expired.
pub(crate) fn expiry_until(deadline_ms: u64, now: UnixMillis) -> Option<FieldExpiry> {
    let millis = i64::try_from(deadline_ms).unwrap_or(i64::MAX);
    // One that is later than can be noted is the latest that can.
    let deadline = Deadline::new(millis).unwrap_or(Deadline::MAX);
    (millis > now.0).then_some(FieldExpiry::At(deadline))
}
