//! Commands over many keys: the memory of the next few is fetched while the last few are worked on.

use darter_base::ShardId;
use darter_base::crc16::slot_of;
use darter_base::number::parse_i64;
use darter_command_table::{Call, ReplyError, ShardView};
use darter_resp::ReplyWriter;
use darter_shard::{Key, Keyspace};
use std::ops::Range;

/// Keys fetched together: enough to overlap their cache misses, few enough to stay in the cache
/// until their turn.
const KEYS_AHEAD: usize = 16;

/// One key of the command on its way.
#[derive(Clone, Copy)]
struct Ahead<'a> {
    index: usize,
    key: Key<'a>,
    shard: ShardId,
}

/// Calls `visit` with each key among the arguments `from..end`, every `step`-th of them, in order,
/// together with the database it is in and its argument index.
pub(crate) fn each_key<'a>(
    call: &mut Call<'a>,
    view: &mut ShardView<'_>,
    (from, end, step): (usize, usize, usize),
    mut visit: impl FnMut(&mut Call<'a>, Keyspace<'_>, &Key<'a>, usize),
) {
    if end <= from + step {
        // One lookup has nothing to overlap with.
        let key = call.key(from);
        let keyspace = call.keyspace(view, &key);
        visit(call, keyspace, &key, from);
        return;
    }
    let only = if view.shard_count() == 1 { Some(view.first().id()) } else { None };
    let nothing = Ahead { index: 0, key: Key { bytes: &[], hash: 0 }, shard: ShardId(0) };
    let mut ahead = [nothing; KEYS_AHEAD];
    let mut indices = (from..end).step_by(step);
    loop {
        let mut count = 0;
        for (place, index) in ahead.iter_mut().zip(indices.by_ref().take(KEYS_AHEAD)) {
            let key = call.key(index);
            let shard = only.unwrap_or_else(|| call.router.shard_of(slot_of(key.bytes)));
            *place = Ahead { index, key, shard };
            count += 1;
        }
        if count == 0 {
            return;
        }
        for Ahead { key, shard, .. } in &ahead[..count] {
            view.shard(*shard).prefetch(call.db, key.hash);
        }
        for Ahead { key, shard, .. } in &ahead[..count] {
            view.shard(*shard).prefetch_entry(call.db, key.hash);
        }
        for Ahead { index, key, shard } in &ahead[..count] {
            let keyspace = view.shard(*shard).keyspace(call.db, call.now);
            visit(call, keyspace, key, *index);
        }
    }
}

/// Calls `visit` with the keys among the arguments `keys`, in order, until one has what is asked for; its
/// argument, and what `visit` says of it. Passes over those that are not to be looked at because the command has waited and is run
/// again for others.
pub(crate) fn each_key_until<R>(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    keys: Range<usize>,
    mut visit: impl FnMut(&mut ReplyWriter<'_>, Keyspace<'_>, &Key<'_>) -> Result<Option<R>, ReplyError>,
) -> Result<Option<(usize, R)>, ReplyError> {
    for index in keys {
        let key = call.key(index);
        if call.passes_over(view, &key) {
            continue;
        }
        let keyspace = view.shard_of(|| slot_of(key.bytes)).keyspace(call.db, call.now);
        if let Some(found) = visit(&mut call.reply, keyspace, &key)? {
            return Ok(Some((index, found)));
        }
    }
    Ok(None)
}

/// How many of the keys among the arguments `keys` satisfy `test`.
pub(crate) fn count_keys(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    keys: (usize, usize, usize),
    mut test: impl FnMut(Keyspace<'_>, &Key<'_>) -> bool,
) -> i64 {
    let mut count = 0;
    each_key(call, view, keys, |_, keyspace, key, _| count += i64::from(test(keyspace, key)));
    count
}

/// The number of keys in the argument at `index` of LMPOP, ZMPOP, SINTERCARD and their like: at least 1.
/// Whether there are as many is for the caller to check.
pub(crate) fn key_count(call: &Call<'_>, index: usize) -> Result<usize, ReplyError> {
    let count = parse_i64(call.args.at(index)).filter(|count| *count > 0);
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.ok_or(ReplyError::Text("ERR numkeys should be greater than 0"))
}
