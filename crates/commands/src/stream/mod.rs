//! Commands on streams. Entries and groups are in `darter_value::stream`.

mod acknowledge;
mod add;
mod auto_claim;
mod claim;
mod delete;
mod due;
mod effects;
mod group;
mod id;
mod idempotence;
mod info;
mod info_full;
mod length;
mod long_claim;
mod long_group;
mod long_pending;
mod long_read;
mod long_read_group;
mod negative_acknowledge;
mod pending;
mod range;
mod read;
mod read_group;
mod references;
mod reply;
mod set_id;
mod sources;
mod trim;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &acknowledge::XACK,
    &acknowledge::XACKDEL,
    &add::XADD,
    &auto_claim::XAUTOCLAIM,
    &claim::XCLAIM,
    &delete::XDEL,
    &delete::XDELEX,
    &group::XGROUP,
    &idempotence::XCFGSET,
    &idempotence::XIDMPRECORD,
    &info::XINFO,
    &length::XLEN,
    &negative_acknowledge::XNACK,
    &pending::XPENDING,
    &range::XRANGE,
    &range::XREVRANGE,
    &read::XREAD,
    &read_group::XREADGROUP,
    &set_id::XSETID,
    &trim::XTRIM,
];
