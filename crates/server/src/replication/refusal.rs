//! Why a replica cannot go on from what it has, in the words of the server's log.

use darter_replication::{Fork, Offset, ReplicationId};
use std::fmt;

/// Why a replica gets all data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It asks for them.
    Wanted,
    /// What it has is of another history.
    OtherHistory {
        /// Which.
        asked: ReplicationId,
        /// The one there is.
        id: ReplicationId,
        /// The one that came from.
        fork: Option<Fork>,
    },
    /// It has more of the history that this one came from than this one.
    BehindFork {
        /// Up to where it has it.
        have: Offset,
        /// Where this one left it.
        fork: Offset,
    },
    /// Nothing is kept.
    NothingKept {
        /// Of which history it has something.
        asked: ReplicationId,
        /// Up to where.
        have: Offset,
    },
    /// What it lacks is not kept, or has not happened.
    NotKept {
        /// Of which history it has something.
        asked: ReplicationId,
        /// Up to where.
        have: Offset,
        /// What is kept.
        kept: (Offset, Offset),
    },
}

impl Refusal {
    /// What is said of it of a replica of this name. Bytes are counted from 1.
    pub(super) fn said_of(self, replica: &str) -> impl fmt::Display {
        Said { refusal: self, replica: replica.to_owned() }
    }
}

struct Said {
    refusal: Refusal,
    replica: String,
}

impl fmt::Display for Said {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replica = &self.replica;
        let first = |have: Offset| have.bytes() + 1;
        match self.refusal {
            Refusal::Wanted => write!(to, "Full resync requested by replica {replica}"),
            Refusal::OtherHistory { asked, id, fork } => {
                let former = fork.map_or(ReplicationId::NONE, |fork| fork.id);
                write!(
                    to,
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{asked}', my \
                     replication IDs are '{id}' and '{former}')"
                )
            }
            Refusal::BehindFork { have, fork } => write!(
                to,
                "Partial resynchronization not accepted: Requested offset for second ID was {}, but I can reply up to {}",
                first(have),
                first(fork)
            ),
            Refusal::NothingKept { asked, have } => write!(
                to,
                "Unable to partial resync with replica {replica} for lack of backlog (Replica request was: {asked}:{}).",
                first(have)
            ),
            Refusal::NotKept { asked, have, kept: (begin, end) } => write!(
                to,
                "Unable to partial resync with replica {replica} for lack of backlog (Replica request was {asked}:{}, \
                 and I can only reply with the range [{}, {}]).",
                first(have),
                first(begin),
                first(end)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_from_1() {
        let offset = |bytes| Offset::new(bytes).unwrap();
        let asked = ReplicationId::of_random([1; 20]);
        let kept = (offset(100), offset(200));
        let refusal = Refusal::NotKept { asked, have: offset(7), kept };
        let expected = format!(
            "Unable to partial resync with replica a:1 for lack of backlog (Replica request was {asked}:8, and I can only \
             reply with the range [101, 201])."
        );
        assert_eq!(refusal.said_of("a:1").to_string(), expected);
    }
}
