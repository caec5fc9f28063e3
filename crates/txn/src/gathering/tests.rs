use super::*;
use crate::route::Routing;
use crate::testing::{ALICE, BOB, Log, Marks, Post, cells, log_of};

const ONE: Ticket = Ticket(1);
const TWO: Ticket = Ticket(2);

fn gathering(wanted: &[u16]) -> Gathering<Log> {
    Gathering::new(wanted.iter().map(|&id| ShardId(id)).collect())
}

fn mark_all(gathering: &mut Gathering<Log>, cells: &Cells<Log, Marks>, mark: u32) {
    for log in gathering.view(cells).each() {
        log.push(mark);
    }
}

#[test]
fn free_shards_are_all_taken_at_once_in_any_order_named() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let mut gathering = gathering(&[3, 0, 3, 2]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Ready);
    let mut view = gathering.view(&cells);
    assert_eq!(view.shard_count(), 3);
    view.shard(ShardId(0)).push(10);
    view.shard(ShardId(3)).push(13);
    assert!(cells.cell(ShardId(2)).try_take().is_none());
    assert!(cells.cell(ShardId(1)).try_take().is_some(), "what is not wanted stays");
    gathering.release(&cells, &carrier);
    assert_eq!(log_of(&cells, ShardId(0)), [10]);
    assert_eq!(log_of(&cells, ShardId(2)), []);
    assert_eq!(log_of(&cells, ShardId(3)), [13]);
    assert!(carrier.is_empty());
}

#[test]
fn it_holds_the_lower_shards_while_it_waits_for_a_higher_one() {
    let (cells, carrier) = (cells(3, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take().unwrap();
    let mut gathering = gathering(&[0, 1, 2]);
    assert!(!gathering.is_waiting());
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Waiting);
    assert!(gathering.is_waiting());
    assert!(cells.cell(ShardId(0)).try_take().is_none(), "below: held");
    assert!(cells.cell(ShardId(2)).try_take().is_some_and(|held| {
        cells.put_back(held, &carrier);
        true
    }));

    cells.put_back(out, &carrier);
    gathering.accept(carrier.expect_granted(ALICE, ONE));
    assert!(!gathering.is_waiting());
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Ready);
    mark_all(&mut gathering, &cells, 5);
    gathering.release(&cells, &carrier);
    for id in 0..3 {
        assert_eq!(log_of(&cells, ShardId(id)), [5]);
    }
}

#[test]
fn coordinators_that_meet_go_one_after_the_other() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let (mut first, mut second) = (gathering(&[0, 1]), gathering(&[1, 0]));
    assert_eq!(first.advance(&cells, ALICE, ONE), Step::Ready);
    assert_eq!(second.advance(&cells, BOB, TWO), Step::Waiting);
    mark_all(&mut first, &cells, 1);
    first.release(&cells, &carrier);
    second.accept(carrier.expect_granted(BOB, TWO));
    assert_eq!(second.advance(&cells, BOB, TWO), Step::Ready);
    mark_all(&mut second, &cells, 2);
    second.release(&cells, &carrier);
    assert_eq!(log_of(&cells, ShardId(0)), [1, 2]);
    assert_eq!(log_of(&cells, ShardId(1)), [1, 2]);
}

#[test]
fn released_while_waiting_it_gives_back_what_it_holds_and_its_grant_still_comes() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take().unwrap();
    let mut gathering = gathering(&[0, 1]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Waiting);
    gathering.release(&cells, &carrier);
    assert!(gathering.is_waiting(), "the reservation is still in the inbox");
    drop(gathering);
    assert_eq!(log_of(&cells, ShardId(0)), []);
    cells.put_back(out, &carrier);
    let late = carrier.expect_granted(ALICE, ONE);
    cells.put_back(late, &carrier);
    assert_eq!(log_of(&cells, ShardId(1)), []);
}

#[test]
fn work_posted_at_a_held_shard_runs_at_release() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let mut gathering = gathering(&[0, 1]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Ready);
    assert!(cells.cell(ShardId(1)).take_or_post(BOB, || Marks(vec![9])).is_none());
    mark_all(&mut gathering, &cells, 1);
    gathering.release(&cells, &carrier);
    carrier.expect_done(BOB, &Marks(vec![9]));
    assert_eq!(log_of(&cells, ShardId(1)), [1, 9]);
}

#[test]
#[should_panic(expected = "one reservation at a time")]
fn it_does_not_reserve_twice() {
    let cells = cells(2, Routing::Auto);
    let _out = cells.cell(ShardId(0)).try_take();
    let mut gathering = gathering(&[0, 1]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Waiting);
    gathering.advance(&cells, ALICE, ONE);
}

#[test]
#[should_panic(expected = "the shard waited for")]
fn it_does_not_accept_a_shard_it_does_not_wait_for() {
    let cells = cells(3, Routing::Auto);
    let _out = cells.cell(ShardId(0)).try_take();
    let mut gathering = gathering(&[0, 1]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Waiting);
    gathering.accept(cells.cell(ShardId(2)).try_take().unwrap());
}

#[test]
#[should_panic(expected = "the shard waited for")]
fn it_does_not_accept_after_release() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    let mut gathering = gathering(&[0, 1]);
    assert_eq!(gathering.advance(&cells, ALICE, ONE), Step::Waiting);
    gathering.release(&cells, &carrier);
    gathering.accept(out);
}

#[test]
#[should_panic(expected = "every shard is held")]
fn there_is_no_view_before_every_shard_is_held() {
    let cells = cells(2, Routing::Auto);
    let _out = cells.cell(ShardId(1)).try_take();
    let mut gathering = gathering(&[0, 1]);
    gathering.advance(&cells, ALICE, ONE);
    gathering.view(&cells);
}

#[test]
#[should_panic(expected = "released before it is dropped")]
fn dropping_one_that_holds_shards_is_a_mistake() {
    let cells = cells(1, Routing::Auto);
    gathering(&[0]).advance(&cells, ALICE, ONE);
}

#[test]
#[should_panic(expected = "at least one shard")]
fn it_wants_at_least_one_shard() {
    gathering(&[]);
}

#[test]
fn a_patient_one_has_its_shard_when_it_comes_back_soon_and_else_reserves_it() {
    let (cells, carrier) = (cells(1, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut gathering = gathering(&[0]);
            let step = gathering.advance_patiently(&cells, ALICE, ONE, u32::MAX);
            gathering.release(&cells, &Post::default());
            step
        });
        cells.put_back(out, &carrier);
        assert_eq!(waiting.join().unwrap(), Step::Ready);
    });
    assert!(carrier.is_empty());

    let out = cells.cell(ShardId(0)).try_take().unwrap();
    let mut first = gathering(&[0]);
    assert_eq!(first.advance_patiently(&cells, ALICE, ONE, 3), Step::Waiting);
    let mut second = gathering(&[0]);
    let step = second.advance_patiently(&cells, BOB, TWO, u32::MAX);
    assert_eq!(step, Step::Waiting, "behind somebody else it does not look again");
    cells.put_back(out, &carrier);
    first.accept(carrier.expect_granted(ALICE, ONE));
    first.release(&cells, &carrier);
    second.accept(carrier.expect_granted(BOB, TWO));
    second.release(&cells, &carrier);
    assert!(carrier.is_empty());
}
