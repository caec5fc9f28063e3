//! Pending ids in the order in which they were delivered.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Pending;
use super::id::StreamId;

/// When an entry was delivered, and its id.
pub(super) type Delivery = (i64, StreamId);

/// Bits of a time that one pass looks at.
const BITS_PER_PASS: u32 = 11;

/// From how many on counting is quicker than comparing.
const COUNTED_MIN: usize = 2 << BITS_PER_PASS;

/// Puts what is pending in the order of delivery, and of ids among what was delivered at the same time.
pub(super) fn by_delivery(pending: &BTreeMap<StreamId, Pending>) -> BTreeSet<Delivery> {
    let deliveries = pending.iter().map(|(id, pending)| (pending.delivered_at_ms, *id));
    let mut deliveries: Vec<_> = deliveries.collect();
    if deliveries.len() >= COUNTED_MIN && !deliveries.is_sorted() {
        deliveries = sorted_by_time(deliveries);
    }
    // Which is quick if they are in order.
    deliveries.into_iter().collect()
}

/// Sorts by time what is sorted by id: stable passes over the digits of the time, the lowest first. There are as many
/// passes as it takes for the time from the first delivery to the last.
fn sorted_by_time(mut deliveries: Vec<Delivery>) -> Vec<Delivery> {
    let times = || deliveries.iter().map(|(at_ms, _)| *at_ms);
    let (Some(first_ms), Some(last_ms)) = (times().min(), times().max()) else { return deliveries };
    let span_ms = last_ms.abs_diff(first_ms);
    let mut sorted = deliveries.clone();
    let mut shift = 0;
    while shift < u64::BITS && span_ms >> shift > 0 {
        let digit_of = |delivery: &Delivery| {
            let digit = delivery.0.abs_diff(first_ms) >> shift & ((1 << BITS_PER_PASS) - 1);
            usize::try_from(digit).expect("a digit is small")
        };
        let mut places = [0_usize; 1 << BITS_PER_PASS];
        for delivery in &deliveries {
            places[digit_of(delivery)] += 1;
        }
        let mut before = 0;
        for place in &mut places {
            before += std::mem::replace(place, before);
        }
        for delivery in &deliveries {
            let place = &mut places[digit_of(delivery)];
            sorted[*place] = *delivery;
            *place += 1;
        }
        std::mem::swap(&mut deliveries, &mut sorted);
        shift += BITS_PER_PASS;
    }
    deliveries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_is_what_comparing_is() {
        let spread: [fn(u64) -> i64; 4] = [
            |_| 7,
            |noise| (noise % 100_000).cast_signed() - 50_000,
            |noise| noise.cast_signed(),
            |noise| if noise.is_multiple_of(2) { i64::MIN } else { i64::MAX },
        ];
        for time_of in spread {
            let mut noise = 1_u64;
            let pending = (0..3 * COUNTED_MIN as u64).map(|number| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let delivered_at_ms = time_of(noise.rotate_right(20));
                (StreamId::new(number, 1), Pending { consumer: 0, delivered_at_ms, deliveries: 1 })
            });
            let pending: BTreeMap<_, _> = pending.collect();
            let mut expected: Vec<_> =
                pending.iter().map(|(id, pending)| (pending.delivered_at_ms, *id)).collect();
            let in_order_of_ids = expected.clone();
            expected.sort_unstable();
            assert_eq!(sorted_by_time(in_order_of_ids), expected);
            assert!(by_delivery(&pending).into_iter().eq(expected));
        }
    }
}
