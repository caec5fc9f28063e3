//! Commands on sets.

mod algebra;
mod combine;
mod long_algebra;
mod long_pop;
mod members;
mod random;
mod scan;

pub(crate) use algebra::parse_limit;
pub(crate) use random::{positive_count, random_for};

use darter_command_table::{Call, Command};
use darter_value::Rules;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &members::SADD,
    &members::SCARD,
    &algebra::SDIFF,
    &algebra::SDIFFCARD,
    &algebra::SDIFFSTORE,
    &algebra::SINTER,
    &algebra::SINTERCARD,
    &algebra::SINTERSTORE,
    &members::SISMEMBER,
    &members::SMEMBERS,
    &members::SMISMEMBER,
    &members::SMOVE,
    &random::SPOP,
    &random::SRANDMEMBER,
    &members::SREM,
    &scan::SSCAN,
    &algebra::SUNION,
    &algebra::SUNIONCARD,
    &algebra::SUNIONSTORE,
];

/// How sets and sorted sets grow.
pub(crate) fn rules<'r>(call: &'r Call<'_>) -> Rules<'r> {
    Rules { limits: &call.limits.encodings, hasher: call.hasher }
}
