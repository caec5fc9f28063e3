//! Libraries of functions: what `redis.register_function` accepts.

use crate::control::Control;
use crate::flags::ScriptFlags;
use crate::kept::Kept;
use crate::raised::reply;
use mlua::{Function, Table, Value};

/// A function a library registered, compiled in one engine, which forgets it with this.
#[derive(Debug)]
pub struct LibraryFunction {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: ScriptFlags,
    pub(crate) callback: Kept,
}

/// `redis.register_function(name, callback)` or `redis.register_function{...}`; `api` is what the script
/// calls `redis`.
pub(crate) fn register(control: &Control, args: &[Value], api: &str) -> mlua::Result<()> {
    let mut loading = control.loading.borrow_mut();
    let this = format!("{api}.register_function");
    let Some(functions) = loading.as_mut() else {
        return Err(reply(&format!("{this} can only be called on FUNCTION LOAD command")));
    };
    let function = match args {
        [arguments] => named(control, arguments, &this)?,
        [name, callback] => positional(control, name, callback, &this)?,
        _ => return Err(reply(&format!("wrong number of arguments to {this}"))),
    };
    functions.push(function);
    Ok(())
}

fn positional(
    control: &Control,
    name: &Value,
    callback: &Value,
    this: &str,
) -> mlua::Result<LibraryFunction> {
    let Some(name) = text_of(name)? else {
        return Err(reply(&format!("first argument to {this} must be a string")));
    };
    let Value::Function(callback) = callback else {
        return Err(reply(&format!("second argument to {this} must be a function")));
    };
    let flags = ScriptFlags::default();
    let callback = control.callbacks.borrow_mut().keep(callback)?;
    Ok(LibraryFunction { name, description: None, flags, callback })
}

fn named(control: &Control, arguments: &Value, this: &str) -> mlua::Result<LibraryFunction> {
    let Value::Table(arguments) = arguments else {
        return Err(reply(&format!(
            "calling {this} with a single argument is only applicable to Lua table \
             (representing named arguments)."
        )));
    };
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in arguments.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text_of(&key)? else {
            return Err(reply(&format!("named argument key given to {this} is not a string")));
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => name = Some(required_text(&value, "function_name", this)?),
            b"description" => description = Some(required_text(&value, "description", this)?),
            b"callback" => {
                let Value::Function(function) = value else {
                    let problem = format!("callback argument given to {this} must be a function");
                    return Err(reply(&problem));
                };
                callback = Some(function);
            }
            b"flags" => {
                let Value::Table(names) = value else {
                    return Err(reply(&format!(
                        "flags argument to {this} must be a table representing function flags"
                    )));
                };
                flags = flags_of(&names)?;
            }
            _ => return Err(reply(&format!("unknown argument given to {this}"))),
        }
    }
    let missing = |what: &str| reply(&format!("{this} must get a {what} argument"));
    let name = name.ok_or_else(|| missing("function name"))?;
    let callback: Function = callback.ok_or_else(|| missing("callback"))?;
    let callback = control.callbacks.borrow_mut().keep(&callback)?;
    Ok(LibraryFunction { name, description, flags, callback })
}

fn required_text(value: &Value, argument: &str, this: &str) -> mlua::Result<Vec<u8>> {
    text_of(value)?
        .ok_or_else(|| reply(&format!("{argument} argument given to {this} must be a string")))
}

fn flags_of(names: &Table) -> mlua::Result<ScriptFlags> {
    let mut flags = ScriptFlags::default();
    for name in names.sequence_values::<Value>() {
        let flag = text_of(&name?)?.and_then(|name| ScriptFlags::named(&name, true));
        flags = flags.and(flag.ok_or_else(|| reply("unknown flag given"))?);
    }
    Ok(flags)
}

fn text_of(value: &Value) -> mlua::Result<Option<Vec<u8>>> {
    Ok(match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(_) | Value::Number(_) => Some(value.to_string()?.into_bytes()),
        _ => None,
    })
}
