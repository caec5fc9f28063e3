//! A line protocol that uses everything the runtime offers, and clients for it.
//!
//! Requests end with `\n`; replies with `\r\n`, in order.
//!
//! | request | does |
//! |---|---|
//! | `PING` | `+PONG` |
//! | `BIG n` | n bytes of `x` |
//! | `ASK w` | asks worker `w` by mail, awaiting; `+w` |
//! | `BLOCK` | suspends until somebody resumes it; then `+WOKEN` |
//! | `AGAIN n` | gives way n times, then `+DONE` |
//! | `QUIT` | `+BYE`, closes after sending |
//! | `DIE` | closes at once |
//! | `BOOM` | panics |

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use darter_base::WorkerId;
use darter_runtime::{
    Background, CloseReason, ConnectionId, Connections, Files, Io, ListenerConfig, NextTick,
    Outgoing, OutputLimit, PeerAddress, PeerInfo, Post, Progress, Reactor, Refusal, RuntimeConfig,
    RuntimeHandle, Service, Stopping, Then, Turn, Turns, WorkerContext,
};
use std::borrow::Cow;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Longer than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Output of large pieces as well as small ones, so that several slices are sent at once.
#[derive(Default)]
pub struct Pieces {
    pieces: Vec<Vec<u8>>,
    /// Of the first piece.
    sent: usize,
}

/// A new piece is begun above this.
const PIECE_BYTES: usize = 16 << 10;

impl Pieces {
    pub fn write(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE_BYTES => last.extend_from_slice(bytes),
            _ => self.pieces.push(bytes.to_vec()),
        }
    }
}

impl Outgoing for Pieces {
    fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() - self.sent
    }

    fn contiguous(&self) -> Option<&[u8]> {
        match &self.pieces[..] {
            [only] => Some(&only[self.sent..]),
            _ => None,
        }
    }

    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.is_empty() {
            return 0;
        }
        let count = self.pieces.len().min(slices.len());
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        slices[0] = IoSlice::new(&self.pieces[0][self.sent..]);
        count
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        while self.pieces.first().is_some_and(|first| first.len() <= self.sent) {
            self.sent -= self.pieces.remove(0).len();
        }
    }

    fn clear(&mut self, _: usize) {
        *self = Self::default();
    }

    fn memory_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}

/// What the service tells the test.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    Opened(ConnectionId, usize),
    Refused(usize),
    Blocked(ConnectionId),
    Apart(ConnectionId),
    Closed(ConnectionId, CloseReason),
    StoppingAsked(WorkerId),
}

/// Work on a worker's thread.
pub type Errand = Box<dyn FnOnce(&mut Lab, &mut Connections<'_, Lab>) + Send>;

pub enum Mail {
    Ask { from: ConnectionId },
    Answer { to: ConnectionId, text: String },
    Errand(Errand),
}

pub struct Lab {
    pub worker: WorkerId,
    pub post: Post<Mail>,
    pub background: Background,
    pub files: Files,
    pub notes: Sender<Note>,
    pub clients_max: usize,
    pub next_tick: NextTick,
    pub ticks: u64,
    pub stopping: Stopping,
    pub output_limit: OutputLimit,
    /// What it says it waits for while a request is not all there.
    pub awaited_bytes: usize,
    /// Whether the connection that is served apart may go on.
    pub released: bool,
}

#[derive(Default)]
pub struct Session {
    /// Gives way so often yet.
    again: u32,
    /// Owes this when it goes on.
    owed: Option<&'static str>,
}

impl Service for Lab {
    type Session = Session;
    type Mail = Mail;
    type Output = Pieces;

    fn open(&mut self, id: ConnectionId, peer: &PeerInfo, _: &Turn) -> Result<Session, Refusal> {
        if peer.open_connections > self.clients_max {
            self.notes.send(Note::Refused(peer.open_connections)).unwrap();
            return Err(Refusal { last_words: Cow::Borrowed(b"-ERR full\r\n") });
        }
        self.notes.send(Note::Opened(id, peer.open_connections)).unwrap();
        Ok(Session::default())
    }

    fn receive(&mut self, session: &mut Session, io: Io<'_, Pieces>) -> Progress {
        if let Some(text) = session.owed.take() {
            io.output.write(text.as_bytes());
        }
        let mut consumed = 0;
        while let Some(end) = io.input[consumed..].iter().position(|byte| *byte == b'\n') {
            if io.output.len() > io.output_high_water_bytes {
                return Progress { consumed, then: Then::Again };
            }
            let line = io.input[consumed..consumed + end].trim_ascii();
            let then =
                self.answer(session, std::str::from_utf8(line).unwrap(), &mut *io.output, io.id);
            if matches!(then, Then::Again | Then::Apart) {
                return Progress { consumed, then };
            }
            consumed += end + 1;
            if then != Then::Read {
                return Progress { consumed, then };
            }
        }
        Progress { consumed, then: Then::Read }
    }

    fn awaited_bytes(&self, _: &Session) -> usize {
        self.awaited_bytes
    }

    fn receive_apart(
        &mut self,
        session: &mut Session,
        io: Io<'_, Pieces>,
        turns: &mut Turns<'_, Self>,
    ) -> Progress {
        let line = b"APART\n";
        assert!(io.input.starts_with(line), "it asked for that");
        self.released = false;
        while !self.released {
            turns.take(self);
        }
        io.output.write(b"+APART\r\n");
        let Io { input, output, id, turn, output_high_water_bytes, .. } = io;
        let rest = &input[line.len()..];
        let io = Io { input: rest, shared: None, output, id, turn, output_high_water_bytes };
        let progress = self.receive(session, io);
        Progress { consumed: line.len() + progress.consumed, ..progress }
    }

    fn defers(&self, mail: &Mail) -> bool {
        matches!(mail, Mail::Errand(_))
    }

    fn mail(&mut self, mail: Mail, connections: &mut Connections<'_, Self>) {
        match mail {
            Mail::Ask { from } => {
                let text = format!("+{}\r\n", self.worker.0);
                self.post.send(from.worker, Mail::Answer { to: from, text });
            }
            Mail::Answer { to, text } => {
                connections.with(to, |_, output| output.write(text.as_bytes()));
                connections.resume(to);
            }
            Mail::Errand(errand) => errand(self, connections),
        }
    }

    fn output_limit(&self, _: &Session) -> OutputLimit {
        self.output_limit
    }

    fn tick(&mut self, _: &mut Connections<'_, Self>) -> NextTick {
        self.ticks += 1;
        self.next_tick
    }

    fn stopping(&mut self, _: &mut Connections<'_, Self>) -> Stopping {
        self.notes.send(Note::StoppingAsked(self.worker)).unwrap();
        self.stopping
    }

    fn closed(&mut self, id: ConnectionId, _: Session, reason: CloseReason, _: &Turn) {
        // The test may be over.
        let _ = self.notes.send(Note::Closed(id, reason));
    }
}

impl Lab {
    pub fn new(context: WorkerContext<Mail>, notes: Sender<Note>, stopping: Stopping) -> Self {
        Self {
            worker: context.worker,
            post: context.post,
            background: context.background,
            files: context.files,
            notes,
            clients_max: usize::MAX,
            next_tick: NextTick::Idle,
            ticks: 0,
            stopping,
            output_limit: OutputLimit::default(),
            awaited_bytes: 0,
            released: false,
        }
    }

    fn answer(
        &mut self,
        session: &mut Session,
        line: &str,
        output: &mut Pieces,
        id: ConnectionId,
    ) -> Then {
        let (verb, number) = line.split_once(' ').unwrap_or((line, "0"));
        let number: usize = number.parse().unwrap();
        match verb {
            "PING" => output.write(b"+PONG\r\n"),
            "BIG" => {
                output.write(&vec![b'x'; number]);
                output.write(b"\r\n");
            }
            "ASK" => {
                self.post.send(WorkerId(u16::try_from(number).unwrap()), Mail::Ask { from: id });
                return Then::Await;
            }
            "BLOCK" => {
                session.owed = Some("+WOKEN\r\n");
                self.notes.send(Note::Blocked(id)).unwrap();
                return Then::Suspend;
            }
            "AGAIN" => {
                if session.again < u32::try_from(number).unwrap() {
                    session.again += 1;
                    return Then::Again;
                }
                session.again = 0;
                output.write(b"+DONE\r\n");
            }
            "APART" => {
                self.notes.send(Note::Apart(id)).unwrap();
                return Then::Apart;
            }
            "RELEASE" => {
                self.released = true;
                output.write(b"+OK\r\n");
            }
            "QUIT" => {
                output.write(b"+BYE\r\n");
                return Then::CloseAfterFlush;
            }
            "DIE" => return Then::Close,
            "BOOM" => panic!("asked to"),
            other => panic!("no such request: {other}"),
        }
        Then::Read
    }
}

/// A running lab and what it says.
pub struct Running {
    pub runtime: RuntimeHandle<Mail>,
    pub notes: Receiver<Note>,
}

pub fn config(reactor: Reactor, workers: usize) -> RuntimeConfig {
    RuntimeConfig {
        workers: NonZeroUsize::new(workers),
        reactor,
        listeners: vec![ListenerConfig::tcp("127.0.0.1", 0, 511).unwrap()],
        handle_signals: false,
        ..RuntimeConfig::default()
    }
}

/// Both hosts. Where io_uring is denied the first is the plain one as well, and `tests/reactor.rs`
/// says so.
pub const HOSTS: [Reactor; 2] = [Reactor::Auto, Reactor::Epoll];

pub fn start(config: &RuntimeConfig) -> Running {
    start_with(config, |_| {})
}

pub fn start_with(
    config: &RuntimeConfig,
    adjust: impl Fn(&mut Lab) + Send + Sync + 'static,
) -> Running {
    let (sender, notes) = channel();
    let sender = Mutex::new(sender);
    let runtime = darter_runtime::start(config, move |context: WorkerContext<Mail>| {
        let mut lab = Lab::new(context, sender.lock().unwrap().clone(), Stopping::Ready);
        adjust(&mut lab);
        lab
    })
    .unwrap();
    Running { runtime, notes }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        match self.runtime.addresses()[0] {
            Some(PeerAddress::Tcp(address)) => address,
            ref other => panic!("not a TCP listener: {other:?}"),
        }
    }

    /// A new connection, opened by its worker.
    pub fn connect(&self) -> (Client, ConnectionId) {
        let client = Client::new(TcpStream::connect(self.address()).unwrap());
        match self.note() {
            Note::Opened(id, _) => (client, id),
            other => panic!("{other:?}"),
        }
    }

    pub fn note(&self) -> Note {
        self.notes.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a certain close, skipping other notes.
    pub fn close_reason(&self, id: ConnectionId) -> CloseReason {
        loop {
            if let Note::Closed(closed, reason) = self.note()
                && closed == id
            {
                return reason;
            }
        }
    }

    /// Runs `errand` on a worker and returns its result.
    pub fn on_worker<R: Send + 'static>(
        &self,
        worker: u16,
        errand: impl FnOnce(&mut Lab, &mut Connections<'_, Lab>) -> R + Send + 'static,
    ) -> R {
        let (sender, receiver) = channel();
        let errand: Errand = Box::new(move |lab, connections| {
            sender.send(errand(lab, connections)).unwrap();
        });
        self.runtime.post().send(WorkerId(worker), Mail::Errand(errand));
        receiver.recv_timeout(PATIENCE).unwrap()
    }

    pub fn stop(self) {
        self.runtime.shutdown().begin();
        self.runtime.join().unwrap();
    }
}

/// A client that fails rather than waits for ever.
pub struct Client {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// One reply without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended within {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    pub fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\n"));
        self.line()
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Reads and drops exactly `count` bytes.
    pub fn skip(&mut self, count: usize) {
        let copied = std::io::copy(
            &mut Read::by_ref(&mut self.reader).take(count as u64),
            &mut std::io::sink(),
        );
        assert_eq!(copied.unwrap(), count as u64);
    }
}
