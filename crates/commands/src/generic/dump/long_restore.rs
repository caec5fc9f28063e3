//! RESTORE of long strings and big collections, in slices.
//!
//! Until the last slice nothing is done but to check and read the payload, which concerns nobody else. The last one
//! looks at the key again and sets it: the whole command happens then.

use super::{
    Options, Outcome, WRONG_PAYLOAD, add_restored, check_length, discard, malformed, store,
};
use crate::effects::add_with_elements;
use crate::kept_call::KeptCall;
use crate::set::rules;
use darter_base::crc16::slot_of;
use darter_base::crc64::crc64;
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{Call, Effects, Progress, RdbVersions, ReplyError, Slice};
use darter_rdb::{Built, Gradual, Payload, payload};
use darter_resp::{Args, Output, OwnedArgs, ReplyWriter};
use darter_shard::Object;
use darter_shard::Shard;

/// About as many bytes of a payload as one element of another command is worth.
const BYTES_PER_ELEMENT: usize = 16;

/// Bytes that are summed up in one slice: about a tenth of a millisecond.
const BYTES_PER_SLICE: usize = 256 << 10;

/// How much work a payload is, if it can be read in slices.
pub(super) fn elements_in(bytes: &[u8]) -> usize {
    let Some(payload) = Payload::unchecked_of_any_version(bytes) else { return 0 };
    match payload.value.first() {
        Some(kind) if Gradual::is_of(*kind, payload.version) => bytes.len() / BYTES_PER_ELEMENT,
        _ => 0,
    }
}

/// Begins to read the payload at argument 3.
pub(super) fn restore_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    Ok(Box::new(LongRestore {
        options: Options::parse(call)?,
        shard: call.router.shard_of(slot_of(call.args.at(1))),
        stage: Stage::Summed { offset: 0, checksum: 0 },
        expired: OwnedArgs::new(),
        call: KeptCall::without_args(call),
    }))
}

struct LongRestore {
    call: KeptCall,
    options: Options,
    shard: ShardId,
    stage: Stage,
    /// Fields of the hash that have expired.
    expired: OwnedArgs,
}

enum Stage {
    /// The payload is whole up to this offset, as far as its checksum so far tells.
    Summed { offset: usize, checksum: u64 },
    /// So much is read.
    Read(Box<Gradual>),
    /// It is over.
    Over(Result<Outcome, ReplyError>),
}

impl LongRestore {
    /// Does the next slice of `stage`; what comes then.
    fn go_on(
        &mut self,
        stage: Stage,
        args: Args<'_>,
        shard: &mut Shard,
    ) -> Result<Stage, ReplyError> {
        let mut output = Output::new();
        let call = self.call.with_args(args, &mut output);
        let bytes = call.args.at(3);
        match stage {
            Stage::Summed { offset, checksum } if call.limits.checks_payloads => {
                let (summed, expected) = payload::summed(bytes).ok_or(WRONG_PAYLOAD)?;
                let next = summed.len().min(offset + BYTES_PER_SLICE);
                let checksum = crc64(checksum, &summed[offset..next]);
                if next < summed.len() {
                    return Ok(Stage::Summed { offset: next, checksum });
                }
                if checksum != expected {
                    return Err(WRONG_PAYLOAD);
                }
                begin(&call)
            }
            Stage::Summed { .. } => begin(&call),
            Stage::Read(mut value) => {
                let payload = Payload::unchecked_of_any_version(bytes).ok_or(WRONG_PAYLOAD)?;
                match value.go_on(payload.value, rules(&call), call.now) {
                    Ok(true) => Ok(Stage::Read(value)),
                    Ok(false) => {
                        self.expired = value.expired_fields().collect();
                        let key = call.key(1);
                        let keyspace = &mut shard.keyspace(call.db, call.now);
                        let built = value.into_built();
                        let len = match &built {
                            Built::Text(text) => text.len(),
                            Built::Object(Object::Large(text)) => text.as_bytes().len(),
                            Built::Object(_) | Built::Nothing => 0,
                        };
                        if let Err(error) = check_length(&call, len) {
                            discard(keyspace, built);
                            return Err(error);
                        }
                        Ok(Stage::Over(store(&call, keyspace, &key, self.options, built)))
                    }
                    Err(flaw) => {
                        discard(&mut shard.keyspace(call.db, call.now), value.into_built());
                        Err(malformed(payload, flaw))
                    }
                }
            }
            Stage::Over(_) => Ok(stage),
        }
    }
}

/// Begins to read the value, of a version that is accepted.
fn begin(call: &Call<'_>) -> Result<Stage, ReplyError> {
    let bytes = call.args.at(3);
    let payload = match call.limits.rdb_versions {
        RdbVersions::Any if call.limits.checks_payloads => Payload::unchecked_of_any_version(bytes),
        RdbVersions::Any | RdbVersions::Known => Payload::unchecked(bytes),
    };
    let payload = payload.ok_or(WRONG_PAYLOAD)?;
    let begun = Gradual::begin(payload.value, payload.version, rules(call))
        .map_err(|flaw| malformed(payload, flaw))?;
    Ok(Stage::Read(Box::new(begun)))
}

impl Slice for LongRestore {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, args: Args<'_>, shard: &mut Shard, _: UnixMillis) -> Progress {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(Ok(Outcome::Unchanged)));
        self.stage = self.go_on(stage, args, shard).unwrap_or_else(|error| Stage::Over(Err(error)));
        if matches!(self.stage, Stage::Over(_)) { Progress::Done } else { Progress::On(self.shard) }
    }

    fn describe(&self, args: Args<'_>, effects: &mut Effects) {
        let (key, payload) = (args.at(1), args.at(3));
        match &self.stage {
            Stage::Over(Ok(Outcome::Restored(expiry))) => {
                add_restored(effects.instead(), (key, payload), self.options, *expiry);
                add_with_elements(effects, b"HDEL", key, self.expired.as_args());
            }
            Stage::Over(Ok(Outcome::Deleted)) => effects.instead().add_deleted(key),
            _ => {}
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        match &self.stage {
            Stage::Over(Err(error)) => reply.error(error.line()),
            _ => reply.ok(),
        }
    }
}
