//! `table.sort`: Lua's own is quadratic for some input and cannot be interrupted.

use crate::arguments::number_in;
use crate::arguments::type_name;
use crate::control::Control;
use crate::raised::bad_argument;
use mlua::{Function, Lua, LuaString, Table, Value};
use std::cmp::Ordering;
use std::rc::Rc;

pub(super) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let less: Function =
        lua.load("local a, b = ... return a < b").set_name("=sort").into_function()?;
    let control = Rc::clone(control);
    table.raw_set(
        "sort",
        lua.create_function(move |lua, (list, comparator): (Value, Value)| {
            let Value::Table(list) = list else {
                let problem = format!("table expected, got {}", type_name(&list));
                return Err(bad_argument(lua, 1, "sort", &problem));
            };
            match comparator {
                Value::Nil => sort_plainly(lua, &control, &list, &less),
                Value::Function(function) => sort_by(lua, &control, &list, &function),
                other => {
                    let problem = format!("function expected, got {}", type_name(&other));
                    Err(bad_argument(lua, 2, "sort", &problem))
                }
            }
        })?,
    )?;
    Ok(table)
}

/// Sorts by `<`. Numbers and strings need no Lua for that.
fn sort_plainly(
    lua: &Lua,
    control: &Rc<Control>,
    list: &Table,
    less: &Function,
) -> mlua::Result<()> {
    let mut values = values_of(lua, control, list)?;
    if values.iter().all(|value| number_in(value).is_some()) {
        let number = |value: &Value| number_in(value).unwrap_or(f64::NAN);
        values.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(Ordering::Equal));
        return put_back(lua, control, list, values);
    }
    if values.iter().all(Value::is_string) {
        let mut strings: Vec<(Vec<u8>, LuaString)> = Vec::with_capacity(values.len());
        for value in values {
            if let Value::String(string) = value {
                let bytes = string.as_bytes().to_vec();
                strings.push((bytes, string));
            }
        }
        strings.sort_by(|a, b| a.0.cmp(&b.0));
        return put_back(
            lua,
            control,
            list,
            strings.into_iter().map(|(_, string)| Value::String(string)),
        );
    }
    sort_by(lua, control, list, less)
}

/// Merges runs of growing length. Any comparator ends it after n log n calls.
fn sort_by(lua: &Lua, control: &Rc<Control>, list: &Table, less: &Function) -> mlua::Result<()> {
    let mut from = values_of(lua, control, list)?;
    let mut to = from.clone();
    let count = from.len();
    let mut run = 1;
    while run < count {
        let mut start = 0;
        while start < count {
            let middle = (start + run).min(count);
            let end = (start + 2 * run).min(count);
            let (mut left, mut right) = (start, middle);
            for place in &mut to[start..end] {
                control.work(lua, 16)?;
                let take_right = left == middle
                    || (right < end && less.call::<bool>((&from[right], &from[left]))?);
                let taken = if take_right { &mut right } else { &mut left };
                *place = from[*taken].clone();
                *taken += 1;
            }
            start = end;
        }
        std::mem::swap(&mut from, &mut to);
        run *= 2;
    }
    put_back(lua, control, list, from)
}

fn values_of(lua: &Lua, control: &Rc<Control>, list: &Table) -> mlua::Result<Vec<Value>> {
    let count = list.raw_len();
    let mut values = Vec::new();
    for index in 1..=count {
        control.work(lua, 8)?;
        values.push(list.raw_get(index)?);
    }
    Ok(values)
}

fn put_back(
    lua: &Lua,
    control: &Rc<Control>,
    list: &Table,
    values: impl IntoIterator<Item = Value>,
) -> mlua::Result<()> {
    for (index, value) in values.into_iter().enumerate() {
        control.work(lua, 8)?;
        list.raw_set(index + 1, value)?;
    }
    Ok(())
}
