//! Is what concurrent clients saw possible if commands took effect one at a time?
//!
//! Clients on threads of their own, some with pipelines, run GET, SET, INCR, GETSET, DEL, MSET, MGET,
//! transactions and scripts of these, and read-modify-writes under WATCH over small groups of keys that lie in
//! different shards ([`workload`]). Each command's
//! invocation and return are recorded ([`history`]). [`check`] then searches for an order of all
//! commands on a group that agrees with every reply, with real time and with each client's own
//! order. No command touches two groups, so that if there is such an order for every group there is
//! one for everything (Herlihy and Wing, 1990: linearizability is local): the server was strictly
//! serializable, MSET, MGET, MULTI and EVAL over shards included.
//!
//! That elements go through lists once and in order is looked at by [`tickets`].
//!
//! Order between groups within a pipeline is looked at by [`ladder`]: what others see is always a
//! beginning of it.

pub mod check;
pub mod history;
mod kind;
pub mod ladder;
pub mod tickets;
pub mod workload;
