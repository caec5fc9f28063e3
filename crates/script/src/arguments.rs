//! Arguments of native functions, taken and refused as Lua's own do.

use crate::raised::bad_argument;
use mlua::{FromLuaMulti, Lua, LuaString, MultiValue, Value};
use std::ops::Deref;

/// What a native function was called with. mlua's own `Variadic` copies the values once more.
#[derive(Debug)]
pub(crate) struct Arguments(Vec<Value>);

impl FromLuaMulti for Arguments {
    fn from_lua_multi(values: MultiValue, _: &Lua) -> mlua::Result<Self> {
        Ok(Self(values.into_vec()))
    }
}

impl Deref for Arguments {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

/// Values one call returns at most, as Lua's stack allows.
pub(crate) const RESULTS_MAX: usize = 7900;

/// The argument at `index` (from 0) as a string; numbers are taken for their text.
pub(crate) fn string_argument(
    lua: &Lua,
    args: &[Value],
    index: usize,
    function: &str,
) -> mlua::Result<LuaString> {
    match args.get(index) {
        Some(Value::String(string)) => Ok(string.clone()),
        Some(value @ (Value::Integer(_) | Value::Number(_))) => {
            Ok(lua.coerce_string(value.clone())?.expect("a number has a text"))
        }
        other => {
            let got = other.map_or("no value", type_name);
            Err(bad_argument(lua, index + 1, function, &format!("string expected, got {got}")))
        }
    }
}

/// The argument at `index` (from 0) as a number; texts of numbers are taken for them.
pub(crate) fn number_argument(
    lua: &Lua,
    args: &[Value],
    index: usize,
    function: &str,
) -> mlua::Result<f64> {
    let number = match args.get(index) {
        Some(Value::Number(number)) => return Ok(*number),
        Some(value) => lua.coerce_number(value.clone())?,
        None => None,
    };
    number.ok_or_else(|| {
        let got = args.get(index).map_or("no value", type_name);
        bad_argument(lua, index + 1, function, &format!("number expected, got {got}"))
    })
}

/// As [`number_argument`], `default` when there is none, cut to an integer.
pub(crate) fn optional_integer(
    lua: &Lua,
    args: &[Value],
    index: usize,
    function: &str,
    default: i64,
) -> mlua::Result<i64> {
    match args.get(index) {
        None | Some(Value::Nil) => Ok(default),
        Some(_) => number_argument(lua, args, index, function).map(truncated),
    }
}

/// A number. Lua 5.1 has one kind, but mlua tells those apart that have no fraction.
#[expect(clippy::cast_precision_loss, reason = "it was a double before")]
pub(crate) const fn number_in(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// A number's integer part; the nearest there is when 64 bits are too few.
#[expect(clippy::cast_possible_truncation, reason = "saturating, as documented")]
pub(crate) const fn truncated(number: f64) -> i64 {
    number as i64
}

/// What Lua calls the type of a value in messages.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) | Value::UserData(_) | Value::Error(_) => "userdata",
        other => other.type_name(),
    }
}
