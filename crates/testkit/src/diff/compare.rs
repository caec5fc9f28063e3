//! What replies of two servers may differ in.

use super::contents::{same_encoding, sorted_pairs};
use crate::Value;
use crate::request::Command;

/// How far apart two times may be, in milliseconds: the servers get a command one after the other.
pub const TOLERANCE_MS: i64 = 3_000;

/// A time so distant that it may be the last one Darter can keep, in milliseconds.
const DISTANT_MS: i64 = 1 << 47;

/// A difference that is meant. See the transcript of the command for the reason.
struct Intended {
    command: &'static str,
    allows: fn(reference: &Value, subject: &Value) -> bool,
}

/// Differences from Redis 7.0.
const INTENDED: &[Intended] = &[
    // A wrong time is an error before the key is looked at, as in Valkey 9.
    Intended {
        command: "GETEX",
        allows: |reference, subject| {
            (reference.is_null() || reference.is_error()) && subject.is_error()
        },
    },
    // A command without arguments is accepted, and then has something else wrong.
    Intended {
        command: "COMMAND",
        allows: |reference, subject| reference.is_error() && subject.is_error(),
    },
    // Stricter cursors; options of later versions have errors of their own.
    Intended {
        command: "SCAN",
        allows: |reference, subject| reference.is_error() || subject.is_error(),
    },
    // A wrong position is an error before the key is looked at, as in Valkey 9.
    Intended { command: "BITCOUNT", allows: is_missing_or_wrong },
    // The end of a range may be left out.
    Intended { command: "BITCOUNT", allows: |reference, _| reference.is_error() },
    Intended { command: "BITPOS", allows: is_missing_or_wrong },
    // One more argument is possible.
    Intended {
        command: "ZRANK",
        allows: |reference, subject| reference.is_error() && subject.is_error(),
    },
    Intended {
        command: "ZREVRANK",
        allows: |reference, subject| reference.is_error() && subject.is_error(),
    },
    // Circles over the date line are searched on both of its sides.
    Intended { command: "GEOSEARCH", allows: finds_no_less },
    Intended { command: "GEORADIUS", allows: finds_no_less },
    Intended { command: "GEORADIUS_RO", allows: finds_no_less },
    Intended { command: "GEORADIUSBYMEMBER", allows: finds_no_less },
    Intended { command: "GEORADIUSBYMEMBER_RO", allows: finds_no_less },
    // A member that is not there is named, as in Valkey 9.
    Intended { command: "GEOSEARCH", allows: lack_the_same_member },
    Intended { command: "GEOSEARCHSTORE", allows: lack_the_same_member },
    Intended { command: "GEORADIUSBYMEMBER", allows: lack_the_same_member },
    Intended { command: "GEORADIUSBYMEMBER_RO", allows: lack_the_same_member },
    // The text is that of Redis 7.2 and Valkey.
    Intended { command: "XREAD", allows: are_both_unbalanced },
    Intended { command: "XREADGROUP", allows: are_both_unbalanced },
    // A damaged one is not decoded.
    Intended {
        command: "PFDEBUG",
        allows: |_, subject| is_error(subject, b"INVALIDOBJ Corrupted HLL object detected"),
    },
    // Stops for nothing in a transaction.
    Intended { command: "MIGRATE", allows: is_refused_in_transaction },
    Intended {
        command: "HSCAN",
        allows: |reference, subject| reference.is_error() || subject.is_error(),
    },
    Intended {
        command: "SSCAN",
        allows: |reference, subject| reference.is_error() || subject.is_error(),
    },
    Intended {
        command: "ZSCAN",
        allows: |reference, subject| reference.is_error() || subject.is_error(),
    },
];

/// The reference has found no key, or something else to be wrong.
fn is_missing_or_wrong(reference: &Value, subject: &Value) -> bool {
    let is_missing = matches!(reference.integer(), Some(0 | -1));
    (is_missing || reference.is_error()) && subject.is_error()
}

/// What the reference has found is among what the subject has.
fn finds_no_less(reference: &Value, subject: &Value) -> bool {
    reference.elements().zip(subject.elements()).is_some_and(|(reference, subject)| {
        reference.len() < subject.len() && reference.iter().all(|found| subject.contains(found))
    })
}

fn lack_the_same_member(reference: &Value, subject: &Value) -> bool {
    let is_named =
        |text: &[u8]| text.starts_with(b"ERR member ") && text.ends_with(b" does not exist");
    is_error(reference, b"ERR could not decode requested zset member")
        && matches!(subject, Value::Error(text) if is_named(text))
}

fn is_refused_in_transaction(reference: &Value, subject: &Value) -> bool {
    const REFUSAL: &[u8] = b"ERR MIGRATE is not possible in a transaction or a script";
    is_error(subject, REFUSAL)
        && matches!(reference, Value::Error(text) if text.starts_with(b"IOERR"))
}

fn are_both_unbalanced(reference: &Value, subject: &Value) -> bool {
    let is_unbalanced =
        |value: &Value| matches!(value, Value::Error(text) if text.starts_with(b"ERR Unbalanced"));
    is_unbalanced(reference) && is_unbalanced(subject)
}

/// Whether the reply to `command` is as good as the reference's.
pub fn equivalent(command: &Command, reference: &Value, subject: &Value) -> bool {
    if reference == subject {
        return true;
    }
    let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    let intended = |it: &Intended| it.command == name && (it.allows)(reference, subject);
    if INTENDED.iter().any(intended) {
        return true;
    }
    // A time that does not fit says so, as in Redis 7.2 and Valkey, where it was negative before.
    if is_error(reference, b"ERR timeout is negative")
        && is_error(subject, b"ERR timeout is out of range")
    {
        return true;
    }
    // Scores have the fewest digits that tell them from others, as in Redis 8 and Valkey.
    if (name.starts_with('Z') || name.starts_with("BZ")) && same_but_for_numbers(reference, subject)
    {
        return true;
    }
    match &*name {
        "TTL" | "EXPIRETIME" => near(reference, subject, TOLERANCE_MS / 1_000),
        "PTTL" | "PEXPIRETIME" => near(reference, subject, TOLERANCE_MS),
        "KEYS" | "HKEYS" | "HVALS" | "SMEMBERS" | "SPOP" | "SINTER" | "SUNION" | "SDIFF" => {
            same_elements(reference, subject)
        }
        // A set in its natural order, and texts that C ends at a NUL.
        "SORT" | "SORT_RO" if is_unordered_sort(command) => {
            same_elements(reference, subject) || same_until_nul(reference, subject)
        }
        // Each server writes the forms it has; what is in them is compared with the contents.
        "DUMP" => {
            reference.text().is_some() && subject.text().is_some()
                || reference.is_null() && subject.is_null()
        }
        "XPENDING" => without_idle(reference).is_some_and(|it| Some(it) == without_idle(subject)),
        "HGETALL" => sorted_pairs(reference) == sorted_pairs(subject),
        // Which ones is each server's own.
        "HRANDFIELD" | "SRANDMEMBER" | "ZRANDMEMBER" => {
            match (reference.elements(), subject.elements()) {
                (Some(reference), Some(subject)) => reference.len() == subject.len(),
                _ => reference.text().is_some() && subject.text().is_some(),
            }
        }
        "SSCAN" => match (reference.elements(), subject.elements()) {
            (Some([_, reference]), Some([_, subject])) => {
                !is_whole_scan(command, 2) || same_elements(reference, subject)
            }
            _ => false,
        },
        "HSCAN" | "ZSCAN" => match (reference.elements(), subject.elements()) {
            (Some([_, reference]), Some([_, subject])) => {
                let [reference, subject] = [reference, subject].map(sorted_pairs);
                !is_whole_scan(command, 2) || same_but_for_numbers(&reference, &subject)
            }
            _ => false,
        },
        // Texts for people.
        "OBJECT" | "XGROUP" | "XINFO" if is_subcommand(command, "HELP") => {
            reference.elements().is_some() && subject.elements().is_some()
        }
        "OBJECT" if is_subcommand(command, "ENCODING") => same_encoding(reference, subject),
        "SCAN" => match (reference.elements(), subject.elements()) {
            // A page of a scan is each server's own.
            (Some([_, _]), Some([_, _])) if !is_whole_scan(command, 1) => true,
            (Some([cursor, keys]), Some([other_cursor, other_keys])) => {
                cursor == other_cursor && same_elements(keys, other_keys)
            }
            _ => false,
        },
        // Which key, and sizes and ages, are each server's own; sharing of small integers is Redis's.
        "RANDOMKEY" | "MEMORY" | "OBJECT" => {
            let loose = ["IDLETIME", "REFCOUNT"].iter().any(|it| is_subcommand(command, it));
            !reference.is_error()
                && std::mem::discriminant(reference) == std::mem::discriminant(subject)
                && (name != "OBJECT" || loose)
        }
        // Since Redis 7.2 a consumer comes into being even when it gets nothing.
        "XGROUP" if is_subcommand(command, "CREATECONSUMER") => {
            (reference.integer(), subject.integer()) == (Some(1), Some(0))
        }
        "XINFO" if is_subcommand(command, "GROUPS") => same_groups(reference, subject),
        // Which of those equally far away come first, or at all, is each server's own.
        _ if name.starts_with("GEO") => same_distances(reference, subject),
        "HELLO" => !reference.is_error() && !subject.is_error(),
        _ => false,
    }
}

fn is_error(reply: &Value, expected: &[u8]) -> bool {
    matches!(reply, Value::Error(text) if text == expected)
}

fn is_subcommand(command: &Command, name: &str) -> bool {
    command.get(1).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

fn is_unordered_sort(command: &Command) -> bool {
    // A pattern without a star sorts nothing.
    let is_constant =
        |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"BY") && !pair[1].contains(&b'*');
    command.iter().any(|word| word.eq_ignore_ascii_case(b"ALPHA"))
        || command.windows(2).any(is_constant)
}

/// Whether a scan, whose cursor is argument `cursor_at`, begins at the beginning and asks for more than
/// there can be.
fn is_whole_scan(command: &Command, cursor_at: usize) -> bool {
    let count = |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"COUNT") && pair[1] == b"1000000";
    command.get(cursor_at).is_some_and(|cursor| cursor == b"0") && command.windows(2).any(count)
}

fn near(reference: &Value, subject: &Value, tolerance: i64) -> bool {
    match (reference.integer(), subject.integer()) {
        // Beyond the year 6400 deadlines differ, for Darter's end in 10889.
        (Some(a), Some(b)) if a.min(b) > DISTANT_MS / (TOLERANCE_MS / tolerance) => true,
        (Some(a), Some(b)) => a > 0 && b > 0 && a.abs_diff(b) <= tolerance.unsigned_abs(),
        _ => false,
    }
}

/// Entries without the time since they were delivered.
fn without_idle<'a>(entries: &'a Value) -> Option<Vec<[&'a Value; 3]>> {
    let parts = |entry: &'a Value| match entry.elements()? {
        [id, consumer, idle, count] if idle.integer().is_some() => Some([id, consumer, count]),
        _ => None,
    };
    entries.elements()?.iter().map(parts).collect()
}

/// Groups alike but for what is as in later versions: a consumer comes into being even when it gets nothing; how
/// far a group lags behind is not known if it may be before an entry that was deleted; and entries that were
/// trimmed in front of it count as read when it goes on behind them.
fn same_groups(reference: &Value, subject: &Value) -> bool {
    let same_group = |(reference, subject): (&Value, &Value)| {
        let Some((reference, subject)) = fields(reference).zip(fields(subject)) else {
            return false;
        };
        let has_same_total = total(&reference).is_some_and(|it| Some(it) == total(&subject));
        let same_field = |(reference, subject): (&(Value, Value), &(Value, Value))| {
            let may_differ = match reference.0.text() {
                Some(b"consumers") => true,
                Some(b"lag") => {
                    has_same_total || subject.1.is_null() && reference.1.integer().is_some()
                }
                Some(b"entries-read") => has_same_total,
                _ => false,
            };
            reference.0 == subject.0 && (reference.1 == subject.1 || may_differ)
        };
        reference.len() == subject.len() && reference.iter().zip(&subject).all(same_field)
    };
    reference.elements().zip(subject.elements()).is_some_and(|(reference, subject)| {
        reference.len() == subject.len() && reference.iter().zip(subject).all(same_group)
    })
}

/// Entries a group has read and those it has not.
fn total(group: &[(Value, Value)]) -> Option<i64> {
    let number = |name: &[u8]| group.iter().find(|it| it.0.text() == Some(name))?.1.integer();
    Some(number(b"entries-read")? + number(b"lag")?)
}

/// Names and values, of a map or of an array that stands for one.
fn fields(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(pairs) => Some(pairs.clone()),
        Value::Array(words) => {
            Some(words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        _ => None,
    }
}

/// Members that may be others, but of which the same is said: how far away they are, or where.
fn same_distances(reference: &Value, subject: &Value) -> bool {
    let said =
        |place: &Value| Some(place.elements()?.get(1..)?.to_vec()).filter(|it| !it.is_empty());
    let all_said =
        |places: &Value| -> Option<Vec<_>> { places.elements()?.iter().map(said).collect() };
    all_said(reference).is_some_and(|it| Some(it) == all_said(subject))
}

/// Whether the elements, one by one, are the same texts to C.
fn same_until_nul(reference: &Value, subject: &Value) -> bool {
    let until_nul = |value: &Value| {
        let text = value.text()?;
        Some(text.split(|&byte| byte == 0).next()?.to_vec())
    };
    reference.elements().zip(subject.elements()).is_some_and(|(reference, subject)| {
        reference.len() == subject.len()
            && reference
                .iter()
                .zip(subject)
                .all(|(a, b)| a == b || until_nul(a).is_some_and(|it| Some(it) == until_nul(b)))
    })
}

/// Whether the two are the same if numbers are compared as such.
pub(super) fn same_but_for_numbers(reference: &Value, subject: &Value) -> bool {
    if let (Some(reference), Some(subject)) = (reference.elements(), subject.elements()) {
        return reference.len() == subject.len()
            && reference.iter().zip(subject).all(|(a, b)| same_but_for_numbers(a, b));
    }
    let number = |value: &Value| {
        let text = if let Value::Double(text) = value { text } else { value.text()? };
        str::from_utf8(text).ok()?.parse::<f64>().ok()
    };
    let same_kind = std::mem::discriminant(reference) == std::mem::discriminant(subject);
    reference == subject
        || same_kind && number(reference).is_some_and(|it| Some(it) == number(subject))
}

fn same_elements(reference: &Value, subject: &Value) -> bool {
    let sorted = |value: &Value| {
        let mut texts: Option<Vec<Vec<u8>>> =
            value.elements()?.iter().map(|item| Some(item.text()?.to_vec())).collect();
        if let Some(texts) = &mut texts {
            texts.sort();
        }
        texts
    };
    sorted(reference).is_some() && sorted(reference) == sorted(subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::words;

    #[test]
    fn only_what_may_differ_may_differ() {
        let bulk = |text: &str| Value::Bulk(text.into());
        let integer = Value::Integer;
        let array = |texts: &[&str]| Value::Array(texts.iter().map(|text| bulk(text)).collect());
        let error = Value::Error(b"ERR".to_vec());
        let place = |name: &str, far: &str| Value::Array(vec![array(&[name, far])]);
        let group = |lag: Value, consumers| {
            let words = vec![bulk("consumers"), integer(consumers), bulk("lag"), lag];
            Value::Array(vec![Value::Array(words)])
        };
        for (command, reference, subject, expected) in [
            ("GET k", bulk("a"), bulk("a"), true),
            ("GET k", bulk("a"), bulk("b"), false),
            ("GET k", bulk("1"), integer(1), false),
            ("TTL k", integer(100), integer(99), true),
            ("TTL k", integer(100), integer(90), false),
            ("TTL k", integer(1), integer(-1), false),
            ("pttl k", integer(100_000), integer(99_000), true),
            ("KEYS *", array(&["a", "b"]), array(&["b", "a"]), true),
            ("KEYS *", array(&["a", "b"]), array(&["b", "b"]), false),
            ("MGET a b", array(&["a", "b"]), array(&["b", "a"]), false),
            ("RANDOMKEY", bulk("a"), bulk("b"), true),
            ("RANDOMKEY", bulk("a"), Value::NullBulk, false),
            ("SCAN 0 COUNT 1000000", array(&["0", "a"]), array(&["1", "a"]), false),
            ("SCAN 0", array(&["0", "a"]), array(&["1", "a"]), true),
            ("SCAN 7 COUNT 1000000", array(&["0", "a"]), array(&["1", "a"]), true),
            ("OBJECT IDLETIME k", integer(0), integer(1), true),
            ("OBJECT ENCODING k", bulk("raw"), bulk("int"), false),
            ("ZSCORE k m", bulk("1.2000000000000001e+18"), bulk("1200000000000000100"), true),
            ("ZSCORE k m", bulk("1.2000000000000001e+18"), bulk("1200000000000000300"), false),
            ("ZRANGE k 0 -1", array(&["a", "0.10000000000000001"]), array(&["a", "0.1"]), true),
            ("ZRANGE k 0 -1", array(&["a", "0.1"]), array(&["b", "0.1"]), false),
            ("SORT k ALPHA LIMIT 0 1", array(&["\0b"]), array(&[""]), true),
            ("SORT k ALPHA LIMIT 0 1", array(&["b"]), array(&[""]), false),
            ("SORT k LIMIT 0 1", array(&["\0b"]), array(&[""]), false),
            ("XINFO GROUPS k", group(integer(1), 0), group(Value::NullBulk, 1), true),
            ("XINFO GROUPS k", group(Value::NullBulk, 0), group(integer(1), 0), false),
            ("XINFO GROUPS k", group(integer(1), 0), group(integer(2), 0), false),
            ("GEOSEARCH k", place("a", "1.5"), place("b", "1.5"), true),
            ("GEOSEARCH k", place("a", "1.5"), place("a", "1.6"), false),
            ("GEOSEARCH k", array(&["a"]), array(&["b"]), false),
            ("GETEX k EX 0", Value::NullBulk, error.clone(), true),
            ("GETEX k EX 0", bulk("a"), error, false),
        ] {
            let command = words(command);
            assert_eq!(equivalent(&command, &reference, &subject), expected, "{command:?}");
        }
    }
}
