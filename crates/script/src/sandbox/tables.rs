//! `table.sort`: Lua's own is quadratic for some input and cannot be interrupted.

use crate::arguments::number_in;
use crate::arguments::type_name;
use crate::control::Control;
use crate::raised::bad_argument;
use mlua::{Function, Lua, Table, Value};
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
    let values = Values::of(lua, control, list)?;
    let Values { numbers, strings, count, .. } = &values;
    let order = if numbers.len() == *count {
        values.ordered_by(lua, control, |a, b| Ok(numbers[a] < numbers[b]))?
    } else if strings.len() == *count {
        values.ordered_by(lua, control, |a, b| Ok(strings[a] < strings[b]))?
    } else {
        values.ordered_by_function(lua, control, less)?
    };
    values.put_back(lua, control, list, &order)
}

fn sort_by(lua: &Lua, control: &Rc<Control>, list: &Table, less: &Function) -> mlua::Result<()> {
    let values = Values::of(lua, control, list)?;
    let order = values.ordered_by_function(lua, control, less)?;
    values.put_back(lua, control, list, &order)
}

/// What a list has. The values lie in a table of their own, as there can be more than mlua lends handles to.
struct Values {
    copy: Table,
    count: usize,
    /// Those before the first that is no number.
    numbers: Vec<f64>,
    /// Those before the first that is no string.
    strings: Vec<Vec<u8>>,
}

impl Values {
    fn of(lua: &Lua, control: &Rc<Control>, list: &Table) -> mlua::Result<Self> {
        let count = list.raw_len();
        let copy = lua.create_table_with_capacity(count, 0)?;
        let (mut numbers, mut strings) = (Vec::new(), Vec::new());
        for place in 0..count {
            control.work(lua, 8)?;
            let value = list.raw_get::<Value>(place + 1)?;
            if numbers.len() == place
                && let Some(number) = number_in(&value)
            {
                numbers.push(number);
            } else if strings.len() == place
                && let Value::String(string) = &value
            {
                strings.push(string.as_bytes().to_vec());
            }
            copy.raw_set(place + 1, value)?;
        }
        Ok(Self { copy, count, numbers, strings })
    }

    fn at(&self, place: usize) -> mlua::Result<Value> {
        self.copy.raw_get(place + 1)
    }

    fn ordered_by_function(
        &self,
        lua: &Lua,
        control: &Rc<Control>,
        less: &Function,
    ) -> mlua::Result<Vec<usize>> {
        self.ordered_by(lua, control, |a, b| {
            control.work(lua, 16)?;
            less.call::<bool>((self.at(a)?, self.at(b)?))
        })
    }

    /// Their places in the order that `less` says of two places. Merges runs of growing length: any comparator ends it
    /// after n log n calls.
    fn ordered_by(
        &self,
        lua: &Lua,
        control: &Rc<Control>,
        less: impl Fn(usize, usize) -> mlua::Result<bool>,
    ) -> mlua::Result<Vec<usize>> {
        let count = self.count;
        let mut from: Vec<usize> = (0..count).collect();
        let mut to = from.clone();
        let mut run = 1;
        while run < count {
            let mut start = 0;
            while start < count {
                let middle = (start + run).min(count);
                let end = (start + 2 * run).min(count);
                let (mut left, mut right) = (start, middle);
                for place in &mut to[start..end] {
                    control.work(lua, 2)?;
                    let take_right =
                        left == middle || (right < end && less(from[right], from[left])?);
                    let taken = if take_right { &mut right } else { &mut left };
                    *place = from[*taken];
                    *taken += 1;
                }
                start = end;
            }
            std::mem::swap(&mut from, &mut to);
            run *= 2;
        }
        Ok(from)
    }

    fn put_back(
        &self,
        lua: &Lua,
        control: &Rc<Control>,
        list: &Table,
        order: &[usize],
    ) -> mlua::Result<()> {
        for (index, place) in order.iter().enumerate() {
            control.work(lua, 8)?;
            list.raw_set(index + 1, self.at(*place)?)?;
        }
        Ok(())
    }
}
