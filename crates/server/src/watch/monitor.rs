//! MONITOR: every command, as it was sent, for everybody who asks.
//!
//! A client that monitors is registered with its worker. As long as there is one anywhere, each worker
//! writes a line for every command its clients have run and mails the lines of a window together to
//! the workers that have monitors; so the lines of one client arrive in its order. When nobody
//! monitors, the price is one look at a flag per window.

use crate::commands::client::line;
use crate::mail::Mail;
use crate::session::Session;
use crate::worker::Core;
use darter_base::WorkerId;
use darter_command_table::{Entry, Flags};
use darter_resp::Args;
use darter_runtime::{Connections, Turn};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Unsent lines above which a monitor that reads too slowly is closed, unless the configuration has a
/// limit for normal clients.
const UNSENT_BYTES_MAX: usize = 32 << 20;

/// How many clients monitor. Read by every worker for every window, changed seldom.
#[derive(Debug, Default)]
pub struct Monitors(AtomicUsize);

impl Monitors {
    /// Whether there is a monitor.
    #[inline]
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Lines of commands, to be sent together.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Adds a line, unless the command is one that is not shown.
    pub fn add(&mut self, session: &Session, entry: &Entry, args: Args<'_>, turn: &Turn) {
        self.add_from(&sender(session), session, entry, args, turn);
    }

    /// Bytes of all lines.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Adds the line of a script, which is shown in front of what it calls.
    pub fn add_script(&mut self, session: &Session, entry: &Entry, args: Args<'_>, turn: &Turn) {
        self.push(&sender(session), session, entry, args, turn);
    }

    /// Adds the line of a command that a script calls, unless it is one that is not shown.
    pub fn add_of_script(&mut self, session: &Session, entry: &Entry, args: Args<'_>, turn: &Turn) {
        self.add_from("lua", session, entry, args, turn);
    }

    fn add_from(
        &mut self,
        address: &str,
        session: &Session,
        entry: &Entry,
        args: Args<'_>,
        turn: &Turn,
    ) {
        if entry.command.flags.has(Flags::ADMIN) || entry.command.flags.has(Flags::SKIP_MONITOR) {
            return;
        }
        self.push(address, session, entry, args, turn);
    }

    fn push(
        &mut self,
        address: &str,
        session: &Session,
        entry: &Entry,
        args: Args<'_>,
        turn: &Turn,
    ) {
        let micros = u64::try_from(turn.now.0).unwrap_or(0) * 1000 + turn.elapsed_micros();
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        // Writing to a vector does not fail.
        let _ = write!(self.0, "+{seconds}.{micros:06} [{} {address}]", session.db.0);
        for index in 0..args.len() {
            self.0.extend_from_slice(b" \"");
            push_escaped(&mut self.0, entry.command.shown(args, index));
            self.0.push(b'"');
        }
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Where a client's commands come from, as monitors see it.
fn sender(session: &Session) -> String {
    if session.is_unix() {
        format!("unix:{}", line::socket_path(session))
    } else {
        line::address(session, &session.facts.peer.remote)
    }
}

/// As Redis writes bytes between quotes.
fn push_escaped(line: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', *byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(*byte),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

impl Core {
    /// Makes a client a monitor.
    pub fn begin_monitoring(&self, session: &mut Session) {
        if !std::mem::replace(&mut session.monitors, true) {
            self.monitors.borrow_mut().push(session.client_id);
            self.statistics().monitors.add(1);
            self.shared.monitors.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The client is gone, or wants to see no more.
    pub fn end_monitoring(&self, session: &mut Session) {
        if std::mem::replace(&mut session.monitors, false) {
            self.monitors.borrow_mut().retain(|id| *id != session.client_id);
            self.statistics().monitors.remove(1);
            self.shared.monitors.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sends lines to the workers that have monitors, this one included.
    pub fn send_to_monitors(&self, lines: Lines) {
        if lines.0.is_empty() {
            return;
        }
        let lines: Arc<[u8]> = lines.0.into();
        for (worker, statistics) in (0..).map(WorkerId).zip(self.shared.worker_statistics()) {
            if statistics.monitors.read() > 0 {
                self.post.send(worker, Mail::Monitored(Arc::clone(&lines)));
            }
        }
    }

    /// Writes lines to this worker's monitors; a monitor that does not keep up is closed.
    pub fn show_to_monitors(
        &self,
        lines: &[u8],
        connections: &mut Connections<'_, crate::worker::Worker>,
    ) {
        let limit = self.shared.config.current().output_limits.normal.hard_bytes;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let limit = limit.unwrap_or(UNSENT_BYTES_MAX);
        let monitors = self.monitors.borrow().clone();
        for client in monitors {
            let Some(id) = self.clients.borrow().get(&client).copied() else { continue };
            let unsent = connections.info(id).map_or(0, |info| info.unsent_bytes);
            if unsent + lines.len() > limit {
                if connections.close(id, false) {
                    self.statistics().connections_unread.add(1);
                    tracing::warn!(
                        "Client id={client} closed for overcoming of output buffer limits: it \
                         monitors and reads too slowly."
                    );
                }
                continue;
            }
            connections.with(id, |_, output| output.0.extend(lines));
            self.statistics().output_bytes.add(lines.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_as_redis_does() {
        let mut line = Vec::new();
        push_escaped(&mut line, b"a \"b\\\n\r\t\x07\x08\x00\xffz");
        assert_eq!(line, br#"a \"b\\\n\r\t\a\b\x00\xffz"#);
    }
}
