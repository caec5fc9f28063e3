//! A worker's engine, and what is compiled in it.

use super::store::{Function, Library, Script, Scripts};
use crate::shared::REDIS_VERSION;
use darter_base::WorkerId;
use darter_command_table::ReplyError;
use darter_resp::{Args, Output, Protocol};
use darter_runtime::{Stopwatch, Ticks};
use darter_script::{
    Digest, Engine, EngineOptions, Host, Identity, LibraryFunction, LogLevel, Permission,
    ScriptError, Verdict,
};
use hashbrown::HashMap;
use std::sync::Arc;

/// Bytes the values of one script may take, together with all compiled scripts. It bounds what one
/// instruction can cost, and so how soon a script can be stopped.
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Loading a library only registers functions: after this long, in nanoseconds, it is stopped.
const LOADING_NANOS_MAX: u64 = 500_000_000;

/// Compiled functions by name, in small letters.
type Functions = HashMap<Vec<u8>, (Arc<Function>, LibraryFunction)>;

/// What a worker has of scripts. Nothing is made before the first script.
#[derive(Debug, Default)]
pub struct WorkerScripts {
    engine: Option<Box<Engine>>,
    /// Whether a script runs in it, so that it is not here.
    is_running: bool,
    /// Scripts it has found in [`Scripts`], as of `generation`.
    known: HashMap<Digest, Arc<Script>>,
    generation: u64,
    /// The functions of each library, as of `libraries_version`.
    libraries: Vec<(Arc<Library>, Functions)>,
    libraries_version: u64,
}

impl WorkerScripts {
    /// The script with this digest.
    pub fn find(&mut self, scripts: &Scripts, digest: &Digest) -> Option<Arc<Script>> {
        self.follow(scripts);
        if let Some(script) = self.known.get(digest)
            && !self.is_running
        {
            return Some(Arc::clone(script));
        }
        let script = scripts.find(digest)?;
        self.known.insert(*digest, Arc::clone(&script));
        Some(script)
    }

    /// Whether a script runs.
    pub const fn is_running(&self) -> bool {
        self.is_running
    }

    /// The engine for a script that is about to run, until [`WorkerScripts::end_run`].
    pub fn begin_run(&mut self, worker: WorkerId) -> Result<Box<Engine>, ReplyError> {
        let engine = self.take_engine(worker)?;
        self.is_running = true;
        Ok(engine)
    }

    /// The script has run.
    pub fn end_run(&mut self, engine: Box<Engine>) {
        self.is_running = false;
        self.engine = Some(engine);
    }

    /// The engine, to be given back with [`WorkerScripts::put_back`]. While a script runs it is another
    /// one, to see whether something can be compiled.
    pub fn take_engine(&mut self, worker: WorkerId) -> Result<Box<Engine>, ReplyError> {
        if let Some(engine) = self.engine.take() {
            return Ok(engine);
        }
        let options = EngineOptions {
            memory_bytes_max: MEMORY_BYTES_MAX,
            // Every worker's scripts see other numbers, so that those that make names of them differ.
            random_seed: i32::from(worker.0),
            identity: Identity {
                redis_version: REDIS_VERSION,
                valkey_version: "9.1.2",
                server_name: "darter",
            },
        };
        let engine = Engine::new(options).map_err(reply_error)?;
        Ok(Box::new(engine))
    }

    /// Gives the engine back.
    pub fn put_back(&mut self, engine: Box<Engine>) {
        if !self.is_running {
            self.engine = Some(engine);
        }
    }

    /// A compiled function of a library.
    pub fn function(&self, name: &[u8]) -> Option<(Arc<Function>, LibraryFunction)> {
        let name = name.to_ascii_lowercase();
        self.libraries.iter().find_map(|(_, functions)| {
            let (function, compiled) = functions.get(&name)?;
            Some((Arc::clone(function), compiled.clone()))
        })
    }

    /// Compiles the libraries there are now. One that cannot be, which could be when it was loaded, is
    /// left out.
    pub fn load_libraries(&mut self, scripts: &Scripts, engine: &mut Engine, host: &mut Loading) {
        let version = scripts.libraries_version();
        if version == self.libraries_version {
            return;
        }
        self.libraries_version = version;
        let mut compiled = std::mem::take(&mut self.libraries);
        for library in &scripts.libraries().0 {
            let known = compiled.iter().position(|(known, _)| Arc::ptr_eq(known, library));
            if let Some(known) = known {
                self.libraries.push(compiled.swap_remove(known));
                continue;
            }
            host.begin();
            match engine.load_library(library.body(), host) {
                Ok(functions) => {
                    let functions = library
                        .functions
                        .iter()
                        .zip(functions)
                        .map(|(function, compiled)| {
                            (compiled.name.to_ascii_lowercase(), (Arc::clone(function), compiled))
                        })
                        .collect();
                    self.libraries.push((Arc::clone(library), functions));
                }
                Err(error) => tracing::warn!(
                    error = %String::from_utf8_lossy(&error.line),
                    "a library of functions cannot be compiled again"
                ),
            }
        }
    }

    /// Forgets what the server has forgotten.
    fn follow(&mut self, scripts: &Scripts) {
        let generation = scripts.generation();
        // What is compiled cannot be forgotten while a script runs.
        if generation == self.generation || self.is_running {
            return;
        }
        self.generation = generation;
        let engine = &mut self.engine;
        self.known.retain(|digest, _| {
            let stays = scripts.find(digest).is_some();
            if let (false, Some(engine)) = (stays, engine.as_mut()) {
                engine.forget(digest);
            }
            stays
        });
    }
}

/// The error of a script as a reply.
pub fn reply_error(error: ScriptError) -> ReplyError {
    ReplyError::Line(error.line)
}

/// What a library meets while it is loaded: a clock, and nothing to call.
#[derive(Debug)]
pub struct Loading {
    stopwatch: &'static Stopwatch,
    begun: Ticks,
}

impl Loading {
    /// About to load.
    pub fn new(stopwatch: &'static Stopwatch) -> Self {
        Self { begun: stopwatch.now(), stopwatch }
    }

    fn begin(&mut self) {
        self.begun = self.stopwatch.now();
    }
}

impl Host for Loading {
    fn call(&mut self, _: Args<'_>, _: Protocol, _: &mut Output) -> Verdict {
        Verdict::Stop("FUNCTION LOAD cannot call commands")
    }

    fn permission(&mut self, _: Args<'_>) -> Permission {
        Permission::Denied
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        log(level, message);
    }

    fn nanos(&mut self) -> u64 {
        self.stopwatch.nanos_between(self.begun, self.stopwatch.now())
    }

    fn poll(&mut self) -> Verdict {
        if self.nanos() > LOADING_NANOS_MAX {
            Verdict::Stop("FUNCTION LOAD timeout")
        } else {
            Verdict::Continue
        }
    }
}

/// Writes a script's line to the log.
pub fn log(level: LogLevel, message: &[u8]) {
    let message = String::from_utf8_lossy(message);
    match level {
        LogLevel::Debug => tracing::trace!("{message}"),
        LogLevel::Verbose => tracing::debug!("{message}"),
        LogLevel::Notice => tracing::info!("{message}"),
        LogLevel::Warning => tracing::warn!("{message}"),
    }
}
