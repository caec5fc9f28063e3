//! Fills in the replies a transcript does not have yet, from a real server.
//!
//! Each unrecorded step is run over both protocols. Where the two replies are the same pattern, one
//! line is written, otherwise one for each. What is recorded is a fact about that server, not yet an
//! expectation: it is to be read and loosened (times, identifiers) by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::model::{Action, Case, Expectation, Repetition, Step, Target, Transcript};
use super::notation::render;
use super::pattern::{self, Bindings};
use super::run::{Session, Setting};
use crate::{Client, ClientError, Feed, Protocol, Value};

/// How long the server has to stay silent before no more replies to raw bytes are expected.
const SILENCE: Duration = Duration::from_millis(200);

/// What a step was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Recorded {
    Reply(Value),
    /// What a cursor led to.
    Elements(Vec<Value>),
    Closed,
    Nothing,
}

/// The text of a transcript with the replies missing from it added.
pub fn record(
    transcript: &Transcript,
    text: &str,
    address: SocketAddr,
    target: Target,
) -> Result<String, String> {
    // Replies by the line they go behind.
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for case in transcript.cases.iter().filter(|case| case.oracles.include(target)) {
        if case.steps.iter().all(|step| !is_unrecorded(step)) {
            continue;
        }
        let run = |protocol| {
            let setting = Setting { address, target, protocol, feed: Feed::OneByOne };
            record_case(transcript, case, setting)
                .map_err(|error| format!("{}: {}: {error}", transcript.path.display(), case.title))
        };
        let resp2 = run(Protocol::Resp2)?;
        let resp3 =
            if transcript.fresh_connections { resp2.clone() } else { run(Protocol::Resp3)? };
        for (line, replies) in &resp2 {
            found.insert(*line, merge(replies, resp3.get(line).map_or(&[], Vec::as_slice)));
        }
    }
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        out.push_str(line);
        out.push('\n');
        for reply in found.get(&(index + 1)).into_iter().flatten() {
            out.push_str(reply);
            out.push('\n');
        }
    }
    Ok(out)
}

const fn is_unrecorded(step: &Step) -> bool {
    step.expectations.is_empty() && matches!(step.action, Action::Command(_) | Action::Raw(_))
}

fn record_case(
    transcript: &Transcript,
    case: &Case,
    setting: Setting,
) -> Result<BTreeMap<usize, Vec<Recorded>>, ClientError> {
    Client::connect(setting.address).map_err(ClientError::Io)?.call(&["FLUSHALL"])?;
    let mut session = Session::new(transcript, setting);
    let mut recorded = BTreeMap::new();
    for step in &case.steps {
        match &step.action {
            Action::Elapse(duration) => std::thread::sleep(*duration),
            Action::Close => session.close(step),
            _ if step.repetition == Repetition::Iterate => {
                if let Ok(elements) = session.follow_cursor(step)?
                    && is_unrecorded(step)
                {
                    recorded.insert(step.line, vec![Recorded::Elements(elements)]);
                }
            }
            _ => {
                let bytes = session.request(step);
                session.send(step, &bytes)?;
                if is_unrecorded(step) {
                    recorded.insert(step.line, read_replies(&mut session, step)?);
                } else {
                    follow(&mut session, step, setting)?;
                }
            }
        }
    }
    Ok(recorded)
}

/// Reads what is written down already, for the names it binds.
fn follow(session: &mut Session<'_>, step: &Step, setting: Setting) -> Result<(), ClientError> {
    use super::model::Expected;
    let applies = |it: &&Expectation| it.applies(setting.target, setting.protocol);
    for expectation in step.expectations.iter().filter(applies) {
        match &expectation.what {
            Expected::Reply(_) => {
                let (value, protocol) = session.read(step)?;
                session.bind(expectation, &value, protocol);
            }
            Expected::Bytes(bytes) => {
                session.client(step)?.read_bytes(bytes.len())?;
            }
            Expected::Closed => session.read_end(step)?,
            Expected::Nothing => {}
        }
    }
    Ok(())
}

fn read_replies(session: &mut Session<'_>, step: &Step) -> Result<Vec<Recorded>, ClientError> {
    if matches!(step.action, Action::Command(_)) {
        return match session.read(step) {
            Ok((value, _)) => Ok(vec![Recorded::Reply(value)]),
            Err(ClientError::Closed { .. }) => Ok(vec![Recorded::Closed]),
            Err(error) => Err(error),
        };
    }
    session.client(step)?.set_reply_timeout(SILENCE).map_err(ClientError::Io)?;
    let mut replies = Vec::new();
    loop {
        match session.read(step) {
            Ok((value, _)) => replies.push(Recorded::Reply(value)),
            Err(ClientError::Closed { .. }) => {
                replies.push(Recorded::Closed);
                break;
            }
            Err(ClientError::TimedOut { .. }) => {
                if replies.is_empty() {
                    replies.push(Recorded::Nothing);
                }
                break;
            }
            Err(error) => return Err(error),
        }
    }
    session
        .client(step)?
        .set_reply_timeout(crate::client::REPLY_TIMEOUT)
        .map_err(ClientError::Io)?;
    Ok(replies)
}

/// The lines for a step's replies over both protocols.
fn merge(resp2: &[Recorded], resp3: &[Recorded]) -> Vec<String> {
    let texts = |replies: &[Recorded]| replies.iter().map(text).collect::<Vec<_>>();
    if fits(resp3, resp2, Protocol::Resp2) {
        return texts(resp3);
    }
    if fits(resp2, resp3, Protocol::Resp3) {
        // A RESP2 null array says more than the one null of RESP3.
        return texts(resp2);
    }
    let label = |label: &str, texts: Vec<String>| {
        texts.into_iter().map(|text| format!("{label}: {text}")).collect::<Vec<_>>()
    };
    [label("resp2", texts(resp2)), label("resp3", texts(resp3))].concat()
}

/// Whether what was seen over one protocol, read as patterns, fits what was seen over the other.
fn fits(patterns: &[Recorded], replies: &[Recorded], protocol: Protocol) -> bool {
    patterns.len() == replies.len()
        && patterns.iter().zip(replies).all(|(pattern, reply)| match (pattern, reply) {
            (Recorded::Reply(pattern), Recorded::Reply(reply)) => pattern::parse(&render(pattern))
                .is_ok_and(|it| it.matches(reply, protocol, &mut Bindings::new())),
            (Recorded::Elements(pattern), Recorded::Elements(reply)) => {
                pattern.len() == reply.len() && pattern.iter().all(|it| reply.contains(it))
            }
            (pattern, reply) => pattern == reply,
        })
}

fn text(recorded: &Recorded) -> String {
    match recorded {
        Recorded::Reply(value) => render(value),
        Recorded::Elements(elements) => {
            let mut texts: Vec<String> = elements.iter().map(render).collect();
            texts.sort();
            format!("unordered[{}]", texts.join(" "))
        }
        Recorded::Closed => "closed".to_owned(),
        Recorded::Nothing => "nothing".to_owned(),
    }
}
