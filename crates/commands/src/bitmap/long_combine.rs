//! BITOP over long strings, in slices.

use crate::joint::{Operands, Work, work_in_slices};
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::bitmap::{Combination, Operation};
use darter_value::integer::IntegerText;

/// Bytes of all sources together that are combined before others have their turn: a millisecond's work.
const BYTES_PER_SLICE: usize = 4 << 20;

/// Begins to combine the strings from argument 3 on.
pub(super) fn combine_in_slices(call: &Call<'_>, operation: Operation) -> Box<dyn Slice> {
    let keys = 3..call.args.len();
    let piece = (BYTES_PER_SLICE / keys.len()).max(4096);
    work_in_slices(
        call,
        keys,
        Some((2, call.db)),
        Combining { operation, piece, result: Vec::new(), len: 0 },
    )
}

struct Combining {
    operation: Operation,
    /// Bytes of the result made in one step.
    piece: usize,
    /// As much as there is of it.
    result: Vec<u8>,
    /// Its length in the end.
    len: usize,
}

impl Work for Combining {
    fn begin(&mut self) {
        self.result = Vec::new();
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let mut combination = Combination::new(self.operation);
        self.len = 0;
        let piece = self.result.len()..self.result.len() + self.piece;
        for value in operands.values() {
            let mut text = IntegerText::new();
            let bytes = match value {
                Some(value) => value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?,
                None => b"",
            };
            self.len = bytes.len().max(self.len);
            let end = bytes.len().min(piece.end);
            combination.add(bytes.get(piece.start..end).unwrap_or_default());
        }
        if self.result.is_empty() {
            self.result.reserve_exact(self.len);
        }
        self.result.extend_from_slice(&combination.finish());
        Ok(self.result.len() < self.len)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        super::combine::store(keyspace, key, std::mem::take(&mut self.result));
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.integer(i64::try_from(self.len).unwrap_or(i64::MAX));
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}
