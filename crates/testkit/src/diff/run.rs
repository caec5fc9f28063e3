//! One run: a stream to both servers, replies and contents compared.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::compare::equivalent;
use super::contents;
use super::documented::Documented;
use super::grammar::{Batch, Grammar};
use super::minimise::minimise;
use crate::request;
use crate::transcript::notation::render;
use crate::{Client, ClientError, Value};

/// The two servers. What they hold is lost.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The one that is right.
    pub reference: SocketAddr,
    /// The one under test.
    pub subject: SocketAddr,
}

/// Two servers told apart.
#[derive(Debug)]
pub struct Mismatch {
    pub seed: u64,
    /// What differed, in the shortest stream found.
    pub difference: Difference,
    pub stream: Vec<Batch>,
}

/// Where two servers differ.
#[derive(Debug)]
pub enum Difference {
    Reply {
        command: request::Command,
        reference: Value,
        subject: Value,
    },
    Contents(String),
    /// One of them, named, did not answer.
    Failed {
        who: &'static str,
        error: ClientError,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { command, reference, subject } => write!(
                f,
                "{}\n  reference  {}\n  subject    {}",
                show(command),
                render(reference),
                render(subject)
            ),
            Self::Contents(text) => f.write_str(text),
            Self::Failed { who, error } => write!(f, "{who}: {error}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: the servers differ\n{}", self.seed, self.difference)?;
        writeln!(f, "after these commands, a line for each pipeline:")?;
        for batch in &self.stream {
            writeln!(f, "  {}", batch.iter().map(show).collect::<Vec<_>>().join("  |  "))?;
        }
        Ok(())
    }
}

/// A command for reading, long arguments cut short.
fn show(command: &request::Command) -> String {
    let word = |word: &Vec<u8>| {
        let shown = word[..word.len().min(60)].escape_ascii().to_string();
        let rest = if word.len() > 60 { format!("..({})", word.len()) } else { String::new() };
        let plain = !shown.is_empty() && shown.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { shown + &rest } else { format!("\"{shown}\"{rest}") }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Commands between two comparisons of the whole contents.
const CONTENTS_EVERY: usize = 2_000;

/// Sends `commands` commands or a few more, made from the seed. `Ok` is their exact number.
pub fn run(pair: Pair, seed: u64, commands: usize) -> Result<usize, Box<Mismatch>> {
    run_grammar(pair, seed, commands, Grammar::new(seed, Arc::default()))
}

/// As [`run`], with transactions, and with every command that the reference documents.
pub fn run_documented(pair: Pair, seed: u64, commands: usize) -> Result<usize, Box<Mismatch>> {
    let documented = Documented::of(pair.reference).map_err(|error| {
        let difference = Difference::Failed { who: "reference", error };
        Box::new(Mismatch { seed, difference, stream: Vec::new() })
    })?;
    run_grammar(pair, seed, commands, Grammar::new(seed, Arc::new(documented)))
}

fn run_grammar(
    pair: Pair,
    seed: u64,
    commands: usize,
    mut grammar: Grammar,
) -> Result<usize, Box<Mismatch>> {
    let mut stream = Vec::new();
    let mut sent = 0;
    while sent < commands {
        let batch = grammar.batch();
        sent += batch.len();
        stream.push(batch);
    }
    match replay(pair, &stream) {
        Ok(()) => Ok(sent),
        Err(found) => {
            stream.truncate(found.batches);
            let (stream, difference) = minimise(pair, stream, found.difference);
            Err(Box::new(Mismatch { seed, difference, stream }))
        }
    }
}

/// A difference, and how many batches it took.
pub(super) struct Found {
    pub(super) difference: Difference,
    pub(super) batches: usize,
}

/// Sends a stream to both servers, emptied first.
pub(super) fn replay(pair: Pair, stream: &[Batch]) -> Result<(), Found> {
    let found = |difference, batches| Found { difference, batches };
    let mut session = Session::begin(pair).map_err(|it| found(it, 0))?;
    let mut since_contents = 0;
    for (index, batch) in stream.iter().enumerate() {
        session.exchange(batch).map_err(|difference| found(difference, index + 1))?;
        since_contents += batch.len();
        if since_contents >= CONTENTS_EVERY || index + 1 == stream.len() {
            since_contents = 0;
            compare_contents(pair).map_err(|difference| found(difference, index + 1))?;
        }
    }
    Ok(())
}

/// A client of both.
struct Session {
    reference: Client,
    subject: Client,
    /// What the transaction under way has queued.
    queued: Vec<request::Command>,
}

impl Session {
    fn begin(pair: Pair) -> Result<Self, Difference> {
        let failed = |who| move |error| Difference::Failed { who, error };
        let reference = connect(pair.reference).map_err(failed("reference"))?;
        let subject = connect(pair.subject).map_err(failed("subject"))?;
        Ok(Self { reference, subject, queued: Vec::new() })
    }

    fn exchange(&mut self, batch: &Batch) -> Result<(), Difference> {
        let failed = |who| move |error| Difference::Failed { who, error: ClientError::Io(error) };
        let mut bytes = Vec::new();
        for command in batch {
            request::encode(command, &mut bytes);
        }
        self.reference.send_bytes(&bytes).map_err(failed("reference"))?;
        self.subject.send_bytes(&bytes).map_err(failed("subject"))?;
        batch.iter().try_for_each(|command| self.compare_reply(command))
    }

    fn compare_reply(&mut self, command: &request::Command) -> Result<(), Difference> {
        let failed = |who| move |error| Difference::Failed { who, error };
        let expected = self.reference.read_reply().map_err(failed("reference"))?.value;
        let received = self.subject.read_reply().map_err(failed("subject"))?.value;
        if expected == received && is_queued(&expected) {
            self.queued.push(command.clone());
            return Ok(());
        }
        let name = command[0].to_ascii_uppercase();
        if name == b"MULTI" {
            self.queued.clear();
        }
        match (expected, received) {
            (Value::Array(expected), Value::Array(received))
                if name == b"EXEC" && expected.len() == received.len() =>
            {
                let queued = std::mem::take(&mut self.queued);
                let replies = expected.into_iter().zip(received);
                let mut each = queued.iter().zip(replies);
                each.try_for_each(|(command, (one, other))| compare(command, one, other))
            }
            (expected, received) => compare(command, expected, received),
        }
    }
}

fn is_queued(reply: &Value) -> bool {
    matches!(reply, Value::Simple(text) if text == b"QUEUED")
}

fn compare(command: &request::Command, reference: Value, subject: Value) -> Result<(), Difference> {
    if equivalent(command, &reference, &subject) {
        return Ok(());
    }
    Err(Difference::Reply { command: command.clone(), reference, subject })
}

fn connect(address: SocketAddr) -> Result<Client, ClientError> {
    let mut client = Client::connect(address).map_err(ClientError::Io)?;
    client.call(&["FLUSHALL"])?;
    Ok(client)
}

fn compare_contents(pair: Pair) -> Result<(), Difference> {
    let failed = |who| move |error| Difference::Failed { who, error };
    let reference = contents::read(pair.reference).map_err(failed("reference"))?;
    let subject = contents::read(pair.subject).map_err(failed("subject"))?;
    contents::first_difference(&reference, &subject)
        .map_or(Ok(()), |it| Err(Difference::Contents(it)))
}
