//! What writing fields that may expire leaves to be done again.
//!
//! A field that has expired is not there for a command, but stays until it is removed in the background, which is
//! recorded as such. A command that is run again finds it, because nothing is due then. So what is left names the
//! fields that something was done to, and no others.

use crate::expiration::NewDeadline;
use darter_base::number::{format_i64, format_u64};
use darter_command_table::Call;
use darter_resp::{Args, OwnedArgs};
use darter_value::hash::FieldExpiry;

/// Fields that a command did something to. None are noted while nobody records.
pub(super) struct Touched {
    is_recorded: bool,
    fields: OwnedArgs,
}

impl Touched {
    pub(super) fn new(call: &Call<'_>) -> Self {
        Self { is_recorded: call.is_recorded(), fields: OwnedArgs::new() }
    }

    /// Notes a field.
    pub(super) fn note(&mut self, field: &[u8]) {
        if self.is_recorded {
            self.fields.push(field);
        }
    }

    /// Leaves that the fields of the hash at argument 1 are not there.
    pub(super) fn leave_deletion(&self, call: &mut Call<'_>) {
        let (key, fields) = (call.args.at(1), self.fields.as_args());
        if !fields.is_empty() {
            call.leave(|effects| effects.add_with(&[b"HDEL", key], fields.iter()));
        }
    }

    /// Leaves when they expire, or that they are not there if that has passed.
    pub(super) fn leave_deadline(&self, call: &mut Call<'_>, new: NewDeadline) {
        if new.passed {
            return self.leave_deletion(call);
        }
        let millis = format_i64(new.deadline.millis());
        self.leave_counted(call, &[b"HPEXPIREAT", call.args.at(1), millis.as_bytes()]);
    }

    /// Leaves that they do not expire.
    pub(super) fn leave_no_deadline(&self, call: &mut Call<'_>) {
        self.leave_counted(call, &[b"HPERSIST", call.args.at(1)]);
    }

    fn leave_counted(&self, call: &mut Call<'_>, words: &[&[u8]]) {
        let fields = self.fields.as_args();
        if fields.is_empty() {
            return;
        }
        let count = format_u64(fields.len() as u64);
        let words = [words, &[b"FIELDS", count.as_bytes()]].concat();
        call.leave(|effects| effects.add_with(&words, fields.iter()));
    }
}

/// Leaves that fields of the hash at argument 1 hold what `pairs` say, and until when. `expired` are those pairs of them
/// whose fields had expired: they keep no deadline.
pub(super) fn leave_pairs(
    call: &mut Call<'_>,
    expiry: FieldExpiry,
    pairs: Args<'_>,
    expired: Args<'_>,
) {
    let key = call.args.at(1);
    let count = format_u64(pairs.len() as u64 / 2);
    let count = count.as_bytes();
    call.leave(|effects| match expiry {
        FieldExpiry::Clear => effects.add_with(&[b"HSET", key], pairs.iter()),
        FieldExpiry::Keep => {
            if !expired.is_empty() {
                effects.add_with(&[b"HSET", key], expired.iter());
            }
            effects.add_with(&[b"HSETEX", key, b"KEEPTTL", b"FIELDS", count], pairs.iter());
        }
        FieldExpiry::At(deadline) => {
            let millis = format_i64(deadline.millis());
            let words = &[b"HSETEX", key, b"PXAT", millis.as_bytes(), b"FIELDS", count];
            effects.add_with(words, pairs.iter());
        }
    });
}
