//! Differential fuzzing: the same random commands to two servers, which must not be told apart.
//!
//! A seed makes a stream of commands ([`grammar`]), in batches that go out as pipelines, some of them
//! transactions. Part of the grammar is what the reference says about its commands ([`documented`]), if so much is
//! asked for. [`run`]
//! sends it to the reference (`redis-server` 7.0) and to the server under test, compares every
//! reply, and from time to time the whole data of all databases ([`contents`]). What replies may
//! differ in is in [`compare`]. A stream that shows a difference is cut down by [`minimise`].
//!
//! Clocks are kept out of it: relative times to live are long and all different, so that neither a
//! key expires during a run nor GT and LT depend on a millisecond; absolute ones are far away.

pub mod compare;
pub mod contents;
pub mod documented;
pub mod grammar;
pub mod minimise;
pub mod run;
