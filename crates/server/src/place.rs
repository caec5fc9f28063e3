//! Where commands run.

use crate::scripting::Source;
use crate::scripting::reach::Reach;
use crate::session_command::SessionRun;
use crate::shared::Shared;
use crate::worker::Core;
use darter_base::ShardId;
use darter_base::crc16::slot_of;
use darter_command_table::{Entry, Flags, Handler};
use darter_resp::Args;

/// Where a command has to run.
#[derive(Debug)]
pub enum Place {
    /// On one shard, the hash of its only key beside it; 0 when it has none or several.
    Shard(ShardId, u64),
    /// On several shards at once, ascending.
    Several(Vec<ShardId>),
    /// On all shards at once.
    All,
    /// On these shards at once, with its session, or maybe not at once because it has to wait for other
    /// clients: so that it can be neither in a window nor an inbox.
    Gathered(Vec<ShardId>),
    /// On one shard after the other.
    Slices,
    /// As a script, wherever that is known to run ([`Core::place_of_script`]).
    Script(Source),
    /// Over the shards of what the client watches and has queued.
    Queued,
    /// Without shards.
    Session,
}

/// Shards, each once, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(Vec<ShardId>);

impl ShardSet {
    /// Adds a shard.
    pub fn add(&mut self, shard: ShardId) {
        if let Err(place) = self.0.binary_search(&shard) {
            self.0.insert(place, shard);
        }
    }

    /// Adds shards.
    pub fn extend(&mut self, shards: impl IntoIterator<Item = ShardId>) {
        for shard in shards {
            self.add(shard);
        }
    }

    /// The shards.
    pub fn into_vec(self) -> Vec<ShardId> {
        self.0
    }

    /// The shards.
    pub fn as_slice(&self) -> &[ShardId] {
        &self.0
    }
}

/// Shards found one after the other, often the same ones: a bit for each of the first ones, as there are in
/// most servers, a list for others.
struct FoundShards {
    first: u64,
    /// Bits of `first` that stand for a shard.
    first_all: u64,
    others: ShardSet,
    others_max: usize,
}

impl FoundShards {
    /// None yet of `shard_count`.
    fn of(shard_count: u16) -> Self {
        let first_all = if shard_count < 64 { (1 << shard_count) - 1 } else { u64::MAX };
        let others_max = usize::from(shard_count.saturating_sub(64));
        Self { first: 0, first_all, others: ShardSet::default(), others_max }
    }

    #[inline]
    fn add(&mut self, shard: ShardId) {
        if shard.0 < 64 {
            self.first |= 1 << shard.0;
        } else {
            self.others.add(shard);
        }
    }

    /// Whether every shard was found.
    #[inline]
    fn are_all(&self) -> bool {
        self.first == self.first_all && self.others.0.len() == self.others_max
    }

    fn count(&self) -> usize {
        self.first.count_ones() as usize + self.others.0.len()
    }

    fn lowest(&self) -> Option<ShardId> {
        if self.first == 0 { self.others.0.first().copied() } else { Some(lowest_of(self.first)) }
    }

    /// Ascending.
    fn into_vec(self) -> Vec<ShardId> {
        let mut shards = Vec::with_capacity(self.count());
        let mut first = self.first;
        while first != 0 {
            shards.push(lowest_of(first));
            first &= first - 1;
        }
        shards.extend(self.others.0);
        shards
    }
}

/// The shard of the lowest bit that is set.
fn lowest_of(bits: u64) -> ShardId {
    ShardId(u16::try_from(bits.trailing_zeros()).expect("at most 64"))
}

impl Core {
    /// Where the command runs.
    #[inline]
    pub fn place(&self, entry: &'static Entry, args: Args<'_>) -> Place {
        let router = self.shared.router();
        if let Some(index) = entry.single_key {
            let key = args.at(usize::from(index));
            let shard =
                if router.shard_count() == 1 { ShardId(0) } else { router.shard_of(slot_of(key)) };
            return Place::Shard(shard, self.shared.hasher.hash(key));
        }
        match entry.command.handler {
            Handler::Keyed(_) => match self.shared.place_of_keys(entry, args) {
                Place::Shard(shard, _) if entry.may_wait(args) => Place::Gathered(vec![shard]),
                Place::Several(shards) if entry.may_wait(args) => Place::Gathered(shards),
                place => place,
            },
            // What is written over all of them may have to be followed up ([`crate::caller`]).
            Handler::AllShards(_)
                if router.shard_count() == 1 && entry.command.flags.has(Flags::READONLY) =>
            {
                Place::Shard(ShardId(0), 0)
            }
            Handler::AllShards(_) => Place::All,
            Handler::Sliced(_) => Place::Slices,
            Handler::Session | Handler::Container => match self.shared.session_run(entry.id) {
                Some(SessionRun::AllShards(_)) => Place::All,
                Some(SessionRun::AllShardsIf(needs_shards, _)) => {
                    if needs_shards(args) {
                        Place::All
                    } else {
                        Place::Session
                    }
                }
                Some(SessionRun::Keyed(_)) => match self.shared.place_of_keys(entry, args) {
                    Place::Shard(shard, _) => Place::Gathered(vec![shard]),
                    Place::Several(shards) => Place::Gathered(shards),
                    place => place,
                },
                Some(SessionRun::Script(source)) => Place::Script(source),
                Some(SessionRun::Queued(_)) => Place::Queued,
                Some(SessionRun::Alone(_) | SessionRun::Container) | None => Place::Session,
            },
        }
    }

    /// The shard of a command that has one key wherever it is used.
    #[inline]
    pub fn shard_of_single_key(&self, entry: &Entry, args: Args<'_>) -> Option<ShardId> {
        let index = entry.single_key?;
        Some(self.shared.router().shard_of(slot_of(args.at(usize::from(index)))))
    }

    /// Adds the shards to `shards` that the command needs to be run at one go.
    pub fn add_shards_of(&self, entry: &'static Entry, args: Args<'_>, shards: &mut ShardSet) {
        // A script that is a part of something else cannot begin again with more shards.
        if let Some(SessionRun::Script(source)) = self.shared.session_run(entry.id)
            && self.reach_of(args, source) != Reach::Confined
        {
            return shards.extend(self.shared.router().shards());
        }
        let place = match self.place(entry, args) {
            Place::Slices if entry.command.keys.is_empty() => Place::All,
            Place::Slices => self.shared.place_of_keys(entry, args),
            Place::Script(source) => self.place_of_script(entry, args, source),
            place => place,
        };
        match place {
            Place::Shard(shard, _) => shards.add(shard),
            Place::Several(several) | Place::Gathered(several) => shards.extend(several),
            Place::All => shards.extend(self.shared.router().shards()),
            Place::Slices | Place::Script(_) | Place::Queued | Place::Session => {}
        }
    }

    /// Whether the command runs what the client has queued.
    pub fn runs_queue(&self, entry: &Entry) -> bool {
        matches!(self.shared.session_run(entry.id), Some(SessionRun::Queued(_)))
    }
}

impl Shared {
    /// Where a command runs that is about keys alone.
    pub fn place_of_keys(&self, entry: &'static Entry, args: Args<'_>) -> Place {
        let router = self.router();
        if router.shard_count() == 1 {
            return Place::Shard(ShardId(0), 0);
        }
        if entry.command.reaches_beyond.is_some_and(|reaches_beyond| reaches_beyond(args)) {
            return Place::All;
        }
        // One entry per shard, not per key: there can be very many keys.
        let mut shards = FoundShards::of(router.shard_count());
        entry.command.each_key(args, |index| {
            if !shards.are_all() {
                shards.add(router.shard_of(slot_of(args.at(index))));
            }
        });
        if shards.count() > 1 {
            Place::Several(shards.into_vec())
        } else {
            // Arguments without a key are the handler's to refuse; any shard will do for that.
            Place::Shard(shards.lowest().unwrap_or(ShardId(0)), 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FoundShards, ShardSet};
    use darter_base::ShardId;

    #[test]
    fn shards_are_found_once_each_and_ascend() {
        for shard_count in [1, 2, 8, 63, 64, 65, 200] {
            let (mut found, mut expected) = (FoundShards::of(shard_count), ShardSet::default());
            assert_eq!(found.lowest(), None);
            // No count is a multiple of 11: every shard has its turn, twice.
            for step in 0..2 * u32::from(shard_count) {
                let number = (step * 11 + 5) % u32::from(shard_count);
                let shard = ShardId(u16::try_from(number).unwrap());
                assert_eq!(found.are_all(), expected.as_slice().len() == usize::from(shard_count));
                found.add(shard);
                expected.add(shard);
                assert_eq!(found.count(), expected.as_slice().len());
                assert_eq!(found.lowest(), expected.as_slice().first().copied());
            }
            assert!(found.are_all());
            assert_eq!(found.into_vec(), expected.into_vec());
        }
    }
}
