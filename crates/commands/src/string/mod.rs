//! Commands on strings.

mod append;
mod common_subsequence;
mod condition;
mod delete_if;
mod digest;
mod effects;
mod get;
mod get_and;
mod get_many;
mod increment;
mod increment_float;
mod increment_within;
mod lcs;

mod range;
mod set;
mod set_many;
mod set_options;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &append::APPEND,
    &delete_if::DELEX,
    &delete_if::DELIFEQ,
    &digest::DIGEST,
    &get::GET,
    &get::STRLEN,
    &get_and::GETDEL,
    &get_and::GETEX,
    &get_many::MGET,
    &increment::DECR,
    &increment::DECRBY,
    &increment::INCR,
    &increment::INCRBY,
    &increment_float::INCRBYFLOAT,
    &increment_within::INCREX,
    &lcs::LCS,
    &range::GETRANGE,
    &range::SETRANGE,
    &range::SUBSTR,
    &set::GETSET,
    &set::PSETEX,
    &set::SET,
    &set::SETEX,
    &set::SETNX,
    &set_many::MSET,
    &set_many::MSETEX,
    &set_many::MSETNX,
];
