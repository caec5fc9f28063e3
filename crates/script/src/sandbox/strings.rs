//! The functions of `string` that can take for ever: those with patterns, and `rep`.

use crate::arguments::{
    Arguments, number_argument, optional_integer, string_argument, truncated, type_name,
};
use crate::control::Control;
use crate::pattern::{Capture, Matcher, Problem};
use crate::raised::{bad_argument, text};
use memchr::memmem;
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// Longest string `string.rep` makes, in bytes; the memory budget is usually below.
const REPEATED_BYTES_MAX: usize = 1 << 30;

pub(super) fn functions(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let shared = Rc::clone(control);
    table.raw_set("rep", lua.create_function(move |lua, args| repeat(lua, &shared, &args))?)?;
    let shared = Rc::clone(control);
    table.raw_set(
        "find",
        lua.create_function(move |lua, args| find(lua, &shared, &args, "find"))?,
    )?;
    let shared = Rc::clone(control);
    table.raw_set(
        "match",
        lua.create_function(move |lua, args| find(lua, &shared, &args, "match"))?,
    )?;
    let shared = Rc::clone(control);
    let gmatch = lua.create_function(move |lua, args| each_match(lua, &shared, &args))?;
    table.raw_set("gmatch", &gmatch)?;
    table.raw_set("gfind", &gmatch)?;
    let shared = Rc::clone(control);
    table
        .raw_set("gsub", lua.create_function(move |lua, args| substitute(lua, &shared, &args))?)?;
    Ok(table)
}

fn repeat(lua: &Lua, control: &Rc<Control>, args: &Arguments) -> mlua::Result<LuaString> {
    let piece = string_argument(lua, args, 0, "rep")?;
    let times = truncated(number_argument(lua, args, 1, "rep")?).max(0);
    let piece = piece.as_bytes();
    let bytes = usize::try_from(times).ok().and_then(|times| times.checked_mul(piece.len()));
    let Some(bytes) = bytes.filter(|bytes| *bytes <= REPEATED_BYTES_MAX) else {
        return Err(text(lua, "resulting string too large"));
    };
    if bytes == 0 {
        return lua.create_string(b"");
    }
    // Lua needs as many bytes again: it refuses before they are all written here.
    if bytes > control.memory_left(lua) {
        return Err(text(lua, "not enough memory"));
    }
    control.work(lua, u32::try_from(bytes / 16).unwrap_or(u32::MAX))?;
    lua.create_string(piece.repeat(bytes / piece.len()))
}

/// `string.find` and `string.match`.
fn find(
    lua: &Lua,
    control: &Rc<Control>,
    args: &Arguments,
    function: &str,
) -> mlua::Result<MultiValue> {
    let source = string_argument(lua, args, 0, function)?;
    let pattern = string_argument(lua, args, 1, function)?;
    let (source, pattern) = (source.as_bytes(), pattern.as_bytes());
    let start = start_of(optional_integer(lua, args, 2, function, 1)?, source.len());
    let finds = function == "find";
    if finds {
        let is_plain =
            args.get(3).is_some_and(|plain| !matches!(plain, Value::Nil | Value::Boolean(false)));
        if is_plain || !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte)) {
            control.work(lua, u32::try_from((source.len() - start) / 4).unwrap_or(u32::MAX))?;
            let mut found = MultiValue::new();
            match memmem::find(&source[start..], &pattern) {
                Some(offset) => {
                    found.push_back(index_value(start + offset + 1));
                    found.push_back(index_value(start + offset + pattern.len()));
                }
                None => found.push_back(Value::Nil),
            }
            return Ok(found);
        }
    }
    let (anchored, pattern) = split_anchor(&pattern);
    let mut matcher = Matcher::new(&source, pattern);
    let mut at = start;
    loop {
        let end = run(lua, control, &mut matcher, at)?;
        if let Some(end) = end {
            let mut found = MultiValue::new();
            if finds {
                found.push_back(index_value(at + 1));
                found.push_back(index_value(end));
                push_captures(lua, &matcher, None, &mut found)?;
            } else {
                push_captures(lua, &matcher, Some((at, end)), &mut found)?;
            }
            return Ok(found);
        }
        at += 1;
        if anchored || at > source.len() {
            return Ok(MultiValue::from_vec(vec![Value::Nil]));
        }
    }
}

fn each_match(lua: &Lua, control: &Rc<Control>, args: &Arguments) -> mlua::Result<Function> {
    let source = string_argument(lua, args, 0, "gmatch")?;
    let pattern = string_argument(lua, args, 1, "gmatch")?;
    let control = Rc::clone(control);
    let position = Cell::new(0);
    lua.create_function(move |lua, _: Arguments| {
        let (source, pattern) = (source.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(&source, &pattern);
        let mut at = position.get();
        while at <= source.len() {
            if let Some(end) = run(lua, &control, &mut matcher, at)? {
                position.set(if end == at { end + 1 } else { end });
                let mut found = MultiValue::new();
                push_captures(lua, &matcher, Some((at, end)), &mut found)?;
                return Ok(found);
            }
            at += 1;
        }
        position.set(source.len() + 1);
        Ok(MultiValue::from_vec(vec![Value::Nil]))
    })
}

fn substitute(
    lua: &Lua,
    control: &Rc<Control>,
    args: &Arguments,
) -> mlua::Result<(LuaString, i64)> {
    let source = string_argument(lua, args, 0, "gsub")?;
    let pattern = string_argument(lua, args, 1, "gsub")?;
    let replacement = match args.get(2) {
        Some(value @ (Value::Integer(_) | Value::Number(_))) => {
            Value::String(lua.coerce_string(value.clone())?.expect("a number has a text"))
        }
        Some(value @ (Value::String(_) | Value::Table(_) | Value::Function(_))) => value.clone(),
        _ => return Err(bad_argument(lua, 3, "gsub", "string/function/table expected")),
    };
    let (source, pattern) = (source.as_bytes(), pattern.as_bytes());
    let count_max = match args.get(3) {
        None | Some(Value::Nil) => i64::MAX,
        Some(_) => truncated(number_argument(lua, args, 3, "gsub")?),
    };
    let (anchored, pattern) = split_anchor(&pattern);
    let mut matcher = Matcher::new(&source, pattern);
    let mut result = Vec::new();
    let (mut at, mut count) = (0, 0);
    while count < count_max {
        let end = run(lua, control, &mut matcher, at)?;
        if let Some(end) = end {
            count += 1;
            replace(lua, &matcher, &replacement, (at, end), &mut result)?;
            if result.len() > control.memory_left(lua) {
                return Err(text(lua, "not enough memory"));
            }
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < source.len() => {
                result.push(source[at]);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
    }
    result.extend_from_slice(&source[at..]);
    Ok((lua.create_string(result)?, count))
}

/// Writes what replaces the match `whole`.
fn replace(
    lua: &Lua,
    matcher: &Matcher<'_>,
    replacement: &Value,
    whole: (usize, usize),
    result: &mut Vec<u8>,
) -> mlua::Result<()> {
    let value = match replacement {
        Value::String(template) => {
            return fill(lua, matcher, &template.as_bytes(), whole, result);
        }
        Value::Table(table) => table.get::<Value>(capture_value(lua, matcher, 0, Some(whole))?)?,
        Value::Function(function) => {
            let mut captures = MultiValue::new();
            push_captures(lua, matcher, Some(whole), &mut captures)?;
            function.call::<Value>(captures)?
        }
        _ => Value::Nil,
    };
    match value {
        Value::Nil | Value::Boolean(false) => {
            result.extend_from_slice(&matcher.source()[whole.0..whole.1]);
        }
        Value::String(string) => result.extend_from_slice(&string.as_bytes()),
        number @ (Value::Integer(_) | Value::Number(_)) => {
            let string = lua.coerce_string(number)?.expect("a number has a text");
            result.extend_from_slice(&string.as_bytes());
        }
        other => {
            let problem = format!("invalid replacement value (a {})", type_name(&other));
            return Err(text(lua, problem));
        }
    }
    Ok(())
}

/// Writes `template` with `%0` to `%9` replaced by captures.
fn fill(
    lua: &Lua,
    matcher: &Matcher<'_>,
    template: &[u8],
    whole: (usize, usize),
    result: &mut Vec<u8>,
) -> mlua::Result<()> {
    let mut bytes = template.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            result.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => result.extend_from_slice(&matcher.source()[whole.0..whole.1]),
            Some(&digit @ b'1'..=b'9') => {
                let value = capture_value(lua, matcher, usize::from(digit - b'1'), Some(whole))?;
                let string = lua.coerce_string(value)?.expect("a capture has a text");
                result.extend_from_slice(&string.as_bytes());
            }
            Some(&other) => result.push(other),
            None => {}
        }
    }
    Ok(())
}

fn run(
    lua: &Lua,
    control: &Rc<Control>,
    matcher: &mut Matcher<'_>,
    at: usize,
) -> mlua::Result<Option<usize>> {
    let mut failure = None;
    let result = matcher.match_at(at, &mut |steps| match control.work(lua, steps) {
        Ok(()) => true,
        Err(error) => {
            failure = Some(error);
            false
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    result.map_err(|problem| match problem {
        Problem::Interrupted => text(lua, "interrupted"),
        Problem::Malformed(message) => text(lua, message),
    })
}

/// Every capture, or the whole match if there is none and `whole` says where it is.
fn push_captures(
    lua: &Lua,
    matcher: &Matcher<'_>,
    whole: Option<(usize, usize)>,
    values: &mut MultiValue,
) -> mlua::Result<()> {
    let count =
        if matcher.captures().is_empty() && whole.is_some() { 1 } else { matcher.captures().len() };
    for index in 0..count {
        values.push_back(capture_value(lua, matcher, index, whole)?);
    }
    Ok(())
}

fn capture_value(
    lua: &Lua,
    matcher: &Matcher<'_>,
    index: usize,
    whole: Option<(usize, usize)>,
) -> mlua::Result<Value> {
    match (matcher.captures().get(index), whole) {
        (Some(Capture::Range(start, end)), _) => {
            Ok(Value::String(lua.create_string(&matcher.source()[*start..*end])?))
        }
        (Some(Capture::Position(at)), _) => Ok(index_value(at + 1)),
        (Some(Capture::Open(_)), _) => Err(text(lua, "unfinished capture")),
        (None, Some((start, end))) if index == 0 => {
            Ok(Value::String(lua.create_string(&matcher.source()[start..end])?))
        }
        (None, _) => Err(text(lua, "invalid capture index")),
    }
}

/// Where a search begins: `position` counts from 1, or from the end when negative.
fn start_of(position: i64, len: usize) -> usize {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let start = if position < 0 { len.saturating_add(position) } else { position - 1 };
    usize::try_from(start.clamp(0, len)).expect("within the string")
}

fn split_anchor(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Lua's numbers are doubles; strings are far shorter"
)]
fn index_value(index: usize) -> Value {
    Value::Number(index as f64)
}
