//! What makes the same data again, as commands: the base of a log with `aof-use-rdb-preamble no`.
//!
//! It is made of what shards write for any file, where it is written: they need not know of it. The commands are those
//! of Redis, and any of its versions since 7.0 reads them; fields with deadlines are given them by Redis 7.4 and Valkey 9.

use darter_base::float::format_f64_17;
use darter_base::number::{format_i64, format_u64};
use darter_rdb::file::{RawEntry, Reader, Record, push_header};
use darter_rdb::{HashField, Texts, Value, Version};
use darter_resp::request::encode_into;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::stream::{Group, Stream, StreamId};

/// Elements that one command adds, as in Redis.
const ELEMENTS_PER_COMMAND: usize = 64;

/// Turns entries into commands.
#[derive(Debug)]
pub(super) struct AsCommands {
    version: Version,
    /// What is not complete yet: a long value comes in parts.
    rdb: Vec<u8>,
}

impl AsCommands {
    /// Of entries in this version.
    pub(super) const fn new(version: Version) -> Self {
        Self { version, rdb: Vec::new() }
    }

    /// What `chunk` is as commands; nothing yet if it `goes_on`.
    ///
    /// # Errors
    /// When it is not what shards write, which says what is wrong.
    pub(super) fn convert(&mut self, chunk: &[u8], goes_on: bool) -> Result<Vec<u8>, String> {
        if self.rdb.is_empty() {
            push_header(&mut self.rdb, self.version);
        }
        self.rdb.extend_from_slice(chunk);
        if goes_on {
            return Ok(Vec::new());
        }
        let rdb = std::mem::take(&mut self.rdb);
        let mut commands = Vec::with_capacity(rdb.len() * 2);
        let mut reader = Reader::new(rdb.as_slice()).map_err(|error| error.to_string())?;
        while reader.offset() < rdb.len() as u64 {
            match reader.next_record().map_err(|error| error.to_string())? {
                Record::Database(index) => {
                    push(&mut commands, &[b"SELECT", format_u64(index).as_bytes()]);
                }
                Record::Function(code) => push(&mut commands, &[b"FUNCTION", b"LOAD", &code]),
                Record::Entry(entry) => push_entry(&mut commands, &entry)?,
                // What files say of themselves.
                _ => {}
            }
        }
        Ok(commands)
    }
}

fn push(out: &mut Vec<u8>, words: &[&[u8]]) {
    encode_into(out, words.len(), words.iter().copied());
}

/// As many commands as `words` need, each with `first` in front and at most [`ELEMENTS_PER_COMMAND`] elements of
/// `words_each` words.
fn push_in_turns<'w>(
    out: &mut Vec<u8>,
    first: [&'w [u8]; 2],
    words: &(impl ExactSizeIterator<Item = &'w [u8]> + Clone),
    words_each: usize,
) {
    let (len, per_command) = (words.len(), ELEMENTS_PER_COMMAND * words_each);
    for from in (0..len).step_by(per_command) {
        let part = words.clone().skip(from).take(per_command);
        encode_into(out, 2 + part.len(), first.into_iter().chain(part));
    }
}

fn push_entry(out: &mut Vec<u8>, entry: &RawEntry<'_>) -> Result<(), String> {
    let key = &*entry.key;
    match entry.value.decode().map_err(|error| error.to_string())? {
        None => return Ok(()),
        Some(Value::String(text)) => push(out, &[b"SET", key, &text]),
        Some(Value::List(texts)) => push_in_turns(out, [b"RPUSH", key], &texts.iter(), 1),
        Some(Value::Set(texts)) => push_in_turns(out, [b"SADD", key], &texts.iter(), 1),
        Some(Value::SortedSet(members, scores)) => push_sorted_set(out, key, &members, &scores),
        Some(Value::Hash(texts, deadlines)) => push_hash(out, key, &texts, &deadlines),
        Some(Value::Stream(stream)) => push_stream(out, key, &stream),
    }
    if let Some(deadline_ms) = entry.deadline_ms {
        push(out, &[b"PEXPIREAT", key, format_i64(deadline_ms).as_bytes()]);
    }
    Ok(())
}

fn push_sorted_set(out: &mut Vec<u8>, key: &[u8], members: &Texts, scores: &[f64]) {
    let mut words = Texts::new();
    for (member, score) in members.iter().zip(scores) {
        words.push(format_f64_17(*score).as_bytes());
        words.push(member);
    }
    push_in_turns(out, [b"ZADD", key], &words.iter(), 2);
}

fn push_hash(out: &mut Vec<u8>, key: &[u8], texts: &Texts, deadlines: &[HashField]) {
    push_in_turns(out, [b"HMSET", key], &texts.iter(), 2);
    for HashField { index, deadline_ms } in deadlines {
        let deadline = format_u64(*deadline_ms);
        let field = texts.get(2 * index).unwrap_or_default();
        push(out, &[b"HPEXPIREAT", key, deadline.as_bytes(), b"FIELDS", b"1", field]);
    }
}

fn push_stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let log = stream.log();
    for entry in log.entries(StreamId::MIN, StreamId::MAX) {
        let id = text_of(entry.id());
        let (mut words, mut text) = (Texts::new(), IntegerText::new());
        for (field, value) in entry.fields() {
            words.push(bytes_of(field, &mut text));
            words.push(bytes_of(value, &mut text));
        }
        let first = [b"XADD".as_slice(), key, id.as_bytes()];
        encode_into(out, 3 + words.len(), first.into_iter().chain(words.iter()));
    }
    let last_id = text_of(log.last_id());
    if log.is_empty() {
        // It comes to be with an entry that does not stay. 0-0 is no id of one.
        let id = text_of(log.last_id().max(StreamId::new(0, 1)));
        push(out, &[b"XADD", key, b"MAXLEN", b"0", id.as_bytes(), b"x", b"y"]);
    }
    let added = format_u64(log.entries_added());
    let deleted = text_of(log.max_deleted_id());
    let (last_id, deleted) = (last_id.as_bytes(), deleted.as_bytes());
    push(
        out,
        &[b"XSETID", key, last_id, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted],
    );
    for (name, group) in stream.groups() {
        push_group(out, key, name, group);
    }
}

fn push_group(out: &mut Vec<u8>, key: &[u8], name: &[u8], group: &Group) {
    let last_id = text_of(group.last_id);
    let read = format_i64(group.entries_read.map_or(-1, u64::cast_signed));
    let words = [b"XGROUP", b"CREATE".as_slice(), key, name, last_id.as_bytes(), b"ENTRIESREAD"];
    encode_into(out, 7, words.into_iter().chain([read.as_bytes()]));
    for consumer in group.holders() {
        // Nobody is none that could be made; what is pending with it names it.
        if group.consumer_number(consumer.name()).is_some() {
            push(out, &[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
        }
        for id in consumer.pending_in(StreamId::MIN..=StreamId::MAX) {
            let Some(pending) = group.pending(id) else { continue };
            let (at, count) = (format_i64(pending.delivered_at_ms), format_u64(pending.deliveries));
            let id = text_of(id);
            let first = [b"XCLAIM", key, name, consumer.name(), b"0", id.as_bytes(), b"TIME"];
            let rest = [at.as_bytes(), b"RETRYCOUNT", count.as_bytes(), b"JUSTID", b"FORCE"];
            encode_into(out, 12, first.into_iter().chain(rest));
        }
    }
}

fn text_of(StreamId { ms, seq }: StreamId) -> String {
    format!("{ms}-{seq}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_base::UnixMillis;
    use darter_rdb::Compressor;
    use darter_rdb::file::{Entry, Hint, push_aux, push_entry as push_rdb, push_select};
    use darter_value::ValueRef;

    #[test]
    fn parts_are_put_together() {
        let mut rdb = Vec::new();
        push_aux(&mut rdb, b"name", b"value");
        push_select(&mut rdb, 3);
        let value = ValueRef::Bytes(b"a long value");
        let entry = Entry { key: b"key", value, deadline_ms: Some(7), hint: Hint::IdleSeconds(1) };
        push_rdb(&mut rdb, &entry, &mut Compressor::off(), UnixMillis(0)).unwrap();
        let mut commands = AsCommands::new(Version::REDIS_7_0);
        for round in [1, rdb.len() / 2, rdb.len() - 1] {
            assert_eq!(commands.convert(&rdb[..round], true), Ok(Vec::new()));
            let all = commands.convert(&rdb[round..], false).unwrap();
            let text = String::from_utf8(all).unwrap();
            let words: Vec<_> = text.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
            let expected = ["SELECT", "3", "SET", "key", "a long value", "PEXPIREAT", "key", "7"];
            assert_eq!(words, expected);
        }
        assert!(commands.convert(b"\x00garbage", false).is_err());
    }

    #[test]
    fn an_empty_stream_keeps_what_it_remembers() {
        let mut out = Vec::new();
        let mut stream = Stream::default();
        stream.log_mut().set_counters(StreamId::new(5, 1), 9, StreamId::new(4, 0));
        push_stream(&mut out, b"s", &stream);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<_> = text.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        let expected = "XADD s MAXLEN 0 5-1 x y XSETID s 5-1 ENTRIESADDED 9 MAXDELETEDID 4-0";
        assert_eq!(words.join(" "), expected);
    }
}
