//! Lua values to JSON.

use super::{InvalidNumbers, Options};
use crate::arguments::number_in;
use crate::arguments::type_name;
use crate::control::Control;
use crate::kept::Pairs;
use crate::library::number_text::format_general;
use crate::raised::text;
use mlua::{Lua, LuaString, Table, Value};
use std::rc::Rc;

/// A table being written.
enum Open {
    Array { table: Table, next: usize, len: usize },
    Object { pairs: Pairs, first: bool },
}

/// What a table is written as.
enum Shape {
    Array(usize),
    Object,
}

pub(super) fn encode(
    lua: &Lua,
    control: &Rc<Control>,
    options: &Options,
    value: &Value,
) -> mlua::Result<LuaString> {
    let mut json = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut current = Some(value.clone());
    loop {
        control.work(lua, 16)?;
        if json.len() > control.memory_left(lua) {
            return Err(text(lua, "not enough memory"));
        }
        if let Some(value) = current.take() {
            if let Value::Table(table) = value {
                let depth = open.len() + 1;
                if depth > options.encode_depth_max {
                    let problem = format!("Cannot serialise, excessive nesting ({depth})");
                    return Err(text(lua, problem));
                }
                open.push(match shape_of(lua, control, options, &table)? {
                    Shape::Array(len) => {
                        json.push(b'[');
                        Open::Array { table, next: 1, len }
                    }
                    Shape::Object => {
                        json.push(b'{');
                        Open::Object { pairs: control.pairs_of(table), first: true }
                    }
                });
            } else {
                push_scalar(lua, options, &value, &mut json)?;
            }
        }
        let Some(innermost) = open.last_mut() else { break };
        match innermost {
            Open::Array { next, len, .. } if *next > *len => {
                json.push(b']');
                open.pop();
            }
            Open::Array { table, next, .. } => {
                if *next > 1 {
                    json.push(b',');
                }
                current = Some(table.raw_get(*next)?);
                *next += 1;
            }
            Open::Object { pairs, first } => {
                if let Some((key, value)) = pairs.next()? {
                    if !std::mem::take(first) {
                        json.push(b',');
                    }
                    push_key(lua, options, &key, &mut json)?;
                    current = Some(value);
                } else {
                    json.push(b'}');
                    open.pop();
                }
            }
        }
    }
    lua.create_string(json)
}

/// An array if all keys are positive integers, and not too few of them for the largest.
fn shape_of(
    lua: &Lua,
    control: &Rc<Control>,
    options: &Options,
    table: &Table,
) -> mlua::Result<Shape> {
    let mut is_array = true;
    let (mut max, mut count) = (0.0_f64, 0.0_f64);
    for pair in table.pairs::<Value, Value>() {
        control.work(lua, 8)?;
        let (key, _) = pair?;
        match number_in(&key) {
            Some(number) if number >= 1.0 && number.fract() == 0.0 => {
                max = max.max(number);
                count += 1.0;
            }
            _ => is_array = false,
        }
    }
    if !is_array || count == 0.0 {
        return Ok(Shape::Object);
    }
    let ratio = as_number(options.sparse_ratio);
    if ratio > 0.0 && max > count * ratio && max > as_number(options.sparse_safe) {
        if !options.sparse_converts {
            return Err(cannot(lua, "table", "excessively sparse array"));
        }
        return Ok(Shape::Object);
    }
    let len = crate::arguments::truncated(max);
    Ok(Shape::Array(usize::try_from(len).expect("at least 1")))
}

#[expect(clippy::cast_precision_loss, reason = "at most 31 bits")]
const fn as_number(setting: i64) -> f64 {
    setting as f64
}

fn push_scalar(
    lua: &Lua,
    options: &Options,
    value: &Value,
    json: &mut Vec<u8>,
) -> mlua::Result<()> {
    match value {
        Value::String(string) => push_string(&string.as_bytes(), json),
        Value::Boolean(true) => json.extend_from_slice(b"true"),
        Value::Boolean(false) => json.extend_from_slice(b"false"),
        Value::Nil => json.extend_from_slice(b"null"),
        value if value.is_null() => json.extend_from_slice(b"null"),
        value => match number_in(value) {
            Some(number) => push_number(lua, options, number, json)?,
            None => return Err(cannot(lua, type_name(value), "type not supported")),
        },
    }
    Ok(())
}

fn push_key(lua: &Lua, options: &Options, key: &Value, json: &mut Vec<u8>) -> mlua::Result<()> {
    match key {
        Value::String(string) => push_string(&string.as_bytes(), json),
        key => {
            if let Some(number) = number_in(key) {
                json.push(b'"');
                push_number(lua, options, number, json)?;
                json.push(b'"');
            } else {
                let reason = "table key must be a number or string";
                return Err(cannot(lua, type_name(key), reason));
            }
        }
    }
    json.push(b':');
    Ok(())
}

fn push_number(lua: &Lua, options: &Options, number: f64, json: &mut Vec<u8>) -> mlua::Result<()> {
    if !number.is_finite() {
        match options.encode_invalid_numbers {
            InvalidNumbers::Refused => {
                return Err(cannot(lua, "number", "must not be NaN or Inf"));
            }
            InvalidNumbers::AsNull => {
                json.extend_from_slice(b"null");
                return Ok(());
            }
            InvalidNumbers::Written => {}
        }
    }
    json.extend_from_slice(format_general(number, options.precision).as_bytes());
    Ok(())
}

fn push_string(string: &[u8], json: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    json.push(b'"');
    for &byte in string {
        let escaped = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0..=0x1f | 0x7f => {
                json.extend_from_slice(b"\\u00");
                json.push(HEX[usize::from(byte >> 4)]);
                json.push(HEX[usize::from(byte & 15)]);
                continue;
            }
            _ => {
                json.push(byte);
                continue;
            }
        };
        json.extend_from_slice(&[b'\\', escaped]);
    }
    json.push(b'"');
}

fn cannot(lua: &Lua, kind: &str, reason: &str) -> mlua::Error {
    text(lua, format!("Cannot serialise {kind}: {reason}"))
}
