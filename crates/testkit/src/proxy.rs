//! A server that is wrong on purpose: it stands in front of a real one and spoils one thing.
//!
//! A checker that has never found anything proves nothing. The tests of the checkers put this in
//! front of `redis-server` and require that the fault is found.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hashbrown::HashMap;

use crate::request::{self, Command};
use crate::{Client, ClientError};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// GETDEL does not delete.
    GetdelKeeps,
    /// Now and then GET answers what it answered an earlier time.
    StaleReads,
    /// INCR reads, then writes.
    LostUpdates,
    /// MSET sets one key after the other.
    TornMset,
    /// EXEC runs one command after the other.
    TornTransaction,
    /// A script whose arguments are commands, each after the number of its words, runs one after the other.
    TornScript,
    /// WATCH watches nothing.
    BlindWatch,
    /// Now and then what is pushed is not there.
    LostPushes,
    /// Now and then what is pushed is there twice.
    DoubledPushes,
    /// Now and then BLPOP takes the last element.
    WrongEnd,
    /// Neighbouring commands of a pipeline change places.
    ReorderedPipeline,
}

/// Every how many-th chance a fault takes, where it does not take all of them.
const EVERY: u64 = 50;

/// Listens on a free port, answers each connection through one of its own to `upstream`, and spoils
/// what the fault says. Ends with the test process.
pub fn start(upstream: SocketAddr, fault: Fault) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared::default());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                if let Ok(upstream) = Client::connect(upstream) {
                    // A broken connection ends the thread, as it should.
                    let _ = Connection {
                        stream,
                        upstream,
                        fault,
                        shared,
                        queue: None,
                        queues_upstream: false,
                    }
                    .serve();
                }
            });
        }
    });
    Ok(address)
}

#[derive(Default)]
struct Shared {
    chances: AtomicU64,
    /// What GET answered to somebody some time.
    earlier: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

struct Connection {
    stream: TcpStream,
    upstream: Client,
    fault: Fault,
    shared: Arc<Shared>,
    /// What came since MULTI, where that is not left to the upstream server.
    queue: Option<Vec<Command>>,
    /// Whether that is left to it: nothing else is spoiled within a transaction.
    queues_upstream: bool,
}

impl Connection {
    fn serve(mut self) -> Result<(), ClientError> {
        self.stream.set_nodelay(true).map_err(ClientError::Io)?;
        let mut received = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut chunk).map_err(ClientError::Io)?;
            if count == 0 {
                return Ok(());
            }
            received.extend_from_slice(&chunk[..count]);
            let mut batch = Vec::new();
            while let Some((command, length)) = request::decode(&received) {
                received.drain(..length);
                batch.push(command);
            }
            let replies = self.answer_all(&batch)?;
            self.stream.write_all(&replies).map_err(ClientError::Io)?;
        }
    }

    fn answer_all(&mut self, batch: &[Command]) -> Result<Vec<u8>, ClientError> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        let has_transaction = batch.iter().any(|command| command[0] == b"MULTI");
        if self.fault == Fault::ReorderedPipeline && !has_transaction && self.chance() {
            order.chunks_exact_mut(2).for_each(<[usize]>::reverse);
        }
        let mut replies = vec![Vec::new(); batch.len()];
        for index in order {
            replies[index] = self.answer(&batch[index])?;
        }
        Ok(replies.concat())
    }

    fn answer(&mut self, command: &Command) -> Result<Vec<u8>, ClientError> {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let ends = matches!(words.as_slice(), [b"EXEC"]);
        if self.fault != Fault::TornTransaction
            && (ends || self.queues_upstream || words == [b"MULTI"])
        {
            self.queues_upstream = !ends;
            return self.forward(&words);
        }
        match (self.fault, words.as_slice()) {
            (Fault::GetdelKeeps, [b"GETDEL", key]) => self.forward(&[b"GET", *key]),
            (Fault::StaleReads, [b"GET", key]) => self.stale(key),
            (Fault::LostUpdates, [b"INCR", key]) => {
                let old = self.upstream.call(&[b"GET", *key])?;
                let old = old.text().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
                let new = old.unwrap_or(0_i64) + 1;
                thread::yield_now();
                self.forward(&[b"SET", *key, new.to_string().as_bytes()])?;
                Ok(format!(":{new}\r\n").into_bytes())
            }
            (Fault::TornMset, [b"MSET", pairs @ ..]) => {
                for pair in pairs.chunks_exact(2) {
                    self.forward(&[b"SET", pair[0], pair[1]])?;
                    thread::yield_now();
                }
                Ok(b"+OK\r\n".to_vec())
            }
            (Fault::TornTransaction, [b"MULTI"]) => {
                self.queue = Some(Vec::new());
                Ok(b"+OK\r\n".to_vec())
            }
            (Fault::TornTransaction, [b"EXEC"]) => self.run_torn(),
            (Fault::TornTransaction, _) if self.queue.is_some() => {
                self.queue.get_or_insert_default().push(command.clone());
                Ok(b"+QUEUED\r\n".to_vec())
            }
            (Fault::TornScript, [b"EVAL", _, count, rest @ ..]) => {
                let key_count = std::str::from_utf8(count).ok().and_then(|text| text.parse().ok());
                self.run_torn_script(rest.get(key_count.unwrap_or(0)..).unwrap_or_default())
            }
            (Fault::BlindWatch, [b"WATCH", ..]) => self.forward(&[b"UNWATCH"]),
            (Fault::LostPushes, [b"RPUSH", ..]) if self.chance() => Ok(b":1\r\n".to_vec()),
            (Fault::DoubledPushes, [b"RPUSH", ..]) if self.chance() => {
                self.forward(&words)?;
                self.forward(&words)
            }
            (Fault::WrongEnd, [b"BLPOP", rest @ ..]) if self.chance() => {
                self.forward(&[&[b"BRPOP".as_slice()], rest].concat())
            }
            _ => self.forward(&words),
        }
    }

    fn run_torn(&mut self) -> Result<Vec<u8>, ClientError> {
        let queue = self.queue.take().unwrap_or_default();
        let queue: Vec<Vec<&[u8]>> =
            queue.iter().map(|command| command.iter().map(Vec::as_slice).collect()).collect();
        self.run_one_by_one(queue.iter().map(Vec::as_slice))
    }

    fn run_torn_script(&mut self, mut arguments: &[&[u8]]) -> Result<Vec<u8>, ClientError> {
        let mut commands = Vec::new();
        while let [count, rest @ ..] = arguments {
            let count = std::str::from_utf8(count).ok().and_then(|text| text.parse().ok());
            let (command, others) = rest.split_at(count.unwrap_or(0).min(rest.len()));
            commands.push(command);
            arguments = others;
        }
        self.run_one_by_one(commands.into_iter())
    }

    fn run_one_by_one<'a>(
        &mut self,
        commands: impl ExactSizeIterator<Item = &'a [&'a [u8]]>,
    ) -> Result<Vec<u8>, ClientError> {
        let mut replies = format!("*{}\r\n", commands.len()).into_bytes();
        for words in commands {
            replies.extend(self.forward(words)?);
            thread::yield_now();
        }
        Ok(replies)
    }

    fn stale(&mut self, key: &[u8]) -> Result<Vec<u8>, ClientError> {
        let take = self.chance();
        let lock = |shared: &Shared| {
            shared.earlier.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
        };
        if let Some(earlier) = lock(&self.shared).filter(|_| take) {
            return Ok(earlier);
        }
        let reply = self.forward(&[b"GET", key])?;
        let mut earlier = self.shared.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.entry(key.to_vec()).or_insert_with(|| reply.clone());
        Ok(reply)
    }

    fn chance(&self) -> bool {
        self.shared.chances.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1
    }

    fn forward(&mut self, words: &[&[u8]]) -> Result<Vec<u8>, ClientError> {
        self.upstream.send(words).map_err(ClientError::Io)?;
        Ok(self.upstream.read_reply()?.bytes)
    }
}
