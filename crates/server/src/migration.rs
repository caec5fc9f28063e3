//! Keys on their way to another server (MIGRATE).
//!
//! First a connection is made, while nothing is held: that is what can take long when the other server is not
//! there. Then the shards of the keys are held until the other server has answered for each key: nobody can
//! change a key between its copy and its deletion, so none is lost and no change to one is. Who needs these
//! shards waits for that long; everybody else, also on the same worker, goes on. What writes the values down and talks to
//! the other server is a thread of its own, which has the shards meanwhile.
//!
//! The keys are deleted even if the client has gone meanwhile. A key for which the other server has not
//! answered stays here, and may be there as well, as in Redis.

use crate::commands::error::ServerError;
use crate::mail::{Mail, ShardPost};
use crate::observed::work_observed;
use crate::pending::{After, Pending};
use crate::request::OwnedRequest;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::{Core, Worker};
use darter_base::crc16::slot_of;
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{Effects, ReplyError, ShardView};
use darter_commands::generic::dump_value;
use darter_resp::request::encode;
use darter_resp::{Output, ReplyWriter};
use darter_runtime::{ConnectionId, Connections, Dialogue, Share, Ticks, Turn};
use darter_shard::{Interest, Key, KeyHasher, Lifetime, Shard};
use darter_txn::Gathering;
use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::time::Duration;

/// What of a busy worker waiting for other servers takes: next to nothing, the threads do the work.
const SHARE: Share = Share::new(100);

/// Another server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address.
    pub host: String,
    pub port: u16,
    /// How long each step may take: connecting, sending some bytes, receiving some.
    pub timeout: Duration,
}

/// Keys to be sent.
#[derive(Debug)]
pub struct Transfer {
    /// With whom.
    pub dialogue: Box<Dialogue>,
    /// Requests before the keys, each of which has to succeed.
    pub preparation: Vec<Vec<u8>>,
    /// The keys.
    pub keys: Vec<Box<[u8]>>,
    /// Where they are.
    pub db: DbIndex,
    /// The time of the command.
    pub now: UnixMillis,
    /// Whether they stay.
    pub copy: bool,
    /// Whether they take the place of what the other server has.
    pub replace: bool,
}

/// What became of keys.
#[derive(Debug)]
pub struct TransferOutcome {
    /// Those that the other server has.
    moved: Vec<Box<[u8]>>,
    error: Option<ServerError>,
    /// The shards of the keys. They are nobody's if the server ends before they are given back.
    gathering: ManuallyDrop<Gathering<Shard>>,
}

impl Transfer {
    /// Sends everything, and listens to every answer. Blocks.
    fn run(mut self, shared: &'static Shared, gathering: Gathering<Shard>) -> TransferOutcome {
        let gathering = ManuallyDrop::new(gathering);
        let mut outcome = TransferOutcome { moved: Vec::new(), error: None, gathering };
        let sent = self.send(&mut outcome.gathering.view(&shared.cells), &shared.hasher);
        let Ok(keys) = sent else {
            outcome.error = Some(ServerError::MigrationBroken { what: "writing" });
            return outcome;
        };
        // Without these the keys are not where they were to go.
        let mut is_prepared = true;
        for _ in 0..self.preparation.len() {
            match self.answer(&mut outcome) {
                Some(is_good) => is_prepared &= is_good,
                None => return outcome,
            }
        }
        for key in keys {
            match self.answer(&mut outcome) {
                Some(is_good) if is_good && is_prepared => outcome.moved.push(key),
                Some(_) => {}
                None => return outcome,
            }
        }
        outcome
    }

    /// Sends the requests; the keys that were there.
    fn send(&mut self, view: &mut ShardView<'_>, hasher: &KeyHasher) -> io::Result<Vec<Box<[u8]>>> {
        let mut keys = std::mem::take(&mut self.keys);
        // All values are written down before the other server hears of one, and counts the time.
        let mut requests = Vec::with_capacity(keys.len());
        keys.retain(|name| {
            let request = self.restoring(name, view, hasher);
            let is_there = request.is_some();
            requests.extend(request);
            is_there
        });
        for request in self.preparation.iter().chain(&requests) {
            self.dialogue.send(request)?;
        }
        Ok(keys)
    }

    /// The request that creates the key there; `None` if it is not here.
    fn restoring(
        &self,
        name: &[u8],
        view: &mut ShardView<'_>,
        hasher: &KeyHasher,
    ) -> Option<Vec<u8>> {
        let key = Key::new(hasher, name);
        let mut keyspace = view.shard_of(|| slot_of(name)).keyspace(self.db, self.now);
        let ttl = match keyspace.lifetime(&key) {
            // At least a millisecond, since 0 is none.
            Lifetime::Until(at) => at.0.saturating_sub(self.now.0).max(1),
            Lifetime::Unlimited | Lifetime::Absent => 0,
        };
        let value = dump_value(keyspace.read(&key)?, self.now);
        let ttl = ttl.to_string();
        let mut words = vec![b"RESTORE".as_slice(), name, ttl.as_bytes(), &value];
        if self.replace {
            words.push(b"REPLACE");
        }
        Some(encode(&words))
    }

    /// The next answer: whether it is a good one. `None` if none comes. The first error is what the client
    /// hears.
    fn answer(&mut self, outcome: &mut TransferOutcome) -> Option<bool> {
        let Ok(line) = self.dialogue.line() else {
            outcome.error.get_or_insert(ServerError::MigrationBroken { what: "reading" });
            return None;
        };
        let Some(error) = line.strip_prefix(b"-") else { return Some(true) };
        outcome.error.get_or_insert(ServerError::MigrationRefused(text_of(error)));
        Some(false)
    }
}

/// A command whose keys are on their way.
#[derive(Debug)]
pub struct Migration {
    client: ConnectionId,
    request: OwnedRequest,
    begun: Ticks,
    db: DbIndex,
    copy: bool,
}

impl Core {
    /// Makes a connection for the command of a client.
    pub fn connect(&self, target: Target, to: ConnectionId) {
        let (post, background, worker) = (self.post.clone(), self.background.clone(), self.worker);
        self.background.spawn(SHARE, async move {
            let open = move || Dialogue::open(&target.host, target.port, target.timeout);
            let dialogue = background.blocking_socket(open).await.map(Box::new);
            let dialogue = dialogue.map_err(|error| error.kind());
            post.send(worker, Mail::Connected { to, dialogue });
        });
    }

    /// Goes on with the command that asked for a connection.
    pub fn connected(
        &self,
        session: &mut Session,
        dialogue: Result<Box<Dialogue>, ErrorKind>,
        output: &mut Output,
        turn: &Turn,
    ) -> After {
        let request = match session.pending.take() {
            Some(Pending::Connecting(request)) => request,
            other => {
                session.pending = other;
                return After::Waits;
            }
        };
        let error = match dialogue {
            Ok(dialogue) => {
                session.facts.dialogue = Some(dialogue);
                session.take_command_back();
                session.pending = Some(Pending::Deferred(request));
                return After::Resumes;
            }
            // Redis finds this out when it writes.
            Err(ErrorKind::ConnectionRefused) => ServerError::MigrationBroken { what: "writing" },
            Err(_) => ServerError::MigrationUnreachable,
        };
        self.conclude(session, &request, Some(error), 0, output, turn);
        After::Resumes
    }

    /// Sends the keys of a client's command, whose shards are held.
    pub fn transfer(
        &self,
        request: OwnedRequest,
        transfer: Transfer,
        gathering: Gathering<Shard>,
        begun: Ticks,
        client: ConnectionId,
    ) {
        let Transfer { db, copy, .. } = transfer;
        let migration = Migration { client, request, begun, db, copy };
        self.migrations.borrow_mut().push(migration);
        let (post, background, worker) = (self.post.clone(), self.background.clone(), self.worker);
        let shared = self.shared;
        self.background.spawn(SHARE, async move {
            let run = move || transfer.run(shared, gathering);
            let outcome = Box::new(background.blocking_socket(run).await);
            post.send(worker, Mail::Transferred { to: client, outcome });
        });
    }

    /// Deletes the keys that another server has, gives their shards back, and answers.
    pub(crate) fn transferred(
        &self,
        to: ConnectionId,
        mut outcome: TransferOutcome,
        connections: &mut Connections<'_, Worker>,
    ) {
        let turn = *connections.turn();
        let under_way =
            self.migrations.borrow().iter().position(|migration| migration.client == to);
        let Some(place) = under_way else { return };
        let migration = self.migrations.borrow_mut().swap_remove(place);
        let mut view = outcome.gathering.view(&self.shared.cells);
        if !migration.copy {
            let interest = self.limits.get().interest;
            let mut effects = Effects::new(self.shared.unlinking.get());
            work_observed(self.shared, interest, &mut view, Some(to), |view| {
                for name in &outcome.moved {
                    let key = Key::new(&self.shared.hasher, name);
                    let shard = view.shard_of(|| slot_of(name));
                    let mut keyspace = shard.keyspace(migration.db, turn.now);
                    if keyspace.tell(Interest::GENERIC, "del").remove(&key) {
                        effects.add(&[b"DEL", name]);
                    }
                }
            });
            if self.shared.is_recorded() {
                self.shared.record_effects(migration.db, &effects);
            }
        }
        self.serve(&mut view, turn.now);
        outcome.gathering.release(&self.shared.cells, &ShardPost(&self.post));
        let nanos = self.nanos_since(migration.begun);
        connections.with(to, |session, output| {
            self.answer(session, output, |session, output| {
                session.pending = None;
                self.conclude(session, &migration.request, outcome.error, nanos, output, &turn);
            });
        });
        connections.resume(to);
    }

    /// Answers a migration, and counts it.
    fn conclude(
        &self,
        session: &Session,
        request: &OwnedRequest,
        error: Option<ServerError>,
        nanos: u64,
        output: &mut Output,
        turn: &Turn,
    ) {
        let request = request.as_request();
        let unsent_before = output.len();
        let mut reply = ReplyWriter::new(output, session.protocol);
        let result = match error {
            None => {
                reply.ok();
                Ok(())
            }
            Some(error) => {
                let error = ReplyError::from(error);
                reply.error(error.line());
                Err(error)
            }
        };
        self.statistics().called(request.entry.counted_as, &result);
        self.note(session, request, nanos, output.len() - unsent_before, turn);
    }
}

/// Bytes as text, a letter each.
fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
