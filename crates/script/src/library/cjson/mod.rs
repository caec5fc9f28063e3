//! `cjson`: JSON to and from Lua values, as lua-cjson 2.1.0 does it.
//! (<https://kyne.au/~mark/software/lua-cjson-manual.html>)

mod decode;
mod encode;

use crate::arguments::type_name;
use crate::arguments::{Arguments, number_argument, truncated};
use crate::control::Control;
use crate::raised::bad_argument;
use mlua::{Lua, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// What to do with numbers JSON cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidNumbers {
    Refused,
    Written,
    AsNull,
}

/// Settings, which a script can change for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(super) sparse_converts: bool,
    pub(super) sparse_ratio: i64,
    pub(super) sparse_safe: i64,
    pub(super) encode_depth_max: usize,
    pub(super) decode_depth_max: usize,
    pub(super) encode_invalid_numbers: InvalidNumbers,
    pub(super) decode_invalid_numbers: bool,
    /// Significant digits of a number; 1 to 14.
    pub(super) precision: usize,
    /// Without effect: nothing is kept.
    keeps_buffer: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparse_converts: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            encode_invalid_numbers: InvalidNumbers::Refused,
            decode_invalid_numbers: true,
            precision: 14,
            keeps_buffer: true,
        }
    }
}

impl Options {
    /// As they are for a script that has just begun.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Depths beyond this are not reached: tables on the way there are held all at once.
const DEPTH_MAX: i64 = i32::MAX as i64;

pub(crate) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    build(lua, control, &Rc::clone(&control.cjson))
}

fn build(lua: &Lua, control: &Rc<Control>, options: &Rc<RefCell<Options>>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let (shared, settings) = (Rc::clone(control), Rc::clone(options));
    table.raw_set(
        "encode",
        lua.create_function(move |lua, args: Arguments| {
            let [value] = &args[..] else {
                return Err(bad_argument(lua, 1, "encode", "expected 1 argument"));
            };
            encode::encode(lua, &shared, &settings.borrow(), value)
        })?,
    )?;
    let (shared, settings) = (Rc::clone(control), Rc::clone(options));
    table.raw_set(
        "decode",
        lua.create_function(move |lua, args: Arguments| {
            if args.len() != 1 {
                return Err(bad_argument(lua, 1, "decode", "expected 1 argument"));
            }
            let text = crate::arguments::string_argument(lua, &args, 0, "decode")?;
            decode::decode(lua, &shared, &settings.borrow(), &text.as_bytes())
        })?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "new",
        lua.create_function(move |lua, _: Arguments| {
            build(lua, &shared, &Rc::new(RefCell::default()))
        })?,
    )?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    set_options(lua, &table, options)?;
    Ok(table)
}

/// The functions that change settings and return what they are.
fn set_options(lua: &Lua, table: &Table, options: &Rc<RefCell<Options>>) -> mlua::Result<()> {
    let settings = Rc::clone(options);
    table.raw_set(
        "encode_sparse_array",
        lua.create_function(move |lua, args: Arguments| {
            const NAME: &str = "encode_sparse_array";
            check_count(lua, &args, 3, NAME)?;
            let settings = &mut *settings.borrow_mut();
            change_switch(lua, &args, NAME, &mut settings.sparse_converts)?;
            // The message for each of the numbers names the first argument, as the original does.
            change_number(lua, &args, 1, NAME, 0, DEPTH_MAX, &mut settings.sparse_ratio)?;
            change_number(lua, &args, 2, NAME, 0, DEPTH_MAX, &mut settings.sparse_safe)?;
            Ok((settings.sparse_converts, settings.sparse_ratio, settings.sparse_safe))
        })?,
    )?;
    let settings = Rc::clone(options);
    set_size(lua, table, "encode_max_depth", DEPTH_MAX, move |change| {
        change(&mut settings.borrow_mut().encode_depth_max)
    })?;
    let settings = Rc::clone(options);
    set_size(lua, table, "decode_max_depth", DEPTH_MAX, move |change| {
        change(&mut settings.borrow_mut().decode_depth_max)
    })?;
    let settings = Rc::clone(options);
    set_size(lua, table, "encode_number_precision", 14, move |change| {
        change(&mut settings.borrow_mut().precision)
    })?;
    let settings = Rc::clone(options);
    table.raw_set(
        "encode_keep_buffer",
        lua.create_function(move |lua, args: Arguments| {
            check_count(lua, &args, 1, "encode_keep_buffer")?;
            let settings = &mut *settings.borrow_mut();
            change_switch(lua, &args, "encode_keep_buffer", &mut settings.keeps_buffer)?;
            Ok(settings.keeps_buffer)
        })?,
    )?;
    let settings = Rc::clone(options);
    table.raw_set(
        "decode_invalid_numbers",
        lua.create_function(move |lua, args: Arguments| {
            check_count(lua, &args, 1, "decode_invalid_numbers")?;
            let settings = &mut *settings.borrow_mut();
            let name = "decode_invalid_numbers";
            change_switch(lua, &args, name, &mut settings.decode_invalid_numbers)?;
            Ok(settings.decode_invalid_numbers)
        })?,
    )?;
    let settings = Rc::clone(options);
    table.raw_set(
        "encode_invalid_numbers",
        lua.create_function(move |lua, args: Arguments| {
            const NAME: &str = "encode_invalid_numbers";
            check_count(lua, &args, 1, NAME)?;
            let settings = &mut *settings.borrow_mut();
            let is_null = matches!(args.first(), Some(Value::String(text)) if *text == "null");
            if is_null {
                settings.encode_invalid_numbers = InvalidNumbers::AsNull;
            } else if args.first().is_some_and(|value| !value.is_nil()) {
                let mut on = false;
                change_switch(lua, &args, NAME, &mut on)?;
                settings.encode_invalid_numbers =
                    if on { InvalidNumbers::Written } else { InvalidNumbers::Refused };
            }
            Ok(match settings.encode_invalid_numbers {
                InvalidNumbers::Refused => Value::Boolean(false),
                InvalidNumbers::Written => Value::Boolean(true),
                InvalidNumbers::AsNull => Value::String(lua.create_string("null")?),
            })
        })?,
    )
}

/// A setting that is a positive number.
fn set_size(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    max: i64,
    with: impl Fn(&mut dyn FnMut(&mut usize) -> mlua::Result<i64>) -> mlua::Result<i64> + 'static,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, args: Arguments| {
        check_count(lua, &args, 1, name)?;
        with(&mut |setting| {
            let mut number = i64::try_from(*setting).unwrap_or(i64::MAX);
            change_number(lua, &args, 0, name, 1, max, &mut number)?;
            *setting = usize::try_from(number).expect("positive");
            Ok(number)
        })
    })?;
    table.raw_set(name, function)
}

fn check_count(lua: &Lua, args: &[Value], max: usize, function: &str) -> mlua::Result<()> {
    if args.len() > max {
        return Err(bad_argument(lua, max + 1, function, "found too many arguments"));
    }
    Ok(())
}

fn change_number(
    lua: &Lua,
    args: &[Value],
    index: usize,
    function: &str,
    min: i64,
    max: i64,
    setting: &mut i64,
) -> mlua::Result<()> {
    if args.get(index).is_none_or(Value::is_nil) {
        return Ok(());
    }
    let number = truncated(number_argument(lua, args, index, function)?);
    if !(min..=max).contains(&number) {
        let problem = format!("expected integer between {min} and {max}");
        return Err(bad_argument(lua, 1, function, &problem));
    }
    *setting = number;
    Ok(())
}

/// Changes a setting to the first argument: a boolean, `"on"` or `"off"`; not at all if that is nil.
fn change_switch(
    lua: &Lua,
    args: &[Value],
    function: &str,
    setting: &mut bool,
) -> mlua::Result<()> {
    match args.first() {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(Value::String(text)) if *text == "on" => *setting = true,
        Some(Value::String(text)) if *text == "off" => *setting = false,
        Some(Value::String(text)) => {
            let problem = format!("invalid option '{}'", text.to_string_lossy());
            return Err(bad_argument(lua, 1, function, &problem));
        }
        Some(other) => {
            let problem = format!("string expected, got {}", type_name(other));
            return Err(bad_argument(lua, 1, function, &problem));
        }
    }
    Ok(())
}
