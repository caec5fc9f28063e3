//! `os`, of which only the clock is there.

use crate::arguments::Arguments;
use crate::control::{Control, Question};
use mlua::{Lua, Table};
use std::rc::Rc;

pub(crate) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let control = Rc::clone(control);
    table.raw_set(
        "clock",
        lua.create_function(move |_, _: Arguments| {
            control.errand.borrow_mut().question = Question::Poll;
            control.ask()?;
            let nanos = control.errand.borrow().nanos;
            // With microseconds, as the clock of C programs has.
            Ok(std::time::Duration::from_micros(nanos / 1000).as_secs_f64())
        })?,
    )?;
    Ok(table)
}
