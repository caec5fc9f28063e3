//! The globals scripts see: which there are, and how they are kept from being changed.
//!
//! Most of it is Lua (`prelude.lua`), because that is about Lua's own functions. Here are the native ones
//! it puts in place, the libraries' apart.

mod compile;
mod strings;
mod tables;

pub(crate) use compile::compile;

use crate::arguments::Arguments;
use crate::control::Control;
use crate::{api, library, raised};
use mlua::{Lua, Table, Value};
use std::rc::Rc;

/// The Lua half.
const PRELUDE: &str = include_str!("prelude.lua");

/// What its functions are said to be of.
pub(crate) const SOURCE: &str = "=prelude";

/// Builds the environments and returns the prelude's functions; `scripts` is where one finds the compiled scripts.
pub(crate) fn install(lua: &Lua, control: &Rc<Control>, scripts: &Table) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.raw_set("scripts", scripts)?;
    native.raw_set("callbacks", control.callbacks.borrow().table())?;
    native.raw_set("thaw", thaw(lua, control)?)?;
    let checked = Rc::clone(control);
    native.raw_set("check_stopped", lua.create_function(move |_, ()| checked.check_stopped())?)?;
    native.raw_set("compile", lua.create_function(compile::compile_argument)?)?;
    native.raw_set("handler", api::failure_handler(lua, control)?)?;
    native.raw_set("err_handler", api::visible_failure_handler(lua)?)?;
    native.raw_set("string", strings::functions(lua, control)?)?;
    native.raw_set("table", tables::functions(lua, control)?)?;
    native.raw_set("math", library::math::functions(lua, control)?)?;
    native.raw_set("os", library::os::functions(lua, control)?)?;
    native.raw_set("cjson", library::cjson::functions(lua, control)?)?;
    native.raw_set("cmsgpack", library::cmsgpack::functions(lua, control)?)?;
    native.raw_set("struct", library::structs::functions(lua, control)?)?;
    native.raw_set("bit", library::bit::functions(lua)?)?;
    api::install(lua, control, &native)?;
    lua.load(PRELUDE).set_name(SOURCE).call(native)
}

/// Turns what was raised into what a script that caught it may see; raises again what stops scripts.
fn thaw(lua: &Lua, control: &Rc<Control>) -> mlua::Result<mlua::Function> {
    let control = Rc::clone(control);
    lua.create_function(move |lua, values: Arguments| {
        control.check_stopped()?;
        if values.first().is_some_and(raised::is_lack_of_memory) {
            control.make_room(lua)?;
        }
        match values.first() {
            Some(Value::Error(error)) => raised::Raised::of(error).to_value(lua),
            Some(value) => Ok(value.clone()),
            None => Ok(Value::Nil),
        }
    })
}
