//! When the waits of one worker's clients end.

use darter_base::UnixMillis;
use std::collections::BTreeMap;

/// Clients that wait for a limited time, ordered by when it is up. Every operation takes logarithmic time, so
/// that a hundred thousand waiters cost no more than their own coming and going.
#[derive(Debug)]
pub struct Deadlines<T>(BTreeMap<(UnixMillis, u64), T>);

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Deadlines<T> {
    /// Adds the client with this number, which is in here once at most.
    pub fn add(&mut self, until: UnixMillis, client_id: u64, id: T) {
        self.0.insert((until, client_id), id);
    }

    /// Removes what was added.
    pub fn remove(&mut self, until: UnixMillis, client_id: u64) {
        self.0.remove(&(until, client_id));
    }

    /// Removes and returns the next one whose time is up at `now`.
    pub fn take_due(&mut self, now: UnixMillis) -> Option<T> {
        let first = self.0.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next one's time is up.
    pub fn next(&self) -> Option<UnixMillis> {
        self.0.first_key_value().map(|((until, _), _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_whose_time_is_up_come_out_in_order() {
        let mut deadlines = Deadlines::default();
        for (until, client) in [(30, 1), (10, 2), (20, 3), (10, 4), (15, 5)] {
            deadlines.add(UnixMillis(until), client, client);
        }
        deadlines.remove(UnixMillis(15), 5);
        deadlines.remove(UnixMillis(15), 1);
        assert_eq!(deadlines.next(), Some(UnixMillis(10)));
        let due: Vec<u64> = std::iter::from_fn(|| deadlines.take_due(UnixMillis(20))).collect();
        assert_eq!(due, [2, 4, 3]);
        assert_eq!(deadlines.next(), Some(UnixMillis(30)));
    }
}
