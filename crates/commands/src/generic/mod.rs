//! Commands on keys of any type.

mod copy;
mod delete;
mod dump;
mod exists;
mod expire;
mod keys;
mod long_copy;
mod long_dump;
mod object;
mod random_key;
mod rename;
pub(crate) mod scan;
mod sort;
mod time_to_live;

pub use dump::dump_value;
pub(crate) use long_dump::elements_of;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &copy::COPY,
    &copy::MOVE,
    &delete::DEL,
    &delete::UNLINK,
    &dump::DUMP,
    &dump::RESTORE,
    &dump::RESTORE_ASKING,
    &exists::EXISTS,
    &exists::TOUCH,
    &exists::TYPE,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &expire::PERSIST,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &keys::KEYS,
    &object::OBJECT,
    &random_key::RANDOMKEY,
    &rename::RENAME,
    &rename::RENAMENX,
    &scan::SCAN,
    &sort::SORT,
    &sort::SORT_RO,
    &time_to_live::EXPIRETIME,
    &time_to_live::PEXPIRETIME,
    &time_to_live::PTTL,
    &time_to_live::TTL,
];
