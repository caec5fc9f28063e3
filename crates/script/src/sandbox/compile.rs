//! From a script's text to a function.

use crate::arguments::type_name;
use crate::raised::bad_argument;
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, Lua, MultiValue, Value};

/// Longest text that is compiled, in bytes: compiling cannot be interrupted, and takes about
/// 20 ms per megabyte.
pub(crate) const SOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Compiles `text` as the chunk `name` (`@` before a file's name, `=` before any other). Errs with Lua's
/// message.
pub(crate) fn compile(lua: &Lua, text: &[u8], name: &str) -> Result<Function, String> {
    if text.len() > SOURCE_BYTES_MAX {
        return Err(format!("chunk has too many bytes (limit is {SOURCE_BYTES_MAX})"));
    }
    // The compiler does not anchor the name, so that a collection in the wrong moment would free
    // it (CVE-2025-49844): it is kept alive as a Lua string here.
    let _anchor = lua.create_string(name).map_err(|error| error.to_string())?;
    let chunk = lua.load(text).set_name(name).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| message_of(&error))
}

/// `loadstring`: the function, or nil and a message.
pub(super) fn compile_argument(
    lua: &Lua,
    (text, name): (Value, Value),
) -> mlua::Result<MultiValue> {
    let Some(text) = lua.coerce_string(text.clone())? else {
        let problem = format!("string expected, got {}", type_name(&text));
        return Err(bad_argument(lua, 1, "loadstring", &problem));
    };
    let name = match lua.coerce_string(name)? {
        Some(name) => chunk_argument(&name.as_bytes()),
        None => "?".to_owned(),
    };
    let text = text.as_bytes();
    // Bytecode is not checked by Lua 5.1 and could do anything.
    let compiled = if text.first() == Some(&0x1b) {
        Err("attempt to load a binary chunk".to_owned())
    } else {
        compile(lua, &text, &name)
    };
    Ok(match compiled {
        Ok(function) => MultiValue::from_vec(vec![Value::Function(function)]),
        Err(message) => {
            let message = lua.create_string(message)?;
            MultiValue::from_vec(vec![Value::Nil, Value::String(message)])
        }
    })
}

/// A bound on what is shown of a chunk's name; Lua shows less.
const NAME_BYTES_MAX: usize = 256;

fn chunk_argument(name: &[u8]) -> String {
    let until_nul = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let shown = &until_nul[..until_nul.len().min(NAME_BYTES_MAX)];
    String::from_utf8_lossy(shown).into_owned()
}

fn message_of(error: &Error) -> String {
    match error {
        Error::SyntaxError { message, .. } => message.clone(),
        Error::WithContext { cause, .. } | Error::CallbackError { cause, .. } => message_of(cause),
        other => other.to_string(),
    }
}
