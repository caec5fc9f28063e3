//! What happened, recorded while its shards are held: for the log of changes ([`crate::journal`]) and for replicas
//! ([`crate::replication`]).
//!
//! Both get the same commands in an order in which they could have happened one after the other. Nothing is recorded while
//! nobody wants it.

mod requests;
mod unlinking;

pub use requests::Group;
pub(crate) use requests::{Requests, Taken};
pub use unlinking::Unlinking;

use crate::shared::Shared;
use darter_base::DbIndex;
use darter_command_table::Effects;
use darter_resp::Args;
use darter_shard::{Gone, Interest};

impl Shared {
    /// Whether changes are recorded. It becomes true only while all shards are held, so whoever holds one knows.
    #[inline]
    pub fn is_recorded(&self) -> bool {
        self.journal.is_attached() || self.replication.is_fed()
    }

    /// What is of interest to others, and for recording.
    #[inline]
    pub fn recorded_interest(&self, interest: Interest) -> Interest {
        if self.is_recorded() { interest.and(Interest::GONE) } else { interest }
    }

    /// Records a command.
    pub fn record(&self, db: DbIndex, args: Args<'_>) {
        self.record_by(|requests| requests.add(db, args));
    }

    /// Records what a command left instead of itself.
    pub fn record_effects(&self, db: DbIndex, effects: &Effects) {
        self.record_by(|requests| requests.add_effects(db, effects));
    }

    /// Records what went by itself.
    pub fn record_gone(&self, gone: &[Gone]) {
        let mut group = Group::default();
        group.add_gone(gone, self.unlinking.get());
        self.record_by(|requests| requests.add_group(&group, false));
    }

    /// Records what happened as one step.
    pub fn record_group(&self, group: &Group) {
        self.record_by(|requests| requests.add_group(group, true));
    }

    /// Has replicas hear of a message to subscribers, which is in no log: PUBLISH as it was sent.
    pub fn replicate_message(&self, args: Args<'_>) {
        if self.replication.is_fed() {
            let words: Vec<&[u8]> = args.iter().collect();
            self.replication.record(|requests| requests.add_words(&words));
        }
    }

    fn record_by(&self, add: impl Fn(&mut Requests)) {
        if self.journal.is_attached() {
            self.journal.record(&add);
        }
        if self.replication.is_fed() {
            self.replication.record(&add);
        }
    }
}
