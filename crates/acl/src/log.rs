//! Who was refused what lately (`ACL LOG`).

use crate::permission::Reason;
use darter_base::UnixMillis;
use std::collections::VecDeque;

/// Where a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// By itself.
    TopLevel,
    /// In a transaction.
    Multi,
    /// In a script.
    Lua,
}

impl Context {
    /// As `ACL LOG` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TopLevel => "toplevel",
            Self::Multi => "multi",
            Self::Lua => "lua",
        }
    }
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// To be somebody.
    Auth,
    /// A command, for this reason.
    Permission(Reason),
}

impl Refused {
    /// As `ACL LOG` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Permission(Reason::Database) => "database",
            Self::Permission(Reason::Command) => "command",
            Self::Permission(Reason::Key) => "key",
            Self::Permission(Reason::Channel) => "channel",
        }
    }
}

/// One refusal, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// How many.
    pub count: u64,
    /// What was refused.
    pub refused: Refused,
    /// Where.
    pub context: Context,
    /// The command, key, channel or database.
    pub object: Vec<u8>,
    /// To whom.
    pub user: Vec<u8>,
    /// The client of the latest one, as `CLIENT LIST` shows it.
    pub client: String,
    /// Its number, ascending with the entries.
    pub id: u64,
    /// When the first one was.
    pub created_at: UnixMillis,
    /// When the latest one was.
    pub updated_at: UnixMillis,
}

/// Refusals that are this close to each other can be one entry.
const GROUPING_MILLIS_MAX: u64 = 60_000;

/// The latest entries that a new one can belong to.
const GROUPING_ENTRIES_MAX: usize = 10;

/// The refusals, the latest first. How many are kept is told with each.
#[derive(Debug, Default)]
pub struct AccessLog {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AccessLog {
    /// Adds one. Its number is given to it here.
    pub fn add(&mut self, new: LogEntry, entries_max: usize) {
        if entries_max == 0 {
            self.entries.clear();
            return;
        }
        let is_like = |known: &LogEntry| {
            known.refused == new.refused
                && known.context == new.context
                && known.updated_at.0.abs_diff(new.updated_at.0) <= GROUPING_MILLIS_MAX
                && known.object == new.object
                && known.user == new.user
        };
        let alike = self.entries.iter().take(GROUPING_ENTRIES_MAX).position(is_like);
        if let Some(mut known) = alike.and_then(|place| self.entries.remove(place)) {
            known.client = new.client;
            known.updated_at = new.updated_at;
            known.count += 1;
            self.entries.push_front(known);
        } else {
            self.entries.push_front(LogEntry { id: self.next_id, ..new });
            self.next_id += 1;
            self.entries.truncate(entries_max);
        }
    }

    /// Every entry, the latest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets them all. Numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(object: &str, at: i64) -> LogEntry {
        LogEntry {
            count: 1,
            refused: Refused::Permission(Reason::Key),
            context: Context::TopLevel,
            object: object.into(),
            user: b"u".to_vec(),
            client: format!("at {at}"),
            id: 0,
            created_at: UnixMillis(at),
            updated_at: UnixMillis(at),
        }
    }

    fn shown(log: &AccessLog) -> Vec<(String, u64, u64)> {
        log.entries()
            .map(|entry| {
                (String::from_utf8_lossy(&entry.object).into_owned(), entry.count, entry.id)
            })
            .collect()
    }

    #[test]
    fn what_is_alike_is_one_entry_for_a_minute() {
        let mut log = AccessLog::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(refusal(object, at), 128);
        }
        let expected = [("a".to_owned(), 1, 2), ("a".to_owned(), 2, 0), ("b".to_owned(), 1, 1)];
        assert_eq!(shown(&log), expected);
        let grouped = log.entries().nth(1).unwrap();
        assert_eq!((grouped.created_at, grouped.updated_at), (UnixMillis(0), UnixMillis(60_000)));
        assert_eq!(grouped.client, "at 60000");
    }

    #[test]
    fn only_the_latest_ten_are_looked_at_and_few_are_kept() {
        let mut log = AccessLog::default();
        log.add(refusal("a", 0), 128);
        for number in 0..10 {
            log.add(refusal(&number.to_string(), 0), 128);
        }
        log.add(refusal("a", 0), 128);
        assert_eq!(log.entries().len(), 12);
        log.add(refusal("b", 0), 3);
        assert_eq!(log.entries().len(), 3);
        log.add(refusal("b", 0), 0);
        assert_eq!(log.entries().len(), 0);
    }
}
