//! Everything a server holds, for comparison.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::compare::{TOLERANCE_MS, same_but_for_numbers};
use crate::request::words;
use crate::transcript::notation::render;
use crate::{Client, ClientError, Value};

/// Databases looked at.
const DATABASES: usize = 16;

/// What is known of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Value,
    pub value: Value,
    /// Milliseconds since 1970, or -1.
    pub expires_at: i64,
    pub encoding: Value,
    /// What DEBUG DIGEST-VALUE makes of it.
    pub digest: Value,
    /// Of a stream, its groups, and what is pending in each.
    pub groups: Vec<Value>,
}

impl Entry {
    fn is_hash(&self) -> bool {
        self.kind.text() == Some(b"hash")
    }

    fn matches(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.has_same_value(other)
            && self.groups == other.groups
            && (same_encoding(&self.encoding, &other.encoding) && !self.is_hash()
                || self.encoding == other.encoding)
            && (self.expires_at == -1) == (other.expires_at == -1)
            && latest(self.expires_at).abs_diff(latest(other.expires_at))
                <= TOLERANCE_MS.unsigned_abs()
    }

    /// Scores may be printed in two ways, in digests as well; then they are equal as numbers.
    fn has_same_value(&self, other: &Self) -> bool {
        let is_sorted_set = self.kind.text() == Some(b"zset");
        if self.value == other.value {
            self.digest == other.digest
        } else {
            is_sorted_set && same_but_for_numbers(&self.value, &other.value)
        }
    }
}

/// Darter's deadlines end in the year 10889: a later one becomes that (`docs/compatibility.md`).
fn latest(expires_at: i64) -> i64 {
    expires_at.min((1 << 48) - 1)
}

/// Entries by database and key.
pub type Contents = BTreeMap<(usize, Vec<u8>), Entry>;

/// Reads everything.
pub fn read(address: SocketAddr) -> Result<Contents, ClientError> {
    let mut client = Client::connect(address).map_err(ClientError::Io)?;
    let mut contents = Contents::new();
    for database in 0..DATABASES {
        client.call(&words(&format!("SELECT {database}")))?;
        let keys = client.call(&["KEYS", "*"])?;
        for key in keys.elements().unwrap_or_default().iter().filter_map(Value::text) {
            let entry = read_key(&mut client, key)?;
            contents.insert((database, key.to_vec()), entry);
        }
    }
    Ok(contents)
}

fn read_key(client: &mut Client, key: &[u8]) -> Result<Entry, ClientError> {
    let kind = client.call(&[b"TYPE", key])?;
    let is_stream = kind.text() == Some(b"stream");
    let value = match kind.text() {
        Some(b"list") => client.call(&[&b"LRANGE"[..], key, b"0", b"-1"])?,
        Some(b"stream") => client.call(&[&b"XRANGE"[..], key, b"-", b"+"])?,
        Some(b"set") => sorted_elements(&client.call(&[b"SMEMBERS", key])?),
        Some(b"zset") => client.call(&[&b"ZRANGE"[..], key, b"0", b"-1", b"WITHSCORES"])?,
        Some(b"hash") => sorted_pairs(&client.call(&[b"HGETALL", key])?),
        _ => client.call(&[b"GET", key])?,
    };
    Ok(Entry {
        kind,
        value,
        expires_at: client.call(&[b"PEXPIRETIME", key])?.integer().unwrap_or(0),
        encoding: client.call(&[&b"OBJECT"[..], b"ENCODING", key])?,
        digest: client.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", key])?,
        groups: if is_stream { read_groups(client, key)? } else { Vec::new() },
    })
}

fn read_groups(client: &mut Client, key: &[u8]) -> Result<Vec<Value>, ClientError> {
    let groups = client.call(&[&b"XINFO"[..], b"GROUPS", key])?;
    let mut read = Vec::new();
    for group in groups.elements().unwrap_or_default() {
        let name = group.elements().and_then(|it| it.get(1)?.text()).unwrap_or_default();
        read.push(client.call(&[&b"XPENDING"[..], key, name])?);
        read.push(without_consumers(group));
    }
    Ok(read)
}

/// A group without its number of consumers: since Redis 7.2 one comes into being even when it gets nothing.
fn without_consumers(group: &Value) -> Value {
    let is_compared = |pair: &&[Value]| {
        matches!(pair[0].text(), Some(b"name" | b"pending" | b"last-delivered-id"))
    };
    let pairs = group.elements().unwrap_or_default().chunks_exact(2);
    Value::Array(pairs.filter(is_compared).flatten().cloned().collect())
}

/// Whether two encodings are those of equal values. Redis 7.0 has only one for lists, and none for small sets
/// that are not of integers; SORT makes a big form of a small sorted set there, and SDIFFSTORE of a set of integers
/// from which it has taken what was none.
pub(super) fn same_encoding(reference: &Value, subject: &Value) -> bool {
    let is_older = matches!(reference.text(), Some(b"quicklist" | b"hashtable" | b"skiplist"));
    let is_hashtable = reference.text() == Some(b"hashtable");
    reference == subject
        || (is_older && subject.text() == Some(b"listpack"))
        || (is_hashtable && subject.text() == Some(b"intset"))
}

/// Elements in the order of their bytes, for those whose order is each server's own.
fn sorted_elements(value: &Value) -> Value {
    let Some(elements) = value.elements() else { return value.clone() };
    let mut elements = elements.to_vec();
    elements.sort_by(|one, other| one.text().cmp(&other.text()));
    Value::Array(elements)
}

/// Fields with their values in the order of the fields, which is each server's own.
pub(super) fn sorted_pairs(pairs: &Value) -> Value {
    match pairs {
        Value::Map(pairs) => {
            let mut pairs = pairs.clone();
            pairs.sort_by(|one, other| one.0.text().cmp(&other.0.text()));
            Value::Map(pairs)
        }
        Value::Array(elements) => {
            let mut pairs: Vec<&[Value]> = elements.chunks(2).collect();
            pairs.sort_by_key(|pair| pair.first().and_then(Value::text));
            Value::Array(pairs.concat())
        }
        other => other.clone(),
    }
}

/// The first key the two servers do not agree about, with what each says.
pub fn first_difference(reference: &Contents, subject: &Contents) -> Option<String> {
    let describe = |entry: Option<&Entry>| match entry {
        Some(Entry { kind, value, expires_at, encoding, digest, groups }) => {
            let [kind, value, encoding, digest] = [kind, value, encoding, digest].map(render);
            let groups = groups.iter().map(render).collect::<Vec<_>>().join(" ");
            format!(
                "{kind} {value}, expires at {expires_at}, encoding {encoding}, digest {digest} {groups}"
            )
        }
        None => "no such key".to_owned(),
    };
    let keys = reference.keys().chain(subject.keys());
    for place @ (database, key) in keys {
        let (expected, found) = (reference.get(place), subject.get(place));
        let same = match (expected, found) {
            (Some(expected), Some(found)) => expected.matches(found),
            _ => false,
        };
        if !same {
            return Some(format!(
                "database {database}, key \"{}\":\n  reference  {}\n  subject    {}",
                key.escape_ascii(),
                describe(expected),
                describe(found)
            ));
        }
    }
    None
}
