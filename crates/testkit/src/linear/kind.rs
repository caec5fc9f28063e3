//! What clients ask for, as commands, and what they make of the replies.

use super::history::{Action, GROUP_KEYS, MISSING};
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
    /// The same as a script, which names its keys or does not.
    Script {
        parts: Vec<Self>,
        names_keys: bool,
    },
}

/// Runs the commands of its arguments, each after the number of its words, and gives their replies.
const SCRIPT: &str = "\
local replies, at = {}, 1
while at <= #ARGV do
  local last = at + ARGV[at]
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return replies";

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
            Self::Script { parts, names_keys } => {
                let mut keys: Vec<usize> = parts.iter().flat_map(Self::keys).collect();
                keys.sort_unstable();
                keys.dedup();
                keys.truncate(if *names_keys { GROUP_KEYS } else { 0 });
                let mut eval = vec![b"EVAL".to_vec(), SCRIPT.into(), keys.len().to_string().into()];
                eval.extend(keys.into_iter().map(|key| key_name(round, group, key)));
                for command in parts.iter().map(|part| part.command(round, group)) {
                    eval.push(command.len().to_string().into());
                    eval.extend(command);
                }
                vec![eval]
            }
            simple => vec![simple.command(round, group)],
        }
    }

    fn keys(&self) -> Vec<usize> {
        match self {
            Self::Read(keys) | Self::Delete(keys) => keys.clone(),
            Self::Write(pairs) => pairs.iter().map(|&(key, _)| key).collect(),
            Self::Swap { key, .. } | Self::Increment { key } => vec![*key],
            Self::Transaction(parts) | Self::Script { parts, .. } => {
                parts.iter().flat_map(Self::keys).collect()
            }
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
            Self::Transaction(_) | Self::Script { .. } => {
                unreachable!("transactions do not nest")
            }
        }
    }

    /// What was done, seen from the replies; `None` if they make no sense.
    pub(super) fn finish(self, replies: &[Value]) -> Option<Action> {
        let (parts, ran) = match (self, replies) {
            (Self::Transaction(parts), [begun, queued @ .., ran]) => {
                let is_queued = |reply: &Value| *reply == Value::Simple(b"QUEUED".to_vec());
                let fits = *begun == Value::Simple(b"OK".to_vec())
                    && queued.len() == parts.len()
                    && queued.iter().all(is_queued);
                if !fits {
                    return None;
                }
                (parts, ran)
            }
            (Self::Script { parts, .. }, [ran]) => (parts, ran),
            (simple, [reply]) => return simple.finish_simple(reply),
            _ => return None,
        };
        let ran = ran.elements().filter(|ran| ran.len() == parts.len())?;
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
            Self::Transaction(_) | Self::Script { .. } => return None,
        })
    }
}

pub(super) fn number_seen(value: &Value) -> Option<i64> {
    if value.is_null() {
        return Some(MISSING);
    }
    std::str::from_utf8(value.text()?).ok()?.parse().ok()
}
