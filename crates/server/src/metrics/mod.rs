//! Metrics: the state of the server as Prometheus reads it, and probes.
//!
//! A metric is a row (`row`): name, type, unit, help, and where its value comes from. The rows are
//! in two tables: `rows::redis`, with the names that `redis_exporter` gives the fields of INFO, so
//! that dashboards and alerts made for it work unchanged, and `rows::darter`, with what only Darter
//! has. The page, its reference (`docs/metrics.md`) and the tests come from them.
//!
//! [`endpoint`] answers a path. It runs on a thread that holds no shard: workers publish what their
//! shards have ([`Figures`]) ten times a second while the endpoint is on, and count for themselves.

pub mod endpoint;
mod figures;
mod page;
pub mod reference;
mod row;
mod rows;

pub use figures::Figures;
