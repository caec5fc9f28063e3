//! What writing a string leaves to be done again.

use darter_base::number::format_i64;
use darter_command_table::Call;
use darter_shard::Expiry;

/// Leaves that `key` holds `value`, and until when, whatever it held before.
pub(super) fn leave_set(call: &mut Call<'_>, key: &[u8], value: &[u8], expiry: Expiry) {
    call.leave(|effects| match expiry {
        Expiry::Clear => effects.add(&[b"SET", key, value]),
        Expiry::Keep => effects.add(&[b"SET", key, value, b"KEEPTTL"]),
        Expiry::At(deadline) => {
            let millis = format_i64(deadline.millis());
            effects.add(&[b"SET", key, value, b"PXAT", millis.as_bytes()]);
        }
    });
}
