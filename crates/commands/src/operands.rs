//! Commands that look at several values together: set algebra, and what stores its result.

use darter_base::crc16::slot_of;
use darter_command_table::{Call, ReplyError, ShardView};
use darter_shard::{Collection, Key, ValueRef};
use std::ops::Range;

/// Reads the keys among the arguments `keys` as any command does (expired ones go, accesses are counted),
/// and has `check` accept each value. To be followed by [`value_of`] for each.
pub(crate) fn read_all(
    call: &Call<'_>,
    view: &mut ShardView<'_>,
    keys: Range<usize>,
    check: impl Fn(ValueRef<'_>) -> bool,
) -> Result<(), ReplyError> {
    for index in keys {
        let key = call.key(index);
        let mut keyspace = call.keyspace(view, &key);
        if keyspace.read(&key).is_some_and(|value| !check(value)) {
            return Err(ReplyError::WrongType);
        }
    }
    Ok(())
}

/// The value of a key that was read before.
pub(crate) fn value_of<'v>(
    call: &Call<'_>,
    view: &'v ShardView<'_>,
    key: &Key<'_>,
) -> Option<ValueRef<'v>> {
    view.look_at(|| slot_of(key.bytes)).look_up(call.db, call.now, key)
}

/// The collections at the keys among the arguments `keys`, `None` for an absent one.
pub(crate) fn collections<'v, T: Collection>(
    call: &Call<'_>,
    view: &'v mut ShardView<'_>,
    keys: Range<usize>,
) -> Result<Vec<Option<&'v T>>, ReplyError> {
    read_all(call, view, keys.clone(), |value| of_type::<T>(value).is_some())?;
    let view: &'v ShardView<'_> = view;
    Ok(keys.map(|index| value_of(call, view, &call.key(index)).and_then(of_type)).collect())
}

fn of_type<T: Collection>(value: ValueRef<'_>) -> Option<&T> {
    match value {
        ValueRef::Object(object) => T::of(object),
        _ => None,
    }
}
