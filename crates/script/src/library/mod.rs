//! What Redis gives scripts beside Lua's own libraries, to the byte.

pub(crate) mod bit;
pub(crate) mod cjson;
pub(crate) mod cmsgpack;
pub(crate) mod math;
mod number_text;
pub(crate) mod os;
pub(crate) mod structs;
