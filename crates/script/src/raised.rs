//! What native functions raise, until something in Lua catches it.
//!
//! Rust cannot raise a Lua string or table: what it raises is an object of its own. Every function with
//! which a script can catch an error ([`crate::sandbox`] replaces them all) turns that object into what the
//! script is to see, or, when the script is being stopped, raises it again. So nothing catches a stop.

use crate::position;
use mlua::{Error, Lua, Value};
use std::fmt;

/// What Lua says when it runs out of memory.
const NO_MEMORY: &[u8] = b"not enough memory";

/// An error raised by a native function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    /// The script is being stopped.
    Stopped(&'static str),
    /// A table `{err = line}`, as commands that fail raise; `counted` if the server's statistics
    /// know of it already.
    Reply { line: Vec<u8>, counted: bool },
    /// A string.
    Text(Vec<u8>),
}

impl fmt::Display for Raised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(text) => formatter.write_str(text),
            Self::Reply { line: text, .. } | Self::Text(text) => {
                formatter.write_str(&String::from_utf8_lossy(text))
            }
        }
    }
}

impl std::error::Error for Raised {}

impl Raised {
    /// As the error of a native function.
    pub(crate) fn into_error(self) -> Error {
        Error::external(self)
    }

    /// What `error` was when it was raised.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => {
                Self::of(cause)
            }
            Error::MemoryError(_) => Self::Text(NO_MEMORY.to_vec()),
            Error::RuntimeError(text) => Self::Text(without_traceback(text).as_bytes().to_vec()),
            other => match other.downcast_ref::<Self>() {
                Some(raised) => raised.clone(),
                None => Self::Text(other.to_string().into_bytes()),
            },
        }
    }

    /// What a script that catches it sees.
    pub(crate) fn to_value(&self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Self::Stopped(_) => Err(self.clone().into_error()),
            Self::Text(text) => Ok(Value::String(lua.create_string(text)?)),
            Self::Reply { line, counted } => {
                let table = lua.create_table()?;
                table.raw_set("err", lua.create_string(line)?)?;
                if *counted {
                    table.raw_set("ignore_error_stats_update", true)?;
                }
                Ok(Value::Table(table))
            }
        }
    }
}

/// An error string with the caller's place in front, as `luaL_error` makes it.
pub(crate) fn text(lua: &Lua, message: impl AsRef<[u8]>) -> Error {
    let mut text = position::of_caller(lua).into_bytes();
    text.extend_from_slice(message.as_ref());
    Raised::Text(text).into_error()
}

/// An error table, as commands that fail raise. `message` has no error code.
pub(crate) fn reply(message: &str) -> Error {
    Raised::Reply { line: format!("ERR {message}").into_bytes(), counted: false }.into_error()
}

/// A function was called with something it cannot use.
pub(crate) fn bad_argument(lua: &Lua, index: usize, function: &str, problem: &str) -> Error {
    text(lua, format!("bad argument #{index} to '{function}' ({problem})"))
}

/// Whether what was raised says that there was no memory.
pub(crate) fn is_lack_of_memory(raised: &Value) -> bool {
    match raised {
        Value::String(text) => text.as_bytes() == NO_MEMORY,
        Value::Error(error) => matches!(Raised::of(error), Raised::Text(text) if text == NO_MEMORY),
        _ => false,
    }
}

fn without_traceback(text: &str) -> &str {
    text.split("\nstack traceback:").next().unwrap_or(text)
}
