//! `redis.*`, which is `server.*` as well: what scripts ask the server.

use crate::arguments::Arguments;
use crate::arguments::number_in;
use crate::arguments::truncated;
use crate::control::{Control, Question};
use crate::host::Permission;
use crate::position;
use crate::raised::{Raised, reply};
use crate::{digest, to_lua};
use darter_base::float::format_f64;
use darter_base::number::format_i64;
use darter_resp::Protocol;
use mlua::{Function, Lua, Table, Value};
use std::rc::Rc;

/// How scripts are told which server runs them.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `redis.REDIS_VERSION`, three numbers with points between.
    pub redis_version: &'static str,
    /// `redis.VALKEY_VERSION`, likewise.
    pub valkey_version: &'static str,
    /// `redis.SERVER_NAME`
    pub server_name: &'static str,
}

/// An error table with the position, as the function that handles errors of whole scripts sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) line: Vec<u8>,
    pub(crate) counted: bool,
    pub(crate) position: Option<(String, usize)>,
}

/// Puts the tables `api`, `eval_api` and `loading_api` into `native`.
pub(crate) fn install(lua: &Lua, control: &Rc<Control>, native: &Table) -> mlua::Result<()> {
    let api = lua.create_table()?;
    let calls = Rc::clone(control);
    api.raw_set(
        "call",
        lua.create_function(move |lua, args: Arguments| call(lua, &calls, &args, true))?,
    )?;
    let calls = Rc::clone(control);
    api.raw_set(
        "pcall",
        lua.create_function(move |lua, args: Arguments| call(lua, &calls, &args, false))?,
    )?;
    api.raw_set(
        "error_reply",
        lua.create_function(|lua, args: Arguments| error_reply(lua, &args))?,
    )?;
    api.raw_set(
        "status_reply",
        lua.create_function(|lua, args: Arguments| status_reply(lua, &args))?,
    )?;
    api.raw_set("sha1hex", lua.create_function(|lua, args: Arguments| sha1hex(lua, &args))?)?;
    let asks = Rc::clone(control);
    api.raw_set(
        "setresp",
        lua.create_function(move |_, args: Arguments| set_protocol(&asks, &args))?,
    )?;
    let asks = Rc::clone(control);
    api.raw_set(
        "set_repl",
        lua.create_function(move |_, args: Arguments| set_replication(&asks, &args))?,
    )?;
    let asks = Rc::clone(control);
    api.raw_set(
        "acl_check_cmd",
        lua.create_function(move |_, args: Arguments| check_permission(&asks, &args))?,
    )?;
    for (name, flags) in [("NONE", 0), ("AOF", 1), ("SLAVE", 2), ("REPLICA", 2), ("ALL", 3)] {
        api.raw_set(format!("REPL_{name}"), flags)?;
    }
    let loading_api = lua.create_table()?;
    for table in [&api, &loading_api] {
        let asks = Rc::clone(control);
        table.raw_set(
            "log",
            lua.create_function(move |lua, args: Arguments| log(lua, &asks, &args))?,
        )?;
        for (level, name) in ["DEBUG", "VERBOSE", "NOTICE", "WARNING"].iter().enumerate() {
            table.raw_set(format!("LOG_{name}"), level)?;
        }
        let identity = &control.identity;
        table.raw_set("REDIS_VERSION", identity.redis_version)?;
        table.raw_set("REDIS_VERSION_NUM", version_number(identity.redis_version))?;
        table.raw_set("VALKEY_VERSION", identity.valkey_version)?;
        table.raw_set("VALKEY_VERSION_NUM", version_number(identity.valkey_version))?;
        table.raw_set("SERVER_NAME", identity.server_name)?;
    }
    for api in ["redis", "server"] {
        let registers = Rc::clone(control);
        native.raw_set(
            format!("register_as_{api}"),
            lua.create_function(move |_, args: Arguments| {
                crate::functions::register(&registers, &args, api)
            })?,
        )?;
    }
    let eval_api = lua.create_table()?;
    eval_api.raw_set("replicate_commands", lua.create_function(|_, _: Arguments| Ok(true))?)?;
    // There is no debugger: what talks to it does nothing.
    eval_api.raw_set("breakpoint", lua.create_function(|_, _: Arguments| Ok(false))?)?;
    eval_api.raw_set("debug", lua.create_function(|_, _: Arguments| Ok(()))?)?;
    native.raw_set("api", api)?;
    native.raw_set("eval_api", eval_api)?;
    native.raw_set("loading_api", loading_api)
}

/// The function Lua calls with an error that leaves a script, while its stack still stands.
pub(crate) fn failure_handler(lua: &Lua, control: &Rc<Control>) -> mlua::Result<Function> {
    let control = Rc::clone(control);
    lua.create_function(move |lua, error: Value| {
        let position = position::of_error(lua).map(|found| (found.source, found.line));
        let (line, counted) = line_of(&error)?;
        control.failure.replace(Some(Seen { line, counted, position }));
        Ok(())
    })
}

/// The same as scripts can call it: it completes an error table.
pub(crate) fn visible_failure_handler(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, error: Value| {
        let table = match error {
            Value::Table(table) => table,
            other => {
                let (line, _) = line_of(&other)?;
                let table = lua.create_table()?;
                table.raw_set("err", lua.create_string(line)?)?;
                table
            }
        };
        if let Some(found) = position::of_error(lua) {
            table.raw_set("source", found.source)?;
            table.raw_set("line", found.line)?;
        }
        Ok(table)
    })
}

/// The error line a value stands for that was raised, and whether it has been counted already.
pub(crate) fn line_of(error: &Value) -> mlua::Result<(Vec<u8>, bool)> {
    let with_code = |text: &[u8]| [b"ERR ", text].concat();
    Ok(match error {
        Value::Error(error) => match Raised::of(error) {
            Raised::Reply { line, counted } => (line, counted),
            Raised::Stopped(text) => (with_code(text.as_bytes()), false),
            Raised::Text(text) => (with_code(&text), false),
        },
        Value::Table(table) => {
            let line = match table.raw_get::<Value>("err")? {
                Value::String(line) => line.as_bytes().to_vec(),
                number @ (Value::Integer(_) | Value::Number(_)) => number.to_string()?.into_bytes(),
                _ => b"ERR unknown error".to_vec(),
            };
            let counted = table.raw_get::<Value>("ignore_error_stats_update")?;
            (line, counted == Value::Boolean(true))
        }
        Value::String(text) => (with_code(&text.as_bytes()), false),
        other => (with_code(other.to_string()?.as_bytes()), false),
    })
}

/// `redis.call` and `redis.pcall`.
fn call(lua: &Lua, control: &Rc<Control>, args: &[Value], raises: bool) -> mlua::Result<Value> {
    control.check_stopped()?;
    let failed = |raised: Raised| {
        if raises { Err(raised.into_error()) } else { raised.to_value(lua) }
    };
    control.errand.borrow_mut().begin(Question::Call);
    if let Err(message) = push_command(control, args) {
        let line = format!("ERR {message}").into_bytes();
        return failed(Raised::Reply { line, counted: false });
    }
    control.ask()?;
    control.check_stopped()?;
    let errand = control.errand.borrow();
    let gathered;
    let chunk = errand.output.first_chunk();
    let bytes = if chunk.len() == errand.output.len() {
        chunk
    } else {
        gathered = errand.output.to_vec();
        &gathered
    };
    if let [b'-', line @ ..] = bytes {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line).to_vec();
        return failed(Raised::Reply { line, counted: true });
    }
    let value = control.make(lua, bytes.len(), || to_lua::value_of(lua, bytes))?;
    Ok(value.unwrap_or(Value::Nil))
}

/// Takes a command's words from a script's arguments.
fn push_command(control: &Control, args: &[Value]) -> Result<(), &'static str> {
    let errand = &mut *control.errand.borrow_mut();
    if args.is_empty() {
        return Err("Please specify at least one argument for this call");
    }
    for arg in args {
        match arg {
            Value::String(string) => errand.push_arg(&string.as_bytes()),
            Value::Integer(integer) => errand.push_arg(&format_i64(*integer)),
            Value::Number(number) => match exact_integer(*number) {
                Some(integer) => errand.push_arg(&format_i64(integer)),
                None => errand.push_arg(&format_f64(*number)),
            },
            _ => return Err("Command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// `number` as an integer, if it is one and well inside of 64 bits.
fn exact_integer(number: f64) -> Option<i64> {
    const HALF: f64 = 4_611_686_018_427_387_904.0;
    let is_integer = number.fract() == 0.0 && (-HALF..=HALF).contains(&number);
    is_integer.then(|| truncated(number))
}

fn error_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let line = match args {
        [Value::String(text)] => error_line(&text.as_bytes()),
        _ => b"ERR wrong number or type of arguments".to_vec(),
    };
    table.raw_set("err", lua.create_string(line)?)?;
    Ok(table)
}

/// What `redis.error_reply(text)` answers: `text` begins with an error code, perhaps after a `-`; a single
/// word is no code.
fn error_line(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match text.iter().position(|byte| *byte == b' ') {
        Some(space) => {
            let (code, message) = (&text[..space], &text[space + 1..]);
            [code, b" ", without_line_ends(message)].concat()
        }
        None => [b"ERR ", text].concat(),
    }
}

fn without_line_ends(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

fn status_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    match args {
        [status @ Value::String(_)] => table.raw_set("ok", status)?,
        _ => table.raw_set("err", "ERR wrong number or type of arguments")?,
    }
    Ok(table)
}

fn sha1hex(lua: &Lua, args: &[Value]) -> mlua::Result<String> {
    let [value] = args else { return Err(reply("wrong number of arguments")) };
    let text = lua.coerce_string(value.clone())?;
    let digest = match text {
        Some(text) => digest::Digest::of(&text.as_bytes()),
        None => digest::Digest::of(b""),
    };
    Ok(digest.to_string())
}

fn set_protocol(control: &Control, args: &[Value]) -> mlua::Result<()> {
    let [version] = args else {
        return Err(reply("server.setresp() requires one argument."));
    };
    let protocol = match number_in(version).map(truncated) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return Err(reply("RESP version must be 2 or 3.")),
    };
    control.protocol.set(protocol);
    Ok(())
}

fn set_replication(control: &Control, args: &[Value]) -> mlua::Result<()> {
    let [flags] = args else {
        return Err(reply("server.set_repl() requires one argument."));
    };
    let flags = number_in(flags).map_or(0, truncated);
    let Some(flags) = u8::try_from(flags).ok().filter(|flags| *flags <= 3) else {
        let names = "REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE";
        return Err(reply(&format!("Invalid replication flags. Use {names}.")));
    };
    control.errand.borrow_mut().begin(Question::SetReplication(flags));
    control.ask()
}

fn check_permission(control: &Control, args: &[Value]) -> mlua::Result<bool> {
    control.errand.borrow_mut().begin(Question::Permission);
    push_command(control, args).map_err(reply)?;
    control.ask()?;
    match control.errand.borrow_mut().permission.take() {
        Some(Permission::Allowed) => Ok(true),
        Some(Permission::UnknownCommand) => {
            Err(reply("Invalid command passed to server.acl_check_cmd()"))
        }
        Some(Permission::Denied) | None => Ok(false),
    }
}

fn log(lua: &Lua, control: &Control, args: &[Value]) -> mlua::Result<()> {
    let [level, pieces @ ..] = args else {
        return Err(reply("server.log() requires two arguments or more."));
    };
    if pieces.is_empty() {
        return Err(reply("server.log() requires two arguments or more."));
    }
    let Some(level) = lua.coerce_number(level.clone())? else {
        return Err(reply("First argument must be a number (log level)."));
    };
    let Some(level) = u8::try_from(truncated(level)).ok().filter(|level| *level <= 3) else {
        return Err(reply("Invalid log level."));
    };
    let mut message = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        if let Some(text) = lua.coerce_string(piece.clone())? {
            if index > 0 {
                message.push(b' ');
            }
            message.extend_from_slice(&text.as_bytes());
        }
    }
    let mut errand = control.errand.borrow_mut();
    errand.begin(Question::Log(level));
    errand.bytes = message;
    drop(errand);
    control.ask()
}

/// Three numbers with points between, a byte each in one number.
fn version_number(version: &str) -> u32 {
    let mut number = 0;
    for part in version.split('.').take(3) {
        number = number << 8 | u32::from(part.parse::<u8>().unwrap_or(0));
    }
    number
}
