//! Commands on sorted sets.

mod add;
mod algebra;
mod bound;
mod combine;
mod long_algebra;
mod long_remove;
mod long_store;
mod look;
mod pop;
mod random;
mod range;
mod remove;
mod scan;
mod waiting;
mod written;

pub(crate) use add::{AddOptions, add_members};
pub(crate) use bound::ScoreRange;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &waiting::BZMPOP,
    &waiting::BZPOPMAX,
    &waiting::BZPOPMIN,
    &add::ZADD,
    &look::ZCARD,
    &look::ZCOUNT,
    &algebra::ZDIFF,
    &algebra::ZDIFFSTORE,
    &add::ZINCRBY,
    &algebra::ZINTER,
    &algebra::ZINTERCARD,
    &algebra::ZINTERSTORE,
    &look::ZLEXCOUNT,
    &pop::ZMPOP,
    &look::ZMSCORE,
    &pop::ZPOPMAX,
    &pop::ZPOPMIN,
    &random::ZRANDMEMBER,
    &range::ZRANGE,
    &range::ZRANGEBYLEX,
    &range::ZRANGEBYSCORE,
    &range::ZRANGESTORE,
    &look::ZRANK,
    &remove::ZREM,
    &remove::ZREMRANGEBYLEX,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &range::ZREVRANGE,
    &range::ZREVRANGEBYLEX,
    &range::ZREVRANGEBYSCORE,
    &look::ZREVRANK,
    &scan::ZSCAN,
    &look::ZSCORE,
    &algebra::ZUNION,
    &algebra::ZUNIONSTORE,
];
