//! Libraries of functions: what `redis.register_function` accepts.

use crate::control::Control;
use crate::flags::ScriptFlags;
use crate::raised::reply;
use mlua::{Function, Table, Value};

/// A function a library registered, compiled in one engine.
#[derive(Clone, Debug)]
pub struct LibraryFunction {
    pub name: Vec<u8>,
    pub description: Option<Vec<u8>>,
    pub flags: ScriptFlags,
    pub(crate) callback: Function,
}

/// `redis.register_function(name, callback)` or `redis.register_function{...}`.
pub(crate) fn register(control: &Control, args: &[Value]) -> mlua::Result<()> {
    let mut loading = control.loading.borrow_mut();
    let Some(functions) = loading.as_mut() else {
        let problem = "server.register_function can only be called on FUNCTION LOAD command";
        return Err(reply(problem));
    };
    let function = match args {
        [arguments] => named(arguments)?,
        [name, callback] => positional(name, callback)?,
        _ => return Err(reply("wrong number of arguments to server.register_function")),
    };
    functions.push(function);
    Ok(())
}

fn positional(name: &Value, callback: &Value) -> mlua::Result<LibraryFunction> {
    let Some(name) = text_of(name)? else {
        return Err(reply("first argument to server.register_function must be a string"));
    };
    let Value::Function(callback) = callback else {
        return Err(reply("second argument to server.register_function must be a function"));
    };
    let flags = ScriptFlags::default();
    Ok(LibraryFunction { name, description: None, flags, callback: callback.clone() })
}

fn named(arguments: &Value) -> mlua::Result<LibraryFunction> {
    let Value::Table(arguments) = arguments else {
        return Err(reply(
            "calling server.register_function with a single argument is only applicable to Lua table \
             (representing named arguments).",
        ));
    };
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in arguments.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = text_of(&key)? else {
            return Err(reply(
                "named argument key given to server.register_function is not a string",
            ));
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => name = Some(required_text(&value, "function_name")?),
            b"description" => description = Some(required_text(&value, "description")?),
            b"callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => {
                    return Err(reply(
                        "callback argument given to server.register_function must be a function",
                    ));
                }
            },
            b"flags" => match value {
                Value::Table(names) => flags = flags_of(&names)?,
                _ => {
                    return Err(reply(
                        "flags argument to server.register_function must be a table representing \
                         function flags",
                    ));
                }
            },
            _ => return Err(reply("unknown argument given to server.register_function")),
        }
    }
    let name =
        name.ok_or_else(|| reply("server.register_function must get a function name argument"))?;
    let callback =
        callback.ok_or_else(|| reply("server.register_function must get a callback argument"))?;
    Ok(LibraryFunction { name, description, flags, callback })
}

fn required_text(value: &Value, argument: &str) -> mlua::Result<Vec<u8>> {
    text_of(value)?.ok_or_else(|| {
        reply(&format!("{argument} argument given to server.register_function must be a string"))
    })
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
