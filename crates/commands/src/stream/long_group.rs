//! Changing very much of what is pending in a group, in slices.
//!
//! What a group remembers is copied entry by entry, changed on the way, and takes the group's place in the end, when the
//! stream is found to be what it was. What there was before is freed later.

use darter_command_table::{Call, ELEMENTS_IN_ONE_PIECE, ReplyError};
use darter_shard::{Collection as _, Edit, Key, Keyspace};
use darter_value::stream::{Group, Stream};

/// So many times more entries may be copied than a moderate number is changed.
const COPIES_PER_CHANGE: usize = 8;

/// More entries are never changed in one piece where there are slices.
pub(super) const CHANGED_IN_ONE_PIECE_MAX: usize = 2 * ELEMENTS_IN_ONE_PIECE;

/// Leaves a command to its slices if it would change so many entries of `group` in one piece that others would notice.
pub(super) fn in_one_piece(
    call: &Call<'_>,
    group: &Group,
    changed: usize,
) -> Result<(), ReplyError> {
    let changed = changed.min(group.pending_len());
    let is_moderate = changed <= CHANGED_IN_ONE_PIECE_MAX;
    if is_moderate && group.pending_len() > changed.saturating_mul(COPIES_PER_CHANGE) {
        return Ok(());
    }
    call.in_one_piece(changed)
}

/// Puts `copy` in the place of the group called `name`, and counts that as so many changes.
pub(super) fn exchange(
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    name: &[u8],
    copy: Group,
    changes: u64,
) {
    let old = keyspace
        .edit(key, |stream: &mut Stream| Edit::counted(changes, stream.exchange_group(name, copy)));
    if let Ok(Some(old)) = old {
        keyspace.discard(old.into_object());
    }
}
