//! What a handler is given: one command of one client, ready to run.

use crate::command::Command;
use crate::effects::Effects;
use crate::error::ReplyError;
use crate::wait::WaitSlot;
use darter_base::crc16::slot_of;
use darter_base::number::parse_i64;
use darter_base::{DbIndex, UnixMillis};
use darter_resp::{Args, ReplyWriter};
use darter_shard::{EncodingLimits, EvictionPolicy, Interest, Key, KeyHasher, Keyspace, Shard};
use darter_txn::{Router, View};

/// The shards a handler runs over.
pub type ShardView<'a> = View<'a, Shard>;

/// One command of one client. Lives on the worker that holds the shards, for the length of the
/// call.
#[derive(Debug)]
pub struct Call<'a> {
    /// What is being run.
    pub command: &'static Command,
    /// The arguments, the command's name at index 0 (for a subcommand, its container's name).
    pub args: Args<'a>,
    /// Where the reply goes. A handler that returns an error has written nothing.
    pub reply: ReplyWriter<'a>,
    /// The client's database.
    pub db: DbIndex,
    /// The time of this tick.
    pub now: UnixMillis,
    /// Facts of the configuration that commands depend on.
    pub limits: &'a CallLimits,
    /// How keys are hashed in every table of this process.
    pub hasher: &'a KeyHasher,
    /// From slots to shards, for commands that visit shards one after the other.
    pub router: Router,
    /// Set if the command may wait for other clients; otherwise it answers at once, as inside a
    /// transaction, where nobody could come.
    pub waits: Option<&'a mut WaitSlot>,
    /// Where it says what it leaves to be done again, if anybody records that.
    pub effects: Option<&'a mut Effects>,
}

/// A time at which nothing has expired.
pub const BEFORE_EVERYTHING: UnixMillis = UnixMillis(0);

/// Configuration that commands check arguments against.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub struct CallLimits {
    /// Longest string value, in bytes (`proto-max-bulk-len`).
    pub string_bytes_max: u64,
    /// Number of databases; at least 1.
    pub databases: u16,
    /// Up to which size collections are compact.
    pub encodings: EncodingLimits,
    /// What somebody wants to hear of. Nothing, most of the time.
    pub interest: Interest,
    /// Keys remembered for clients that are tracked (`tracking-table-max-keys`); 0: any number.
    pub tracked_keys_max: usize,
    /// What is taken for a value (`rdb-version-check`).
    pub rdb_versions: RdbVersions,
    /// Whether a command may ask to be run in slices: not as a part of another one.
    pub slices: bool,
    /// Whether a script calls it: what it answers, and the script makes of that, must not depend on how a value
    /// is kept.
    pub by_script: bool,
    /// Whether it must read no keys but those among its arguments, since its client's user may not read all.
    pub stays_within: bool,
    /// How much memory may be used.
    pub memory: MemoryLimit,
    /// Whether keys that have expired stay until somebody writes them: while changes are held back, nothing is
    /// to happen that a replica would have to be told; and in import mode.
    pub keeps_expired: bool,
    /// `import-mode`: what has a deadline in the past is kept until it is deleted by who imports it.
    pub imports: bool,
    /// Whether the checksums of payloads are looked at: but for tests they are.
    pub checks_payloads: bool,
    /// Whether data are being saved, so that changes of long values may have to be put off.
    pub is_saving: bool,
    /// The time of day while commands are given one at which nothing is due ([`BEFORE_EVERYTHING`]): recorded ones that
    /// are run again, so that they find what they found, and those of who imports data.
    pub replayed_at: Option<UnixMillis>,
}

/// Versions of the RDB format in which values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdbVersions {
    /// Those that are known.
    Known,
    /// Those to come, too: what they share with the known ones can be read.
    Any,
}

impl CallLimits {
    /// Whether a command is nothing but its handler: nobody hears of what it does, and nothing is kept within
    /// limits or has to be written first.
    #[inline]
    pub const fn are_plain(&self) -> bool {
        // One branch for all.
        !(self.interest.any() | self.memory.is_set() | self.keeps_expired | self.is_saving)
    }

    /// The same at `now` for who imports data ([`BEFORE_EVERYTHING`]). A command runs in one piece, since its slices would
    /// be given the time that it is.
    #[must_use]
    pub const fn of_importer(mut self, now: UnixMillis) -> Self {
        self.slices = false;
        self.keeps_expired = false;
        self.replayed_at = Some(now);
        self
    }

    /// The same for a command that is a part of another one: it runs in one piece, and whoever runs the whole
    /// makes room for it.
    #[must_use]
    pub const fn of_part(mut self) -> Self {
        self.slices = false;
        self.memory = MemoryLimit::NONE;
        self
    }
}

/// How much memory may be used, and what happens above it.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimit {
    /// Bytes of keys, values and buffers (`maxmemory`).
    pub bytes: u64,
    /// Which keys are evicted; `None`: none are, commands that may need memory are refused.
    pub policy: Option<EvictionPolicy>,
    /// By how much it is less than `maxmemory`, because the process takes too much besides.
    pub lowered_by: u64,
    /// Keys that one write evicts at most, so that it can be as large as many others; what is left goes with later
    /// writes and in the background.
    pub keys_per_write: usize,
}

impl MemoryLimit {
    /// No limit.
    pub const NONE: Self = Self { bytes: u64::MAX, policy: None, lowered_by: 0, keys_per_write: 0 };

    /// Whether there is a limit.
    #[inline]
    pub const fn is_set(&self) -> bool {
        self.bytes != u64::MAX
    }
}

/// Elements that a command goes through in one piece, which takes it a few milliseconds.
pub const ELEMENTS_IN_ONE_PIECE: usize = 16_384;

impl<'a> Call<'a> {
    /// The argument at `index` as a key. Panics past the end; arity was checked before.
    #[inline]
    pub fn key(&self, index: usize) -> Key<'a> {
        self.key_of(self.args.at(index))
    }

    /// The argument at `index` as a signed 64-bit number. Panics past the end.
    #[inline]
    pub fn integer(&self, index: usize) -> Result<i64, ReplyError> {
        parse_i64(self.args.at(index)).ok_or(ReplyError::NotAnInteger)
    }

    /// The argument at `index` as a number in `min..=max`. Commands with an error text of their own
    /// for this put it in place of both errors. Panics past the end.
    #[inline]
    pub fn integer_within(&self, index: usize, min: i64, max: i64) -> Result<i64, ReplyError> {
        let integer = self.integer(index)?;
        if (min..=max).contains(&integer) {
            Ok(integer)
        } else {
            Err(ReplyError::OutsideOf { min, max })
        }
    }

    /// The argument at `index` as the number of a database. Panics past the end.
    pub fn db_index(&self, index: usize) -> Result<DbIndex, ReplyError> {
        let number = self.integer_within(index, i64::from(i32::MIN), i64::from(i32::MAX))?;
        match u16::try_from(number) {
            Ok(number) if number < self.limits.databases => Ok(DbIndex(number)),
            _ => Err(ReplyError::DbIndexOutOfRange),
        }
    }

    /// When this is, for what is reckoned or remembered: `now`, which says what has expired, but for commands that are
    /// given a time at which nothing has.
    pub fn time_of_day(&self) -> UnixMillis {
        self.limits.replayed_at.unwrap_or(self.now)
    }

    /// Up to when a new deadline has passed already, so that what would get it is deleted instead. In import mode none has.
    pub const fn passed_until(&self) -> UnixMillis {
        if self.limits.imports { UnixMillis(i64::MIN) } else { self.now }
    }

    /// Leaves the command to its slices if it would go through so many `elements`. To be asked before anything
    /// is written or changed.
    #[inline]
    pub fn in_one_piece(&self, elements: usize) -> Result<(), ReplyError> {
        if elements > ELEMENTS_IN_ONE_PIECE && self.limits.slices {
            return Err(ReplyError::Long);
        }
        Ok(())
    }

    /// Whether the argument at `index` is `word`, which is in capitals, in any case. `false` past
    /// the end.
    #[inline]
    pub fn is_word(&self, index: usize, word: &str) -> bool {
        self.args.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Any bytes as a key.
    #[inline]
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// The client's database in the shard that owns `key`.
    #[inline]
    pub fn keyspace<'v>(&self, view: &'v mut ShardView<'_>, key: &Key<'_>) -> Keyspace<'v> {
        self.keyspace_in(view, key, self.db)
    }

    /// Database `db` in the shard that owns `key`.
    #[inline]
    pub fn keyspace_in<'v>(
        &self,
        view: &'v mut ShardView<'_>,
        key: &Key<'_>,
        db: DbIndex,
    ) -> Keyspace<'v> {
        view.shard_of(|| slot_of(key.bytes)).keyspace(db, self.now)
    }
}
