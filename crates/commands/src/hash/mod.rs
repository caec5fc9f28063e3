//! Commands on hashes.

mod delete;
mod effects;
mod expire;
pub(crate) mod fields;
mod get;
mod get_all;
mod get_expiring;
mod increment;
mod random;
mod scan;
mod set;
mod set_expiring;
mod set_options;
mod time_to_live;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &delete::HDEL,
    &delete::HGETDEL,
    &expire::HEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPERSIST,
    &expire::HPEXPIRE,
    &expire::HPEXPIREAT,
    &get::HEXISTS,
    &get::HGET,
    &get::HLEN,
    &get::HMGET,
    &get::HSTRLEN,
    &get_all::HGETALL,
    &get_all::HKEYS,
    &get_all::HVALS,
    &get_expiring::HGETEX,
    &increment::HINCRBY,
    &increment::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &scan::HSCAN,
    &set::HMSET,
    &set::HSET,
    &set::HSETNX,
    &set_expiring::HSETEX,
    &time_to_live::HEXPIRETIME,
    &time_to_live::HPEXPIRETIME,
    &time_to_live::HPTTL,
    &time_to_live::HTTL,
];
