//! What one client did to a group of keys, and what it saw.

/// Keys in a group: few, so that commands meet, and enough for transactions over many shards.
pub const GROUP_KEYS: usize = 8;

/// The value of a key that is missing. Never written.
pub const MISSING: i64 = i64::MIN;

/// Values from here on are written once at a key, and reached by INCR at most once. (Smaller ones are
/// what INCR makes of a missing key, again and again.)
pub const UNIQUE_MIN: i64 = 1 << 40;

/// The values of a group's keys.
pub type State = [i64; GROUP_KEYS];

/// A group nobody has written yet.
pub const EMPTY: State = [MISSING; GROUP_KEYS];

/// One command and its reply. Keys are positions in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// GET, MGET: the value seen at each key.
    Read(Vec<(usize, i64)>),
    /// SET, MSET: the value written to each key.
    Write(Vec<(usize, i64)>),
    /// GETSET
    Swap { key: usize, seen: i64, written: i64 },
    /// INCR: the value it answered.
    Increment { key: usize, became: i64 },
    /// DEL: how many of the keys, each named once, were there.
    Delete { keys: Vec<usize>, found: i64 },
    /// MULTI, these, EXEC, or a script. None of them is a transaction.
    Transaction(Vec<Self>),
}

impl Action {
    /// The actions it consists of.
    pub const fn parts(&self) -> &[Self] {
        match self {
            Self::Transaction(parts) => parts.as_slice(),
            simple => std::slice::from_ref(simple),
        }
    }

    /// Whether it changes nothing whenever its reply is possible.
    pub fn only_sees(&self) -> bool {
        self.parts()
            .iter()
            .all(|part| matches!(part, Self::Read(_) | Self::Delete { found: 0, .. }))
    }

    /// The state after this action, or `None` when its reply is not possible in `state`.
    pub fn apply(&self, state: &State) -> Option<State> {
        let mut after = *state;
        let possible = match self {
            Self::Read(seen) => seen.iter().all(|&(key, value)| state[key] == value),
            Self::Write(written) => {
                for &(key, value) in written {
                    after[key] = value;
                }
                true
            }
            Self::Swap { key, seen, written } => {
                after[*key] = *written;
                state[*key] == *seen
            }
            Self::Increment { key, became } => {
                let before = if state[*key] == MISSING { 0 } else { state[*key] };
                after[*key] = *became;
                before + 1 == *became
            }
            Self::Delete { keys, found } => {
                let there = keys.iter().filter(|&&key| state[key] != MISSING).count();
                for &key in keys {
                    after[key] = MISSING;
                }
                i64::try_from(there) == Ok(*found)
            }
            Self::Transaction(parts) => {
                return parts.iter().try_fold(after, |state, part| part.apply(&state));
            }
        };
        possible.then_some(after)
    }
}

/// One command of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub client: usize,
    /// Nanoseconds since some point; before the command was sent.
    pub invoked: u64,
    /// After its reply was read: `invoked < returned`.
    pub returned: u64,
    pub action: Action,
}
