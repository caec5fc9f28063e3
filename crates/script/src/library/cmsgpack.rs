//! `cmsgpack`: `MessagePack` to and from Lua values, as lua-cmsgpack 0.4.0 does it.
//! (<https://github.com/antirez/lua-cmsgpack>)

use crate::arguments::{
    Arguments, RESULTS_MAX, number_argument, number_in, optional_integer, string_argument,
    truncated,
};
use crate::control::Control;
use crate::raised::{bad_argument, text};
use mlua::{Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Tables inside of so many others are packed as nil.
const PACK_DEPTH_MAX: usize = 16;
/// How deep values nest when they are unpacked; the original is bound by Lua's stack.
const UNPACK_DEPTH_MAX: usize = 1000;

pub(crate) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let shared = Rc::clone(control);
    table.raw_set(
        "pack",
        lua.create_function(move |lua, args: Arguments| pack(lua, &shared, &args))?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "unpack",
        lua.create_function(move |lua, args: Arguments| {
            let data = string_argument(lua, &args, 0, "unpack")?;
            unpack(lua, &shared, &data.as_bytes(), None)
        })?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "unpack_one",
        lua.create_function(move |lua, args: Arguments| {
            let offset = optional_integer(lua, &args, 1, "unpack_one", 0)?;
            let data = string_argument(lua, &args, 0, "unpack_one")?;
            unpack(lua, &shared, &data.as_bytes(), Some((1, offset)))
        })?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "unpack_limit",
        lua.create_function(move |lua, args: Arguments| {
            let limit = truncated(number_argument(lua, &args, 1, "unpack_limit")?);
            let offset = optional_integer(lua, &args, 2, "unpack_limit", 0)?;
            let data = string_argument(lua, &args, 0, "unpack_limit")?;
            // A limit and an offset of zero mean everything, and no offset is returned.
            let part = if limit == 0 && offset == 0 { None } else { Some((limit, offset)) };
            unpack(lua, &shared, &data.as_bytes(), part)
        })?,
    )?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, control: &Rc<Control>, args: &[Value]) -> mlua::Result<LuaString> {
    if args.is_empty() {
        return Err(bad_argument(lua, 0, "pack", "MessagePack pack needs input."));
    }
    let mut packed = Vec::new();
    for arg in args {
        push_value(lua, control, arg, 0, &mut packed)?;
    }
    lua.create_string(packed)
}

/// Packs a value within `depth` others. It calls itself for what is inside, at most [`PACK_DEPTH_MAX`] deep.
/// The values inside are taken one by one: Lua can lend only some thousands at a time.
fn push_value(
    lua: &Lua,
    control: &Rc<Control>,
    value: &Value,
    depth: usize,
    packed: &mut Vec<u8>,
) -> mlua::Result<()> {
    control.work(lua, 16)?;
    if packed.len() > control.memory_left(lua) {
        return Err(text(lua, "not enough memory"));
    }
    let table = match value {
        Value::Table(table) if depth < PACK_DEPTH_MAX => table,
        value => {
            push_scalar(value, packed);
            return Ok(());
        }
    };
    let (count, is_array) = shape_of(lua, control, table)?;
    if is_array {
        push_head(packed, count, 0x90, 0xdc);
        for index in 1..=count {
            push_value(lua, control, &table.raw_get(index)?, depth + 1, packed)?;
        }
    } else {
        push_head(packed, count, 0x80, 0xde);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            push_value(lua, control, &key, depth + 1, packed)?;
            push_value(lua, control, &value, depth + 1, packed)?;
        }
    }
    Ok(())
}

/// How many entries a table has, and whether their keys are the numbers from 1 to that.
fn shape_of(lua: &Lua, control: &Rc<Control>, table: &Table) -> mlua::Result<(usize, bool)> {
    let mut count = 0;
    let mut is_array = true;
    let mut max = 0.0_f64;
    for pair in table.pairs::<Value, Value>() {
        control.work(lua, 8)?;
        let (key, _) = pair?;
        match number_in(&key) {
            Some(index) if index > 0.0 && index.fract() == 0.0 && index <= f64::from(i32::MAX) => {
                max = max.max(index);
            }
            _ => is_array = false,
        }
        count += 1;
    }
    Ok((count, is_array && truncated(max) == i64::try_from(count).unwrap_or(i64::MAX)))
}

/// The head of an array or a map: `short` is the code for up to 15, `long` that for 16 bits.
fn push_head(packed: &mut Vec<u8>, count: usize, short: u8, long: u8) {
    if let Ok(count) = u8::try_from(count)
        && count <= 15
    {
        packed.push(short | count);
    } else if let Ok(count) = u16::try_from(count) {
        packed.push(long);
        packed.extend_from_slice(&count.to_be_bytes());
    } else {
        let count = u32::try_from(count).expect("a table has fewer elements");
        packed.push(long + 1);
        packed.extend_from_slice(&count.to_be_bytes());
    }
}

fn push_scalar(value: &Value, packed: &mut Vec<u8>) {
    match value {
        Value::String(string) => push_string(&string.as_bytes(), packed),
        Value::Boolean(value) => packed.push(if *value { 0xc3 } else { 0xc2 }),
        value => match number_in(value) {
            Some(number) => push_number(number, packed),
            // Functions and the like, and tables too deep down.
            None => packed.push(0xc0),
        },
    }
}

fn push_string(string: &[u8], packed: &mut Vec<u8>) {
    if let Ok(len) = u8::try_from(string.len()) {
        if len < 32 {
            packed.push(0xa0 | len);
        } else {
            packed.extend_from_slice(&[0xd9, len]);
        }
    } else if let Ok(len) = u16::try_from(string.len()) {
        packed.push(0xda);
        packed.extend_from_slice(&len.to_be_bytes());
    } else {
        let len = u32::try_from(string.len()).expect("strings of Lua's are bounded by its memory");
        packed.push(0xdb);
        packed.extend_from_slice(&len.to_be_bytes());
    }
    packed.extend_from_slice(string);
}

fn push_number(number: f64, packed: &mut Vec<u8>) {
    let is_integer = number.fract() == 0.0
        && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if is_integer {
        return push_integer(truncated(number), packed);
    }
    let single = to_single(number);
    if f64::from(single).to_bits() == number.to_bits() {
        packed.push(0xca);
        packed.extend_from_slice(&single.to_be_bytes());
    } else {
        packed.push(0xcb);
        packed.extend_from_slice(&number.to_be_bytes());
    }
}

#[expect(clippy::cast_possible_truncation, reason = "to see whether anything is lost")]
const fn to_single(number: f64) -> f32 {
    number as f32
}

/// In the fewest bytes.
fn push_integer(integer: i64, packed: &mut Vec<u8>) {
    let bytes = integer.to_be_bytes();
    match integer {
        -32..=0x7f => packed.push(bytes[7]),
        0x80..=0xff => packed.extend_from_slice(&[0xcc, bytes[7]]),
        0x100..=0xffff => push_coded(packed, 0xcd, &bytes[6..]),
        0x1_0000..=0xffff_ffff => push_coded(packed, 0xce, &bytes[4..]),
        0x1_0000_0000.. => push_coded(packed, 0xcf, &bytes),
        -0x80..=-33 => push_coded(packed, 0xd0, &bytes[7..]),
        -0x8000..=-0x81 => push_coded(packed, 0xd1, &bytes[6..]),
        -0x8000_0000..=-0x8001 => push_coded(packed, 0xd2, &bytes[4..]),
        _ => push_coded(packed, 0xd3, &bytes),
    }
}

fn push_coded(packed: &mut Vec<u8>, code: u8, bytes: &[u8]) {
    packed.push(code);
    packed.extend_from_slice(bytes);
}

/// Why bytes are no values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Malformed {
    Truncated,
    UnknownCode,
}

impl Malformed {
    const fn message(self) -> &'static str {
        match self {
            Self::Truncated => "Missing bytes in input.",
            Self::UnknownCode => "Bad data format in input.",
        }
    }
}

/// One value, or the head of one.
enum Item<'a> {
    Nil,
    Boolean(bool),
    Number(f64),
    String(&'a [u8]),
    Array(u32),
    Map(u32),
}

/// A table being filled.
struct Open {
    table: Table,
    left: u64,
    index: usize,
    is_array: bool,
    key: Option<Value>,
}

/// Unpacks all of `data`; or, of `part`, at most so many values from an offset on, and then returns where
/// the next begins before them (-1 at the end).
fn unpack(
    lua: &Lua,
    control: &Rc<Control>,
    data: &[u8],
    part: Option<(i64, i64)>,
) -> mlua::Result<MultiValue> {
    let (limit, offset) = part.unwrap_or((i64::MAX, 0));
    if limit < 0 || offset < 0 {
        return Err(text(
            lua,
            format!(
                "Invalid request to unpack with offset of {offset} and limit of {}.",
                data.len()
            ),
        ));
    }
    let Some(mut rest) = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)) else {
        let len = data.len();
        return Err(text(lua, format!("Start offset {offset} greater than input length {len}.")));
    };
    let mut values = MultiValue::new();
    let mut count = 0;
    while !rest.is_empty() && count < limit {
        if values.len() >= RESULTS_MAX {
            return Err(text(
                lua,
                "stack overflow (too many return values at once; use unpack_one or unpack_limit \
                 instead.)",
            ));
        }
        values.push_back(unpack_one(lua, control, &mut rest)?);
        count += 1;
    }
    if part.is_some() {
        let next = if rest.is_empty() { -1.0 } else { length_as_number(data.len() - rest.len()) };
        values.push_front(Value::Number(next));
    }
    Ok(values)
}

#[expect(clippy::cast_precision_loss, reason = "Lua's strings are far shorter")]
const fn length_as_number(len: usize) -> f64 {
    len as f64
}

fn unpack_one(lua: &Lua, control: &Rc<Control>, rest: &mut &[u8]) -> mlua::Result<Value> {
    let mut open: Vec<Open> = Vec::new();
    loop {
        control.work(lua, 16)?;
        let item = next_item(rest).map_err(|problem| text(lua, problem.message()))?;
        let mut value = match item {
            Item::Nil => Value::Nil,
            Item::Boolean(value) => Value::Boolean(value),
            Item::Number(number) => Value::Number(number),
            Item::String(bytes) => Value::String(lua.create_string(bytes)?),
            Item::Array(_) | Item::Map(_) => {
                if open.len() >= UNPACK_DEPTH_MAX {
                    return Err(text(lua, "stack overflow (values nest too deeply)"));
                }
                let (left, is_array) = match item {
                    Item::Map(len) => (2 * u64::from(len), false),
                    Item::Array(len) => (u64::from(len), true),
                    _ => (0, true),
                };
                let table = lua.create_table()?;
                if left == 0 {
                    Value::Table(table)
                } else {
                    open.push(Open { table, left, index: 0, is_array, key: None });
                    continue;
                }
            }
        };
        loop {
            let Some(innermost) = open.last_mut() else { return Ok(value) };
            innermost.add(lua, value)?;
            if innermost.left > 0 {
                break;
            }
            value = Value::Table(open.pop().expect("it is the innermost").table);
        }
    }
}

impl Open {
    fn add(&mut self, lua: &Lua, value: Value) -> mlua::Result<()> {
        self.left -= 1;
        if self.is_array {
            self.index += 1;
            return self.table.raw_set(self.index, value);
        }
        match self.key.take() {
            None => {
                self.key = Some(value);
                Ok(())
            }
            Some(Value::Nil) => Err(text(lua, "table index is nil")),
            Some(key) if number_in(&key).is_some_and(f64::is_nan) => {
                Err(text(lua, "table index is NaN"))
            }
            Some(key) => self.table.raw_set(key, value),
        }
    }
}

fn next_item<'a>(rest: &mut &'a [u8]) -> Result<Item<'a>, Malformed> {
    let [code] = take(rest)?;
    Ok(match code {
        0x00..=0x7f => Item::Number(f64::from(code)),
        0x80..=0x8f => Item::Map(u32::from(code & 15)),
        0x90..=0x9f => Item::Array(u32::from(code & 15)),
        0xa0..=0xbf => Item::String(take_bytes(rest, u32::from(code & 31))?),
        0xc0 => Item::Nil,
        0xc2 => Item::Boolean(false),
        0xc3 => Item::Boolean(true),
        0xca => Item::Number(f64::from(f32::from_be_bytes(take(rest)?))),
        0xcb => Item::Number(f64::from_be_bytes(take(rest)?)),
        0xcc => Item::Number(f64::from(u8::from_be_bytes(take(rest)?))),
        0xcd => Item::Number(f64::from(u16::from_be_bytes(take(rest)?))),
        0xce => Item::Number(f64::from(u32::from_be_bytes(take(rest)?))),
        0xcf => Item::Number(unsigned_as_number(u64::from_be_bytes(take(rest)?))),
        0xd0 => Item::Number(f64::from(i8::from_be_bytes(take(rest)?))),
        0xd1 => Item::Number(f64::from(i16::from_be_bytes(take(rest)?))),
        0xd2 => Item::Number(f64::from(i32::from_be_bytes(take(rest)?))),
        0xd3 => Item::Number(signed_as_number(i64::from_be_bytes(take(rest)?))),
        0xd9 => {
            let len = u8::from_be_bytes(take(rest)?);
            Item::String(take_bytes(rest, u32::from(len))?)
        }
        0xda => {
            let len = u16::from_be_bytes(take(rest)?);
            Item::String(take_bytes(rest, u32::from(len))?)
        }
        0xdb => {
            let len = u32::from_be_bytes(take(rest)?);
            Item::String(take_bytes(rest, len)?)
        }
        0xdc => Item::Array(u32::from(u16::from_be_bytes(take(rest)?))),
        0xdd => Item::Array(u32::from_be_bytes(take(rest)?)),
        0xde => Item::Map(u32::from(u16::from_be_bytes(take(rest)?))),
        0xdf => Item::Map(u32::from_be_bytes(take(rest)?)),
        0xe0..=0xff => Item::Number(f64::from(code.cast_signed())),
        _ => return Err(Malformed::UnknownCode),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
    *rest = after;
    Ok(*bytes)
}

fn take_bytes<'a>(rest: &mut &'a [u8], len: u32) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(len).map_err(|_| Malformed::Truncated)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
    *rest = after;
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has no other numbers")]
const fn unsigned_as_number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has no other numbers")]
const fn signed_as_number(value: i64) -> f64 {
    value as f64
}
