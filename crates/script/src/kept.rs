//! Functions and entries of tables, without handles to all of them: mlua can lend some thousands of Lua's values at a time,
//! and scripts, libraries and tables can have more.

use mlua::{Function, Lua, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Functions in a table of Lua's, under numbers from 1.
#[derive(Debug)]
pub(crate) struct Shelf {
    functions: Table,
    /// The largest number there is.
    last: usize,
    /// Numbers below it that are not used.
    free: Vec<usize>,
    /// Numbers that nobody needs any more, with functions yet.
    dropped: Rc<RefCell<Vec<usize>>>,
}

impl Shelf {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        let functions = lua.create_table()?;
        Ok(Self { functions, last: 0, free: Vec::new(), dropped: Rc::default() })
    }

    /// The table, for Lua to look into.
    pub(crate) fn table(&self) -> Table {
        self.functions.clone()
    }

    /// Keeps a function as long as what is returned lives.
    pub(crate) fn keep(&mut self, function: &Function) -> mlua::Result<Kept> {
        self.tidy();
        let number = self.free.last().copied().unwrap_or(self.last + 1);
        self.functions.raw_set(number, function)?;
        if self.free.pop().is_none() {
            self.last = number;
        }
        Ok(Kept { number, dropped: Rc::clone(&self.dropped) })
    }

    /// Gives up the functions that nobody needs any more.
    pub(crate) fn tidy(&mut self) {
        for number in self.dropped.take() {
            // Its place is there: nothing is allocated.
            let _ = self.functions.raw_set(number, Value::Nil);
            self.free.push(number);
        }
    }
}

/// A function's place on the shelf. It can outlive the shelf.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) number: usize,
    dropped: Rc<RefCell<Vec<usize>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.number);
    }
}

/// The entries of a table, one at a time, while others of its kind are under way. [`Table::pairs`] does the same and
/// borrows the table.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Lua's own.
    next: Function,
    table: Table,
    key: Value,
}

impl Pairs {
    pub(crate) const fn new(next: Function, table: Table) -> Self {
        Self { next, table, key: Value::Nil }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> mlua::Result<Option<(Value, Value)>> {
        let (key, value) = self.next.call::<(Value, Value)>((&self.table, &self.key))?;
        self.key = key.clone();
        Ok(if key.is_nil() { None } else { Some((key, value)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let lua = Lua::new();
        let mut shelf = Shelf::new(&lua).unwrap();
        let function = lua.create_function(|_, ()| Ok(())).unwrap();
        let first = shelf.keep(&function).unwrap();
        let second = shelf.keep(&function).unwrap();
        assert_eq!((first.number, second.number), (1, 2));
        drop(first);
        shelf.tidy();
        assert!(shelf.table().raw_get::<Value>(1).unwrap().is_nil());
        let third = shelf.keep(&function).unwrap();
        let fourth = shelf.keep(&function).unwrap();
        assert_eq!((third.number, fourth.number), (1, 3));
    }

    #[test]
    fn tables_of_any_size_are_gone_through_within_one_another() {
        let lua = Lua::new();
        let next: Function = lua.globals().get("next").unwrap();
        let outer: Table = lua
            .load("local t = {} for i = 1, 20000 do t['k' .. i] = 'v' .. i end return t")
            .eval()
            .unwrap();
        let mut pairs = Pairs::new(next.clone(), outer.clone());
        let mut count = 0;
        while let Some((key, value)) = pairs.next().unwrap() {
            assert!(key.is_string() && value.is_string());
            if count % 5000 == 0 {
                assert!(Pairs::new(next.clone(), outer.clone()).next().unwrap().is_some());
            }
            count += 1;
        }
        assert_eq!(count, 20_000);
    }
}
