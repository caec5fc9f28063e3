//! A line of `CLIENT LIST`.

use crate::pending::Pending;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::tracking::state::Mode;
use darter_base::UnixMillis;
use darter_resp::Protocol;
use darter_runtime::{ConnectionInfo, PeerAddress};
use std::fmt::Write as _;

/// One end of a connection, as Redis writes it: `127.0.0.1:6379`, `[::1]:6379`, `/path:0`.
pub fn address(session: &Session, end: &PeerAddress) -> String {
    // A client's end of a unix socket has no name; Redis shows the server's for both.
    let end = if session.is_unix() { &session.facts.peer.local } else { end };
    match end {
        PeerAddress::Tcp(address) => address.to_string(),
        PeerAddress::Unix(path) => format!("{}:0", path.display()),
    }
}

/// The path of the socket of a client that came over a unix socket.
pub fn socket_path(session: &Session) -> String {
    match &session.facts.peer.local {
        PeerAddress::Unix(path) => path.display().to_string(),
        PeerAddress::Tcp(_) => String::new(),
    }
}

/// The letters of everything that is special about a client; `N` when nothing is.
pub fn flags(session: &Session) -> String {
    let mut letters = String::new();
    let mut add = |given: bool, letter: char| {
        if given {
            letters.push(letter);
        }
    };
    add(session.monitors, 'O');
    add(session.facts.replica.is_some() && !session.monitors, 'S');
    add(session.subscribes, 'P');
    add(session.transaction.is_some(), 'x');
    add(
        matches!(
            session.pending,
            Some(Pending::Paused | Pending::Waiting(_) | Pending::Blocked(_))
        ),
        'b',
    );
    if let Some(tracking) = &session.facts.tracking {
        add(true, 't');
        add(tracking.is_broken, 'R');
        add(tracking.mode == Mode::Broadcast, 'B');
    }
    add(session.facts.watches.are_touched(), 'd');
    add(session.closing, 'c');
    add(session.is_unix(), 'U');
    add(session.facts.reads_from_replicas, 'r');
    add(session.facts.no_evict, 'e');
    add(session.facts.no_touch, 'T');
    add(session.facts.imports, 'I');
    if letters.is_empty() {
        letters.push('N');
    }
    letters
}

/// The letters of what the client said it can do.
pub fn capabilities(session: &Session) -> &'static str {
    if session.facts.takes_redirects { "r" } else { "" }
}

/// Commands that it has run. One that asks the workers is counted already and is not done.
fn commands_done(session: &Session) -> u64 {
    let asks = matches!(session.pending, Some(Pending::Survey(_)));
    session.commands.saturating_sub(u64::from(asks))
}

/// Whole seconds since the client connected.
pub fn age_seconds(session: &Session, now: UnixMillis) -> i64 {
    // A wall clock can jump back.
    ((now.0 - session.facts.connected_at.0) / 1000).max(0)
}

/// Memory that a client takes: its buffers, what it has queued, watches, subscribes to and has prepared. Names of
/// channels and patterns belong to all who subscribe to them.
pub fn memory_bytes(session: &Session, info: &ConnectionInfo) -> usize {
    let facts = &*session.facts;
    let subscriptions = facts.subscriptions.as_ref().map_or(0, |held| held.memory_bytes());
    let tracking = facts.tracking.as_ref().map_or(0, |tracking| tracking.memory_bytes());
    info.memory_bytes
        + size_of::<Session>()
        + size_of_val(facts)
        + transaction_bytes(session)
        + subscriptions
        + tracking
        + facts.fieldsets.memory_bytes()
}

/// What of that is queued commands and watched keys.
fn transaction_bytes(session: &Session) -> usize {
    let queued = session.transaction.as_ref().map_or(0, |queue| queue.bytes());
    queued + session.facts.watches.memory_bytes()
}

/// The line, without its end. The fields and their order are Valkey 9's. What Darter does not have
/// (a static reply buffer, arguments kept apart) is 0. Redis keeps the first 16 KiB of output
/// apart (`obl`) and limits what is beyond (`omem`, in `oll` blocks of 16 KiB): it is shown as such.
pub fn describe(session: &Session, info: &ConnectionInfo, now: UnixMillis) -> String {
    let facts = &*session.facts;
    let held = facts.subscriptions.as_ref();
    let subscriptions = |kind| held.map_or(0, |held| held.of(kind).len());
    let lossy = String::from_utf8_lossy;
    let resp = if session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let last = if session.last_command.is_empty() { "NULL" } else { session.last_command };
    // Redis counts what is queued, or that nothing is.
    let transaction = session.transaction.as_ref();
    let queued = transaction.map_or("-1".to_owned(), |queue| queue.commands().len().to_string());
    let mut line = String::with_capacity(320);
    let written = write!(
        line,
        "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} \
         flags={flags} capa={capa} db={db} sub={sub} psub={psub} ssub={ssub} multi={queued} watch={watched} qbuf={qbuf} \
         qbuf-free=0 argv-mem=0 multi-mem={transaction} rbs=0 rbp=0 obl={direct} oll={listed} omem={limited} \
         tot-mem={memory} events=r cmd={last} user={user} redir={redirect} resp={resp} \
         lib-name={lib_name} lib-ver={lib_version} tot-net-in={received} tot-net-out={sent} \
         tot-cmds={commands}",
        id = session.client_id,
        addr = address(session, &facts.peer.remote),
        laddr = address(session, &facts.peer.local),
        fd = facts.peer.fd,
        name = lossy(&facts.name),
        age = age_seconds(session, now),
        idle = info.idle.as_secs(),
        flags = flags(session),
        capa = capabilities(session),
        user = lossy(session.access.user.name()),
        db = session.db.0,
        redirect = facts.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed()),
        sub = subscriptions(Kind::Channel),
        psub = subscriptions(Kind::Pattern),
        ssub = subscriptions(Kind::ShardChannel),
        qbuf = session.awaited.query_buffer_bytes(info.kept_input_bytes),
        direct = info.unsent_bytes.min(ConnectionInfo::OUTPUT_ALLOWANCE_BYTES),
        listed = info.limited_bytes() / ConnectionInfo::OUTPUT_BLOCK_BYTES,
        limited = info.limited_bytes(),
        transaction = transaction_bytes(session),
        memory = memory_bytes(session, info),
        watched = facts.watches.len(),
        lib_name = lossy(&facts.lib_name),
        lib_version = lossy(&facts.lib_version),
        received = info.received_bytes,
        sent = info.sent_bytes,
        commands = commands_done(session),
    );
    written.expect("writing to a string does not fail");
    line
}
