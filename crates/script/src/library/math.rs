//! `math.random` and its seed.

use crate::arguments::{Arguments, number_argument};
use crate::control::Control;
use crate::raised::{bad_argument, text};
use mlua::{Lua, Table, Value};
use std::rc::Rc;

pub(crate) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let shared = Rc::clone(control);
    table.raw_set(
        "random",
        lua.create_function(move |lua, args: Arguments| random(lua, &shared, &args))?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "randomseed",
        lua.create_function(move |lua, args: Arguments| {
            let seed = int_argument(lua, &args, 0, "randomseed")?;
            *shared.random.borrow_mut() = crate::random::Random::new(seed);
            Ok(())
        })?,
    )?;
    Ok(table)
}

fn random(lua: &Lua, control: &Control, args: &[Value]) -> mlua::Result<f64> {
    let random = control.random.borrow_mut().next();
    match args.len() {
        0 => Ok(random),
        1 => {
            let high = f64::from(int_argument(lua, args, 0, "random")?);
            if high < 1.0 {
                return Err(bad_argument(lua, 1, "random", "interval is empty"));
            }
            Ok((random * high).floor() + 1.0)
        }
        2 => {
            let low = f64::from(int_argument(lua, args, 0, "random")?);
            let high = f64::from(int_argument(lua, args, 1, "random")?);
            if low > high {
                return Err(bad_argument(lua, 2, "random", "interval is empty"));
            }
            Ok((random * (high - low + 1.0)).floor() + low)
        }
        _ => Err(text(lua, "wrong number of arguments")),
    }
}

/// A number cut to 32 bits, as a C program casts it.
fn int_argument(lua: &Lua, args: &[Value], index: usize, function: &str) -> mlua::Result<i32> {
    let number = number_argument(lua, args, index, function)?;
    let wide = crate::arguments::truncated(number);
    Ok(u32::try_from(wide & 0xffff_ffff).expect("32 bits").cast_signed())
}
