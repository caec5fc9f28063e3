//! Values of several words that have a form of their own, and texts that must pass a check.
//!
//! Each function brings the words into the one form that `CONFIG GET` shows. A single empty word
//! stands for no words at all.

use crate::config::settings::{OutputLimit, OutputLimits, SavePoint, ShutdownRequest};
use crate::saving::automatic::AtTheEnd;
use crate::saving::schedule::Schedule;
use darter_base::number::parse_i64;
use darter_shard::Interest;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// The words, or none when there is only an empty one.
fn given<'w, 'a>(words: &'w [&'a [u8]]) -> &'w [&'a [u8]] {
    if let [only] = words
        && only.is_empty()
    {
        return &[];
    }
    words
}

fn joined(words: &[&[u8]]) -> Vec<u8> {
    words.join(&b' ')
}

/// `save`: pairs of seconds and changes.
pub(super) fn save(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let words = given(words);
    SavePoint::parse_all(words).ok_or("Invalid save parameters")?;
    Ok(joined(words))
}

/// `snapshot-cron`: five fields, or nothing.
pub(super) fn schedule(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let text = joined(given(words));
    if text.is_empty() || Schedule::parse(&text).is_some() {
        Ok(text)
    } else {
        Err("Invalid schedule: minute, hour, day of month, month and day of week, as in crontab"
            .into())
    }
}

/// `client-output-buffer-limit`: quadruples of class, hard limit, soft limit and seconds. Classes
/// not named keep what they have.
pub(super) fn output_limits(words: &[&[u8]], present: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut limits = match present {
        Some(text) => {
            let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
            let mut limits = OutputLimits::default();
            limits.change(&words)?;
            limits
        }
        None => OutputLimits::default(),
    };
    limits.change(given(words))?;
    Ok(limits.to_string().into_bytes())
}

/// The same limits, class by class, as Redis writes them into a file.
pub(super) fn output_limit_lines(value: &[u8]) -> Vec<String> {
    let limits = OutputLimits::of_text(value);
    let classes =
        [("normal", limits.normal), ("replica", limits.replica), ("pubsub", limits.pubsub)];
    let line = |(class, limit): (&str, OutputLimit)| {
        let (hard, soft) = (with_unit(limit.hard_bytes), with_unit(limit.soft_bytes));
        format!("{class} {hard} {soft} {}", limit.soft_seconds)
    };
    classes.into_iter().map(line).collect()
}

/// Bytes in the largest unit that leaves no rest.
pub(super) fn with_unit(bytes: u64) -> String {
    let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    match units.into_iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// `oom-score-adj-values`: three scores.
pub(super) fn oom_scores(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    if words.len() != 3 {
        return Err("wrong number of arguments".to_owned());
    }
    let in_range = |word: &&[u8]| parse_i64(word).is_some_and(|score| score.abs() <= 2000);
    if !words.iter().all(in_range) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    Ok(joined(words))
}

/// The first of those scores, that of a primary; 0 for what is none.
pub(super) fn oom_score_of_primary(value: &[u8]) -> i32 {
    let first = value.split(|byte| *byte == b' ').next().and_then(parse_i64);
    first.and_then(|score| i32::try_from(score).ok()).unwrap_or(0)
}

/// `locale-collate`: texts are compared byte by byte, which these names stand for.
pub(super) fn locale(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" | b"C" | b"POSIX" | b"C.UTF-8" => Ok(()),
        _ => Err("Invalid locale name: only C, texts in the order of their bytes, is supported"),
    }
}

/// Letters of `notify-keyspace-events` in the order they are shown in, those of `A` first.
const EVENT_LETTERS: &[u8] = b"g$lshzxetd";

/// Letters `A` does not stand for.
const OTHER_EVENT_LETTERS: &[u8] = b"KEmn";

/// `notify-keyspace-events`: letters, `A` for most of them.
pub(super) fn keyspace_events(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let [letters] = words else { return Err("wrong number of arguments".to_owned()) };
    let known =
        |letter: &u8| EVENT_LETTERS.contains(letter) || OTHER_EVENT_LETTERS.contains(letter);
    if !letters.iter().all(|letter| *letter == b'A' || known(letter)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let all =
        letters.contains(&b'A') || EVENT_LETTERS.iter().all(|letter| letters.contains(letter));
    let mut shown = Vec::new();
    if all {
        shown.push(b'A');
    } else {
        shown.extend(EVENT_LETTERS.iter().filter(|letter| letters.contains(letter)));
    }
    shown.extend(OTHER_EVENT_LETTERS.iter().filter(|letter| letters.contains(letter)));
    Ok(shown)
}

/// The events that [`keyspace_events`] has let pass. None are published unless it is said how.
pub(super) fn events_of(letters: &[u8]) -> Interest {
    let mut events = Interest::NONE;
    for letter in letters {
        events = events.and(match letter {
            b'A' => ALL_EVENTS,
            b'K' => Interest::BY_KEY,
            b'E' => Interest::BY_EVENT,
            b'g' => Interest::GENERIC,
            b'$' => Interest::STRING,
            b'l' => Interest::LIST,
            b's' => Interest::SET,
            b'h' => Interest::HASH,
            b'z' => Interest::SORTED_SET,
            b'x' => Interest::EXPIRED,
            b'e' => Interest::EVICTED,
            b't' => Interest::STREAM,
            b'd' => Interest::MODULE,
            b'm' => Interest::MISSED,
            b'n' => Interest::CREATED,
            _ => Interest::NONE,
        });
    }
    if events.has(Interest::BY_KEY) || events.has(Interest::BY_EVENT) {
        events
    } else {
        Interest::NONE
    }
}

/// What `A` stands for.
const ALL_EVENTS: Interest = Interest::GENERIC
    .and(Interest::STRING)
    .and(Interest::LIST)
    .and(Interest::SET)
    .and(Interest::HASH)
    .and(Interest::SORTED_SET)
    .and(Interest::EXPIRED)
    .and(Interest::EVICTED)
    .and(Interest::STREAM)
    .and(Interest::MODULE);

/// `latency-tracking-info-percentiles`.
pub(super) fn percentiles(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut shown = Vec::new();
    for word in given(words) {
        let percentile = std::str::from_utf8(word)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|percentile| !percentile.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err("latency-tracking-info-percentiles parameters should sit between \
                        [0.0,100.0]"
                .to_owned());
        }
        shown.push(percentile.to_string());
    }
    Ok(shown.join(" ").into_bytes())
}

/// The percentiles that [`percentiles`] has let pass.
pub(super) fn shown_percentiles(text: &[u8]) -> Vec<f64> {
    let words = text.split(|byte| *byte == b' ');
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok()).collect()
}

/// Most addresses of `bind`.
const BIND_ADDRESSES_MAX: usize = 16;

/// `bind`: addresses and names of this machine. Whether one can listen there shows when it is tried.
pub(super) fn bind(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let words = given(words);
    if words.len() > BIND_ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    Ok(joined(words))
}

/// `replicaof`: a host and a port, or `no one`.
pub(super) fn replica_of(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    match given(words) {
        [] => Ok(Vec::new()),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => {
            Ok(Vec::new())
        }
        [_, port] => {
            let port = parse_i64(port).filter(|port| (0..=65_535).contains(port));
            port.ok_or("Invalid primary port")?;
            Ok(joined(words))
        }
        _ => Err("wrong number of arguments".to_owned()),
    }
}

/// What SIGINT and SIGTERM do.
const SHUTDOWN_WORDS: &[&str] = &["default", "save", "nosave", "now", "force", "safe", "failover"];

/// `shutdown-on-sigint` and `shutdown-on-sigterm`: any of the words above.
pub(super) fn shutdown(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let is = |word: &[u8], choice: &str| word.eq_ignore_ascii_case(choice.as_bytes());
    if words.is_empty()
        || !words.iter().all(|word| SHUTDOWN_WORDS.iter().any(|choice| is(word, choice)))
    {
        return Err(crate::config::value::none_of(SHUTDOWN_WORDS));
    }
    let given = |choice: &&str| words.iter().any(|word| is(word, choice));
    if given(&"save") && given(&"nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    let shown: Vec<&str> = SHUTDOWN_WORDS[1..].iter().copied().filter(|word| given(word)).collect();
    Ok(if shown.is_empty() { "default".to_owned() } else { shown.join(" ") }.into_bytes())
}

/// What the words that [`shutdown`] has let pass ask for.
pub(super) fn shutdown_request(value: &[u8]) -> ShutdownRequest {
    let is_there = |wanted: &[u8]| value.split(|byte| *byte == b' ').any(|word| word == wanted);
    let saves = AtTheEnd::of_words(is_there(b"save"), is_there(b"nosave"));
    ShutdownRequest { saves, is_forced: is_there(b"force"), is_hurried: is_there(b"now") }
}

/// Words taken as they are.
#[expect(clippy::unnecessary_wraps, reason = "a function of the rows' type")]
pub(super) fn as_given(words: &[&[u8]], _: Option<&[u8]>) -> Result<Vec<u8>, String> {
    Ok(joined(given(words)))
}

/// `dir`: a directory that exists, shown as an absolute path. A relative one begins at the one in
/// force, as if one had gone there already.
pub(super) fn directory(words: &[&[u8]], present: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let path = joined(words);
    let path = match present {
        Some(present) => Path::new(OsStr::from_bytes(present)).join(OsStr::from_bytes(&path)),
        None => OsStr::from_bytes(&path).into(),
    };
    let absolute = std::fs::canonicalize(path)
        .and_then(|absolute| std::fs::read_dir(&absolute).map(|_| absolute))
        .map_err(|error| reason(&error))?;
    Ok(absolute.into_os_string().into_vec())
}

/// What the system said, without the number behind it.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn is_base_name(name: &[u8]) -> bool {
    !name.contains(&b'/') && !name.contains(&b'\\')
}

pub(super) fn db_file_name(name: &[u8]) -> Result<(), &'static str> {
    is_base_name(name).then_some(()).ok_or("dbfilename can't be a path, just a filename")
}

pub(super) fn append_file_name(name: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("appendfilename can't be empty");
    }
    is_base_name(name).then_some(()).ok_or("appendfilename can't be a path, just a filename")
}

pub(super) fn append_dir_name(name: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("appenddirname can't be empty");
    }
    is_base_name(name).then_some(()).ok_or("appenddirname can't be a path, just a dirname")
}

pub(super) fn host_name(name: &[u8]) -> Result<(), &'static str> {
    if name.len() >= 256 {
        return Err("Hostnames must be less than 256 characters");
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    name.iter()
        .all(allowed)
        .then_some(())
        .ok_or("Hostnames may only contain alphanumeric characters, hyphens or dots")
}

pub(super) fn node_name(name: &[u8]) -> Result<(), &'static str> {
    let allowed = |byte: &u8| (b'!'..=b'~').contains(byte) && !b"\"=,;".contains(byte);
    name.iter()
        .all(allowed)
        .then_some(())
        .ok_or("Announced human node name contained invalid character")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Canonical;

    fn shown(canonical: Canonical, text: &str, present: Option<&str>) -> Result<String, String> {
        let words: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b' ').collect();
        canonical(&words, present.map(str::as_bytes)).map(|shown| String::from_utf8(shown).unwrap())
    }

    #[test]
    fn save_points_come_in_pairs() {
        assert_eq!(shown(save, "", None), Ok(String::new()));
        assert_eq!(shown(save, "900 1 300 10", None), Ok("900 1 300 10".into()));
        for text in ["900", "0 1", "1 -1", "x 1"] {
            assert_eq!(shown(save, text, None), Err("Invalid save parameters".into()), "{text}");
        }
    }

    #[test]
    fn output_limits_are_set_class_by_class() {
        let defaults = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(shown(output_limits, "", None), Ok(defaults.into()));
        assert_eq!(
            shown(output_limits, "replica 1mb 2kb 3 pubsub 0 0 0", Some(defaults)),
            Ok("normal 0 0 0 slave 1048576 2048 3 pubsub 0 0 0".into())
        );
        assert_eq!(
            shown(output_limits, "normal 1 2", Some(defaults)),
            Err("Wrong number of arguments in buffer limit configuration.".into())
        );
        assert_eq!(
            shown(output_limits, "master 1 2 3", Some(defaults)),
            Err("Invalid client class specified in buffer limit configuration.".into())
        );
        assert_eq!(
            shown(output_limits, "normal x 2 3", Some(defaults)),
            Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into())
        );
    }

    #[test]
    fn event_letters_are_shown_in_one_order() {
        assert_eq!(shown(keyspace_events, "KEA", None), Ok("AKE".into()));
        assert_eq!(shown(keyspace_events, "xKE$", None), Ok("$xKE".into()));
        assert_eq!(shown(keyspace_events, "g$lshzxetdK", None), Ok("AK".into()));
        assert_eq!(shown(keyspace_events, "", None), Ok(String::new()));
        assert!(shown(keyspace_events, "KQ", None).is_err());
    }

    #[test]
    fn percentiles_lose_trailing_zeros() {
        assert_eq!(shown(percentiles, "50 99.00 99.9", None), Ok("50 99 99.9".into()));
        assert_eq!(shown(percentiles, "", None), Ok(String::new()));
        assert!(shown(percentiles, "101", None).is_err());
        assert!(shown(percentiles, "a", None).is_err());
    }

    #[test]
    fn shutdown_words_do_not_contradict_each_other() {
        assert_eq!(shown(shutdown, "now FORCE", None), Ok("now force".into()));
        assert_eq!(shown(shutdown, "default", None), Ok("default".into()));
        assert_eq!(shown(shutdown, "failover safe save", None), Ok("save safe failover".into()));
        assert!(shown(shutdown, "save nosave", None).is_err() && shutdown(&[], None).is_err());
        assert_eq!(
            shown(shutdown, "never", None),
            Err("argument(s) must be one of the following: default, save, nosave, now, force, safe, failover"
                .into())
        );
    }

    #[test]
    fn names_are_checked() {
        assert!(db_file_name(b"dump.rdb").is_ok());
        assert!(db_file_name(b"a/dump.rdb").is_err());
        assert!(append_file_name(b"").is_err());
        assert!(host_name(b"a-b.c").is_ok() && host_name(b"a_b").is_err());
    }
}
