//! `used_bytes` against an allocator that counts.

#![expect(unsafe_code, reason = "wraps the allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_shard::{Deadline, Expiry, FlushScope, Key, KeyHasher, Shard, ShardOptions};
use darter_structures::{Defragmentation, good_size};

thread_local! {
    /// Good sizes of the allocations that a thread has made and are alive: the harness of the test has threads of its own,
    /// which allocate when they like.
    static ALIVE_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Those of this thread.
fn alive_bytes() -> usize {
    ALIVE_BYTES.get()
}

struct Counting;

// SAFETY: passes everything on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALIVE_BYTES.set(ALIVE_BYTES.get().wrapping_add(good_size(layout.size())));
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE_BYTES.set(ALIVE_BYTES.get().wrapping_sub(good_size(layout.size())));
        // SAFETY: by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn used_bytes_is_what_the_allocator_gave() {
    let hasher = KeyHasher::new(3);
    let options = ShardOptions { databases: 4, hasher: hasher.clone() };
    let mut values: Vec<Vec<u8>> =
        [0, 1, 10, 40, 100, 300, 2000, 3000, 70_000, 400_000].map(|len| vec![b'v'; len]).to_vec();
    values.push(b"123456".to_vec());
    let (mut random, mut moved) = (1_u64, 0);
    let before = alive_bytes();
    let mut shard = Shard::new(ShardId(0), &options);
    for step in 0..60_000_u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let pick = |shift: u32, end: u64| (random >> shift) % end;
        let name = pick(20, 5000).to_le_bytes();
        let name = &name[..=usize::from(name[0]) % 8];
        let key = Key::new(&hasher, name);
        let db = DbIndex(u16::try_from(pick(8, 4)).expect("small"));
        let mut keyspace = shard.keyspace(db, UnixMillis(i64::from(step)));
        let value = &values[usize::try_from(pick(33, 1000)).expect("small") * values.len() / 1500];
        let deadline = Deadline::new(i64::from(step) + 5000).expect("in range");
        match pick(45, 12) {
            0..3 => {
                keyspace.set_string(&key, value, Expiry::Clear);
            }
            3 => {
                keyspace.set_string(&key, value, Expiry::At(deadline));
            }
            4 => {
                keyspace.append(&key, value).expect("a string");
            }
            5 => keyspace.edit_string(&key, value.len(), |_| ()).expect("a string"),
            6 => {
                keyspace.remove(&key);
            }
            7 => {
                keyspace.set_deadline(&key, Some(deadline));
            }
            8 => {
                keyspace.watch(&key);
            }
            9 => keyspace.unwatch(&key),
            10 => {
                if let Some(detached) = keyspace.copy(&key) {
                    let key = Key::new(&hasher, b"copied");
                    keyspace.put(&key, detached);
                }
            }
            _ if step % 64 == 0 => {
                shard.collect_garbage(1);
            }
            _ if step % 100 == 7 => {
                shard.expire_slice(UnixMillis(i64::from(step)), 3);
            }
            _ if step % 100 == 51 => {
                let mut everything = Defragmentation::of_everything(random);
                shard.defragment(&mut 3000, &mut everything);
                moved += everything.moved;
            }
            _ if step % 1000 == 13 => {
                shard.flush(FlushScope::Database(db));
            }
            _ => {}
        }
        let alive = alive_bytes() - before;
        assert_eq!(shard.used_bytes(), alive, "after step {step}");
    }
    assert!(shard.len() > 100);
    assert!(moved > 10_000, "{moved}");
    drop(shard);
    assert_eq!(alive_bytes(), before);
}
