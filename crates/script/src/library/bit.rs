//! `bit`: operations on 32-bit integers. (`Lua BitOp`, <https://bitop.luajit.org/semantics.html>)

use crate::arguments::Arguments;
use crate::arguments::number_argument;
use mlua::{Lua, Table, Value};

pub(crate) fn functions(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set(
        "tobit",
        lua.create_function(|lua, args: Arguments| result(bits(lua, &args, 0, "tobit")?))?,
    )?;
    table.raw_set(
        "bnot",
        lua.create_function(|lua, args: Arguments| result(!bits(lua, &args, 0, "bnot")?))?,
    )?;
    table.raw_set(
        "bswap",
        lua.create_function(|lua, args: Arguments| {
            result(bits(lua, &args, 0, "bswap")?.swap_bytes())
        })?,
    )?;
    fold(lua, &table, "band", |a, b| a & b)?;
    fold(lua, &table, "bor", |a, b| a | b)?;
    fold(lua, &table, "bxor", |a, b| a ^ b)?;
    shift(lua, &table, "lshift", |bits, count| bits << count)?;
    shift(lua, &table, "rshift", |bits, count| bits >> count)?;
    shift(lua, &table, "arshift", |bits, count| (bits.cast_signed() >> count).cast_unsigned())?;
    shift(lua, &table, "rol", u32::rotate_left)?;
    shift(lua, &table, "ror", u32::rotate_right)?;
    table.raw_set("tohex", lua.create_function(|lua, args: Arguments| to_hex(lua, &args))?)?;
    Ok(table)
}

fn fold(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    operation: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, args: Arguments| {
        let mut folded = bits(lua, &args, 0, name)?;
        for index in 1..args.len() {
            folded = operation(folded, bits(lua, &args, index, name)?);
        }
        result(folded)
    })?;
    table.raw_set(name, function)
}

fn shift(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    operation: fn(u32, u32) -> u32,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, args: Arguments| {
        let value = bits(lua, &args, 0, name)?;
        let count = bits(lua, &args, 1, name)?;
        result(operation(value, count & 31))
    })?;
    table.raw_set(name, function)
}

fn to_hex(lua: &Lua, args: &[Value]) -> mlua::Result<String> {
    let value = bits(lua, args, 0, "tohex")?;
    let digits = match args.get(1) {
        None => 8,
        Some(_) => bits(lua, args, 1, "tohex")?.cast_signed(),
    };
    let count = usize::try_from(digits.unsigned_abs().min(8)).expect("at most 8");
    let hex = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    Ok(hex[8 - count..].to_owned())
}

/// A number's low 32 bits, rounded to the nearest integer first.
fn bits(lua: &Lua, args: &[Value], index: usize, function: &str) -> mlua::Result<u32> {
    let number = number_argument(lua, args, index, function)?;
    // Adding 2^52 + 2^51 leaves the integer in the low bits of the sum's representation.
    let sum = number + 6_755_399_441_055_744.0;
    Ok(u32::try_from(sum.to_bits() & 0xffff_ffff).expect("32 bits"))
}

#[expect(clippy::unnecessary_wraps, reason = "what the native functions return")]
fn result(bits: u32) -> mlua::Result<f64> {
    Ok(f64::from(bits.cast_signed()))
}
