//! Runs the cases of a transcript against one server, in one protocol, with one feed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::model::{
    Action, Case, Expectation, Expected, Repetition, Step, Target, Transcript, Word,
};
use super::notation;
use super::pattern::Bindings;
use crate::request::{self, Command};
use crate::{Client, ClientError, Feed, Protocol, Value};

/// How long a reply under `@eventually` may take to fit.
const EVENTUALLY: Duration = Duration::from_secs(10);

/// Most calls a cursor under `@iterate` may need.
const ITERATIONS_MAX: usize = 100_000;

/// Where and how cases run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub address: SocketAddr,
    pub target: Target,
    pub protocol: Protocol,
    pub feed: Feed,
}

/// What came of one or more files.
#[derive(Debug, Default)]
pub struct Report {
    pub cases: usize,
    pub steps: usize,
    /// Cases this server is not expected to answer.
    pub skipped: usize,
    /// Cases that ended with waiting for a reply in vain.
    pub timeouts: usize,
    pub failures: Vec<Failure>,
}

impl Report {
    /// `Err` with the first failures if there are any.
    pub fn verdict(&self) -> Result<(), String> {
        const SHOWN_MAX: usize = 25;
        if self.failures.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = self.failures.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
        let (count, steps) = (self.failures.len(), self.steps);
        Err(format!("{count} replies of {steps} steps are others\n{}", shown.join("\n")))
    }

    /// Adds what came of other files.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.steps += other.steps;
        self.skipped += other.skipped;
        self.timeouts += other.timeouts;
        self.failures.extend(other.failures);
    }
}

/// A reply that was not the one written down.
#[derive(Debug)]
pub struct Failure {
    pub path: PathBuf,
    pub line: usize,
    pub title: String,
    pub source: String,
    pub expected: String,
    pub received: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, title, source, expected, received } = self;
        writeln!(f, "{}:{line}: {title}", path.display())?;
        writeln!(f, "    sent      {}", shorten(source))?;
        writeln!(f, "    expected  {}", shorten(expected))?;
        write!(f, "    received  {}", shorten(received))
    }
}

/// Enough of a long text to recognise it.
fn shorten(text: &str) -> String {
    const SHOWN_MAX: usize = 1500;
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() == text.len() { shown } else { format!("{shown} ... ({} bytes)", text.len()) }
}

/// Runs every case of a file that this server is expected to answer.
pub fn run_file(transcript: &Transcript, setting: Setting) -> Report {
    let mut report = Report::default();
    for case in &transcript.cases {
        if !case.oracles.include(setting.target) {
            report.skipped += 1;
            continue;
        }
        report.cases += 1;
        report.steps += case.steps.len();
        let mut failures = Failures { transcript, case, found: Vec::new(), timeouts: 0 };
        run_case(transcript, case, setting, &mut failures);
        report.timeouts += failures.timeouts;
        report.failures.append(&mut failures.found);
    }
    report
}

struct Failures<'a> {
    transcript: &'a Transcript,
    case: &'a Case,
    found: Vec<Failure>,
    timeouts: usize,
}

impl Failures<'_> {
    fn add(&mut self, step: &Step, expected: String, received: String) {
        self.found.push(Failure {
            path: self.transcript.path.clone(),
            line: step.line,
            title: self.case.title.clone(),
            source: step.source.clone(),
            expected,
            received,
        });
    }
}

fn run_case(transcript: &Transcript, case: &Case, setting: Setting, failures: &mut Failures<'_>) {
    let Some(first) = case.steps.first() else { return };
    let emptied = match empty_databases(transcript, setting) {
        Ok(Value::Simple(_)) => None,
        Ok(refusal) => Some(notation::render(&refusal)),
        Err(error) => Some(error.to_string()),
    };
    if let Some(received) = emptied {
        failures.add(first, "empty databases to start with".to_owned(), received);
        return;
    }
    let mut session = Session::new(transcript, setting);
    for batch in batches(case, setting.feed) {
        if let Err(Aborted { step, error }) = session.run_batch(batch, failures) {
            failures.timeouts += usize::from(matches!(error, ClientError::TimedOut { .. }));
            failures.add(step, "a reply".to_owned(), error.to_string());
            return;
        }
    }
    session.check_nothing_left(case, failures);
}

fn empty_databases(transcript: &Transcript, setting: Setting) -> Result<Value, ClientError> {
    let mut admin = Client::connect(setting.address).map_err(ClientError::Io)?;
    let mut options = transcript.server_options.iter().skip_while(|name| *name != "--requirepass");
    if let Some(password) = options.nth(1) {
        admin.call(&["AUTH", password])?;
    }
    admin.call(&["FLUSHALL"])
}

/// Splits a case where the next request has to wait for a reply.
fn batches(case: &Case, feed: Feed) -> Vec<&[Step]> {
    let pipelined = feed.is_pipelined() && !case.not_pipelined;
    case.steps.chunk_by(|before, after| pipelined && joinable(before, after)).collect()
}

fn joinable(before: &Step, after: &Step) -> bool {
    let simple = |step: &Step| {
        step.repetition == Repetition::Once
            && match &step.action {
                Action::Command(words) => words.iter().all(|word| matches!(word, Word::Literal(_))),
                Action::Raw(_) => true,
                _ => false,
            }
    };
    let closes = |expectation: &Expectation| matches!(expectation.what, Expected::Closed);
    before.connection == after.connection
        && simple(before)
        && simple(after)
        && !before.expectations.iter().any(closes)
}

/// A batch that could not be finished.
struct Aborted<'a> {
    step: &'a Step,
    error: ClientError,
}

/// The connections and bound names of one case.
pub(super) struct Session<'a> {
    transcript: &'a Transcript,
    setting: Setting,
    connections: BTreeMap<String, Connection>,
    bindings: Bindings,
}

struct Connection {
    client: Client,
    protocol: Protocol,
    /// Whether every request so far was answered, so that nothing may be left to read.
    settled: bool,
}

/// The next case must not find its clients there.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        for connection in self.connections.values() {
            // An error means that it has ended already.
            let _ = connection.client.close_sending();
        }
        while let Some((_, connection)) = self.connections.pop_first() {
            connection.client.end();
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(transcript: &'a Transcript, setting: Setting) -> Self {
        Self { transcript, setting, connections: BTreeMap::new(), bindings: Bindings::new() }
    }

    fn run_batch<'s>(
        &mut self,
        batch: &'s [Step],
        failures: &mut Failures<'_>,
    ) -> Result<(), Aborted<'s>> {
        let Some(first) = batch.first() else { return Ok(()) };
        let aborted = |step, error| Aborted { step, error };
        match &first.action {
            Action::Elapse(duration) => {
                std::thread::sleep(*duration);
                return Ok(());
            }
            Action::Close => {
                self.close(first);
                return Ok(());
            }
            _ => {}
        }
        match first.repetition {
            Repetition::Once => {}
            Repetition::Eventually => {
                return self.eventually(first, failures).map_err(|error| aborted(first, error));
            }
            Repetition::Iterate => {
                return self.iterate(first, failures).map_err(|error| aborted(first, error));
            }
        }
        let bytes: Vec<u8> = batch.iter().flat_map(|step| self.request(step)).collect();
        self.send(first, &bytes).map_err(|error| aborted(first, error))?;
        for step in batch {
            self.check(step, failures).map_err(|error| aborted(step, error))?;
        }
        Ok(())
    }

    /// The bytes a step sends, with bound names filled in.
    pub(super) fn request(&self, step: &Step) -> Vec<u8> {
        match &step.action {
            Action::Raw(bytes) => bytes.clone(),
            Action::Command(words) => {
                let mut bytes = Vec::new();
                request::encode(&self.command(words), &mut bytes);
                bytes
            }
            _ => Vec::new(),
        }
    }

    fn command(&self, words: &[Word]) -> Command {
        let fill = |word: &Word| match word {
            Word::Literal(word) => word.clone(),
            Word::Bound(name) => match self.bindings.get(name) {
                Some(Value::Integer(number)) => number.to_string().into_bytes(),
                Some(value) => value.text().unwrap_or_default().to_vec(),
                None => format!("${name}").into_bytes(),
            },
        };
        words.iter().map(fill).collect()
    }

    fn connection(&mut self, name: &str) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(name) {
            let mut client = Client::connect(self.setting.address).map_err(ClientError::Io)?;
            let protocol = if self.transcript.fresh_connections {
                Protocol::Resp2
            } else {
                self.setting.protocol
            };
            if protocol == Protocol::Resp3 {
                client.call(&["HELLO", "3"])?;
            }
            let connection = Connection { client, protocol, settled: true };
            self.connections.insert(name.to_owned(), connection);
        }
        // Just made, if it was not there.
        self.connections.get_mut(name).ok_or(ClientError::Closed { rest: Vec::new() })
    }

    pub(super) fn send(&mut self, step: &Step, bytes: &[u8]) -> Result<(), ClientError> {
        let bytewise = self.setting.feed.is_bytewise();
        let client = &mut self.connection(&step.connection)?.client;
        let sent = if bytewise {
            // Very long requests in somewhat larger pieces, for the sake of time.
            client.send_in_pieces(bytes, 1 + bytes.len() / 4096)
        } else {
            client.send_bytes(bytes)
        };
        match sent {
            // The server may close the connection before it has everything; reading will tell.
            Err(error)
                if error.kind() != std::io::ErrorKind::BrokenPipe
                    && error.kind() != std::io::ErrorKind::ConnectionReset =>
            {
                Err(ClientError::Io(error))
            }
            _ => Ok(()),
        }
    }

    /// The next reply on the step's connection. Follows a change of protocol.
    pub(super) fn read(&mut self, step: &Step) -> Result<(Value, Protocol), ClientError> {
        let connection = self.connection(&step.connection)?;
        let value = connection.client.read_reply()?.value;
        if let Action::Command(words) = &step.action {
            connection.protocol = protocol_after(words, &value).unwrap_or(connection.protocol);
        }
        Ok((value, connection.protocol))
    }

    /// Reads until the server closes; anything else it sends is an error.
    pub(super) fn read_end(&mut self, step: &Step) -> Result<(), ClientError> {
        self.connection(&step.connection)?.client.read_end()
    }

    /// The connection of a step, to change how it waits.
    pub(super) fn client(&mut self, step: &Step) -> Result<&mut Client, ClientError> {
        Ok(&mut self.connection(&step.connection)?.client)
    }

    /// Closes the step's connection.
    pub(super) fn close(&mut self, step: &Step) {
        if let Some(connection) = self.connections.remove(&step.connection) {
            connection.client.end();
        }
    }

    /// Remembers what a recorded reply would have bound.
    pub(super) fn bind(&mut self, expected: &Expectation, value: &Value, protocol: Protocol) {
        if let Expected::Reply(pattern) = &expected.what {
            pattern.matches(value, protocol, &mut self.bindings);
        }
    }

    fn check(&mut self, step: &Step, failures: &mut Failures<'_>) -> Result<(), ClientError> {
        let protocol = self.connection(&step.connection)?.protocol;
        let target = self.setting.target;
        let mut settled = step.action_is_command();
        for expectation in step.expectations.iter().filter(|it| it.applies(target, protocol)) {
            settled = true;
            let received = match &expectation.what {
                Expected::Reply(pattern) => {
                    let (value, protocol) = self.read(step)?;
                    let fits = pattern.matches(&value, protocol, &mut self.bindings);
                    (!fits).then(|| notation::render(&value))
                }
                Expected::Bytes(expected) => {
                    let bytes = self.client(step)?.read_bytes(expected.len())?;
                    (bytes != *expected).then(|| notation::quote(&bytes))
                }
                Expected::Closed => {
                    settled = false;
                    self.read_end(step).err().map(|error| error.to_string())
                }
                Expected::Nothing => {
                    settled = false;
                    None
                }
            };
            if let Some(received) = received {
                failures.add(step, expectation.source.clone(), received);
            }
        }
        self.connection(&step.connection)?.settled = settled;
        Ok(())
    }

    fn eventually(&mut self, step: &Step, failures: &mut Failures<'_>) -> Result<(), ClientError> {
        let deadline = Instant::now() + EVENTUALLY;
        let already = failures.found.len();
        loop {
            let bytes = self.request(step);
            self.send(step, &bytes)?;
            failures.found.truncate(already);
            self.check(step, failures)?;
            if failures.found.len() == already || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn iterate(&mut self, step: &Step, failures: &mut Failures<'_>) -> Result<(), ClientError> {
        let elements = match self.follow_cursor(step)? {
            Ok(elements) => elements,
            Err(reply) => {
                failures.add(step, "a cursor and elements".to_owned(), notation::render(&reply));
                return Ok(());
            }
        };
        let all = Value::Array(elements);
        let (target, protocol) = (self.setting.target, self.setting.protocol);
        for expectation in step.expectations.iter().filter(|it| it.applies(target, protocol)) {
            if let Expected::Reply(pattern) = &expectation.what
                && !pattern.matches(&all, protocol, &mut self.bindings)
            {
                failures.add(step, expectation.source.clone(), notation::render(&all));
            }
        }
        Ok(())
    }

    /// All elements of a SCAN, each once; or the reply that is not one of SCAN.
    pub(super) fn follow_cursor(
        &mut self,
        step: &Step,
    ) -> Result<Result<Vec<Value>, Value>, ClientError> {
        let mut elements: Vec<Value> = Vec::new();
        let mut cursor = Value::Bulk(b"0".to_vec());
        for _ in 0..ITERATIONS_MAX {
            self.bindings.insert("cursor".to_owned(), cursor);
            let bytes = self.request(step);
            self.send(step, &bytes)?;
            let (reply, _) = self.read(step)?;
            let Some([next @ Value::Bulk(_), Value::Array(page)]) = reply.elements() else {
                return Ok(Err(reply));
            };
            for element in page {
                if !elements.contains(element) {
                    elements.push(element.clone());
                }
            }
            cursor = next.clone();
            if cursor == Value::Bulk(b"0".to_vec()) {
                break;
            }
        }
        Ok(Ok(elements))
    }

    /// A reply too many would go unnoticed at the end of a case: ask for one more that is known.
    fn check_nothing_left(&mut self, case: &Case, failures: &mut Failures<'_>) {
        const MARK: &str = "nothing left to read";
        let Some(last) = case.steps.last() else { return };
        for connection in self.connections.values_mut().filter(|connection| connection.settled) {
            let received = match connection.client.call(&["ECHO", MARK]) {
                Ok(Value::Bulk(text)) if text == MARK.as_bytes() => continue,
                // Not allowed here, or queued: an answer to this request all the same.
                Ok(Value::Error(_)) => continue,
                Ok(Value::Simple(text)) if text == b"QUEUED" => continue,
                Ok(other) => notation::render(&other),
                Err(error) => error.to_string(),
            };
            failures.add(last, "no further replies at the end of the case".to_owned(), received);
        }
    }
}

impl Step {
    const fn action_is_command(&self) -> bool {
        matches!(self.action, Action::Command(_))
    }
}

/// The protocol a connection speaks after this command and its reply, if that changes it.
fn protocol_after(words: &[Word], reply: &Value) -> Option<Protocol> {
    let literal = |index: usize| match words.get(index) {
        Some(Word::Literal(word)) => word.as_slice(),
        _ => b"",
    };
    if reply.is_error() {
        return None;
    }
    match literal(0).to_ascii_uppercase().as_slice() {
        b"HELLO" => match literal(1) {
            b"2" => Some(Protocol::Resp2),
            b"3" => Some(Protocol::Resp3),
            _ => None,
        },
        b"RESET" => Some(Protocol::Resp2),
        _ => None,
    }
}
