//! Commands on strings as arrays of bits. The work on bits is in `darter_value::bitmap`.

mod combine;
mod count;
mod field;
mod long_combine;
mod long_scan;
mod position;
mod range;
mod single;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &combine::BITOP,
    &count::BITCOUNT,
    &field::BITFIELD,
    &field::BITFIELD_RO,
    &position::BITPOS,
    &single::GETBIT,
    &single::SETBIT,
];
