//! Producers and consumers over lists in many shards: is every element delivered exactly once, and in order?
//!
//! Consumers wait without a limit, so an element that nobody was woken for is found as well: its consumer
//! never hears of it, and the run fails. Some of them go while they wait, by closing their sending side and
//! reading what still comes. What was taken is written down with when it was asked for and when it came
//! ([`workload`]); [`check`] says whether that can be.

pub mod check;
pub mod workload;
