//! From a command's reply to a Lua value.
//!
//! | reply | value |
//! |---|---|
//! | status, error | table with one field: `ok`, `err` |
//! | integer, bulk, boolean | number, string, boolean |
//! | null | `false` in RESP2, nil in RESP3 |
//! | array, map, set | table; table in a field `map`; table of `true` in a field `set` |
//! | double, big number, verbatim | table with a field `double`, `big_number`, `verbatim_string` |

use crate::arguments::number_in;
use darter_base::float::parse_f64;
use darter_base::number::parse_i64;
use mlua::{Lua, Table, Value};

/// How deep replies nest at most; none of a command comes near.
const DEPTH_MAX: usize = 128;

/// A table whose elements are being read.
struct Open {
    /// What holds the table, if not the table itself.
    wrapper: Option<Table>,
    table: Table,
    kind: Kind,
    left: usize,
    index: i64,
    key: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Map,
    Set,
    /// Read and forgotten; the value comes after it.
    Attribute,
}

/// A value that is complete, or the beginning of one with elements.
enum Item {
    Value(Value),
    Begins(Kind, usize),
}

/// The value of the reply in `bytes`. `None` if that is not one whole reply, which the server does not
/// write.
pub(crate) fn value_of(lua: &Lua, bytes: &[u8]) -> mlua::Result<Option<Value>> {
    let mut rest = bytes;
    let mut open: Vec<Open> = Vec::new();
    loop {
        let Some(item) = next_item(lua, &mut rest)? else { return Ok(None) };
        let mut value = match item {
            Item::Value(value) => value,
            Item::Begins(kind, len) => {
                if open.len() == DEPTH_MAX {
                    return Ok(None);
                }
                let begun = begin(lua, kind, len, rest.len())?;
                if len > 0 {
                    open.push(begun);
                    continue;
                }
                match begun.finish() {
                    Some(value) => value,
                    None => continue,
                }
            }
        };
        loop {
            let Some(innermost) = open.last_mut() else { return Ok(Some(value)) };
            innermost.add(value)?;
            if innermost.left > 0 {
                break;
            }
            match open.pop().and_then(Open::finish) {
                Some(finished) => value = finished,
                None => break,
            }
        }
    }
}

fn begin(lua: &Lua, kind: Kind, len: usize, bytes_left: usize) -> mlua::Result<Open> {
    // An element has at least three bytes: a length that is only declared reserves nothing.
    let room = len.min(bytes_left / 3);
    let (table, wrapper, left) = match kind {
        Kind::Array => (lua.create_table_with_capacity(room, 0)?, None, len),
        Kind::Map | Kind::Set => {
            let table = lua.create_table_with_capacity(0, room)?;
            let wrapper = lua.create_table_with_capacity(0, 1)?;
            wrapper.raw_set(if kind == Kind::Map { "map" } else { "set" }, &table)?;
            (table, Some(wrapper), if kind == Kind::Map { len.saturating_mul(2) } else { len })
        }
        Kind::Attribute => (lua.create_table()?, None, len.saturating_mul(2)),
    };
    Ok(Open { wrapper, table, kind, left, index: 0, key: None })
}

impl Open {
    fn add(&mut self, value: Value) -> mlua::Result<()> {
        self.left -= 1;
        match self.kind {
            Kind::Array => {
                self.index += 1;
                if !value.is_nil() {
                    self.table.raw_set(self.index, value)?;
                }
            }
            Kind::Map => match self.key.take() {
                None => self.key = Some(value),
                Some(key) if is_key(&key) => self.table.raw_set(key, value)?,
                Some(_) => {}
            },
            Kind::Set if is_key(&value) => self.table.raw_set(value, true)?,
            Kind::Set | Kind::Attribute => {}
        }
        Ok(())
    }

    fn finish(self) -> Option<Value> {
        match self.kind {
            Kind::Attribute => None,
            _ => Some(Value::Table(self.wrapper.unwrap_or(self.table))),
        }
    }
}

fn is_key(value: &Value) -> bool {
    !value.is_nil() && number_in(value).is_none_or(|number| !number.is_nan())
}

fn next_item(lua: &Lua, rest: &mut &[u8]) -> mlua::Result<Option<Item>> {
    let Some((kind, line)) = take_line(rest) else { return Ok(None) };
    let value = match kind {
        b'+' => field(lua, "ok", Value::String(lua.create_string(line)?))?,
        b'-' => field(lua, "err", Value::String(lua.create_string(line)?))?,
        b':' => match parse_i64(line) {
            Some(integer) => Value::Number(integer_as_number(integer)),
            None => return Ok(None),
        },
        b'$' | b'=' => {
            if line == b"-1" {
                return Ok(Some(Item::Value(Value::Boolean(false))));
            }
            let Some(bytes) = take_bulk(rest, line) else { return Ok(None) };
            if kind == b'$' {
                Value::String(lua.create_string(bytes)?)
            } else {
                let Some((format, text)) = bytes.split_at_checked(4) else { return Ok(None) };
                let inner = lua.create_table_with_capacity(0, 2)?;
                inner.raw_set("string", lua.create_string(text)?)?;
                inner.raw_set("format", lua.create_string(&format[..3])?)?;
                field(lua, "verbatim_string", Value::Table(inner))?
            }
        }
        b'*' if line == b"-1" => Value::Boolean(false),
        b'_' => Value::Nil,
        b'#' => Value::Boolean(line == b"t"),
        b',' => match parse_f64(line) {
            Some(number) => field(lua, "double", Value::Number(number))?,
            None => field(lua, "double", Value::Number(f64::NAN))?,
        },
        b'(' => field(lua, "big_number", Value::String(lua.create_string(line)?))?,
        b'*' | b'%' | b'~' | b'>' | b'|' => {
            let Some(len) = length(line) else { return Ok(None) };
            let kind = match kind {
                b'%' => Kind::Map,
                b'~' => Kind::Set,
                b'|' => Kind::Attribute,
                _ => Kind::Array,
            };
            return Ok(Some(Item::Begins(kind, len)));
        }
        _ => return Ok(None),
    };
    Ok(Some(Item::Value(value)))
}

fn field(lua: &Lua, name: &str, value: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has no other numbers")]
const fn integer_as_number(integer: i64) -> f64 {
    integer as f64
}

fn length(line: &[u8]) -> Option<usize> {
    usize::try_from(parse_i64(line)?).ok()
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let end = memchr::memchr(b'\r', rest)?;
    let (kind, line) = rest[..end].split_first()?;
    *rest = rest.get(end + 2..)?;
    Some((*kind, line))
}

fn take_bulk<'a>(rest: &mut &'a [u8], line: &[u8]) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length(line)?)?;
    *rest = after.get(2..)?;
    Some(bytes)
}
