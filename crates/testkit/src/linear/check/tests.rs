//! Histories that are fine, histories with a planted mistake, and thousands against a search without
//! any shortcut.

use std::collections::VecDeque;

use super::super::history::{Action, MISSING};
use super::*;

fn operation(client: usize, invoked: u64, returned: u64, action: Action) -> Operation {
    Operation { client, invoked, returned, action }
}

fn set(key: usize, value: i64) -> Action {
    Action::Write(vec![(key, value)])
}

fn get(key: usize, value: i64) -> Action {
    Action::Read(vec![(key, value)])
}

#[track_caller]
fn good(operations: &[Operation]) {
    check(operations).unwrap_or_else(|violation| panic!("{violation}"));
}

#[track_caller]
fn bad(operations: &[Operation], stuck: usize) {
    let violation = check(operations).expect_err("no order explains this");
    assert_eq!(violation.stuck, operations[stuck], "{violation}");
}

#[test]
fn one_after_the_other() {
    good(&[
        operation(0, 1, 2, get(0, MISSING)),
        operation(0, 3, 4, set(0, 5)),
        operation(1, 5, 6, get(0, 5)),
        operation(0, 7, 8, Action::Increment { key: 0, became: 6 }),
        operation(1, 9, 10, Action::Swap { key: 0, seen: 6, written: 9 }),
        operation(1, 11, 12, Action::Delete { keys: vec![0, 1], found: 1 }),
        operation(0, 13, 14, Action::Increment { key: 0, became: 1 }),
    ]);
}

#[test]
fn overlapping_operations_may_take_effect_in_either_order() {
    for seen in [MISSING, 1] {
        good(&[operation(0, 1, 10, set(0, 1)), operation(1, 2, 9, get(0, seen))]);
    }
    good(&[
        operation(0, 1, 10, set(0, 1)),
        operation(1, 2, 9, set(0, 2)),
        operation(2, 11, 12, get(0, 1)),
    ]);
}

#[test]
fn a_stale_read_is_found() {
    bad(
        &[
            operation(0, 1, 2, set(0, 1)),
            operation(0, 3, 4, set(0, 2)),
            operation(1, 5, 6, get(0, 1)),
        ],
        2,
    );
}

#[test]
fn a_read_that_goes_back_in_time_is_found() {
    bad(
        &[
            operation(0, 1, 20, set(0, 1)),
            operation(1, 2, 3, get(0, 1)),
            operation(2, 4, 5, get(0, MISSING)),
        ],
        2,
    );
}

#[test]
fn a_lost_update_is_found() {
    bad(
        &[
            operation(0, 1, 10, Action::Increment { key: 0, became: 1 }),
            operation(1, 2, 9, Action::Increment { key: 0, became: 1 }),
        ],
        0,
    );
    bad(
        &[
            operation(0, 1, 10, Action::Swap { key: 0, seen: MISSING, written: 1 }),
            operation(1, 2, 9, Action::Swap { key: 0, seen: MISSING, written: 2 }),
        ],
        0,
    );
}

#[test]
fn a_torn_write_of_two_keys_is_found() {
    let both = |value| Action::Write(vec![(0, value), (1, value)]);
    let seen = |a, b| Action::Read(vec![(0, a), (1, b)]);
    good(&[
        operation(0, 1, 2, both(1)),
        operation(0, 3, 10, both(2)),
        operation(1, 4, 5, seen(1, 1)),
        operation(1, 6, 7, seen(2, 2)),
    ]);
    bad(
        &[
            operation(0, 1, 2, both(1)),
            operation(0, 3, 10, both(2)),
            operation(1, 4, 5, seen(2, 1)),
        ],
        2,
    );
}

#[test]
fn a_torn_transaction_is_found() {
    let write = |value| Action::Transaction((0..GROUP_KEYS).map(|key| set(key, value)).collect());
    let look = |first, second| {
        let seen = |key| if key < 4 { first } else { second };
        Action::Transaction((0..GROUP_KEYS).map(|key| get(key, seen(key))).collect())
    };
    let history = |first, second| {
        [
            operation(0, 1, 2, write(1)),
            operation(0, 3, 10, write(2)),
            operation(1, 4, 5, look(first, second)),
            operation(1, 6, 7, look(2, 2)),
        ]
    };
    good(&history(1, 1));
    good(&history(2, 2));
    bad(&history(2, 1), 2);
    bad(&history(1, 2), 2);
}

#[test]
fn a_transaction_sees_its_own_writes() {
    let seen = |value| {
        let parts = vec![
            set(0, UNIQUE_MIN),
            get(0, value),
            Action::Increment { key: 0, became: UNIQUE_MIN + 1 },
        ];
        [operation(0, 1, 2, Action::Transaction(parts)), operation(1, 3, 4, get(0, UNIQUE_MIN + 1))]
    };
    good(&seen(UNIQUE_MIN));
    bad(&seen(MISSING), 0);
}

#[test]
fn a_write_that_ignores_a_change_is_found() {
    // Both read the same, and both believe that nothing has changed when they write.
    let swap = |seen, written| Action::Transaction(vec![get(0, seen), set(0, written)]);
    let (one, two) = (UNIQUE_MIN, UNIQUE_MIN * 2);
    good(&[operation(0, 1, 10, swap(MISSING, one)), operation(1, 2, 9, swap(one, two))]);
    bad(&[operation(0, 1, 10, swap(MISSING, one)), operation(1, 2, 9, swap(MISSING, two))], 0);
}

#[test]
fn two_torn_reads_of_one_key_each_are_found() {
    // Each key alone is fine; together, the write was seen and then not seen.
    bad(
        &[
            operation(0, 1, 20, Action::Write(vec![(0, 1), (1, 1)])),
            operation(1, 2, 3, get(0, 1)),
            operation(1, 4, 5, get(1, MISSING)),
        ],
        2,
    );
}

#[test]
fn a_reordered_pipeline_is_found() {
    // Client 0 sent both at once; client 1 saw the second without the first.
    let seen = |first, second| {
        [
            operation(0, 1, 20, set(0, 1)),
            operation(0, 1, 20, set(1, 1)),
            operation(1, 5, 6, Action::Read(vec![(0, first), (1, second)])),
        ]
    };
    for (first, second) in [(MISSING, MISSING), (1, MISSING), (1, 1)] {
        good(&seen(first, second));
    }
    bad(&seen(MISSING, 1), 2);
}

#[test]
fn a_reply_that_ignores_the_same_pipeline_is_found() {
    bad(&[operation(0, 1, 9, set(0, 1)), operation(0, 1, 10, get(0, MISSING))], 1);
}

/// Every order there is, without any rule to shorten the search.
fn some_order_fits(clients: &mut [VecDeque<&Operation>], state: &State) -> bool {
    let Some(deadline) = clients.iter().filter_map(|own| Some(own.front()?.returned)).min() else {
        return true;
    };
    (0..clients.len()).any(|client| {
        let Some(operation) = clients[client].front().copied() else { return false };
        let Some(after) = operation.action.apply(state) else { return false };
        if operation.invoked > deadline {
            return false;
        }
        clients[client].pop_front();
        let fits = some_order_fits(clients, &after);
        clients[client].push_front(operation);
        fits
    })
}

/// A few operations that took effect in order, seen through overlapping times; sometimes with a
/// reply that somebody else got, or with times that do not overlap.
fn small_history(rng: &mut Rng) -> Vec<Operation> {
    let mut state = EMPTY;
    let mut free_at = [0; 4];
    let mut operations = Vec::new();
    for time in 1..=rng.u64(2..10) {
        let (key, other) = (rng.usize(0..2), rng.usize(0..2));
        let fresh = UNIQUE_MIN + (i64::try_from(time).unwrap() << 20);
        let now = |key: usize| (key, state[key]);
        let mut action = match rng.u8(0..9) {
            0 => Action::Read(vec![now(key)]),
            1 => Action::Read(vec![now(0), now(1)]),
            2 => Action::Write(vec![(key, fresh)]),
            3 => Action::Write(vec![(0, fresh), (1, fresh)]),
            4 => Action::Swap { key, seen: state[key], written: fresh },
            7 => Action::Transaction(vec![Action::Write(vec![(key, fresh)]), {
                let value = if other == key { fresh } else { state[other] };
                Action::Read(vec![(other, value)])
            }]),
            8 => Action::Transaction(vec![
                Action::Read(vec![now(key)]),
                Action::Increment { key, became: state[key].max(0) + 1 },
            ]),
            5 => Action::Increment { key, became: state[key].max(0) + 1 },
            _ => {
                let there = i64::from(state[key] != MISSING);
                Action::Delete { keys: vec![key], found: there }
            }
        };
        state = action.apply(&state).unwrap();
        if rng.u8(0..4) == 0 {
            match &mut action {
                Action::Read(seen) => seen[0].1 = state[other],
                Action::Swap { seen, .. } => *seen = state[other],
                Action::Delete { found, .. } => *found = 1 - *found,
                Action::Transaction(parts) => {
                    if let Some(Action::Read(seen)) = parts.last_mut() {
                        seen[0].1 = state[key];
                    }
                }
                _ => {}
            }
        }
        let client = rng.usize(0..free_at.len());
        let middle = time * 100;
        let invoked = free_at[client].max(middle - rng.u64(1..250).min(middle));
        let returned = (middle + rng.u64(1..250)).max(invoked + 1);
        // A pipeline now and then: the next one is invoked before this one returns.
        free_at[client] = if rng.bool() { returned } else { invoked };
        let previous = operations.iter().rev().find(|it: &&Operation| it.client == client);
        let returned = returned.max(previous.map_or(0, |it| it.returned + 1));
        operations.push(operation(client, invoked, returned, action));
    }
    operations
}

#[test]
fn the_verdict_is_the_one_of_trying_every_order() {
    let mut rng = Rng::with_seed(2);
    let mut verdicts = [0, 0];
    for _ in 0..30_000 {
        let operations = small_history(&mut rng);
        let mut clients = vec![VecDeque::new(); 4];
        for operation in &operations {
            clients[operation.client].push_back(operation);
        }
        let expected = some_order_fits(&mut clients, &EMPTY);
        assert_eq!(check(&operations).is_ok(), expected, "{operations:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts[0] > 1_000 && verdicts[1] > 1_000, "{verdicts:?}");
}

#[test]
fn a_long_concurrent_history_is_checked_quickly_and_one_wrong_reply_found() {
    let mut rng = Rng::with_seed(1);
    let mut state = EMPTY;
    let mut operations = Vec::new();
    // Eight clients; each operation takes effect at `time` and lasts a while around it.
    for time in 0..40_000_u64 {
        let key = rng.usize(0..2);
        let action = match rng.u8(0..3) {
            0 => get(key, state[key]),
            1 => set(key, i64::try_from(time * 1_000).unwrap()),
            _ => Action::Increment { key, became: state[key].max(0) + 1 },
        };
        state = action.apply(&state).unwrap();
        let client = usize::try_from(time % 8).unwrap();
        let (early, late) = (rng.u64(1..40), rng.u64(1..40));
        let middle = 1_000 + time * 10;
        operations.push(operation(client, middle - early, middle + late, action));
    }
    good(&operations);
    let wrong = operations.iter().rposition(|it| matches!(it.action, Action::Read(_))).unwrap();
    operations[wrong].action = get(0, 123_456_789_123);
    bad(&operations, wrong);
}
