use super::*;
use crate::route::Routing;
use crate::testing::{ALICE, BOB, Log, Marks, Post, cells, log_of, mark};

const SHARD: ShardId = ShardId(1);

fn take(cells: &Cells<Log, Marks>) -> Held<Log> {
    cells.cell(SHARD).try_take().expect("the shard is free")
}

fn post(cells: &Cells<Log, Marks>, from: WorkerId, work: Marks) {
    assert!(cells.cell(SHARD).take_or_post(from, || work).is_none(), "the shard is out");
}

#[test]
fn a_shard_is_taken_once_until_it_returns() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let held = take(&cells);
    assert_eq!(held.id, SHARD);
    assert!(cells.cell(SHARD).try_take().is_none());
    cells.put_back(held, &carrier);
    assert!(cells.cell(SHARD).try_take().is_some());
    assert!(carrier.is_empty());
}

#[test]
fn a_free_shard_is_taken_without_packing() {
    let cells = cells(2, Routing::Auto);
    let held = cells.cell(SHARD).take_or_post(ALICE, || panic!("nothing to pack"));
    assert!(held.is_some());
}

#[test]
fn work_packed_while_the_shard_comes_back_is_dropped_unrun() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = take(&cells);
    let held = cells.cell(SHARD).take_or_post(ALICE, || {
        cells.put_back(out, &carrier);
        mark(1)
    });
    assert!(held.expect("taken on second thought").shard.is_empty());
    assert!(carrier.is_empty());
}

#[test]
fn queued_work_runs_in_order_before_the_shard_is_free() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let held = take(&cells);
    post(&cells, ALICE, mark(1));
    post(&cells, BOB, mark(2));
    post(&cells, ALICE, mark(3));
    cells.put_back(held, &carrier);
    carrier.expect_done(ALICE, &mark(1));
    carrier.expect_done(BOB, &mark(2));
    carrier.expect_done(ALICE, &mark(3));
    assert_eq!(log_of(&cells, SHARD), [1, 2, 3]);
}

#[test]
fn a_reservation_receives_the_box_and_those_behind_it_wait() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let held = take(&cells);
    post(&cells, ALICE, mark(1));
    assert!(cells.cell(SHARD).take_or_reserve(BOB, Ticket(7)).is_none());
    post(&cells, ALICE, mark(2));

    cells.put_back(held, &carrier);
    carrier.expect_done(ALICE, &mark(1));
    let granted = carrier.expect_granted(BOB, Ticket(7));
    assert!(carrier.is_empty(), "what is behind the reservation waits");
    assert!(cells.cell(SHARD).try_take().is_none(), "the box is out");

    cells.put_back(granted, &carrier);
    carrier.expect_done(ALICE, &mark(2));
    assert_eq!(log_of(&cells, SHARD), [1, 2]);
}

#[test]
fn a_free_shard_needs_no_reservation() {
    let cells = cells(2, Routing::Auto);
    assert!(cells.cell(SHARD).take_or_reserve(ALICE, Ticket(1)).is_some());
}

#[test]
fn a_late_grant_put_straight_back_goes_to_the_next() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let held = take(&cells);
    assert!(cells.cell(SHARD).take_or_reserve(ALICE, Ticket(1)).is_none());
    assert!(cells.cell(SHARD).take_or_reserve(BOB, Ticket(2)).is_none());
    cells.put_back(held, &carrier);
    let late = carrier.expect_granted(ALICE, Ticket(1));
    cells.put_back(late, &carrier);
    let granted = carrier.expect_granted(BOB, Ticket(2));
    cells.put_back(granted, &carrier);
    assert_eq!(log_of(&cells, SHARD), []);
}

#[test]
fn after_enough_batches_the_next_poster_gets_the_shard_with_its_own_work() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let count = u32::try_from(DRAIN_BATCHES_MAX).unwrap() + 3;
    let held = take(&cells);
    for number in 0..count {
        post(&cells, if number % 2 == 0 { BOB } else { ALICE }, mark(number));
    }
    cells.put_back(held, &carrier);
    for number in 0..count - 3 {
        carrier.expect_done(if number % 2 == 0 { BOB } else { ALICE }, &mark(number));
    }
    let (work, held) = carrier.expect_turn(BOB);
    assert_eq!(work, mark(count - 3));
    assert!(carrier.is_empty() && cells.cell(SHARD).try_take().is_none(), "the box travels");

    let done = cells.cell(SHARD).take_turn(work, held, &carrier);
    assert_eq!(done, mark(count - 3));
    carrier.expect_done(ALICE, &mark(count - 2));
    carrier.expect_done(BOB, &mark(count - 1));
    assert_eq!(log_of(&cells, SHARD), (0..count).collect::<Vec<_>>());
}

#[test]
fn exactly_enough_batches_leave_the_shard_in_its_seat() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let held = take(&cells);
    for number in 0..u32::try_from(DRAIN_BATCHES_MAX).unwrap() {
        post(&cells, ALICE, mark(number));
    }
    cells.put_back(held, &carrier);
    for number in 0..u32::try_from(DRAIN_BATCHES_MAX).unwrap() {
        carrier.expect_done(ALICE, &mark(number));
    }
    assert_eq!(log_of(&cells, SHARD).len(), DRAIN_BATCHES_MAX);
}

#[test]
fn the_first_to_post_at_a_seated_shard_knocks_and_nobody_overtakes() {
    let (cells, carrier) = (cells(2, Routing::Queue), Post::default());
    let home = cells.router().home_of(SHARD);
    cells.cell(SHARD).post(ALICE, mark(1), home, &carrier);
    carrier.expect_knock(home, SHARD);
    cells.cell(SHARD).post(ALICE, mark(2), home, &carrier);
    assert!(carrier.is_empty(), "one knock is enough");

    assert!(cells.cell(SHARD).try_take().is_none(), "those in the inbox come first");
    post(&cells, home, mark(3));
    assert!(cells.cell(SHARD).take_or_reserve(ALICE, Ticket(5)).is_none());

    cells.cell(SHARD).answer_knock(&carrier);
    carrier.expect_done(ALICE, &mark(1));
    carrier.expect_done(ALICE, &mark(2));
    carrier.expect_done(home, &mark(3));
    cells.put_back(carrier.expect_granted(ALICE, Ticket(5)), &carrier);
    assert_eq!(log_of(&cells, SHARD), [1, 2, 3]);
}

#[test]
fn posting_at_a_shard_that_is_out_needs_no_knock() {
    let (cells, carrier) = (cells(2, Routing::Queue), Post::default());
    let held = take(&cells);
    cells.cell(SHARD).post(ALICE, mark(1), BOB, &carrier);
    assert!(carrier.is_empty());
    cells.put_back(held, &carrier);
    carrier.expect_done(ALICE, &mark(1));
}

#[test]
fn a_knock_at_an_empty_inbox_or_an_empty_seat_changes_nothing() {
    let (cells, carrier) = (cells(2, Routing::Queue), Post::default());
    cells.cell(SHARD).answer_knock(&carrier);
    let held = take(&cells);
    cells.cell(SHARD).answer_knock(&carrier);
    assert!(cells.cell(SHARD).try_take().is_none());
    cells.put_back(held, &carrier);
    assert!(carrier.is_empty());
    assert_eq!(log_of(&cells, SHARD), []);
}

#[test]
#[should_panic(expected = "a shard returns to its own cell")]
fn a_shard_does_not_fit_another_cell() {
    let cells = cells(2, Routing::Auto);
    cells.cell(ShardId(0)).put_back(take(&cells), &Post::default());
}

#[test]
#[should_panic(expected = "one box, one owner")]
fn a_second_box_does_not_fit_the_seat() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    cells.put_back(Held { id: SHARD, shard: Box::default() }, &carrier);
}

#[test]
fn cells_do_not_share_cache_lines() {
    assert!(align_of::<Cell<Log, Marks>>() >= 128);
}
