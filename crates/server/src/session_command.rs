//! Commands about the client and the server rather than about keys.

use crate::apart::Meanwhile;
use crate::late_reply::LateReply;
use crate::mail::Mail;
use crate::migration::{Target, Transfer};
use crate::observed::Together;
use crate::pubsub::Changing;
use crate::scripting::Source;
use crate::session::Session;
use crate::shared::Shared;
use crate::statistics::WorkerStatistics;
use crate::survey::{Asking, Question, Survey};
use crate::worker::Core;
use darter_base::WorkerId;
use darter_command_table::{Command, Entry, ReplyError, ShardView, Slice, Wait};
use darter_resp::{Args, Output, ReplyWriter};
use darter_runtime::{ConnectionId, Post, Turn};

/// A session command: what it is, and how it runs.
#[derive(Debug)]
pub struct SessionCommand {
    /// Its declaration; the handler is [`darter_command_table::Handler::Session`] or a container.
    pub command: Command,
    /// How it runs.
    pub run: SessionRun,
    /// Whether a container lists it, so that it is no command by itself.
    pub is_subcommand: bool,
}

/// How a session command runs.
#[derive(Clone, Copy, Debug)]
pub enum SessionRun {
    /// By itself.
    Alone(fn(&mut SessionCall<'_>) -> SessionResult),
    /// Over the shards of its keys.
    Keyed(fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult),
    /// Over the shards of the keys that the client watches and of the commands it has queued.
    Queued(fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult),
    /// Over all shards at once.
    AllShards(fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult),
    /// Over all shards at once if its arguments ask for that, else by itself, over no shard.
    AllShardsIf(
        fn(Args<'_>) -> bool,
        fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult,
    ),
    /// As a script, over the shards of its keys or over all.
    Script(Source),
    /// Not at all: only its subcommands do.
    Container,
}

impl SessionCommand {
    /// A command that runs by itself.
    pub const fn alone(command: Command, run: fn(&mut SessionCall<'_>) -> SessionResult) -> Self {
        Self { command, run: SessionRun::Alone(run), is_subcommand: false }
    }

    /// A command that runs over the shards of its keys.
    pub const fn keyed(
        command: Command,
        run: fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult,
    ) -> Self {
        Self { command, run: SessionRun::Keyed(run), is_subcommand: false }
    }

    /// A command that runs over the shards of what the client watches and has queued.
    pub const fn queued(
        command: Command,
        run: fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult,
    ) -> Self {
        Self { command, run: SessionRun::Queued(run), is_subcommand: false }
    }

    /// A command that runs over all shards at once.
    pub const fn all_shards(
        command: Command,
        run: fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult,
    ) -> Self {
        Self { command, run: SessionRun::AllShards(run), is_subcommand: false }
    }

    /// A command that runs over all shards at once with some arguments.
    pub const fn all_shards_if(
        command: Command,
        needs_shards: fn(Args<'_>) -> bool,
        run: fn(&mut SessionCall<'_>, &mut ShardView<'_>) -> SessionResult,
    ) -> Self {
        Self { command, run: SessionRun::AllShardsIf(needs_shards, run), is_subcommand: false }
    }

    /// A command that runs a script.
    pub const fn script(command: Command, source: Source) -> Self {
        Self { command, run: SessionRun::Script(source), is_subcommand: false }
    }

    /// A command that only holds others.
    pub const fn container(command: Command) -> Self {
        Self { command, run: SessionRun::Container, is_subcommand: false }
    }

    /// Listed by a container.
    #[must_use]
    pub const fn within(mut self) -> Self {
        self.is_subcommand = true;
        self
    }
}

/// What a session command returns: `Err` is written as the reply.
pub type SessionResult = Result<Flow, ReplyError>;

/// What happens to the connection after a session command.
#[derive(Debug)]
pub enum Flow {
    /// The next command.
    Next,
    /// The next command, once this worker's letters have been read.
    Yield,
    /// The same command again, once this worker's letters have been read. Nothing was answered yet. Not
    /// of a part of another command.
    Defer,
    /// The same command again in a moment, because what it waits for takes longer than that. Only of a command over
    /// shards that is no part of another one.
    PutOff,
    /// The next command once this reply is complete; nothing else was written. Only a command over
    /// shards can keep them for a while before.
    Later(Box<LateReply>),
    /// Nothing until [`Session::pending`] is dealt with, which can take for ever.
    Wait,
    /// Nothing until a key has something for it, which can take for ever. Only of a command over shards
    /// that is no part of another one.
    Block(Box<Wait>),
    /// The next command once this one has run in slices. Only of a command over shards that is no part of
    /// another one.
    Slices(Box<dyn Slice>),
    /// The next command once these subscriptions have been changed, some in each turn. Not of a part of another command.
    Change(Box<Changing>),
    /// The same command again, once there is a connection to another server
    /// ([`Facts::dialogue`](crate::session::Facts::dialogue)). Nothing was answered yet. Only of a command over
    /// shards that is no part of another one.
    Connect(Box<Target>),
    /// The next command once the keys are at another server. Their shards are held until then. As above.
    Transfer(Box<Transfer>),
    /// Close once the reply is sent.
    Close,
}

/// One session command of one client.
#[derive(Debug)]
pub struct SessionCall<'a> {
    /// What is run.
    pub entry: &'static Entry,
    /// The arguments, the name at index 0.
    pub args: Args<'a>,
    /// Where the reply goes.
    pub output: &'a mut Output,
    /// Whose command it is.
    pub session: &'a mut Session,
    /// Its connection.
    pub id: ConnectionId,
    /// Its worker.
    pub core: &'a Core,
    /// What all workers share.
    pub shared: &'static Shared,
    /// Mailboxes.
    pub post: &'a Post<Mail>,
    /// The time.
    pub turn: &'a Turn,
    /// Whether it is a part of a transaction or a script. Then it must write exactly one value, and
    /// must not wait.
    pub nested: bool,
    /// What the whole has changed of which it is a part.
    pub together: Option<&'a Together>,
    /// What can be done while it runs, if that can take long.
    pub meanwhile: Option<&'a mut (dyn Meanwhile + 'a)>,
}

impl SessionCall<'_> {
    /// A writer in the client's protocol.
    pub fn reply(&mut self) -> ReplyWriter<'_> {
        ReplyWriter::new(self.output, self.session.protocol)
    }

    /// Answers `+OK`.
    pub fn ok(&mut self) -> SessionResult {
        self.reply().ok();
        Ok(Flow::Next)
    }

    /// Answers what all workers say to a question.
    pub fn ask(&self, question: Question) -> SessionResult {
        let survey = Survey::of_everybody(question, self.asking());
        Ok(Flow::Later(Box::new(LateReply::to_question(survey))))
    }

    /// Answers what the client's own worker says to a question.
    pub fn ask_own_worker(&self, question: Question) -> SessionResult {
        let survey = Survey::of_own_worker(question, self.asking());
        Ok(Flow::Later(Box::new(LateReply::to_question(survey))))
    }

    /// Answers what these workers say to a question.
    pub fn ask_workers(&self, workers: Vec<WorkerId>, question: Question) -> SessionResult {
        let survey = Survey::of_workers(workers, question, self.asking());
        Ok(Flow::Later(Box::new(LateReply::to_question(survey))))
    }

    fn asking(&self) -> Asking {
        Asking { command: self.entry.id, protocol: self.session.protocol }
    }

    /// Answers `text` under a format of three letters, as verbatim text.
    pub fn text(&mut self, text: &str) -> SessionResult {
        self.reply().verbatim(*b"txt", text.as_bytes());
        Ok(Flow::Next)
    }

    /// Answers a container's help: `lines`, between a first line with the container's name and last
    /// ones about HELP itself.
    pub fn help(&mut self, container: &str, lines: &[&str]) -> SessionResult {
        let mut reply = self.reply();
        reply.array(lines.len() + 3);
        reply.simple(&format!(
            "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        ));
        for line in lines {
            reply.simple(line);
        }
        reply.simple("HELP");
        reply.simple("    Print this help.");
        Ok(Flow::Next)
    }

    /// Microseconds since the epoch. The tick's time has milliseconds; what has passed since is known to
    /// the microsecond.
    pub fn now_micros(&self) -> i64 {
        let elapsed = i64::try_from(self.turn.elapsed_micros()).unwrap_or(0);
        self.turn.now.0.saturating_mul(1000).saturating_add(elapsed)
    }

    /// This worker's counters.
    pub fn statistics(&self) -> &'static WorkerStatistics {
        &self.shared.statistics[self.turn.worker.index()]
    }
}
