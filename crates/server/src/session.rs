//! The state of one client.

use crate::access::Access;
use crate::client_memory::Weighed;
use crate::config::Settings;
use crate::fieldsets::Fieldsets;
use crate::outbox::Outbox;
use crate::pending::Pending;
use crate::pubsub::Subscriptions;
use crate::replication::{Announced, Replica};
use crate::shared::Shared;
use crate::tracking::{Invalidated, Remember, Tracking};
use crate::transaction::{Transaction, Watches};
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{BEFORE_EVERYTHING, CallLimits, Entry, Flags};
use darter_replication::Offset;
use darter_resp::{Limits, Output, Protocol, RequestParser};
use darter_runtime::{Dialogue, Io, PeerAddress, PeerInfo};
use std::sync::Arc;

/// One client's state. Lives on the worker its connection was given to.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one client")]
pub struct Session {
    /// Progress over an incomplete request.
    pub parser: RequestParser,
    /// What requests may be made of; stricter before authentication.
    pub limits: Limits,
    /// The request that is not all there.
    pub awaited: Awaited,
    /// The database it selected.
    pub db: DbIndex,
    /// The protocol it chose with `HELLO`.
    pub protocol: Protocol,
    /// Who it is.
    pub access: Access,
    /// Whether it ever was: RESET takes that back, and its output is not limited as a stranger's is.
    pub ever_authenticated: bool,
    /// Whether it has subscriptions.
    pub subscribes: bool,
    /// Whether it may run few commands only: it has subscriptions and speaks RESP2.
    pub confined: bool,
    /// Whether the command that runs is heard whatever [`Replies`] it wants.
    pub is_heard: bool,
    /// Closes once its output is sent; nothing it still sends is looked at.
    pub closing: bool,
    /// Gets a line for every command of every client (`MONITOR`).
    pub monitors: bool,
    /// Whether keys that its next command reads are remembered for it.
    pub remember: Remember,
    /// Whether a command that may change something has run since `written_to` was noted.
    has_written: bool,
    /// Where in the log the last change of the client ends, or somewhere behind.
    written_to: u64,
    /// Where in the stream for replicas it does.
    streamed_to: Offset,
    /// Which replies it wants (`CLIENT REPLY`).
    pub replies: Replies,
    /// Whether the reply of the pending command is not wanted.
    mutes_pending: bool,
    /// Its number, unique in the process and ascending; never 0.
    pub client_id: u64,
    /// Commands it has run.
    pub commands: u64,
    /// Its latest command's full name; empty before the first.
    pub last_command: &'static str,
    /// A command of its that is under way somewhere; the connection is suspended or comes again.
    pub pending: Option<Pending>,
    /// What it has queued since MULTI; the connection's windows are for clients without.
    pub transaction: Option<Box<Transaction>>,
    /// What is seldom looked at.
    pub facts: Box<Facts>,
}

/// What is known of a request that is not all there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Awaited {
    /// Bytes it has at least; 0 if there is none.
    pub bytes: usize,
    /// Length of the argument that is missing the rest, if that is known.
    pub argument_bytes: usize,
}

/// Arguments from this length on are received by themselves in Valkey: its query buffer has nothing else then.
const BIG_ARGUMENT_BYTES: usize = 32 << 10;

impl Awaited {
    /// Bytes the request has at least if a big argument is on its way, else 0: buffers need no help with small ones.
    pub fn big_bytes(self) -> usize {
        if self.argument_bytes < BIG_ARGUMENT_BYTES { 0 } else { self.bytes }
    }

    /// How much of `kept` bytes of input counts as query buffer, as Valkey counts it.
    pub fn query_buffer_bytes(self, kept: usize) -> usize {
        if self.argument_bytes < BIG_ARGUMENT_BYTES {
            return kept;
        }
        let before = self.bytes.saturating_sub(self.argument_bytes + b"\r\n".len());
        kept.saturating_sub(before)
    }
}

/// Where replies are written.
pub trait Mute {
    /// The replies.
    fn output(&mut self) -> &mut Output;
}

impl Mute for Outbox {
    fn output(&mut self) -> &mut Output {
        &mut self.0
    }
}

impl Mute for Io<'_, Outbox> {
    fn output(&mut self) -> &mut Output {
        &mut self.output.0
    }
}

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but that of the next command.
    SkipNext,
    /// All but that of this command, which is running.
    SkipThis,
}

/// What only `CLIENT LIST` and its like look at.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one client")]
pub struct Facts {
    /// Where it connected from and to.
    pub peer: PeerInfo,
    /// `CLIENT SETNAME`; empty when unset.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_version: Vec<u8>,
    /// `CLIENT NO-EVICT`: it stays when clients are closed for memory.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH`: its reads do not make keys look used.
    pub no_touch: bool,
    /// `CLIENT IMPORT-SOURCE`: in import mode nothing has expired for it.
    pub imports: bool,
    /// `READONLY`.
    pub reads_from_replicas: bool,
    /// `CLIENT CAPA redirect`.
    pub takes_redirects: bool,
    /// Keys that must not change before its next EXEC.
    pub watches: Watches,
    /// When it connected.
    pub connected_at: UnixMillis,
    /// What it subscribed to; made with the first subscription.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// How it is tracked, if it is.
    pub tracking: Option<Box<Tracking>>,
    /// Keys that its own command under way elsewhere changed, to be told behind that command's reply.
    pub late_invalidations: Vec<Invalidated>,
    /// Whether the letters were read that the command under way had to let come first.
    pub has_read_letters: bool,
    /// What of its input all clients are to be looked at for before it is run.
    pub weighed: Weighed,
    /// The fieldsets it has prepared (`HIMPORT`).
    pub fieldsets: Fieldsets,
    /// What it has said of itself as a replica, if anything (`REPLCONF`).
    pub announced: Option<Box<Announced>>,
    /// The replica that it is.
    pub replica: Option<Arc<Replica>>,
    /// The connection to another server that the command under way asked for.
    pub dialogue: Option<Box<Dialogue>>,
}

impl Session {
    /// A client that has just connected.
    pub fn new(
        client_id: u64,
        peer: PeerInfo,
        now: UnixMillis,
        access: Access,
        settings: &Settings,
    ) -> Self {
        Self {
            parser: RequestParser::new(),
            limits: settings.request_limits(access.needs_authentication),
            awaited: Awaited::default(),
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            ever_authenticated: access.is_authenticated,
            access,
            subscribes: false,
            confined: false,
            is_heard: false,
            closing: false,
            monitors: false,
            remember: Remember::Never,
            has_written: false,
            written_to: 0,
            streamed_to: Offset::ZERO,
            replies: Replies::On,
            mutes_pending: false,
            client_id,
            commands: 0,
            last_command: "",
            pending: None,
            transaction: None,
            facts: Box::new(Facts {
                peer,
                name: Vec::new(),
                lib_name: Vec::new(),
                lib_version: Vec::new(),
                no_evict: false,
                no_touch: false,
                imports: false,
                reads_from_replicas: false,
                takes_redirects: false,
                watches: Watches::default(),
                connected_at: now,
                subscriptions: None,
                tracking: None,
                weighed: Weighed::default(),
                fieldsets: Fieldsets::default(),
                announced: None,
                replica: None,
                dialogue: None,
                late_invalidations: Vec::new(),
                has_read_letters: false,
            }),
        }
    }

    /// The time for its commands on keys, as far as it says what has expired.
    pub fn sees_at(&self, limits: &CallLimits, now: UnixMillis) -> UnixMillis {
        if limits.imports && self.facts.imports { BEFORE_EVERYTHING } else { now }
    }

    /// As it was when it connected, but for what the client library told of itself and who it is.
    pub fn reset(&mut self) {
        self.db = DbIndex(0);
        self.protocol = Protocol::Resp2;
        self.confine();
        self.replies = Replies::On;
        self.facts.name.clear();
        self.facts.no_evict = false;
        self.facts.no_touch = false;
        self.facts.imports = false;
        self.facts.reads_from_replicas = false;
        self.facts.fieldsets = Fieldsets::default();
    }

    /// Whether its commands run in windows that connections share.
    #[inline]
    pub fn runs_in_windows(&self) -> bool {
        self.pending.is_none() && self.transaction.is_none() && self.replies == Replies::On
    }

    /// How many bytes at the beginning of its input are the command that is under way.
    pub fn bytes_in_input(&self) -> usize {
        match &self.pending {
            Some(Pending::Sliced(sliced)) => sliced.bytes_in_input(),
            _ => 0,
        }
    }

    /// Whether the command under way stays in its input.
    pub fn stays_in_input(&self) -> bool {
        self.bytes_in_input() > 0
    }

    /// Notes what follows from its protocol and its subscriptions: a RESP2 client could not tell
    /// messages from replies, and a replica gets none.
    pub fn confine(&mut self) {
        self.confined =
            self.facts.replica.is_some() || self.subscribes && self.protocol == Protocol::Resp2;
    }

    /// Notes that it runs a command.
    #[inline]
    pub fn note_command(&mut self, entry: &'static Entry) {
        self.commands += 1;
        self.last_command = &entry.full_name;
        self.note_write(entry);
    }

    /// Where in the log everything is that the client has changed.
    pub fn written_to(&mut self, shared: &Shared) -> u64 {
        let end = shared.journal.end();
        self.note_ends(shared, end);
        // A log can have been begun anew.
        self.written_to.min(end)
    }

    /// Where in the stream for replicas everything is that the client has changed.
    pub fn streamed_to(&mut self, shared: &Shared) -> Offset {
        self.note_ends(shared, shared.journal.end());
        self.streamed_to
    }

    fn note_ends(&mut self, shared: &Shared, end: u64) {
        if std::mem::take(&mut self.has_written) {
            self.written_to = end;
            self.streamed_to = shared.replication.end();
        }
    }

    /// Notes that it runs a command that may change something.
    #[inline]
    pub fn note_write(&mut self, entry: &Entry) {
        self.has_written |= entry.command.flags.has(Flags::WRITE);
    }

    /// Notes that it queues a command; what runs of a transaction is counted when it does.
    #[inline]
    pub fn note_queued(&mut self, entry: &'static Entry) {
        self.last_command = &entry.full_name;
    }

    /// Takes that it runs a command back, because it is going to run another way, or has to wait first.
    #[cold]
    pub fn take_command_back(&mut self) {
        self.commands -= 1;
    }

    /// Lets `run` run a command or a window of them, and drops the replies if they are not wanted.
    #[inline]
    pub fn run_muted<T: Mute, R>(
        &mut self,
        target: &mut T,
        run: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> R {
        if self.replies == Replies::On {
            return run(self, target);
        }
        self.run_unheard(target, run)
    }

    #[cold]
    fn run_unheard<T: Mute, R>(
        &mut self,
        target: &mut T,
        run: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> R {
        if self.replies == Replies::SkipNext {
            self.replies = Replies::SkipThis;
        }
        let kept = target.output().take();
        let result = run(self, target);
        let written = std::mem::replace(target.output(), kept);
        self.mutes_pending = self.pending.is_some();
        let is_heard = std::mem::take(&mut self.is_heard);
        // CLIENT REPLY ON is heard itself.
        if is_heard || self.replies == Replies::On {
            target.output().append(written);
        }
        if self.replies == Replies::SkipThis {
            self.replies = Replies::On;
        }
        result
    }

    /// Whether the answer to a command that is under way is wanted.
    pub fn hears_pending(&self) -> bool {
        self.replies == Replies::On && !self.mutes_pending
    }

    /// Notes that a command may be answered that began before: it may have changed something since answers were sent
    /// the last time.
    pub const fn note_late_answer(&mut self) {
        self.has_written = true;
    }

    /// Lets `finish` go on with the pending command, and drops its reply if it is not wanted.
    #[inline]
    pub fn finish_pending<T: Mute, R>(
        &mut self,
        target: &mut T,
        finish: impl FnOnce(&mut Self, &mut T) -> R,
    ) -> R {
        self.note_late_answer();
        if !self.mutes_pending {
            return finish(self, target);
        }
        let kept = target.output().take();
        let result = finish(self, target);
        let written = std::mem::replace(target.output(), kept);
        if std::mem::take(&mut self.is_heard) {
            target.output().append(written);
        }
        self.mutes_pending = self.pending.is_some();
        result
    }

    /// Whether it came over a unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.facts.peer.local, PeerAddress::Unix(_))
    }

    /// Whether it came from this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.facts.peer)
    }
}

/// Whether a connection came from this machine.
pub fn is_local(peer: &PeerInfo) -> bool {
    match &peer.remote {
        PeerAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
        PeerAddress::Unix(_) => true,
    }
}
