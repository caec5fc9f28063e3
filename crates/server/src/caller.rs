//! Running one command on the spot: over shards that are held for it, or without any.
//!
//! Everything that is not a window of one-shard commands ends here: single commands, those of a
//! transaction, those that a script calls. Nothing waits and no shard is given back, so what runs
//! several commands for one client over the same view runs them as one step. Which shards a command
//! needs is told by [`Core::shards_of`](crate::worker::Core::shards_of).

use crate::access::reason_in_transaction;
use crate::apart::{Meanwhile, reborrow};
use crate::commands;
use crate::commands::error::ServerError;
use crate::dispatch::{Client, keeping_expired, run_command};
use crate::late_reply::LateReply;
use crate::mail::Mail;
use crate::observed::{Cause, Together, work_observed_for};
use crate::request::Request;
use crate::saving::{note_emptied, put_off};
use crate::session::Session;
use crate::session_command::{Flow, SessionCall, SessionResult, SessionRun};
use crate::survey::{Asking, Question, Survey};
use crate::worker::Core;
use darter_acl::{Context, Denial};
use darter_command_table::{
    BeginSlices, Call, CallLimits, Entry, Flags, Handler, ReplyError, ShardView, Slice, WaitSlot,
};
use darter_commands::server::{FLUSHALL, FLUSHDB};
use darter_resp::{Output, ReplyWriter};
use darter_runtime::{ConnectionId, Turn, crash};
use darter_shard::Interest;

/// How long FLUSHALL frees memory before it answers, which is some ten thousand keys: others wait meanwhile.
const FREEING_NANOS_MAX: u64 = 1_000_000;

/// A client for which commands are run.
#[derive(Debug)]
pub struct Caller<'a> {
    /// Its worker.
    pub core: &'a Core,
    /// Its state.
    pub session: &'a mut Session,
    /// Its connection.
    pub id: ConnectionId,
    /// The time; it stands still.
    pub turn: &'a Turn,
    /// What commands depend on; one of them can change it for those behind it.
    limits: CallLimits,
    /// Whether the commands are parts of another one.
    nested: bool,
    /// What that one has changed.
    together: Option<&'a Together>,
    /// What can be done while a command runs, if that can take long.
    pub meanwhile: Option<&'a mut (dyn Meanwhile + 'a)>,
}

impl<'a> Caller<'a> {
    /// A client that has sent one command.
    pub fn new(core: &'a Core, session: &'a mut Session, id: ConnectionId, turn: &'a Turn) -> Self {
        let limits = core.limits.get();
        Self { core, session, id, turn, limits, nested: false, together: None, meanwhile: None }
    }

    /// The same for commands that are parts of another one, a transaction or a script: their replies
    /// are parts of its reply, so each is exactly one value, and none may wait. What they change is told
    /// together.
    #[must_use]
    pub const fn nested(mut self, together: &'a Together) -> Self {
        self.nested = true;
        self.limits = self.limits.of_part();
        self.together = Some(together);
        self
    }

    /// The same for the commands of a script.
    #[must_use]
    pub const fn by_script(mut self) -> Self {
        self.limits.by_script = true;
        self
    }

    /// The same for one whose command can take long.
    #[must_use]
    pub fn while_serving(mut self, others: Option<&'a mut (dyn Meanwhile + 'a)>) -> Self {
        self.meanwhile = others;
        self
    }

    /// What the client lacks to run a command, if anything.
    #[inline]
    pub fn denial(&self, Request { entry, args, .. }: Request<'_>) -> Option<Denial> {
        if self.session.access.is_free {
            return None;
        }
        self.core.check_access(self.session, entry, args).err()
    }

    /// Answers a command of a transaction that the client may not run any more.
    #[cold]
    pub fn refuse(
        &self,
        Request { entry, args, .. }: Request<'_>,
        denial: Denial,
        output: &mut Output,
    ) {
        let now = self.turn.now;
        self.core.note_denial(self.session, (entry, args), denial, Context::Multi, now);
        let error = ServerError::AccessChanged(reason_in_transaction(denial)).into();
        self.core.statistics().error(&error);
        ReplyWriter::new(output, self.session.protocol).error(error.line());
    }

    /// Runs a command over `view`, which must span the shards it needs and may span more, writes its
    /// reply, and counts the call. An error that is returned has been written. What else is returned
    /// is left to do: a reply that is not complete, closing the connection.
    pub fn run(
        &mut self,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        let Request { entry, .. } = request;
        if self.limits.is_saving
            && !self.nested
            && let Some(flow) = put_off(self.core.shared, view, self.session, request, self.turn)
        {
            return Ok(flow);
        }
        self.session.note_write(entry);
        let result = match entry.command.handler {
            Handler::Keyed(_) | Handler::AllShards(_) => {
                self.run_over_shards(request, view, output)
            }
            Handler::Sliced(begin) => self.run_slices(request, begin, view, output),
            Handler::Session | Handler::Container => self.run_for_session(request, view, output),
        };
        self.note_read(entry);
        // What is run again is counted then.
        let is_to_come = |flow: &Flow| match flow {
            Flow::Defer | Flow::PutOff | Flow::Block(_) | Flow::Connect(_) | Flow::Transfer(_) => {
                true
            }
            Flow::Change(changing) => changing.precedes_command(),
            _ => false,
        };
        if !result.as_ref().is_ok_and(is_to_come) {
            self.core.statistics().called(entry.counted_as, &result);
            // What is no part of another command was counted when it began.
            self.session.commands += u64::from(self.nested);
        }
        result
    }

    /// A choice for the next command ends with it. A transaction is one command, from MULTI on.
    fn note_read(&mut self, entry: &Entry) {
        let session = &mut *self.session;
        if session.facts.tracking.is_some()
            && !self.nested
            && session.transaction.is_none()
            && !commands::client::has(entry)
        {
            session.remember = session.remember.after_command();
        }
    }

    fn run_over_shards(
        &self,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        if self.waits_until_freed(request) {
            return self.flush_and_free(request, view, output);
        }
        self.run_on_the_spot(request, view, output)
    }

    /// Whether the command answers when the memory of what it flushes is free; as a part of another one it does not wait.
    fn waits_until_freed(&self, Request { entry, args, .. }: Request<'_>) -> bool {
        is_flush(entry)
            && !self.nested
            && match args.get(1) {
                Some(how) => how.eq_ignore_ascii_case(b"SYNC"),
                None => !self.core.shared.config.current().lazy_user_flush,
            }
    }

    /// Flushes, and has the memory freed in slices as ever before it answers.
    fn flush_and_free(
        &self,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        let mut reply = Output::new();
        self.run_on_the_spot(request, view, &mut reply).inspect_err(|_| output.append(reply))?;
        let asking = Asking { command: request.entry.id, protocol: self.session.protocol };
        let survey = Survey::of_everybody(Question::Free, asking);
        Ok(Flow::Later(Box::new(LateReply::to_question(survey))))
    }

    /// Frees what was flushed if that takes no longer than [`FREEING_NANOS_MAX`]: who asks for the memory used after FLUSHALL
    /// finds little, as with a thread that frees at once. Of what is left the shards' homes hear.
    fn free_flushed(&self, view: &mut ShardView<'_>) {
        let core = self.core;
        let begun = core.shared.stopwatch.now();
        for shard in view.each() {
            while shard.has_flushed_garbage() {
                if core.nanos_since(begun) > FREEING_NANOS_MAX {
                    let home = core.shared.router().home_of(shard.id());
                    core.post.send(home, Mail::TendShards);
                    break;
                }
                shard.collect_garbage(1);
            }
        }
    }

    fn run_on_the_spot(
        &self,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        let mut slot = WaitSlot::default();
        let may_wait = !self.nested && request.entry.may_wait(request.args);
        let result = run_command(
            request.entry,
            request.args,
            Client::of(self.session, self.id, request.entry, request.args, self.limits.databases),
            self.turn.now,
            &self.limits,
            self.core.shared,
            view,
            output,
            may_wait.then_some(&mut slot),
            self.together,
        );
        if matches!(result, Err(ReplyError::Long)) {
            // Only a command that has slices asks to be run in some; others have to wait.
            return match request.entry.command.slices {
                Some(begin) => self.begin_slices(request, begin, output).map(Flow::Slices),
                None => Ok(Flow::PutOff),
            };
        }
        result?;
        if is_flush(request.entry) {
            self.free_flushed(view);
        }
        if std::ptr::eq(request.entry.command, &raw const FLUSHALL) {
            note_emptied(self.core.shared, view, self.nested, self.turn.now);
        }
        Ok(slot.wait.map_or(Flow::Next, |wait| Flow::Block(Box::new(wait))))
    }

    /// Begins a command in slices; an error that is returned has been written.
    pub fn begin_slices(
        &self,
        request: Request<'_>,
        begin: BeginSlices,
        output: &mut Output,
    ) -> Result<Box<dyn Slice>, ReplyError> {
        let mut call = self.call(request, output);
        begin(&call).inspect_err(|error| call.reply.error(error.line()))
    }

    /// Runs all slices of a command in one go.
    fn run_slices(
        &self,
        request: Request<'_>,
        begin: BeginSlices,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        crash::note_command(&request.entry.full_name, request.args.len());
        let mut slice = self.begin_slices(request, begin, output)?;
        let (shared, interest) = (self.core.shared, self.limits.interest);
        let Request { entry, args, .. } = request;
        let (by, db) = (Some(self.id), self.session.db);
        let cause = Cause { entry, args, db, by, together: self.together };
        work_observed_for(shared, interest, view, cause, |view, effects| {
            keeping_expired(&self.limits, view, |view| {
                let now = self.session.sees_at(&self.limits, self.turn.now);
                slice.run_whole(args, view, now, effects);
            });
        });
        slice.finish(&mut ReplyWriter::new(output, self.session.protocol));
        Ok(Flow::Next)
    }

    fn call<'c>(&'c self, request: Request<'c>, output: &'c mut Output) -> Call<'c> {
        Call {
            command: request.entry.command,
            args: request.args,
            reply: ReplyWriter::new(output, self.session.protocol),
            db: self.session.db,
            now: self.session.sees_at(&self.limits, self.turn.now),
            limits: &self.limits,
            hasher: &self.core.shared.hasher,
            router: self.core.shared.router(),
            waits: None,
            effects: None,
        }
    }

    fn run_for_session(
        &mut self,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        output: &mut Output,
    ) -> SessionResult {
        let Request { entry, args, .. } = request;
        crash::note_command(&entry.full_name, args.len());
        // HELLO changes it for its own reply, but not for its error.
        let protocol = self.session.protocol;
        let version = self.core.shared.config.version();
        let mut call = SessionCall {
            entry,
            args,
            output,
            session: self.session,
            id: self.id,
            core: self.core,
            shared: self.core.shared,
            post: &self.core.post,
            turn: self.turn,
            nested: self.nested,
            together: self.together,
            meanwhile: reborrow(&mut self.meanwhile),
        };
        let is_room = !self.limits.memory.is_set()
            || !entry.command.flags.has(Flags::DENYOOM)
            || self.core.shared.make_room(&self.limits, view, self.turn.now);
        let result = match self.core.shared.session_run(entry.id) {
            _ if !is_room => Err(ReplyError::OutOfMemory),
            Some(SessionRun::Alone(run)) => run(&mut call),
            Some(
                SessionRun::Keyed(run)
                | SessionRun::AllShards(run)
                | SessionRun::AllShardsIf(_, run)
                | SessionRun::Queued(run),
            ) => run(&mut call, view),
            Some(SessionRun::Script(source)) => crate::scripting::run(&mut call, view, source),
            Some(SessionRun::Container) | None => unreachable!("only commands with a way to run"),
        };
        if let Err(error) = &result {
            ReplyWriter::new(output, protocol).error(error.line());
        }
        let is_tracking = self.core.shared.tracking.any();
        if version != self.core.shared.config.version()
            || is_tracking != self.limits.interest.has(Interest::CHANGES)
        {
            let by_script = self.limits.by_script;
            let limits = self.core.call_limits();
            self.limits = if self.nested { limits.of_part() } else { limits };
            self.limits.by_script = by_script;
        }
        result
    }
}

/// Whether the command is FLUSHALL or FLUSHDB.
fn is_flush(entry: &Entry) -> bool {
    std::ptr::eq(entry.command, &raw const FLUSHALL)
        || std::ptr::eq(entry.command, &raw const FLUSHDB)
}
