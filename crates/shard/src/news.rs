//! What a shard notes for those who want to hear of it: keys that changed, and events of keys.
//!
//! Nobody does most of the time, and then a write costs one look at a word. Whoever runs a command says
//! before what is of interest ([`Shard::observe`](crate::Shard::observe)) and takes out afterwards what
//! was noted, before the shard is given back: so that what is told of a key is told in the order in
//! which it happened, whichever workers it happened on.

use darter_base::DbIndex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Classes of events, and changes of keys as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest(u32);

impl Interest {
    /// Nobody wants to hear anything.
    pub const NONE: Self = Self(0);
    /// Events that say what happened to a key.
    pub const BY_KEY: Self = Self(1 << 0);
    /// Events that say which key something happened to.
    pub const BY_EVENT: Self = Self(1 << 1);
    /// Events that a key of any type can have.
    pub const GENERIC: Self = Self(1 << 2);
    /// Of strings.
    pub const STRING: Self = Self(1 << 3);
    /// Of lists.
    pub const LIST: Self = Self(1 << 4);
    /// Of sets.
    pub const SET: Self = Self(1 << 5);
    /// Of hashes.
    pub const HASH: Self = Self(1 << 6);
    /// Of sorted sets.
    pub const SORTED_SET: Self = Self(1 << 7);
    /// A deadline was reached.
    pub const EXPIRED: Self = Self(1 << 8);
    /// Memory was short.
    pub const EVICTED: Self = Self(1 << 9);
    /// Of streams.
    pub const STREAM: Self = Self(1 << 10);
    /// A key that was to be read is not there.
    pub const MISSED: Self = Self(1 << 11);
    /// Of types that modules make.
    pub const MODULE: Self = Self(1 << 12);
    /// A key came into being.
    pub const CREATED: Self = Self(1 << 13);
    /// Any change of a key's value, without saying what it was.
    pub const CHANGES: Self = Self(1 << 14);
    /// What no command says: keys and fields that went because their time was up or memory was short.
    pub const GONE: Self = Self(1 << 15);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every member of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether anybody wants to hear anything.
    #[inline]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// As a number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From [`Self::bits`].
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Later ones have higher numbers, over all shards that one command holds.
    order: u64,
    /// The key's database.
    pub db: DbIndex,
    /// What happened.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// Why something goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its deadline has passed.
    Expired,
    /// Memory was short.
    Evicted,
}

impl Loss {
    /// The event of a key that goes.
    const fn event(self) -> (Interest, &'static str) {
        match self {
            Self::Expired => (Interest::EXPIRED, "expired"),
            Self::Evicted => (Interest::EVICTED, "evicted"),
        }
    }
}

/// What went without a command that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The key's database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
    /// Why it went.
    pub loss: Loss,
    /// Fields of the hash that it is; none: the key itself went.
    pub fields: Vec<Box<[u8]>>,
}

/// Numbers events. A command can hold several shards and its events are told in the order in which they
/// happened; nothing else depends on these numbers.
static ORDER: AtomicU64 = AtomicU64::new(0);

/// What was noted and not taken out yet.
#[derive(Debug, Default)]
pub struct News {
    /// What is of interest; nothing, but while a command runs that is observed.
    interest: Interest,
    /// Events of keys.
    pub events: Vec<Event>,
    /// Keys that changed.
    pub changed: Vec<Box<[u8]>>,
    /// Keys and fields that went, in order of each key.
    pub gone: Vec<Gone>,
    /// Whether databases were emptied.
    pub flushed: bool,
    /// What the change is that comes next.
    next: Option<(Interest, &'static str)>,
    /// A key that went with its last element; told behind the event that says why.
    emptied: Option<(DbIndex, Box<[u8]>)>,
}

impl News {
    /// Says what is of interest.
    pub(crate) fn observe(&mut self, interest: Interest) {
        self.interest = interest;
    }

    /// Whether there is anybody to tell.
    #[inline]
    pub(crate) const fn is_wanted(&self) -> bool {
        self.interest.any()
    }

    /// What was noted.
    pub(crate) fn take(&mut self) -> Self {
        self.tell_emptied();
        let interest = self.interest;
        let taken = std::mem::take(self);
        self.interest = interest;
        taken
    }

    /// Puts the events of several shards in order.
    pub fn join(&mut self, other: Self) {
        self.flushed |= other.flushed;
        self.changed.extend(other.changed);
        self.gone.extend(other.gone);
        if !other.events.is_empty() {
            self.events.extend(other.events);
            self.events.sort_by_key(|event| event.order);
        }
    }

    /// Says what the change is that comes next.
    #[cold]
    pub(crate) fn announce(&mut self, class: Interest, name: &'static str) {
        self.next = Some((class, name));
    }

    /// Notes that a key changed, whatever was announced: it expired before that could come.
    pub(crate) fn touch(&mut self, key: &[u8]) {
        if self.interest.has(Interest::CHANGES) {
            self.changed.push(key.into());
        }
    }

    /// Notes that a key changed, and how if that was announced.
    #[cold]
    pub(crate) fn change(&mut self, db: DbIndex, key: &[u8]) {
        self.touch(key);
        if let Some((class, name)) = self.next.take() {
            self.note(class, name, db, key);
        }
    }

    /// Notes that a key went without a command that says so, and the event of it.
    #[cold]
    pub(crate) fn lose(&mut self, db: DbIndex, key: &[u8], loss: Loss) {
        if self.wants_gone() {
            self.gone.push(Gone { db, key: key.into(), loss, fields: Vec::new() });
        }
        let (class, name) = loss.event();
        self.note(class, name, db, key);
    }

    /// Notes that fields of a hash have expired without a command that says so; nothing if there are none.
    #[cold]
    pub(crate) fn lose_fields(&mut self, db: DbIndex, key: &[u8], fields: Vec<Box<[u8]>>) {
        if !fields.is_empty() {
            self.gone.push(Gone { db, key: key.into(), loss: Loss::Expired, fields });
        }
    }

    /// Whether somebody wants to hear of what goes without a command that says so.
    #[inline]
    pub(crate) const fn wants_gone(&self) -> bool {
        self.interest.has(Interest::GONE)
    }

    /// Notes an event.
    #[cold]
    pub(crate) fn note(&mut self, class: Interest, name: &'static str, db: DbIndex, key: &[u8]) {
        if self.interest.has(class) {
            let order = ORDER.fetch_add(1, Ordering::Relaxed);
            self.events.push(Event { order, db, name, key: key.into() });
        }
    }

    /// Notes that a key went with its last element.
    #[cold]
    pub(crate) fn empty(&mut self, db: DbIndex, key: &[u8]) {
        self.tell_emptied();
        self.emptied = Some((db, key.into()));
    }

    /// Tells of a key that went with its last element, if there is one.
    pub(crate) fn tell_emptied(&mut self) {
        if let Some((db, key)) = self.emptied.take()
            && self.interest.has(Interest::GENERIC)
        {
            let order = ORDER.fetch_add(1, Ordering::Relaxed);
            self.events.push(Event { order, db, name: "del", key });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_went_is_told_behind_what_took_its_last_element() {
        let mut news = News::default();
        news.observe(Interest::GENERIC.and(Interest::LIST));
        news.empty(DbIndex(1), b"k");
        news.note(Interest::LIST, "lpop", DbIndex(1), b"k");
        news.note(Interest::STRING, "set", DbIndex(1), b"s");
        news.empty(DbIndex(1), b"l");
        let events: Vec<&str> = news.take().events.iter().map(|event| event.name).collect();
        assert_eq!(events, ["lpop", "del", "del"]);
        assert!(news.take().events.is_empty());
        assert!(news.is_wanted());
    }

    #[test]
    fn events_of_several_shards_are_told_in_order() {
        let (mut first, mut second) = (News::default(), News::default());
        for news in [&mut first, &mut second] {
            news.observe(Interest::GENERIC);
        }
        second.note(Interest::GENERIC, "rename_from", DbIndex(0), b"a");
        first.note(Interest::GENERIC, "rename_to", DbIndex(0), b"b");
        let mut news = first.take();
        news.join(second.take());
        let names: Vec<&str> = news.events.iter().map(|event| event.name).collect();
        assert_eq!(names, ["rename_from", "rename_to"]);
    }
}
