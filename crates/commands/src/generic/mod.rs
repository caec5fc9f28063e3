//! Commands on keys of any type.

mod delete;
mod exists;
mod expire;
mod keys;
mod random_key;
mod scan;
mod time_to_live;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &delete::DEL,
    &delete::UNLINK,
    &exists::EXISTS,
    &exists::TOUCH,
    &exists::TYPE,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &expire::PERSIST,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &keys::KEYS,
    &random_key::RANDOMKEY,
    &scan::SCAN,
    &time_to_live::EXPIRETIME,
    &time_to_live::PEXPIRETIME,
    &time_to_live::PTTL,
    &time_to_live::TTL,
];
