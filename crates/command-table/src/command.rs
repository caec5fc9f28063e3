//! One command, one declaration.

use crate::arg::Arg;
use crate::call::{Call, ShardView};
use crate::category::Category;
use crate::effects::Effects;
use crate::error::{ReplyError, ReplyResult};
use crate::flags::Flags;
use crate::key_spec::{Access, KeySpec};
use crate::wait::Waits;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_resp::{Args, ReplyWriter};
use darter_shard::{Shard, Version};

/// The group a command is documented under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    HyperLogLog,
    List,
    PubSub,
    Scripting,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    /// The name `COMMAND DOCS` gives the group.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::HyperLogLog => "hyperloglog",
            Self::List => "list",
            Self::PubSub => "pubsub",
            Self::Scripting => "scripting",
            Self::Server => "server",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }
}

/// How many arguments a command takes, its own name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    Exactly(u16),
    AtLeast(u16),
}

impl Arity {
    /// Whether `count` arguments fit.
    #[inline]
    pub const fn admits(self, count: usize) -> bool {
        match self {
            Self::Exactly(exact) => count == exact as usize,
            Self::AtLeast(least) => count >= least as usize,
        }
    }

    /// As `COMMAND INFO` shows it: negative for a minimum.
    pub const fn signed(self) -> i64 {
        match self {
            Self::Exactly(exact) => exact as i64,
            Self::AtLeast(least) => -(least as i64),
        }
    }
}

/// Begins a command in slices.
pub type BeginSlices = fn(&Call<'_>) -> Result<Box<dyn Slice>, ReplyError>;

/// Where a command runs.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Over the shards of its keys, found by its key-specs: in one piece on one shard when they
    /// all live there, through the coordinator otherwise.
    Keyed(fn(&mut Call<'_>, &mut ShardView<'_>) -> ReplyResult),
    /// Over all shards at once, through the coordinator.
    AllShards(fn(&mut Call<'_>, &mut ShardView<'_>) -> ReplyResult),
    /// Shard after shard in bounded slices, between which others run.
    Sliced(BeginSlices),
    /// On the client's session, without a shard; the crate that owns sessions knows how.
    Session,
    /// Nowhere: only its subcommands run.
    Container,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Keyed(_) => "Keyed",
            Self::AllShards(_) => "AllShards",
            Self::Sliced(_) => "Sliced",
            Self::Session => "Session",
            Self::Container => "Container",
        })
    }
}

/// What a sliced command needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another slice on this shard.
    On(ShardId),
    /// Another slice over all of [`Slice::shards`].
    Together,
    /// Nothing: write the reply.
    Done,
}

/// A command under way in slices. It owns what it needs but its arguments, since shards, and the thread it runs on,
/// change between slices. The arguments are the same each time, and somebody else's to keep: they may be large.
pub trait Slice: Send {
    /// The first shard it wants.
    fn begin(&self) -> Progress;

    /// Runs one slice of bounded work (at most a millisecond or so) on the shard it asked for.
    fn run(&mut self, args: Args<'_>, shard: &mut Shard, now: UnixMillis) -> Progress;

    /// The shards of [`Progress::Together`], ascending.
    fn shards(&self) -> Vec<ShardId> {
        Vec::new()
    }

    /// As [`Slice::run`], over all of its shards at once.
    fn run_together(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> Progress {
        let _ = (view, now);
        Progress::Done
    }

    /// Says what it leaves to be done again instead of itself, in the slice in which it has changed something; see
    /// [`Call::leave`].
    fn describe(&self, args: Args<'_>, effects: &mut Effects) {
        let _ = (args, effects);
    }

    /// Writes what of the reply is certain before the rest is known. Called now and then between slices. A
    /// client that does not read what was written is not served further.
    fn write_ready(&mut self, reply: &mut ReplyWriter<'_>) {
        let _ = reply;
    }

    /// Writes the reply, or what is left of it; nothing runs afterwards.
    fn finish(&mut self, reply: &mut ReplyWriter<'_>);

    /// Bytes of the reply that are to be written yet: what it keeps, and what it knows to come at least.
    fn coming_bytes(&self) -> usize {
        0
    }

    /// The watches it has in its shards, if it ends before it has taken them out itself.
    fn leave(&mut self) -> Vec<LeftWatch> {
        Vec::new()
    }
}

/// A watch that a sliced command leaves behind in a shard.
#[derive(Debug)]
pub struct LeftWatch {
    pub shard: ShardId,
    pub db: DbIndex,
    pub key: Box<[u8]>,
    /// What the key was.
    pub version: Version,
}

impl std::fmt::Debug for dyn Slice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Slice").finish_non_exhaustive()
    }
}

impl dyn Slice {
    /// Runs all slices in one go over a view of every shard, for commands inside transactions and
    /// scripts, which hold what they need already.
    pub fn run_whole(
        &mut self,
        args: Args<'_>,
        view: &mut ShardView<'_>,
        now: UnixMillis,
        effects: Option<&mut Effects>,
    ) {
        let mut next = self.begin();
        loop {
            next = match next {
                Progress::On(id) => self.run(args, view.shard(id), now),
                Progress::Together => self.run_together(view, now),
                Progress::Done => break,
            };
        }
        if let Some(effects) = effects {
            self.describe(args, effects);
        }
    }
}

/// Since when a command is discouraged, and what to use instead.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// The version that deprecated it.
    pub since: &'static str,
    /// What replaces it, as the documentation words it.
    pub replaced_by: &'static str,
}

/// Calls the function with the index of each of some keys among the arguments.
pub type EachKey = fn(Args<'_>, &mut dyn FnMut(usize));

/// The same for all keys; never, and `false`, if the arguments make no sense.
pub type EveryKey = fn(Args<'_>, &mut dyn FnMut(usize)) -> bool;

/// What a command does with the channels that are its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelUse {
    /// Publishes on the first argument.
    Publishes,
    /// Subscribes to every argument.
    Subscribes,
    /// Subscribes to every argument, a pattern.
    SubscribesToPatterns,
}

/// Which databases a command is about.
#[derive(Clone, Copy, Debug)]
pub enum DatabaseUse {
    /// The selected one, if it is about data at all.
    Selected,
    /// All.
    All,
    /// Those of its arguments whose indices the function is called with and, if it has keys, the selected one.
    Named(EachDatabase),
}

/// Calls the function with the index of each argument that is a database; never if the arguments make no sense.
pub type EachDatabase = fn(Args<'_>, &mut dyn FnMut(usize));

/// A command: everything the server, its clients and its documentation know of it.
#[derive(Debug)]
pub struct Command {
    /// In capitals; a subcommand's own name without its container's.
    pub name: &'static str,
    /// Documentation group.
    pub group: Group,
    /// The Redis or Valkey version that added it.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// Number of arguments, names included.
    pub arity: Arity,
    /// What it may do and where it may run.
    pub flags: Flags,
    /// Access-control categories beyond those its flags imply.
    pub acl: Category,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Its arguments, for documentation.
    pub args: &'static [Arg],
    /// Its subcommands.
    pub subcommands: &'static [&'static Self],
    /// Whether calls of its subcommands are counted as its own.
    pub counts_subcommands: bool,
    /// Called by servers and those who test them, not by applications.
    pub is_internal: bool,
    /// Set when the command is discouraged.
    pub deprecated: Option<Deprecation>,
    /// Changes over versions: (version, change).
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients, such as `request_policy:all_shards`.
    pub tips: &'static [&'static str],
    /// What happens to its keys with these arguments, where key-specs can only say that it varies.
    pub access: Option<fn(Args<'_>) -> Access>,
    /// The keys among the arguments that key-specs cannot find. What happens to them is what the last spec
    /// says.
    pub further_keys: Option<EachKey>,
    /// Its keys as the handler finds them, where key-specs can be led astray. What happens to them is what the first
    /// spec says.
    pub exact_keys: Option<EveryKey>,
    /// What it does with channels, if its arguments are some.
    pub channels: Option<ChannelUse>,
    /// Which databases it is about.
    pub databases: DatabaseUse,
    /// Whether these arguments make it touch keys that are none of them. Then it runs over all shards.
    pub reaches_beyond: Option<fn(Args<'_>) -> bool>,
    /// Whether the argument at an index is nobody's business: logs and MONITOR do not show it.
    pub secret: Option<fn(Args<'_>, usize) -> bool>,
    /// Set when it may wait for other clients.
    pub waits: Option<Waits>,
    /// Where and how it runs.
    pub handler: Handler,
    /// How it runs when its handler finds that it would take too long in one piece
    /// ([`Call::in_one_piece`]).
    pub slices: Option<BeginSlices>,
}

impl Command {
    /// For `..Command::BASE`: no keys, no documented arguments, nothing special.
    pub const BASE: Self = Self {
        name: "",
        group: Group::Generic,
        since: "1.0.0",
        summary: "",
        complexity: "",
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
        acl: Category::NONE,
        keys: &[],
        args: &[],
        subcommands: &[],
        counts_subcommands: false,
        is_internal: false,
        deprecated: None,
        history: &[],
        tips: &[],
        access: None,
        further_keys: None,
        exact_keys: None,
        channels: None,
        databases: DatabaseUse::Selected,
        reaches_beyond: None,
        secret: None,
        waits: None,
        handler: Handler::Container,
        slices: None,
    };

    /// Every access-control category of the command.
    pub const fn categories(&self) -> Category {
        self.acl.and(Category::implied_by(self.flags, self.acl))
    }

    /// The argument index of its key if it always has exactly one.
    #[inline]
    pub const fn single_key(&self) -> Option<usize> {
        match self.keys {
            [only] => only.single(),
            _ => None,
        }
    }

    /// The argument at `index` as logs and MONITOR show it.
    pub fn shown<'a>(&self, args: Args<'a>, index: usize) -> &'a [u8] {
        match self.secret {
            Some(is_secret) if is_secret(args, index) => b"(redacted)",
            _ => args.at(index),
        }
    }

    /// Calls `visit` with the argument index of each key; `false` if some spec did not fit the
    /// arguments.
    pub fn each_key(&self, args: Args<'_>, mut visit: impl FnMut(usize)) -> bool {
        if self.exact_keys.is_some_and(|exact_keys| exact_keys(args, &mut visit)) {
            return true;
        }
        let mut complete = true;
        for spec in self.keys {
            complete &= spec.each_key(args, &mut visit);
        }
        if let Some(further_keys) = self.further_keys {
            further_keys(args, &mut visit);
        }
        complete
    }

    /// Whether it has keys, with some arguments at least.
    pub fn has_keys(&self) -> bool {
        self.keys.iter().any(|spec| !spec.access.has(Access::NOT_KEY))
    }

    /// Calls `visit` with the argument index of each key and what happens to it.
    pub fn each_key_access(&self, args: Args<'_>, mut visit: impl FnMut(usize, Access)) {
        if let (Some(exact_keys), Some(spec)) = (self.exact_keys, self.keys.first())
            && exact_keys(args, &mut |index| visit(index, spec.access))
        {
            return;
        }
        for spec in self.keys.iter().filter(|spec| !spec.access.has(Access::NOT_KEY)) {
            let access = self.access.map_or(spec.access, |access| access(args));
            spec.each_key(args, |index| visit(index, access));
        }
        if let (Some(further_keys), Some(spec)) = (self.further_keys, self.keys.last()) {
            further_keys(args, &mut |index| visit(index, spec.access));
        }
    }
}
