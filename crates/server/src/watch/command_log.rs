//! The command log: the latest commands that were slow, large, or answered much.
//!
//! Entries are short: 32 arguments of 128 bytes at most, as in Redis, so that the log is bounded by
//! its length alone.

use super::Cost;
use crate::commands::client::line;
use crate::session::Session;
use darter_base::UnixMillis;
use darter_command_table::Entry;
use darter_resp::Args;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

/// Arguments of an entry; the last one tells how many there were beyond.
const ARGUMENTS_MAX: usize = 32;

/// Bytes of an argument; behind them is told how many there were beyond.
const ARGUMENT_BYTES_MAX: usize = 128;

/// For what a command is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// It took long.
    Slow,
    /// Its request was large.
    LargeRequest,
    /// Its reply was large.
    LargeReply,
}

impl LogKind {
    /// In the order they are remembered in.
    pub const ALL: [Self; 3] = [Self::Slow, Self::LargeRequest, Self::LargeReply];

    /// The kind named `name`, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            b"slow" => Some(Self::Slow),
            b"large-request" => Some(Self::LargeRequest),
            b"large-reply" => Some(Self::LargeReply),
            _ => None,
        }
    }
}

/// A command in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When it had run.
    pub at: UnixMillis,
    /// Microseconds or bytes, by the kind of the log.
    pub value: u64,
    /// Its arguments, shortened, and without secrets.
    pub args: Vec<Vec<u8>>,
    /// Where its client connected from.
    pub address: String,
    /// The name of its client.
    pub client_name: Vec<u8>,
}

impl Logged {
    /// What is remembered of a command.
    pub fn new(
        session: &Session,
        entry: &Entry,
        args: Args<'_>,
        kind: LogKind,
        cost: Cost,
        at: UnixMillis,
    ) -> Self {
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            at,
            value: match kind {
                LogKind::Slow => cost.micros(),
                LogKind::LargeRequest => bytes(cost.request_bytes),
                LogKind::LargeReply => bytes(cost.reply_bytes),
            },
            args: shortened(args.len(), |index| entry.command.shown(args, index)),
            address: line::address(session, &session.facts.peer.remote),
            client_name: session.facts.name.clone(),
        }
    }
}

fn shortened<'a>(count: usize, arg: impl Fn(usize) -> &'a [u8]) -> Vec<Vec<u8>> {
    let whole = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut args: Vec<Vec<u8>> = (0..whole).map(|index| shortened_argument(arg(index))).collect();
    if whole < count {
        args.push(format!("... ({} more arguments)", count - whole).into_bytes());
    }
    args
}

fn shortened_argument(arg: &[u8]) -> Vec<u8> {
    let Some(beyond) = arg.len().checked_sub(ARGUMENT_BYTES_MAX).filter(|beyond| *beyond > 0)
    else {
        return arg.to_vec();
    };
    let mut short = arg[..ARGUMENT_BYTES_MAX].to_vec();
    short.extend_from_slice(format!("... ({beyond} more bytes)").as_bytes());
    short
}

/// The three logs.
#[derive(Debug, Default)]
pub struct CommandLogs {
    logs: [CommandLog; LogKind::ALL.len()],
}

impl CommandLogs {
    /// The log of a kind.
    pub const fn log(&self, kind: LogKind) -> &CommandLog {
        &self.logs[kind as usize]
    }
}

/// Commands, the latest first. Locked for each that is added, and to be read.
#[derive(Debug, Default)]
pub struct CommandLog {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// With their numbers.
    latest_first: VecDeque<(u64, Logged)>,
    /// The number of the next one. Never goes back.
    next: u64,
}

impl CommandLog {
    /// Adds an entry and forgets the oldest beyond `len_max`.
    pub fn add(&self, entry: Logged, len_max: usize) {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.latest_first.push_front((number, entry));
        entries.latest_first.truncate(len_max);
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.lock().latest_first.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().latest_first.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most so many entries with their numbers, the latest first.
    pub fn latest(&self, count: usize) -> Vec<(u64, Logged)> {
        self.lock().latest_first.iter().take(count).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no code that can panic runs under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened_as_redis_does() {
        let short = |args: &[Vec<u8>]| shortened(args.len(), |index| args[index].as_slice());
        let args: Vec<Vec<u8>> = (0..32).map(|number| vec![number]).collect();
        assert_eq!(short(&args), args);
        let args: Vec<Vec<u8>> = (0..33).map(|number| vec![number]).collect();
        assert_eq!(short(&args)[..31], args[..31]);
        assert_eq!(short(&args)[31], b"... (2 more arguments)");
        assert_eq!(short(&args).len(), 32);
        assert_eq!(shortened_argument(&[b'a'; 128]), [b'a'; 128]);
        let mut expected = vec![b'a'; 128];
        expected.extend_from_slice(b"... (1 more bytes)");
        assert_eq!(shortened_argument(&[b'a'; 129]), expected);
    }

    #[test]
    fn the_oldest_are_forgotten_and_numbers_go_on() {
        let log = CommandLog::default();
        let entry = |value| Logged {
            at: UnixMillis(0),
            value,
            args: Vec::new(),
            address: String::new(),
            client_name: Vec::new(),
        };
        (0..5).for_each(|value| log.add(entry(value), 3));
        let seen: Vec<_> =
            log.latest(2).into_iter().map(|(number, entry)| (number, entry.value)).collect();
        assert_eq!((seen, log.len()), (vec![(4, 4), (3, 3)], 3));
        log.clear();
        assert!(log.is_empty());
        log.add(entry(9), 3);
        assert_eq!(log.latest(9)[0].0, 5);
    }
}
