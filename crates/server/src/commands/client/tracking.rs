//! Client-side caching: TRACKING, TRACKINGINFO, GETREDIR, CACHING. How clients hear of keys is told in
//! [`crate::tracking`].

use super::BASE;
use super::modes::is_on;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::tracking::state::{Mode, Remember, Tracking};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};
use darter_resp::Args;
use std::sync::Arc;

/// Tells the client when keys it has read change.
pub static TRACKING: SessionCommand = SessionCommand::alone(
    Command {
        name: "TRACKING",
        since: "6.0.0",
        summary: "Tells the client when keys it has read change.",
        complexity: "O(1). Some options may introduce additional complexity.",
        arity: Arity::AtLeast(3),
        args: &[
            Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
            Arg::integer("client-id").token("REDIRECT").optional(),
            Arg::string("prefix").token("PREFIX").optional().multiple_with_token(),
            Arg::word("bcast", "BCAST").optional(),
            Arg::word("optin", "OPTIN").optional(),
            Arg::word("optout", "OPTOUT").optional(),
            Arg::word("noloop", "NOLOOP").optional(),
        ],
        ..BASE
    },
    tracking,
)
.within();

/// What a client may ask for, as it was given.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "words that are given or not")]
struct Options {
    redirect: i64,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<Arc<[u8]>>,
}

impl Options {
    fn parse(call: &SessionCall<'_>, args: Args<'_>) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut index = 0;
        while let Some(option) = args.get(index) {
            let value = args.get(index + 1);
            index += 1;
            match (&*option.to_ascii_lowercase(), value) {
                (b"redirect", Some(value)) => {
                    index += 1;
                    if options.redirect != 0 {
                        return Err(ServerError::RedirectedTwice.into());
                    }
                    options.redirect = parse_i64(value).ok_or(ReplyError::NotAnInteger)?;
                    let id = u64::try_from(options.redirect).unwrap_or(0);
                    if call.shared.connection_of(id).is_none() {
                        return Err(ServerError::NoRedirectTarget.into());
                    }
                }
                (b"prefix", Some(value)) => {
                    index += 1;
                    options.prefixes.push(value.into());
                }
                (b"bcast", _) => options.broadcast = true,
                (b"optin", _) => options.opt_in = true,
                (b"optout", _) => options.opt_out = true,
                (b"noloop", _) => options.no_loop = true,
                _ => return Err(ReplyError::Syntax),
            }
        }
        Ok(options)
    }

    const fn mode(&self) -> Mode {
        match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => Mode::Broadcast,
            (false, true, _) => Mode::OptIn,
            (false, false, true) => Mode::OptOut,
            (false, false, false) => Mode::Read,
        }
    }

    /// Whether they go together, and with how the client is tracked already.
    fn check(&self, before: Option<&Tracking>) -> Result<(), ServerError> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(ServerError::PrefixWithoutBroadcast);
        }
        if before.is_some_and(|before| (before.mode == Mode::Broadcast) != self.broadcast) {
            return Err(ServerError::BroadcastSwitched);
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(ServerError::BroadcastWithOptions);
        }
        if self.opt_in && self.opt_out {
            return Err(ServerError::OptInAndOut);
        }
        let was = |mode| before.is_some_and(|before| before.mode == mode);
        if (self.opt_in && was(Mode::OptOut)) || (self.opt_out && was(Mode::OptIn)) {
            return Err(ServerError::OptSwitched);
        }
        if self.broadcast {
            let known = before.map_or(&[][..], |before| &before.prefixes);
            check_prefixes(known, &self.prefixes)?;
        }
        Ok(())
    }
}

/// Refuses prefixes that would tell the client of one key twice. `known` is sorted, and none of them begins another.
/// O(G * log(G + K)) for G given and K known ones.
fn check_prefixes(known: &[Arc<[u8]>], given: &[Arc<[u8]>]) -> Result<(), ServerError> {
    let among_known = given
        .iter()
        .enumerate()
        .find_map(|(index, prefix)| known_overlap(known, prefix).map(|other| (index, other, true)));
    let among_given = first_overlap(given).map(|(first, later)| (first, &given[later], false));
    let found = [among_known, among_given].into_iter().flatten();
    let Some((index, other, is_known)) = found.min_by_key(|(index, ..)| *index) else {
        return Ok(());
    };
    let (prefix, other) = (given[index].to_vec(), other.to_vec());
    Err(ServerError::PrefixesOverlap { prefix, other, is_known })
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The first of `known` that begins `prefix` or begins with it. What begins it stands right before it, since none
/// of them begins another.
fn known_overlap<'a>(known: &'a [Arc<[u8]>], prefix: &[u8]) -> Option<&'a Arc<[u8]>> {
    let place = known.partition_point(|other| **other < *prefix);
    let around = &known[place.saturating_sub(1)..known.len().min(place + 1)];
    around.iter().find(|other| overlap(prefix, other))
}

/// The first of `given` that overlaps with a later one, and the first of those.
fn first_overlap(given: &[Arc<[u8]>]) -> Option<(usize, usize)> {
    let mut sorted: Vec<usize> = (0..given.len()).collect();
    sorted.sort_unstable_by_key(|index| &given[*index]);
    let mut sorted = sorted.into_iter();
    // Whatever begins one of them stands before it, with nothing in between that does not begin so.
    let mut beginning = sorted.next()?;
    let mut first: Option<usize> = None;
    for index in sorted {
        if given[index].starts_with(&given[beginning]) {
            first = [first, Some(index), Some(beginning)].into_iter().flatten().min();
        } else {
            beginning = index;
        }
    }
    let first = first?;
    let later = given[first + 1..].iter().position(|other| overlap(&given[first], other))?;
    Some((first, first + 1 + later))
}

fn tracking(call: &mut SessionCall<'_>) -> SessionResult {
    let mut options = Options::parse(call, call.args.tail(3))?;
    if !is_on(call.args.at(2))? {
        call.core.end_tracking(call.session, call.id);
        return call.ok();
    }
    options.check(call.session.facts.tracking.as_deref())?;
    if options.broadcast && options.prefixes.is_empty() {
        options.prefixes.push(Arc::default());
    }
    options.prefixes.sort_unstable();
    let tracking = Tracking {
        mode: options.mode(),
        no_loop: options.no_loop,
        redirect: u64::try_from(options.redirect).unwrap_or(0),
        is_broken: false,
        prefixes: options.prefixes.into(),
    };
    call.core.begin_tracking(call.session, call.id, tracking);
    call.ok()
}

/// Tells how the connection is tracked.
pub static TRACKINGINFO: SessionCommand = SessionCommand::alone(
    Command {
        name: "TRACKINGINFO",
        since: "6.2.0",
        summary: "Tells how the connection is tracked.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    tracking_info,
)
.within();

fn tracking_info(call: &mut SessionCall<'_>) -> SessionResult {
    let remember = call.session.remember;
    let tracking = call.session.facts.tracking.take();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(tracking) = &tracking {
        match tracking.mode {
            Mode::Read => {}
            Mode::Broadcast => flags.push("bcast"),
            Mode::OptIn => flags.push("optin"),
            Mode::OptOut => flags.push("optout"),
        }
        match remember {
            Remember::Once => flags.push("caching-yes"),
            Remember::NotOnce => flags.push("caching-no"),
            Remember::Always | Remember::Never => {}
        }
        if tracking.no_loop {
            flags.push("noloop");
        }
        if tracking.is_broken {
            flags.push("broken_redirect");
        }
    }
    let mut reply = call.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"redirect");
    reply.integer(tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed()));
    reply.bulk(b"prefixes");
    let prefixes = tracking.as_ref().map_or(&[][..], |tracking| &tracking.prefixes);
    reply.array(prefixes.len());
    for prefix in prefixes {
        reply.bulk(prefix);
    }
    call.session.facts.tracking = tracking;
    Ok(Flow::Next)
}

/// The connection that is told of changed keys instead.
pub static GETREDIR: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETREDIR",
        since: "6.0.0",
        summary: "The connection that is told of changed keys instead.",
        arity: Arity::Exactly(2),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        ..BASE
    },
    |call| {
        let tracking = call.session.facts.tracking.as_ref();
        let redirect = tracking.map_or(-1, |tracking| tracking.redirect.cast_signed());
        call.reply().integer(redirect);
        Ok(Flow::Next)
    },
)
.within();

/// Chooses whether the keys of the next command are tracked.
pub static CACHING: SessionCommand = SessionCommand::alone(
    Command {
        name: "CACHING",
        since: "6.0.0",
        summary: "Chooses whether the keys of the next command are tracked.",
        arity: Arity::Exactly(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        args: &[Arg::one_of("mode", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])],
        ..BASE
    },
    caching,
)
.within();

fn caching(call: &mut SessionCall<'_>) -> SessionResult {
    let tracking = call.session.facts.tracking.as_ref().ok_or(ServerError::NotTracked)?;
    call.session.remember = match (&*call.args.at(2).to_ascii_lowercase(), tracking.mode) {
        (b"yes", Mode::OptIn) => Remember::Once,
        (b"yes", _) => return Err(ServerError::NotOptIn.into()),
        (b"no", Mode::OptOut) => Remember::NotOnce,
        (b"no", _) => return Err(ServerError::NotOptOut.into()),
        _ => return Err(ReplyError::Syntax),
    };
    call.ok()
}
