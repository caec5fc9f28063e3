//! One Lua state and the scripts compiled in it.

use crate::api::{Identity, Seen, line_of};
use crate::control::Control;
use crate::digest::Digest;
use crate::flags::is_name;
use crate::functions::LibraryFunction;
use crate::host::{HOST, Host};
use crate::kept::{Kept, Shelf};
use crate::sandbox;
use crate::to_reply::{self, Fields};
use darter_resp::{Args, ReplyWriter};
use hashbrown::HashMap;
use mlua::{BString, Either, Function, Lua, LuaOptions, StdLib, Table, Value};
use std::fmt;
use std::rc::Rc;

/// What an engine may use, and what it says of the server.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes all Lua values together may take, compiled scripts included.
    pub memory_bytes_max: usize,
    /// Where `math.random` begins. Redis begins with 0.
    pub random_seed: i32,
    /// Which server scripts are told they run in.
    pub identity: Identity,
}

/// Why a script failed, as a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The error line, code included, without the leading `-`.
    pub line: Vec<u8>,
    /// Whether it is the error of a command that has been counted where that command ran.
    pub counted: bool,
}

impl ScriptError {
    fn new(line: impl Into<Vec<u8>>) -> Self {
        Self { line: line.into(), counted: false }
    }
}

/// Compiles and runs scripts. Belongs to one thread; scripts know nothing of one another.
pub struct Engine {
    lua: Lua,
    control: Rc<Control>,
    fields: Fields,
    /// The scripts that are compiled.
    scripts: HashMap<Digest, Kept>,
    shelf: Shelf,
    prelude: Prelude,
    runs: u32,
}

/// The prelude's functions.
struct Prelude {
    run: Function,
    /// Of the number of the callback, keys and arguments.
    run_function: Function,
    /// Of the number of the script, keys and arguments.
    run_script: Function,
    set_loading: Function,
    eval_environment: Table,
    library_environment: Table,
}

/// Garbage is collected a little after so many runs.
const RUNS_PER_COLLECTION: u32 = 50;

/// Everything is collected after a run that leaves more than this, in bytes.
const LEFT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Arguments of a run, keys apart.
#[derive(Clone, Copy, Debug)]
pub struct RunArguments<'a> {
    pub keys: Args<'a>,
    pub args: Args<'a>,
    /// What error lines call the script: its digest, or the function's name.
    pub name: &'a str,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("scripts", &self.scripts.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// A state without scripts.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(options: EngineOptions) -> Result<Self, ScriptError> {
        Self::build(options).map_err(|error| ScriptError::new(format!("ERR {error}")))
    }

    fn build(options: EngineOptions) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        // With Lua's own pcall, around which the one scripts see is made.
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(true))?;
        let EngineOptions { memory_bytes_max, random_seed, identity } = options;
        let control = Control::new(&lua, random_seed, memory_bytes_max, identity)?;
        let shelf = Shelf::new(&lua)?;
        let prelude = sandbox::install(&lua, &control, &shelf.table())?;
        let prelude = Prelude {
            run: prelude.raw_get("run")?,
            run_function: prelude.raw_get("run_function")?,
            run_script: prelude.raw_get("run_script")?,
            set_loading: prelude.raw_get("set_loading")?,
            eval_environment: prelude.raw_get("eval_environment")?,
            library_environment: prelude.raw_get("library_environment")?,
        };
        lua.set_globals(prelude.eval_environment.clone())?;
        control.install_hook(&lua)?;
        lua.gc_collect()?;
        lua.set_memory_limit(memory_bytes_max)?;
        let fields = Fields::new(&lua)?;
        let scripts = HashMap::new();
        Ok(Self { lua, control, fields, scripts, shelf, prelude, runs: 0 })
    }

    /// Bytes Lua uses.
    pub fn memory_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Whether the script with this digest is compiled.
    pub fn has(&self, digest: &Digest) -> bool {
        self.scripts.contains_key(digest)
    }

    /// Compiles a script, the first line with flags taken off. Nothing happens if it is compiled.
    pub fn compile(&mut self, digest: Digest, body: &[u8]) -> Result<(), ScriptError> {
        if self.has(&digest) {
            return Ok(());
        }
        let failed = |message: String| {
            ScriptError::new(format!("ERR Error compiling script (new function): {message}"))
        };
        let function = sandbox::compile(&self.lua, body, "@user_script").map_err(failed)?;
        let kept = self.shelf.keep(&function).map_err(|error| failed(error.to_string()))?;
        self.scripts.insert(digest, kept);
        Ok(())
    }

    /// Forgets a script.
    pub fn forget(&mut self, digest: &Digest) {
        self.scripts.remove(digest);
        self.shelf.tidy();
    }

    /// Forgets every script.
    pub fn forget_all(&mut self) {
        self.scripts.clear();
        self.shelf.tidy();
        // What is left is collected sooner or later.
        let _ = self.lua.gc_collect();
    }

    /// Runs a compiled script and writes its reply. An error is returned, and nothing written.
    ///
    /// # Panics
    /// When it is not compiled.
    pub fn run(
        &mut self,
        digest: &Digest,
        arguments: RunArguments<'_>,
        host: &mut dyn Host,
        reply: &mut ReplyWriter<'_>,
    ) -> Result<(), ScriptError> {
        let script = self.scripts.get(digest).expect("a script is compiled before it runs");
        let number = script.number;
        self.run_within(arguments, host, reply, |prelude, keys, args| {
            prelude.run_script.call((number, keys, args))
        })
    }

    /// Errors that the last script made for its reply, rather than to have got them from a command.
    pub fn take_errors(&self) -> Vec<Vec<u8>> {
        self.control.errors.take()
    }

    /// Whether the reply of the last script had an error, whoever made it; asked once.
    pub fn take_failed(&self) -> bool {
        self.control.has_failed.take()
    }

    /// Runs a function of a library; see [`Engine::run`].
    pub fn run_function(
        &mut self,
        function: &LibraryFunction,
        arguments: RunArguments<'_>,
        host: &mut dyn Host,
        reply: &mut ReplyWriter<'_>,
    ) -> Result<(), ScriptError> {
        let callback = function.callback.number;
        self.run_within(arguments, host, reply, |prelude, keys, args| {
            prelude.run_function.call((callback, keys, args))
        })
    }

    /// Compiles a library and returns the functions it registers. `host` may stop it; it runs nothing.
    pub fn load_library(
        &mut self,
        body: &[u8],
        host: &mut dyn Host,
    ) -> Result<Vec<LibraryFunction>, ScriptError> {
        let function = sandbox::compile(&self.lua, body, "@user_function").map_err(|message| {
            ScriptError::new(format!("ERR Error compiling function: {message}"))
        })?;
        let registering = |line: &[u8]| ScriptError {
            line: [b"ERR Error registering functions: ", line].concat(),
            counted: false,
        };
        let environment = self.prelude.library_environment.clone();
        self.control.loading.replace(Some(Vec::new()));
        let result = function
            .set_environment(environment)
            .and_then(|_| self.prelude.set_loading.call::<()>(true))
            .and_then(|()| {
                self.entered(host, |prelude| prelude.run.call::<(bool, Value)>(&function))
            });
        let restored = self.prelude.set_loading.call::<()>(false);
        self.control.callbacks.borrow_mut().tidy();
        let functions = self.control.loading.take().unwrap_or_default();
        let failure = self.control.failure.take();
        restored.map_err(|error| registering(error.to_string().as_bytes()))?;
        match result {
            Ok((true, _)) => checked(functions),
            Ok((false, _)) => Err(registering(&failure.map(|seen| seen.line).unwrap_or_default())),
            Err(error) => Err(registering(&line_of_error(error))),
        }
    }

    fn run_within(
        &mut self,
        arguments: RunArguments<'_>,
        host: &mut dyn Host,
        reply: &mut ReplyWriter<'_>,
        call: impl FnOnce(&Prelude, Table, Table) -> mlua::Result<(bool, Value)>,
    ) -> Result<(), ScriptError> {
        self.control.failure.take();
        let text_bytes = text_bytes_of(arguments.keys) + text_bytes_of(arguments.args);
        let tables = self.control.make(&self.lua, text_bytes, || -> mlua::Result<_> {
            Ok((self.table_of(arguments.keys)?, self.table_of(arguments.args)?))
        });
        let result = tables.and_then(|(keys, args)| {
            self.entered(host, |prelude| {
                let (succeeded, value) = call(prelude, keys, args)?;
                if !succeeded {
                    return Ok(Err(value));
                }
                let protocol = self.control.protocol.get();
                let (lua, control) = (&self.lua, &self.control);
                to_reply::write(lua, control, &self.fields, value, protocol, reply)?;
                Ok(Ok(()))
            })
        });
        let outcome = match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failure(arguments.name, &error)),
            Err(error) => Err(ScriptError { line: line_of_error(error), counted: false }),
        };
        self.collect();
        outcome
    }

    /// Runs `run` with the way to `host` open.
    fn entered<R>(
        &self,
        host: &mut dyn Host,
        run: impl FnOnce(&Prelude) -> mlua::Result<R>,
    ) -> mlua::Result<R> {
        self.control.begin(host.nanos());
        HOST.set(host, || run(&self.prelude))
    }

    /// The error line of a script that failed.
    fn failure(&self, name: &str, error: &Value) -> ScriptError {
        let Some(Seen { line, counted, position }) = self.control.failure.take() else {
            let message = match error {
                Value::String(_) | Value::Error(_) => {
                    line_of(error).map(|(line, _)| line).unwrap_or_default()
                }
                _ => b"ERR execution failure".to_vec(),
            };
            let text = message.strip_prefix(b"ERR ").unwrap_or(&message);
            let shown = &text[..text.len().min(100)];
            let line = [b"ERR Error running script ", name.as_bytes(), b", ", shown].concat();
            return ScriptError { line, counted: false };
        };
        let line = match position {
            Some((source, number)) => {
                let place = format!(" script: {name}, on {source}:{number}.");
                [&line, place.as_bytes()].concat()
            }
            None => line,
        };
        ScriptError { line, counted }
    }

    fn table_of(&self, args: Args<'_>) -> mlua::Result<Table> {
        // Text goes to Lua without a handle that has to be kept and given back.
        self.lua.create_sequence_from(args.iter().map(|arg| match std::str::from_utf8(arg) {
            Ok(text) => Either::Left(text),
            Err(_) => Either::Right(BString::from(arg)),
        }))
    }

    /// Collects garbage from time to time, so that no script pays for all at once.
    fn collect(&mut self) {
        self.runs += 1;
        // A collector that fails for lack of memory is asked again after the next run.
        if self.lua.used_memory() > LEFT_BYTES_MAX {
            let _ = self.lua.gc_collect();
            self.runs = 0;
        } else if self.runs >= RUNS_PER_COLLECTION {
            let _ = self.lua.gc_step();
            self.runs = 0;
        }
    }
}

/// A library's functions, if they may be called what they are called.
fn checked(functions: Vec<LibraryFunction>) -> Result<Vec<LibraryFunction>, ScriptError> {
    if functions.is_empty() {
        return Err(ScriptError::new("ERR No functions registered"));
    }
    for (index, function) in functions.iter().enumerate() {
        if !is_name(&function.name) {
            return Err(ScriptError::new(
                "ERR Function names can only contain letters, numbers, or underscores(_) and must be \
                 at least one character long",
            ));
        }
        if functions[..index].iter().any(|known| known.name == function.name) {
            return Err(ScriptError::new("ERR Function already exists in the library"));
        }
    }
    Ok(functions)
}

/// Bytes of text that become values, each of which has at least one.
fn text_bytes_of(args: Args<'_>) -> usize {
    args.bytes() + args.len()
}

fn line_of_error(error: mlua::Error) -> Vec<u8> {
    let value = Value::Error(Box::new(error));
    line_of(&value).map_or_else(|_| b"ERR execution failure".to_vec(), |(line, _)| line)
}
