//! From the Lua value a script returns to a reply.
//!
//! Numbers lose their fraction, arrays end at their first nil, and tables with certain fields stand for the
//! types Lua lacks; see [`crate::to_lua`] for the same seen from the other side.

use crate::arguments::number_in;
use crate::control::Control;
use crate::kept::Pairs;
use darter_resp::writer::DeferredLength;
use darter_resp::{Output, Protocol, ReplyWriter};
use mlua::{Lua, LuaString, Table, Value};
use std::rc::Rc;

/// How deep a reply nests at most; the error in place of what is deeper is Redis's, whose limit is the size
/// of Lua's stack.
const DEPTH_MAX: usize = 1000;

/// The names of the fields that are looked for, made once.
#[derive(Debug)]
pub(crate) struct Fields {
    err: LuaString,
    counted: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim: LuaString,
    format: LuaString,
    string: LuaString,
    map: LuaString,
    set: LuaString,
}

impl Fields {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self {
            err: lua.create_string("err")?,
            counted: lua.create_string("ignore_error_stats_update")?,
            ok: lua.create_string("ok")?,
            double: lua.create_string("double")?,
            big_number: lua.create_string("big_number")?,
            verbatim: lua.create_string("verbatim_string")?,
            format: lua.create_string("format")?,
            string: lua.create_string("string")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
        })
    }
}

/// A table being written.
enum Open {
    Array {
        table: Table,
        next: i64,
        deferred: DeferredLength,
    },
    Map {
        pairs: Pairs,
        /// Of the key that was written last.
        value: Option<Value>,
    },
    Set(Pairs),
}

/// Writes `value` as one reply, for scripts that asked for `protocol`; the writer may speak another. With an error
/// nothing is written.
pub(crate) fn write(
    lua: &Lua,
    control: &Rc<Control>,
    fields: &Fields,
    value: Value,
    protocol: Protocol,
    reply: &mut ReplyWriter<'_>,
) -> mlua::Result<()> {
    if !value.is_table() {
        return write_one(lua, control, fields, value, protocol, 0, reply).map(|_| ());
    }
    // It can fail half way: what is written then is dropped.
    let mut output = Output::new();
    let mut writer = ReplyWriter::new(&mut output, reply.protocol());
    write_nested(lua, control, fields, value, protocol, &mut writer)?;
    reply.output().append(output);
    Ok(())
}

fn write_nested(
    lua: &Lua,
    control: &Rc<Control>,
    fields: &Fields,
    value: Value,
    protocol: Protocol,
    reply: &mut ReplyWriter<'_>,
) -> mlua::Result<()> {
    let mut open = Vec::new();
    open.extend(write_one(lua, control, fields, value, protocol, 0, reply)?);
    while let Some(innermost) = open.last_mut() {
        control.work(lua, 8)?;
        let next = match innermost {
            Open::Array { table, next, .. } => {
                let value = table.raw_get::<Value>(*next)?;
                *next += 1;
                if value.is_nil() { None } else { Some(value) }
            }
            Open::Map { pairs, value } => match value.take() {
                Some(value) => Some(value),
                None => pairs.next()?.map(|(key, of_key)| {
                    *value = Some(of_key);
                    key
                }),
            },
            Open::Set(pairs) => pairs.next()?.map(|(element, _)| element),
        };
        match next {
            Some(value) => {
                let depth = open.len();
                let begun = write_one(lua, control, fields, value, protocol, depth, reply)?;
                if let Some(begun) = begun {
                    open.push(begun);
                }
            }
            None => {
                if let Some(Open::Array { next, deferred, .. }) = open.pop() {
                    let len = usize::try_from(next - 2).expect("counts from one");
                    reply.end_array(deferred, len);
                }
            }
        }
    }
    Ok(())
}

/// Writes a value, or begins it.
fn write_one(
    lua: &Lua,
    control: &Rc<Control>,
    fields: &Fields,
    value: Value,
    protocol: Protocol,
    depth: usize,
    reply: &mut ReplyWriter<'_>,
) -> mlua::Result<Option<Open>> {
    match value {
        Value::String(string) => reply.bulk(&string.as_bytes()),
        Value::Integer(integer) => reply.integer(integer),
        Value::Number(number) => reply.integer(wrapped(number)),
        Value::Boolean(value) => match (protocol, value) {
            (Protocol::Resp3, _) => reply.boolean(value),
            (Protocol::Resp2, true) => reply.integer(1),
            (Protocol::Resp2, false) => reply.null(),
        },
        Value::Table(table) => {
            if depth >= DEPTH_MAX {
                reply.error("ERR reached lua stack limit");
                return Ok(None);
            }
            return write_table(lua, control, fields, table, reply);
        }
        _ => reply.null(),
    }
    Ok(None)
}

fn write_table(
    lua: &Lua,
    control: &Rc<Control>,
    fields: &Fields,
    table: Table,
    reply: &mut ReplyWriter<'_>,
) -> mlua::Result<Option<Open>> {
    let field = |name: &LuaString| table.raw_get::<Value>(name);
    // An array is a table without these; most are empty of fields altogether.
    if let Value::String(line) = field(&fields.err)? {
        let counted = field(&fields.counted)? == Value::Boolean(true);
        control.note_error(&line.as_bytes(), counted);
        reply.error(&*line.as_bytes());
        return Ok(None);
    }
    if let Value::String(text) = field(&fields.ok)? {
        reply.simple(&one_line(&text));
        return Ok(None);
    }
    if let Some(number) = number_in(&field(&fields.double)?) {
        reply.double(number);
        return Ok(None);
    }
    if let Value::String(digits) = field(&fields.big_number)? {
        reply.big_number(&one_line(&digits));
        return Ok(None);
    }
    if let Value::Table(verbatim) = field(&fields.verbatim)?
        && let Value::String(format) = verbatim.raw_get(&fields.format)?
        && let Value::String(text) = verbatim.raw_get(&fields.string)?
    {
        let mut letters = *b"   ";
        for (letter, byte) in letters.iter_mut().zip(format.as_bytes().iter()) {
            *letter = *byte;
        }
        reply.verbatim(letters, &text.as_bytes());
        return Ok(None);
    }
    if let Value::Table(map) = field(&fields.map)? {
        reply.map(len_of(lua, control, &map)?);
        return Ok(Some(Open::Map { pairs: control.pairs_of(map), value: None }));
    }
    if let Value::Table(set) = field(&fields.set)? {
        reply.set(len_of(lua, control, &set)?);
        return Ok(Some(Open::Set(control.pairs_of(set))));
    }
    let deferred = reply.begin_deferred();
    Ok(Some(Open::Array { table, next: 1, deferred }))
}

/// How many entries a table has.
fn len_of(lua: &Lua, control: &Rc<Control>, table: &Table) -> mlua::Result<usize> {
    let mut len = 0;
    for pair in table.pairs::<Value, Value>() {
        control.work(lua, 8)?;
        pair?;
        len += 1;
    }
    Ok(len)
}

/// A status or a number is one line: line ends become spaces, and what is no text is shown as such.
fn one_line(text: &LuaString) -> String {
    let bytes = text.as_bytes();
    let shown: Vec<u8> = bytes
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .iter()
        .map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte })
        .collect();
    String::from_utf8_lossy(&shown).into_owned()
}

/// A number as C casts it to 64 bits on common machines: outside of them, and for NaN, the smallest.
#[expect(clippy::cast_possible_truncation, reason = "checked before")]
fn wrapped(number: f64) -> i64 {
    let is_inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if is_inside { number as i64 } else { i64::MIN }
}
