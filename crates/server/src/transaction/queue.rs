//! From a client's input to its queue.

use crate::admission::Needs;
use crate::barrier::Barrier;
use crate::commands::connection::SELECT;
use crate::dispatch::WINDOW_COMMANDS;
use crate::outbox::Outbox;
use crate::place::ShardSet;
use crate::request::{OwnedRequest, Request};
use crate::session::{Awaited, Session};
use crate::session_command::SessionRun;
use crate::worker::Core;
use darter_base::DbIndex;
use darter_base::number::parse_i64;
use darter_command_table::{Entry, Flags, Handler};
use darter_resp::{Args, Parsed, ReplyWriter, Span};
use darter_runtime::Io;

/// What a client has queued since MULTI.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about the commands"
)]
pub struct Transaction {
    commands: Vec<OwnedRequest>,
    /// Where they run, all together.
    shards: ShardSet,
    /// What any of them may do.
    flags: Flags,
    /// Whether each of them runs over shards alone, so that its reply is complete at once.
    only_shards: bool,
    /// Whether any of them runs a script.
    runs_scripts: bool,
    /// Whether all of them can run while data are being loaded.
    runs_while_loading: bool,
    /// Whether all of them can run on data that are not those of the primary any more.
    runs_on_stale: bool,
    /// Whether a command was refused: then none runs.
    refused: bool,
    /// Memory of the commands.
    bytes: usize,
    /// The database that is selected behind them.
    db: DbIndex,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            commands: Vec::new(),
            shards: ShardSet::default(),
            flags: Flags::NONE,
            only_shards: true,
            runs_scripts: false,
            runs_while_loading: true,
            runs_on_stale: true,
            refused: false,
            bytes: 0,
            db: DbIndex(0),
        }
    }
}

impl Transaction {
    /// The commands, in the order they were sent.
    pub fn commands(&self) -> &[OwnedRequest] {
        &self.commands
    }

    /// Where they run, all together.
    pub const fn shards(&self) -> &ShardSet {
        &self.shards
    }

    /// What any of them may do.
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether each of them runs over shards alone.
    pub const fn only_shards(&self) -> bool {
        self.only_shards
    }

    /// Whether a command runs a script.
    pub const fn runs_scripts(&self) -> bool {
        self.runs_scripts
    }

    /// What they cannot do without, all together.
    pub const fn needs(&self) -> Needs {
        Needs {
            writing: self.flags.has(Flags::WRITE),
            health: false,
            fresh_data: !self.runs_on_stale,
            data: !self.runs_while_loading,
        }
    }

    /// Whether a command may subscribe or publish.
    pub const fn subscribes(&self) -> bool {
        self.flags.has(Flags::PUBSUB)
    }

    /// Whether a command was refused.
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// The database that is selected behind them.
    pub const fn db(&self) -> DbIndex {
        self.db
    }

    /// Memory of the commands, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The database that a command selects, if it does.
fn selected_by(Request { entry, args, .. }: Request<'_>, databases: u16) -> Option<DbIndex> {
    if !std::ptr::eq(entry.command, &raw const SELECT.command) {
        return None;
    }
    let db = args.get(1).and_then(parse_i64).and_then(|db| u16::try_from(db).ok());
    db.filter(|db| *db < databases).map(DbIndex)
}

impl Core {
    /// Lets a client queue its commands from now on.
    pub fn begin_transaction(&self, session: &mut Session) {
        let transaction = Transaction { db: session.db, ..Transaction::default() };
        session.transaction = Some(Box::new(transaction));
    }

    /// Takes a client's transaction from it, if it has one.
    pub fn end_transaction(&self, session: &mut Session) -> Option<Box<Transaction>> {
        let transaction = session.transaction.take()?;
        self.statistics().queued_bytes.remove(transaction.bytes as u64);
        Some(transaction)
    }

    /// A command of a client was refused. If that was to be part of a transaction, nothing of it will
    /// run, so that what is queued need not be kept.
    pub fn refuse_transaction(&self, session: &mut Session) {
        if self.end_transaction(session).is_some() {
            let refused = Transaction { refused: true, db: session.db, ..Transaction::default() };
            session.transaction = Some(Box::new(refused));
        }
    }

    /// Whether a command of this client is put into a queue rather than run.
    pub fn queues(&self, session: &Session, entry: &Entry) -> bool {
        session.transaction.is_some() && !entry.command.flags.has(Flags::AT_ONCE)
    }

    /// Queues a command of a client that is in a transaction.
    pub fn queue(&self, session: &mut Session, request: Request<'_>, output: &mut Outbox) {
        session.note_queued(request.entry);
        ReplyWriter::new(&mut output.0, session.protocol).simple("QUEUED");
        let Some(transaction) = &mut session.transaction else {
            unreachable!("only clients in a transaction queue commands")
        };
        if transaction.refused {
            return;
        }
        if let Some(db) = selected_by(request, self.limits.get().databases) {
            transaction.db = db;
        }
        self.add_shards_of(request.entry, request.args, &mut transaction.shards);
        let command = request.entry.command;
        let flags = self.flags_of(request.entry, request.args);
        transaction.flags = transaction.flags.and(flags);
        transaction.runs_on_stale &= flags.has(Flags::STALE);
        transaction.only_shards &= !matches!(command.handler, Handler::Session);
        transaction.runs_while_loading &= self.shared.runs_while_loading(request.entry);
        let run = self.shared.session_run(request.entry.id);
        transaction.runs_scripts |= matches!(run, Some(SessionRun::Script(_)));
        let request = request.to_owned();
        let bytes = request.memory_bytes();
        transaction.bytes += bytes;
        self.statistics().queued_bytes.add(bytes as u64);
        transaction.commands.push(request);
    }

    /// Whether the command has to wait for a pause to end. EXEC waits if one of its commands would.
    pub fn holds_back_in(&self, session: &Session, entry: &Entry, args: Args<'_>) -> bool {
        let Some(pause) = self.pause.get() else { return false };
        let queued = match &session.transaction {
            Some(transaction) if self.runs_queue(entry) => transaction.flags,
            _ => Flags::NONE,
        };
        let flags = self.flags_of(entry, args).and(queued);
        pause.holds(flags) || self.waits_for_primary(session, flags)
    }

    /// Queues the commands in a client's input that are to be queued, up to one that is not, and adds how many
    /// to `queued`. Not for ever: then the window counts as full.
    pub fn collect_queued(
        &self,
        session: &mut Session,
        io: &mut Io<'_, Outbox>,
        spans: &mut Vec<Span>,
        at: &mut usize,
        queued: &mut usize,
    ) -> Barrier {
        for _ in 0..WINDOW_COMMANDS {
            let begin = *at;
            if begin == io.input.len() {
                return Barrier::Incomplete;
            }
            let first_span = spans.len();
            let end = match session.parser.parse(&io.input[begin..], spans, &session.limits) {
                Parsed::Command { consumed } => begin + consumed,
                Parsed::Nothing { consumed } => {
                    *at = begin + consumed;
                    continue;
                }
                Parsed::Inline { consumed, args } => {
                    return Barrier::Inline { args, end: begin + consumed };
                }
                Parsed::Incomplete { needed_bytes, argument_bytes } => {
                    session.awaited = Awaited { bytes: needed_bytes, argument_bytes };
                    return Barrier::Incomplete;
                }
                Parsed::Malformed(error) => return Barrier::Malformed(error),
            };
            let args = Args::new(&io.input[begin..end], &spans[first_span..]);
            let args = args.lying_in(io.shared);
            let entry = match self.admit_in(session, args) {
                Ok(entry) => entry,
                Err(error) => return Barrier::of_refusal(error, args, (begin, end), first_span),
            };
            if self.holds_back_in(session, entry, args) {
                return Barrier::Paused;
            }
            if !self.queues(session, entry) {
                let place = self.place(entry, args);
                return Barrier::Command { entry, place, begin, end, first_span };
            }
            self.queue(
                session,
                Request { entry, args, bytes: end - begin, stays: false },
                io.output,
            );
            *at = end;
            *queued += 1;
            spans.truncate(first_span);
            // What was queued has been read and not been run, as what lies in the query buffer.
            let bytes = session.transaction.as_ref().map_or(0, |transaction| transaction.bytes);
            if bytes > self.query_bytes_max.get() {
                return Barrier::QueueOverflow;
            }
        }
        Barrier::Full
    }
}
