//! The reply of COMMAND INFO for one command: its shape is Redis 7.0's, in either protocol.

use darter_command_table::key_spec::{Access, Begin, Find, KeySpec};
use darter_command_table::{Entry, Flags};
use darter_resp::ReplyWriter;

/// Writes what a command is.
pub(super) fn write(reply: &mut ReplyWriter<'_>, entry: &Entry) {
    let command = entry.command;
    let legacy = LegacyRange::of(command.keys);
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.integer(command.arity.signed());
    let mut flags = command.flags;
    if legacy.is_partial {
        flags = flags.and(Flags::MOVABLEKEYS);
    }
    write_names(reply, flags.names());
    reply.integer(legacy.first);
    reply.integer(legacy.last);
    reply.integer(legacy.step);
    let categories: Vec<String> =
        command.categories().names().map(|name| format!("@{name}")).collect();
    reply.set(categories.len());
    for category in &categories {
        reply.simple(category);
    }
    reply.set(command.tips.len());
    for tip in command.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(command.keys.len());
    for spec in command.keys {
        write_key_spec(reply, spec);
    }
    // Redis answers an empty set where there are none; Valkey, as here, an array in any case.
    reply.array(entry.subcommands.len());
    for subcommand in &entry.subcommands {
        write(reply, subcommand);
    }
}

/// Names as a set of simple strings.
pub(super) fn write_names(reply: &mut ReplyWriter<'_>, names: impl Iterator<Item = &'static str>) {
    let names: Vec<&str> = names.collect();
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

fn write_key_spec(reply: &mut ReplyWriter<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    write_names(reply, spec.access.names());
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_step(reply, "index", &[("index", signed(index))]),
        Begin::Keyword { word, from } => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(from.into());
        }
        Begin::Unknown => write_step(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let fields =
                [("lastkey", last.into()), ("keystep", signed(step)), ("limit", signed(limit))];
            write_step(reply, "range", &fields);
        }
        Find::Count { at, first, step } => {
            let fields =
                [("keynumidx", signed(at)), ("firstkey", signed(first)), ("keystep", signed(step))];
            write_step(reply, "keynum", &fields);
        }
        Find::Unknown => write_step(reply, "unknown", &[]),
    }
}

/// How a key-spec finds something: a type and its numbers.
fn write_step(reply: &mut ReplyWriter<'_>, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// First key, last key and step as they were published before key-specs: of the specs that are
/// plain ranges following each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LegacyRange {
    first: i64,
    last: i64,
    step: i64,
    /// Some keys are not in the range.
    is_partial: bool,
}

impl LegacyRange {
    fn of(keys: &[KeySpec]) -> Self {
        let none = Self { first: 0, last: 0, step: 0, is_partial: false };
        let range = |spec: &KeySpec| match (spec.begin, spec.find) {
            (Begin::Index(first), Find::Range { last, step, .. }) => {
                let last = i64::from(last);
                let last = if last < 0 { last } else { last + signed(first) };
                Some((signed(first), last, signed(step)))
            }
            _ => None,
        };
        if let [only] = keys
            && let Some((first, last, step)) = range(only)
        {
            return Self { first, last, step, is_partial: only.access.has(Access::INCOMPLETE) };
        }
        let mut legacy = none;
        for spec in keys {
            legacy.is_partial |= spec.access.has(Access::INCOMPLETE);
            match range(spec) {
                Some((first, last, 1)) if legacy.first == 0 || legacy.last == first - 1 => {
                    if legacy.first == 0 {
                        legacy.first = first;
                    }
                    legacy.last = last;
                    legacy.step = 1;
                }
                _ => legacy.is_partial = true,
            }
        }
        legacy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access = Access::READ_ONLY;

    fn legacy(keys: &[KeySpec]) -> (i64, i64, i64, bool) {
        let LegacyRange { first, last, step, is_partial } = LegacyRange::of(keys);
        (first, last, step, is_partial)
    }

    #[test]
    fn ranges_join_when_they_follow_each_other() {
        const COUNTED: KeySpec = KeySpec::counted(2, ACCESS);
        assert_eq!(legacy(&[]), (0, 0, 0, false));
        assert_eq!(legacy(&[KeySpec::at(1, ACCESS)]), (1, 1, 1, false));
        assert_eq!(legacy(&[KeySpec::range(1, -1, 2, ACCESS)]), (1, -1, 2, false));
        assert_eq!(legacy(&[KeySpec::at(1, ACCESS), KeySpec::at(2, ACCESS)]), (1, 2, 1, false));
        assert_eq!(
            legacy(&[KeySpec::at(1, ACCESS), KeySpec::range(2, -1, 1, ACCESS)]),
            (1, -1, 1, false)
        );
        assert_eq!(legacy(&[KeySpec::at(1, ACCESS), COUNTED]), (1, 1, 1, true));
        assert_eq!(legacy(&[COUNTED]), (0, 0, 0, true));
        assert_eq!(legacy(&[KeySpec::at(1, ACCESS), KeySpec::at(3, ACCESS)]), (1, 1, 1, true));
    }
}
