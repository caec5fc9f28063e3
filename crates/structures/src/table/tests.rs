use super::*;
use crate::block::{Block, Payload};
use crate::exercise;
use std::convert::Infallible;

type Keys = Table<Block<Infallible>>;

fn insert(table: &mut Keys, number: u64) {
    let key = number.to_string();
    let block = Block::new(key.as_bytes(), Payload::Integer(number.cast_signed()), None);
    table.insert(table.hasher().hash(key.as_bytes()), block, Marks::NONE);
}

fn find(table: &Keys, number: u64) -> Option<Position> {
    let key = number.to_string();
    table.find(table.hasher().hash(key.as_bytes()), key.as_bytes())
}

fn remove(table: &mut Keys, number: u64) {
    let position = find(table, number).expect("inserted before");
    drop(table.remove(position));
}

#[test]
fn random_operations_match_the_model() {
    exercise::for_seeds(60, 60_000, exercise::table);
}

#[test]
fn an_empty_table_allocates_nothing() {
    let mut table = Keys::new(KeyHasher::new(1));
    assert_eq!(table.bytes(), 0);
    for number in 0..5000 {
        insert(&mut table, number);
    }
    for number in 0..5000 {
        remove(&mut table, number);
    }
    assert_eq!(table.bytes(), 0);
    table.check_invariants();
}

#[test]
fn a_small_table_is_small() {
    let mut table = Keys::new(KeyHasher::new(1));
    insert(&mut table, 1);
    assert_eq!(table.bytes(), 64 + 8 + 16);
    for number in 2..=64 {
        insert(&mut table, number);
    }
    assert!(table.bytes() - 64 * 16 <= 1024 + 8);
}

#[test]
fn segments_fill_before_they_split() {
    let mut table = Keys::new(KeyHasher::new(1));
    for number in 0..200_000 {
        insert(&mut table, number);
        if table.len() >= 1000 {
            let slots = table.segments_len() * 512;
            assert!(slots < table.len() * 11 / 4, "{} slots for {}", slots, table.len());
        }
    }
    table.check_invariants();
}

#[test]
fn segments_merge_again_when_keys_go() {
    let mut table = Keys::new(KeyHasher::new(1));
    for number in 0..200_000 {
        insert(&mut table, number);
    }
    let full = table.segments_len();
    for number in 0..198_000 {
        remove(&mut table, number);
    }
    table.check_invariants();
    assert!(table.segments_len() * 20 < full, "{} of {full} are left", table.segments_len());
    for number in 198_000..200_000 {
        assert!(find(&table, number).is_some());
    }
}

#[test]
fn a_flood_of_equal_hashes_costs_no_more_memory_than_other_keys() {
    for mask in [0, 0xff, u64::MAX << 60, 0x3_ffff_ffff] {
        let mut table = Keys::new(KeyHasher::masked(1, mask));
        for number in 0..3000 {
            insert(&mut table, number);
        }
        table.check_invariants();
        let bytes = table.bytes() / table.len();
        assert!(bytes < 100, "{bytes} bytes per key under mask {mask:x}");
        for number in 0..3000 {
            assert!(find(&table, number).is_some());
        }
        for number in 0..3000 {
            remove(&mut table, number);
        }
        assert_eq!(table.bytes(), 0);
    }
}

#[test]
fn segments_with_overflow_split_and_merge_without_losing_entries() {
    // Only 32 disjoint pairs of buckets per segment, so that some overflow before it is half full.
    let mut table = Keys::new(KeyHasher::masked(1, 0xffff_ffc3_e000_0000));
    let mut overflowed_bytes = [0, 0];
    for number in 0..20_000 {
        insert(&mut table, number);
        overflowed_bytes[0] += table.overflow.bytes();
    }
    table.check_invariants();
    let full = table.segments_len();
    for number in 0..19_900 {
        remove(&mut table, number);
        overflowed_bytes[1] += table.overflow.bytes();
        if number % 100 == 0 {
            table.check_invariants();
        }
    }
    for number in 19_900..20_000 {
        assert!(find(&table, number).is_some());
    }
    assert!(overflowed_bytes.iter().all(|bytes| *bytes > 0), "this tests nothing");
    assert!(table.segments_len() < full / 4);
}

#[test]
fn sparse_segments_merge_with_their_overflow() {
    let hasher = KeyHasher::masked(1, 0xffff_ffc3_e000_0000);
    let mut table = Keys::new(hasher.clone());
    let (flood, others): (Vec<u64>, Vec<u64>) = (0..60_000)
        .partition(|number| first_bucket(hasher.hash(number.to_string().as_bytes()), 64) < 2);
    let (flood, others) = (&flood[..1000], &others[..12_000]);
    // Some thirty entries for one pair of buckets in each segment.
    others.iter().chain(flood).for_each(|number| insert(&mut table, *number));
    let (segments, overflow_bytes) = (table.segments_len(), table.overflow.bytes());
    assert!(segments > 20 && overflow_bytes > segments * 8);
    for number in others {
        remove(&mut table, *number);
    }
    table.check_invariants();
    assert!(table.segments_len() < segments / 2 && table.overflow.bytes() >= overflow_bytes / 2);
    assert!(flood.iter().all(|number| find(&table, *number).is_some()));
    assert_eq!(table.len(), flood.len());
}

#[test]
fn a_flood_with_long_common_prefixes_keeps_the_directory_small() {
    // Clusters of keys that agree in all bits the directory could use.
    let mut table = Keys::new(KeyHasher::masked(1, 0xf000_003f_ffff_ffff));
    for number in 0..50_000 {
        insert(&mut table, number);
    }
    table.check_invariants();
    assert!(table.bytes() / table.len() < 100);
}

#[test]
fn a_scan_of_a_quiet_table_visits_each_entry_once() {
    for count in [0, 1, 3, 7, 9, 40, 100, 500, 520, 1000, 30_000] {
        let mut table = Keys::new(KeyHasher::new(7));
        for number in 0..count {
            insert(&mut table, number);
        }
        let (mut cursor, mut visited, mut steps) = (0, Vec::new(), 0);
        loop {
            cursor = table.scan(cursor, 10, |view| visited.push(view.key().to_vec()));
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(visited.len() as u64, count);
        visited.sort_unstable();
        visited.dedup();
        assert_eq!(visited.len() as u64, count);
        assert!(steps <= count / 10 + 1, "{steps} steps for {count} entries");
    }
}

#[test]
fn a_scan_ends_while_the_table_grows_and_shrinks() {
    let mut table = Keys::new(KeyHasher::new(7));
    for number in 0..2000 {
        insert(&mut table, number);
    }
    let (mut cursor, mut steps, mut len) = (0, 0, 2000);
    loop {
        cursor = table.scan(cursor, 10, |_| {});
        if cursor == 0 {
            break;
        }
        // From 2000 entries to 6000 and back, all the time.
        if steps % 8 < 4 {
            (len..len + 1000).for_each(|number| insert(&mut table, number));
            len += 1000;
        } else {
            (len - 1000..len).for_each(|number| remove(&mut table, number));
            len -= 1000;
        }
        steps += 1;
        assert!(steps < 100_000);
    }
}

#[test]
fn any_cursor_is_safe() {
    let mut table = Keys::new(KeyHasher::new(7));
    for size in [0, 1, 20, 300, 5000] {
        for number in table.len() as u64..size {
            insert(&mut table, number);
        }
        let mut cursor = 1_u64;
        for _ in 0..2000 {
            cursor = cursor.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            let next = table.scan(cursor, 5, |_| {});
            assert!(next < 1 << SCAN_CURSOR_BITS);
        }
        table.scan(u64::MAX, usize::MAX, |_| {});
    }
}

#[test]
fn random_entries_are_fair() {
    for count in [1, 2, 10, 700, 3000_u64] {
        let mut table = Keys::new(KeyHasher::new(7));
        (0..count).for_each(|number| insert(&mut table, number));
        let mut picked = vec![0_u32; usize::try_from(count).expect("small")];
        for random in 0..count * 200 {
            let position = table.random(random).expect("not empty");
            let number: usize = String::from_utf8_lossy(table.view(position).key())
                .parse()
                .expect("keys are numbers");
            picked[number] += 1;
        }
        assert!(picked.iter().all(|times| (90..=400).contains(times)), "{picked:?}");
    }
}

#[test]
fn expiry_opens_only_segments_in_which_something_is_due() {
    let mut table = Keys::new(KeyHasher::new(7));
    (0..20_000).for_each(|number| insert(&mut table, number));
    let mut hand = 0;
    assert_eq!(table.next_deadline_ms(), None);
    assert_eq!(table.expire_slice(&mut hand, i64::MAX, 1000, |_| None), 0);

    let position = find(&table, 77).expect("inserted");
    let deadline = Deadline::new(5000).ok();
    table.update(position, |block| (block.with_deadline(deadline), ()));
    assert_eq!(table.next_deadline_ms(), Some(5000));
    assert_eq!(table.expire_slice(&mut hand, 5000, 1000, |_| None), 0);
    let mut expired = Vec::new();
    let opened = table.expire_slice(&mut hand, 5001, 1000, |block| {
        expired.push(block.view().key().to_vec());
        None
    });
    assert_eq!((opened, expired), (1, vec![b"77".to_vec()]));
    assert_eq!(table.next_deadline_ms(), None);
    assert!(find(&table, 77).is_none());
}

#[test]
fn expiry_in_small_slices_reaches_everything() {
    let mut table = Keys::new(KeyHasher::new(7));
    for number in 0..30_000_u64 {
        let key = number.to_string();
        let deadline = Deadline::new(number.cast_signed()).ok();
        let block = Block::new(key.as_bytes(), Payload::Integer(0), deadline);
        table.insert(table.hasher().hash(key.as_bytes()), block, Marks::NONE);
    }
    let (mut hand, mut expired, mut slices) = (0, 0, 0);
    while table.next_deadline_ms().is_some_and(|next_ms| next_ms < 20_000) {
        let opened = table.expire_slice(&mut hand, 20_000, 3, |_| {
            expired += 1;
            None
        });
        assert!(opened <= 3);
        slices += 1;
    }
    assert_eq!((expired, table.len(), table.deadlines_len()), (20_000, 10_000, 10_000));
    assert!(slices < 200);
    table.check_invariants();
}

#[test]
fn an_update_that_panics_removes_the_entry() {
    for mask in [u64::MAX, 0] {
        let mut table = Keys::new(KeyHasher::masked(7, mask));
        (0..100).for_each(|number| insert(&mut table, number));
        let position = find(&table, 99).expect("inserted");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            table.update::<()>(position, |_| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        table.check_invariants();
        assert_eq!((find(&table, 99), table.len()), (None, 99));
        (0..99).for_each(|number| remove(&mut table, number));
    }
}

#[test]
fn a_stale_position_panics_or_reaches_another_entry() {
    let mut table = Keys::new(KeyHasher::new(7));
    (0..1000).for_each(|number| insert(&mut table, number));
    let position = find(&table, 5).expect("inserted");
    (0..1000).for_each(|number| remove(&mut table, number));
    let looked = std::panic::catch_unwind(|| table.view(position).key().len());
    assert!(looked.is_err());
}

#[test]
fn a_table_may_move_between_threads() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Keys>();
}

#[test]
fn samples_are_spread_over_the_table() {
    let mut table = Keys::new(KeyHasher::new(3));
    for number in 0..20_000 {
        insert(&mut table, number);
    }
    let random = exercise::random_bytes(1, 8 * 4000);
    let mut seen = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for seed in random.as_chunks::<8>().0 {
        table.sample(u64::from_le_bytes(*seed), 5, Marks::NONE, &mut found);
        assert_eq!(found.len(), 5);
        for position in found.drain(..) {
            *seen.entry(table.view(position).key()).or_insert(0_u32) += 1;
        }
    }
    // 20,000 picks of 20,000 entries, five neighbours at a time: 1 - 1/e of them if each were picked alone.
    assert!((9_000..14_000).contains(&seen.len()), "{}", seen.len());
    assert!(seen.values().all(|times| *times < 20));
}

#[test]
fn all_entries_of_a_small_table_are_in_a_large_sample() {
    let mut table = Keys::new(KeyHasher::new(3));
    let mut found = Vec::new();
    table.sample(1, 10, Marks::NONE, &mut found);
    assert!(found.is_empty());
    for number in 0..9 {
        insert(&mut table, number);
        table.sample(number, 20, Marks::NONE, &mut found);
        assert_eq!(found.drain(..).count() as u64, number + 1);
        table.sample(number, 20, Marks::DEADLINE, &mut found);
        assert!(found.is_empty());
    }
}
