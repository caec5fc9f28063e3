//! Where in the script something happened.

use crate::sandbox;
use mlua::Lua;

/// A place in a script: the chunk's name as it was given (`@user_script`) and the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) source: String,
    pub(crate) line: usize,
}

/// `user_script:3: `, for the function that called the native one that asks; nothing when that is
/// not Lua.
pub(crate) fn of_caller(lua: &Lua) -> String {
    let place = lua.inspect_stack(1, |debug| {
        let line = debug.current_line()?;
        let source = debug.source();
        Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
    });
    place.flatten().unwrap_or_default()
}

/// Native functions, and Lua ones of the sandbox, between an error's handler and the script at most.
const LEVELS_MAX: usize = 6;

/// Where an error was raised, for a handler that is called with it: the function at its place, or the one
/// that called it if it is none of the script's.
pub(crate) fn of_error(lua: &Lua) -> Option<Position> {
    (1..LEVELS_MAX).find_map(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.as_deref().filter(|name| *name != sandbox::SOURCE)?;
            Some(Position { source: name.to_string(), line: debug.current_line()? })
        })
        .flatten()
    })
}
