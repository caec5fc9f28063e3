//! A worker's engine, and what is compiled in it.

use super::reach::Reach;
use super::store::{Function, Library, Script, Scripts};
use crate::shared::REDIS_VERSION;
use crate::statistics::WorkerStatistics;
use darter_base::WorkerId;
use darter_command_table::ReplyError;
use darter_resp::{Args, Output, Protocol};
use darter_runtime::{Stopwatch, Ticks};
use darter_script::{
    Digest, Engine, EngineOptions, Host, Identity, LibraryFunction, LogLevel, Permission,
    ScriptError, Verdict,
};
use hashbrown::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes the values of one script may take, together with all compiled scripts. It bounds what one
/// instruction can cost, and so how soon a script can be stopped.
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Loading a library only registers functions: after this long, in nanoseconds, it is stopped.
const LOADING_NANOS_MAX: u64 = 500_000_000;

/// A script as one worker knows it. Counted on its own: if each run counted on what workers share, they would take
/// that cache line from one another all the time.
pub type KnownScript = Rc<Arc<Script>>;

/// A function as one worker knows it.
#[derive(Debug)]
pub struct KnownFunction {
    pub function: Arc<Function>,
    pub compiled: LibraryFunction,
}

/// A library that is compiled.
#[derive(Debug)]
struct CompiledLibrary {
    /// Kept, so that no other one comes to lie at its address.
    #[expect(dead_code, reason = "it is there to be kept")]
    library: Arc<Library>,
    /// Names of its functions, in small letters.
    functions: Vec<Vec<u8>>,
    /// What it added to the engine's memory.
    bytes: usize,
}

/// Tells libraries apart that are there.
fn address(library: &Arc<Library>) -> usize {
    Arc::as_ptr(library).addr()
}

/// What a worker has of scripts. Nothing is made before the first script.
#[derive(Debug, Default)]
pub struct WorkerScripts {
    engine: Option<Box<Engine>>,
    /// Whether a script runs in it, so that it is not here.
    is_running: bool,
    /// Scripts it has found in [`Scripts`], as of `generation`.
    known: HashMap<Digest, KnownScript>,
    generation: u64,
    /// The one whose text was sent last: mostly it is sent again.
    latest: Option<KnownScript>,
    /// By address, as of `libraries_version`.
    libraries: HashMap<usize, CompiledLibrary>,
    /// Their functions by name, in small letters.
    functions: HashMap<Vec<u8>, Rc<KnownFunction>>,
    /// What they added to the engine's memory.
    library_bytes: usize,
    libraries_version: u64,
}

impl WorkerScripts {
    /// The script with this digest.
    pub fn find(&mut self, scripts: &Scripts, digest: &Digest) -> Option<KnownScript> {
        self.follow(scripts);
        // While a script runs nothing is forgotten, and what is known may be out of date.
        if self.generation == scripts.generation()
            && let Some(script) = self.known.get(digest)
        {
            return Some(Rc::clone(script));
        }
        let script = Rc::new(scripts.find(digest)?);
        self.known.insert(*digest, Rc::clone(&script));
        Some(script)
    }

    /// The digest of a script's text.
    pub fn digest_of(&mut self, text: &[u8]) -> Digest {
        if let Some(latest) = &self.latest
            && latest.text() == text
        {
            return latest.digest;
        }
        let digest = Digest::of(text);
        self.latest = self.known.get(&digest).map(Rc::clone);
        digest
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
    pub fn function(&self, name: &[u8]) -> Option<Rc<KnownFunction>> {
        self.functions.get(&name.to_ascii_lowercase()).map(Rc::clone)
    }

    /// What is known of the shards that a function of the server needs; `None` if there is no such function.
    pub fn reach_of_function(&self, scripts: &Scripts, name: &[u8]) -> Option<Reach> {
        if scripts.libraries_version() == self.libraries_version {
            return self.function(name).map(|known| known.function.reach.get());
        }
        scripts.libraries().function(name).map(|function| function.reach.get())
    }

    /// Compiles the libraries there are now. One that cannot be, which could be when it was loaded, is
    /// left out.
    pub fn load_libraries(&mut self, scripts: &Scripts, engine: &mut Engine, host: &mut Loading) {
        let version = scripts.libraries_version();
        if version == self.libraries_version {
            return;
        }
        self.libraries_version = version;
        let libraries = scripts.libraries();
        let stay: HashSet<usize> = libraries.iter().map(address).collect();
        let (functions, library_bytes) = (&mut self.functions, &mut self.library_bytes);
        self.libraries.retain(|address, compiled| {
            let stays = stay.contains(address);
            if !stays {
                *library_bytes -= compiled.bytes;
                compiled.functions.iter().for_each(|name| drop(functions.remove(name)));
            }
            stays
        });
        for library in libraries.iter() {
            if self.libraries.contains_key(&address(library)) {
                continue;
            }
            host.begin();
            let bytes_before = engine.memory_bytes();
            match engine.load_library(library.body(), host) {
                Ok(functions) => {
                    let bytes = engine.memory_bytes().saturating_sub(bytes_before);
                    self.add_library(library, functions, bytes);
                }
                Err(error) => tracing::warn!(
                    error = %String::from_utf8_lossy(&error.line),
                    "a library of functions cannot be compiled again"
                ),
            }
        }
    }

    fn add_library(
        &mut self,
        library: &Arc<Library>,
        compiled: Vec<LibraryFunction>,
        bytes: usize,
    ) {
        let mut names = Vec::with_capacity(compiled.len());
        for (function, compiled) in library.functions.iter().zip(compiled) {
            let name = compiled.name.to_ascii_lowercase();
            let known = KnownFunction { function: Arc::clone(function), compiled };
            self.functions.entry(name.clone()).or_insert_with(|| Rc::new(known));
            names.push(name);
        }
        let compiled = CompiledLibrary { library: Arc::clone(library), functions: names, bytes };
        self.libraries.insert(address(library), compiled);
        self.library_bytes += bytes;
    }

    /// Notes what the engine takes, and what libraries take of that, unless a script runs in it.
    pub fn note_memory(&self, statistics: &WorkerStatistics) {
        let Some(engine) = &self.engine else { return };
        let engine_bytes = engine.memory_bytes();
        let wide = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        statistics.engine_bytes.set(wide(engine_bytes));
        statistics.library_bytes.set(wide(self.library_bytes.min(engine_bytes)));
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
