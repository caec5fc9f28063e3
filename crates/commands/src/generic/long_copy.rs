//! COPY of big collections, in slices.

use super::copy::Options;
use crate::joint::{Operands, Work, work_in_slices};
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Protocol, ReplyWriter};
use darter_shard::{Deadline, Expiry, Interest, Key, Keyspace, Lifetime, Object, ValueRef};
use darter_value::Copying;
use darter_value::integer::IntegerText;

/// Begins a copy of the value at argument 1.
pub(super) fn copy_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let Options { db, replace } = Options::parse(call)?;
    let work = LongCopy { replace, stage: Stage::Begun, lifetime: Lifetime::Absent, copied: false };
    Ok(work_in_slices(call, 1..2, Some((2, db)), work))
}

struct LongCopy {
    replace: bool,
    stage: Stage,
    /// How long the original lives.
    lifetime: Lifetime,
    copied: bool,
}

enum Stage {
    Begun,
    Copying(Copying),
    /// `None`: there is nothing to copy.
    Copied(Option<Copied>),
}

enum Copied {
    Object(Object),
    /// It has become a string after the command was begun.
    Text(Vec<u8>),
}

impl Work for LongCopy {
    fn begin(&mut self) {
        self.stage = Stage::Begun;
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        self.lifetime = operands.lifetime();
        let object = match operands.values().next().flatten() {
            Some(ValueRef::Object(object)) => object,
            value => {
                let mut text = IntegerText::new();
                let bytes = value.and_then(|value| Some(value.string_bytes(&mut text)?.to_vec()));
                self.stage = Stage::Copied(bytes.map(Copied::Text));
                return Ok(false);
            }
        };
        let mut copying = match std::mem::replace(&mut self.stage, Stage::Copied(None)) {
            Stage::Begun => {
                let Some(copying) = Copying::begin(object) else {
                    self.stage = Stage::Copied(Some(Copied::Object(object.to_object())));
                    return Ok(false);
                };
                copying
            }
            Stage::Copying(copying) => copying,
            Stage::Copied(_) => return Ok(false),
        };
        let has_more = copying.go_on(object);
        self.stage = if has_more {
            Stage::Copying(copying)
        } else {
            Stage::Copied(Some(Copied::Object(copying.finish())))
        };
        Ok(has_more)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let Stage::Copied(Some(copy)) = std::mem::replace(&mut self.stage, Stage::Begun) else {
            return;
        };
        if !self.replace && keyspace.peek(key).is_some() {
            return;
        }
        let expiry = match self.lifetime {
            Lifetime::Until(at) => Deadline::new(at.0).map_or(Expiry::Clear, Expiry::At),
            Lifetime::Absent | Lifetime::Unlimited => Expiry::Clear,
        };
        if keyspace.peek(key).is_some() {
            // It is deleted first, as in Redis.
            keyspace.note(Interest::CREATED, "new", key);
        }
        keyspace.tell(Interest::GENERIC, "copy_to");
        match copy {
            Copied::Object(object) => keyspace.set_object(key, object, expiry),
            Copied::Text(text) => keyspace.set_text(key, &text, expiry),
        };
        self.copied = true;
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.integer(i64::from(self.copied));
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}
