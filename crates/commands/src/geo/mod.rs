//! Commands on places: sorted sets whose scores are cells of a grid over the earth.

mod add;
mod arguments;
mod long_search;
mod look;
mod search;
mod search_options;

use darter_command_table::Command;

/// Every command of the group.
pub static COMMANDS: &[&Command] = &[
    &add::GEOADD,
    &look::GEODIST,
    &look::GEOHASH,
    &look::GEOPOS,
    &search::GEORADIUS,
    &search::GEORADIUSBYMEMBER,
    &search::GEORADIUSBYMEMBER_RO,
    &search::GEORADIUS_RO,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
];
