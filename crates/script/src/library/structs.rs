//! `struct`: values to and from bytes by a format. (<http://www.inf.puc-rio.br/~roberto/struct/>, 0.2,
//! with the additional checks of Redis)

use crate::arguments::{
    Arguments, RESULTS_MAX, number_argument, optional_integer, string_argument, truncated,
};
use crate::control::Control;
use crate::raised::{bad_argument, text};
use mlua::{Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Largest integer, in bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// Alignment of `!` without a number.
const ALIGN_MAX: usize = 8;
/// Longest packed string, in bytes.
const PACKED_BYTES_MAX: usize = 512 * 1024 * 1024;

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
        lua.create_function(move |lua, args: Arguments| unpack(lua, &shared, &args))?,
    )?;
    table.raw_set("size", lua.create_function(|lua, args: Arguments| size(lua, &args))?)?;
    Ok(table)
}

/// A format being read.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    align: usize,
}

/// One option of a format and the size it has.
struct Choice {
    letter: u8,
    bytes: usize,
}

impl<'a> Format<'a> {
    /// It ends at a NUL, as in C.
    fn new(text: &'a [u8]) -> Self {
        let rest = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Self { rest, big_endian: false, align: 1 }
    }

    fn number(&mut self, lua: &Lua, default: usize) -> mlua::Result<usize> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut number = 0_usize;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            let digit = usize::from(digit - b'0');
            let max = i32::MAX.unsigned_abs() as usize;
            if number > max / 10 || number * 10 > max - digit {
                return Err(text(lua, "integral size overflow"));
            }
            number = number * 10 + digit;
            self.rest = rest;
        }
        Ok(number)
    }

    fn next(&mut self, lua: &Lua) -> mlua::Result<Option<Choice>> {
        let Some((&letter, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let bytes = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(lua, 1)?,
            b'i' | b'I' => {
                let bytes = self.number(lua, 4)?;
                if bytes > INTEGER_BYTES_MAX {
                    return Err(text(
                        lua,
                        format!(
                            "integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}"
                        ),
                    ));
                }
                bytes
            }
            _ => 0,
        };
        Ok(Some(Choice { letter, bytes }))
    }

    /// Bytes between `position` and where an option's value may begin.
    fn padding(&self, position: usize, choice: &Choice) -> usize {
        if choice.bytes == 0 || choice.letter == b'c' {
            return 0;
        }
        let size = choice.bytes.min(self.align);
        size.wrapping_sub(position & size.wrapping_sub(1)) & size.wrapping_sub(1)
    }

    /// An option that only changes how the others work.
    fn control(&mut self, lua: &Lua, letter: u8, function: &str) -> mlua::Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(lua, ALIGN_MAX)?;
                if !align.is_power_of_two() {
                    return Err(text(lua, format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {
                let problem = format!("invalid format option '{}'", char::from(letter));
                return Err(bad_argument(lua, 1, function, &problem));
            }
        }
        Ok(())
    }
}

fn pack(lua: &Lua, control: &Rc<Control>, args: &[Value]) -> mlua::Result<LuaString> {
    let format = string_argument(lua, args, 0, "pack")?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut packed = Vec::new();
    let mut position = 0_usize;
    let mut index = 1;
    while let Some(choice) = format.next(lua)? {
        control.work(lua, 8)?;
        let padding = format.padding(position, &choice);
        packed.resize(packed.len() + padding, 0);
        position += padding;
        let mut bytes = choice.bytes;
        match choice.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let number = number_argument(lua, args, index, "pack")?;
                index += 1;
                push_integer(&mut packed, number, bytes, format.big_endian);
            }
            b'x' => packed.push(0),
            b'f' => {
                let number = number_argument(lua, args, index, "pack")?;
                index += 1;
                let bytes = single(number).to_le_bytes();
                push_bytes(&mut packed, &bytes, format.big_endian);
            }
            b'd' => {
                let number = number_argument(lua, args, index, "pack")?;
                index += 1;
                push_bytes(&mut packed, &number.to_le_bytes(), format.big_endian);
            }
            b'c' | b's' => {
                let string = string_argument(lua, args, index, "pack")?;
                index += 1;
                let string = string.as_bytes();
                if bytes == 0 {
                    bytes = string.len();
                }
                let Some(part) = string.get(..bytes) else {
                    return Err(bad_argument(lua, index + 1, "pack", "string too short"));
                };
                packed.extend_from_slice(part);
                if choice.letter == b's' {
                    packed.push(0);
                    bytes += 1;
                }
            }
            letter => format.control(lua, letter, "pack")?,
        }
        position += bytes;
        if packed.len() > control.memory_left(lua).min(PACKED_BYTES_MAX) {
            return Err(text(lua, "not enough memory"));
        }
    }
    lua.create_string(packed)
}

fn unpack(lua: &Lua, control: &Rc<Control>, args: &[Value]) -> mlua::Result<MultiValue> {
    let format = string_argument(lua, args, 0, "unpack")?;
    let data = string_argument(lua, args, 1, "unpack")?;
    let start = optional_integer(lua, args, 2, "unpack", 1)?;
    let (format, data) = (format.as_bytes(), data.as_bytes());
    let mut format = Format::new(&format);
    let Some(mut position) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1))
    else {
        return Err(bad_argument(lua, 3, "unpack", "offset must be 1 or greater"));
    };
    let too_short = |lua: &Lua| bad_argument(lua, 2, "unpack", "data string too short");
    let mut values: Vec<Value> = Vec::new();
    while let Some(choice) = format.next(lua)? {
        control.work(lua, 8)?;
        position = position.saturating_add(format.padding(position, &choice));
        let mut bytes = choice.bytes;
        let end = position.checked_add(bytes).filter(|end| *end <= data.len());
        let end = end.ok_or_else(|| too_short(lua))?;
        if values.len() >= RESULTS_MAX {
            return Err(text(lua, "stack overflow (too many results)"));
        }
        let part = &data[position..end];
        match choice.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = choice.letter.is_ascii_lowercase();
                values.push(Value::Number(integer(part, format.big_endian, signed)));
            }
            b'x' => {}
            b'f' => {
                let bits = f32::from_le_bytes(ordered(part, format.big_endian));
                values.push(Value::Number(f64::from(bits)));
            }
            b'd' => {
                let number = f64::from_le_bytes(ordered(part, format.big_endian));
                values.push(Value::Number(number));
            }
            b'c' => {
                if bytes == 0 {
                    let size = match values.last() {
                        Some(size) => lua.coerce_number(size.clone())?,
                        None => None,
                    };
                    let Some(size) = size else {
                        return Err(text(lua, "format 'c0' needs a previous size"));
                    };
                    values.pop();
                    bytes = usize::try_from(truncated(size)).map_err(|_| too_short(lua))?;
                }
                let end = position.checked_add(bytes).filter(|end| *end <= data.len());
                let end = end.ok_or_else(|| too_short(lua))?;
                values.push(Value::String(lua.create_string(&data[position..end])?));
            }
            b's' => {
                let Some(len) = memchr::memchr(0, &data[position..]) else {
                    return Err(text(lua, "unfinished string in data"));
                };
                let string = &data[position..position + len];
                values.push(Value::String(lua.create_string(string)?));
                bytes = len + 1;
            }
            letter => format.control(lua, letter, "unpack")?,
        }
        position += bytes;
    }
    values.push(number_of(position + 1));
    Ok(MultiValue::from_vec(values))
}

fn size(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let format = string_argument(lua, args, 0, "size")?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut position = 0_usize;
    while let Some(choice) = format.next(lua)? {
        position = position.saturating_add(format.padding(position, &choice));
        if choice.letter == b's' {
            return Err(bad_argument(lua, 1, "size", "option 's' has no fixed size"));
        }
        if choice.letter == b'c' && choice.bytes == 0 {
            return Err(bad_argument(lua, 1, "size", "option 'c0' has no fixed size"));
        }
        if !choice.letter.is_ascii_alphanumeric() {
            format.control(lua, choice.letter, "size")?;
        }
        position = position.saturating_add(choice.bytes);
    }
    Ok(number_of(position))
}

/// The integer part of `number` in `bytes` bytes; those beyond 64 bits are zero.
fn push_integer(packed: &mut Vec<u8>, number: f64, bytes: usize, big_endian: bool) {
    let value = if number < 0.0 { truncated(number).cast_unsigned() } else { unsigned(number) };
    let start = packed.len();
    packed.extend((0..bytes).map(|index| value.to_le_bytes().get(index).copied().unwrap_or(0)));
    if big_endian {
        packed[start..].reverse();
    }
}

/// The integer in `part`: its last 64 bits, as C shifts them.
fn integer(part: &[u8], big_endian: bool, signed: bool) -> f64 {
    let shift_in = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if big_endian {
        part.iter().fold(0, shift_in)
    } else {
        part.iter().rev().fold(0, shift_in)
    };
    if !signed {
        return unsigned_as_number(value);
    }
    let value = match part.len() {
        0 => 0,
        bytes @ 1..8 => {
            let unused = 64 - 8 * u32::try_from(bytes).expect("below 8");
            (value << unused).cast_signed() >> unused
        }
        _ => value.cast_signed(),
    };
    signed_as_number(value)
}

fn push_bytes(packed: &mut Vec<u8>, bytes: &[u8], big_endian: bool) {
    let start = packed.len();
    packed.extend_from_slice(bytes);
    if big_endian {
        packed[start..].reverse();
    }
}

fn ordered<const N: usize>(part: &[u8], big_endian: bool) -> [u8; N] {
    let mut bytes: [u8; N] = part.try_into().expect("as many bytes as the option has");
    if big_endian {
        bytes.reverse();
    }
    bytes
}

#[expect(clippy::cast_possible_truncation, reason = "to single precision is what is asked for")]
const fn single(number: f64) -> f32 {
    number as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturating; not negative"
)]
const fn unsigned(number: f64) -> u64 {
    number as u64
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has no other numbers")]
const fn unsigned_as_number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has no other numbers")]
const fn signed_as_number(value: i64) -> f64 {
    value as f64
}

fn number_of(position: usize) -> Value {
    Value::Number(unsigned_as_number(position as u64))
}
