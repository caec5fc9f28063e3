//! What clients ask for, as commands, and what they make of the replies.

use super::history::{Action, MISSING};
use crate::Value;
use crate::request::{Command, words};

/// What a client wants to do with a group. Keys are positions in it.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Read(Vec<usize>),
    Write(Vec<(usize, i64)>),
    Swap {
        key: usize,
        written: i64,
    },
    Increment {
        key: usize,
    },
    Delete(Vec<usize>),
    /// As one step; none of them is a transaction.
    Transaction(Vec<Self>),
}

/// Keys of a group carry no hash tag, so that they lie in different shards.
pub(super) fn key_name(round: usize, group: usize, key: usize) -> Vec<u8> {
    format!("round:{round}:group:{group}:key:{key}").into_bytes()
}

impl Kind {
    /// The commands, one reply each.
    pub(super) fn commands(&self, round: usize, group: usize) -> Vec<Command> {
        match self {
            Self::Transaction(parts) => {
                let queued = parts.iter().map(|part| part.command(round, group));
                [words("MULTI")].into_iter().chain(queued).chain([words("EXEC")]).collect()
            }
            simple => vec![simple.command(round, group)],
        }
    }

    fn command(&self, round: usize, group: usize) -> Command {
        let name = |key: usize| key_name(round, group, key);
        let number = |value: i64| value.to_string().into_bytes();
        match self {
            Self::Read(keys) => {
                let mut command = words(if keys.len() == 1 { "GET" } else { "MGET" });
                command.extend(keys.iter().map(|&key| name(key)));
                command
            }
            Self::Write(pairs) => {
                let mut command = words(if pairs.len() == 1 { "SET" } else { "MSET" });
                command.extend(pairs.iter().flat_map(|&(key, value)| [name(key), number(value)]));
                command
            }
            Self::Swap { key, written } => vec![b"GETSET".to_vec(), name(*key), number(*written)],
            Self::Increment { key } => vec![b"INCR".to_vec(), name(*key)],
            Self::Delete(keys) => {
                let mut command = words("DEL");
                command.extend(keys.iter().map(|&key| name(key)));
                command
            }
            Self::Transaction(_) => unreachable!("transactions do not nest"),
        }
    }

    /// What was done, seen from the replies; `None` if they make no sense.
    pub(super) fn finish(self, replies: &[Value]) -> Option<Action> {
        let Self::Transaction(parts) = self else {
            let [reply] = replies else { return None };
            return self.finish_simple(reply);
        };
        let [begun, queued @ .., ran] = replies else { return None };
        let is_queued = |reply: &Value| *reply == Value::Simple(b"QUEUED".to_vec());
        let ran = ran.elements()?;
        let fits = *begun == Value::Simple(b"OK".to_vec())
            && queued.len() == parts.len()
            && queued.iter().all(is_queued)
            && ran.len() == parts.len();
        if !fits {
            return None;
        }
        let actions = parts.into_iter().zip(ran).map(|(part, reply)| part.finish_simple(reply));
        Some(Action::Transaction(actions.collect::<Option<_>>()?))
    }

    fn finish_simple(self, reply: &Value) -> Option<Action> {
        Some(match self {
            Self::Read(keys) => {
                let values = match reply.elements() {
                    Some(values) => values.iter().map(number_seen).collect::<Option<Vec<_>>>()?,
                    None => vec![number_seen(reply)?],
                };
                if values.len() != keys.len() {
                    return None;
                }
                Action::Read(keys.into_iter().zip(values).collect())
            }
            Self::Write(pairs) => {
                if *reply != Value::Simple(b"OK".to_vec()) {
                    return None;
                }
                Action::Write(pairs)
            }
            Self::Swap { key, written } => Action::Swap { key, seen: number_seen(reply)?, written },
            Self::Increment { key } => Action::Increment { key, became: reply.integer()? },
            Self::Delete(keys) => Action::Delete { keys, found: reply.integer()? },
            Self::Transaction(_) => return None,
        })
    }
}

pub(super) fn number_seen(value: &Value) -> Option<i64> {
    if value.is_null() {
        return Some(MISSING);
    }
    std::str::from_utf8(value.text()?).ok()?.parse().ok()
}
