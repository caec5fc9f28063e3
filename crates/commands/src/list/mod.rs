//! Commands on lists.

mod edit;
mod end;
mod long_pop;
mod moving;
mod moving_many;
mod pop;
mod position;
mod push;
mod range;
mod waiting;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &edit::LINSERT,
    &edit::LREM,
    &edit::LSET,
    &moving::LMOVE,
    &moving::RPOPLPUSH,
    &moving_many::LMOVEM,
    &pop::LMPOP,
    &pop::LPOP,
    &pop::RPOP,
    &position::LPOS,
    &push::LPUSH,
    &push::LPUSHX,
    &push::RPUSH,
    &push::RPUSHX,
    &range::LINDEX,
    &range::LLEN,
    &range::LRANGE,
    &range::LTRIM,
    &waiting::BLMOVE,
    &waiting::BLMOVEM,
    &waiting::BLMPOP,
    &waiting::BLPOP,
    &waiting::BRPOP,
    &waiting::BRPOPLPUSH,
];
