//! The scripts and functions of the server, for all workers.

use super::reach::Learnt;
use crate::scripting::Busy;
use darter_script::{Digest, ScriptFlags};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Scripts kept that came with EVAL only; those of SCRIPT LOAD stay. As in Redis 7.4.
const EVAL_SCRIPTS_MAX: usize = 500;

/// A script's text and what is known of it.
#[derive(Debug)]
pub struct Script {
    /// Its name.
    pub digest: Digest,
    /// Its name in hexadecimal.
    pub name: Box<str>,
    /// What it says about itself.
    pub flags: ScriptFlags,
    /// Which shards it needs.
    pub reach: Learnt,
    text: Box<[u8]>,
    /// Where in the text begins what is compiled.
    body_at: usize,
    /// Whether it came with SCRIPT LOAD.
    loaded: AtomicBool,
    /// When it was used last, on the clock of [`Scripts`].
    used_at: AtomicU64,
}

impl Script {
    /// A script that nobody has loaded.
    pub fn new(digest: Digest, text: &[u8], flags: ScriptFlags, body_at: usize) -> Self {
        Self {
            digest,
            name: digest.to_string().into(),
            flags,
            reach: Learnt::default(),
            text: text.into(),
            body_at,
            loaded: AtomicBool::new(false),
            used_at: AtomicU64::new(0),
        }
    }

    /// Its text.
    pub const fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is compiled.
    pub fn body(&self) -> &[u8] {
        &self.text[self.body_at..]
    }

    /// Memory it takes, in bytes.
    const fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.name.len()
    }
}

/// A function of a library.
#[derive(Debug)]
pub struct Function {
    /// What FCALL calls it.
    pub name: Box<str>,
    /// What its library says of it.
    pub description: Option<Vec<u8>>,
    /// What it says about itself.
    pub flags: ScriptFlags,
    /// Which shards it needs.
    pub reach: Learnt,
}

impl Function {
    /// What it is found by.
    pub fn key(&self) -> Vec<u8> {
        self.name.to_ascii_lowercase().into_bytes()
    }
}

/// A library of functions.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// The text it was loaded from.
    pub text: Box<[u8]>,
    /// Where in the text begins what is compiled.
    pub body_at: usize,
    /// Its functions, in the order they were registered.
    pub functions: Vec<Arc<Function>>,
}

impl Library {
    /// What is compiled.
    pub fn body(&self) -> &[u8] {
        &self.text[self.body_at..]
    }
}

/// All libraries, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    libraries: BTreeMap<Vec<u8>, Arc<Library>>,
    /// Their functions by name, in small letters.
    functions: HashMap<Vec<u8>, Arc<Function>>,
}

impl Libraries {
    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.libraries.values()
    }

    /// The library called `name`.
    pub fn find(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.libraries.get(name)
    }

    /// Adds a library, in place of the one of its name. O(its functions).
    ///
    /// # Errors
    /// The name of a function that another library has; nothing is changed then.
    pub fn add(&mut self, library: Arc<Library>) -> Result<(), Box<str>> {
        let replaced = self.libraries.get(&library.name);
        let is_replaced = |function: &Arc<Function>| {
            replaced.is_some_and(|replaced| {
                replaced.functions.iter().any(|known| Arc::ptr_eq(known, function))
            })
        };
        for function in &library.functions {
            let known = self.function(function.name.as_bytes());
            if known.is_some_and(|known| !is_replaced(known)) {
                return Err(function.name.clone());
            }
        }
        self.remove(&library.name);
        for function in &library.functions {
            // Of two that differ in capitals only the first is found, as in Redis.
            self.functions.entry(function.key()).or_insert_with(|| Arc::clone(function));
        }
        self.libraries.insert(library.name.clone(), library);
        Ok(())
    }

    /// Removes the library called `name`. O(its functions).
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(library) = self.libraries.remove(name) {
            for function in &library.functions {
                self.functions.remove(&function.key());
            }
        }
    }

    /// The function called `name`, in capitals or not.
    pub fn function(&self, name: &[u8]) -> Option<&Arc<Function>> {
        self.functions.get(&name.to_ascii_lowercase())
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Memory they take, in bytes. O(libraries).
    pub fn memory_bytes(&self) -> usize {
        self.iter().map(|library| size_of::<Library>() + library.text.len()).sum()
    }
}

/// The scripts and functions of the server.
pub struct Scripts {
    texts: Mutex<HashMap<Digest, Arc<Script>>>,
    /// Rises whenever scripts are forgotten: workers forget them then, too.
    generation: AtomicU64,
    /// Counts additions of scripts, so that what runs again and again writes nothing that workers share.
    clock: AtomicU64,
    /// Scripts forgotten because there were too many.
    evicted: AtomicU64,
    libraries: Mutex<Arc<Libraries>>,
    /// Rises whenever the libraries change.
    libraries_version: AtomicU64,
    /// Those that run, per worker.
    pub busy: Busy,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scripts").finish_non_exhaustive()
    }
}

/// How many scripts there are, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptTotals {
    pub scripts: u64,
    pub scripts_bytes: u64,
    pub evicted: u64,
    pub libraries: u64,
    pub functions: u64,
    pub functions_bytes: u64,
}

impl Scripts {
    /// None yet.
    pub fn new(workers: usize) -> Self {
        Self {
            texts: Mutex::default(),
            generation: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            libraries: Mutex::default(),
            libraries_version: AtomicU64::new(0),
            busy: Busy::new(workers),
        }
    }

    /// Changes whenever scripts are forgotten.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The script with this digest.
    pub fn find(&self, digest: &Digest) -> Option<Arc<Script>> {
        self.texts().get(digest).map(Arc::clone)
    }

    /// Notes that a script is used, so that it is not the one forgotten next.
    pub fn touch(&self, script: &Script) {
        let now = self.clock.load(Ordering::Relaxed);
        if script.used_at.load(Ordering::Relaxed) != now {
            script.used_at.store(now, Ordering::Relaxed);
        }
    }

    /// Adds a script that compiles, unless it is there. With `loaded` it stays until all are flushed.
    pub fn add(&self, script: Script, loaded: bool) -> Arc<Script> {
        let mut texts = self.texts();
        let digest = script.digest;
        let script = Arc::clone(texts.entry(digest).or_insert_with(|| Arc::new(script)));
        if loaded {
            script.loaded.store(true, Ordering::Relaxed);
        }
        self.clock.fetch_add(1, Ordering::Relaxed);
        self.touch(&script);
        let is_evictable = |script: &Arc<Script>| !script.loaded.load(Ordering::Relaxed);
        // There can be very many that were loaded: a look at all of them is taken by those that were not.
        if !loaded
            && texts.values().filter(|script| is_evictable(script)).count() > EVAL_SCRIPTS_MAX
        {
            let oldest = texts
                .values()
                .filter(|script| is_evictable(script))
                .min_by_key(|script| script.used_at.load(Ordering::Relaxed))
                .map(|script| script.digest);
            if let Some(oldest) = oldest {
                texts.remove(&oldest);
                self.evicted.fetch_add(1, Ordering::Relaxed);
                self.generation.fetch_add(1, Ordering::Release);
            }
        }
        script
    }

    /// Forgets every script.
    pub fn flush(&self) {
        self.texts().clear();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever the libraries do.
    pub fn libraries_version(&self) -> u64 {
        self.libraries_version.load(Ordering::Acquire)
    }

    /// The libraries.
    pub fn libraries(&self) -> Arc<Libraries> {
        Arc::clone(&self.lock_libraries())
    }

    /// Lets `change` change the libraries; if it errs, it has not. Who looks at them meanwhile sees them as they were.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn change_libraries<E>(
        &self,
        change: impl FnOnce(&mut Libraries) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut libraries = self.lock_libraries();
        change(Arc::make_mut(&mut libraries))?;
        self.libraries_version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How many there are.
    pub fn totals(&self) -> ScriptTotals {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let libraries = self.libraries();
        let texts = self.texts();
        ScriptTotals {
            scripts: wide(texts.len()),
            scripts_bytes: wide(texts.values().map(|script| script.memory_bytes()).sum()),
            evicted: self.evicted.load(Ordering::Relaxed),
            libraries: wide(libraries.iter().len()),
            functions: wide(libraries.function_count()),
            functions_bytes: wide(libraries.memory_bytes()),
        }
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Script>>> {
        self.texts.lock().expect("nothing panics while it holds this")
    }

    fn lock_libraries(&self) -> MutexGuard<'_, Arc<Libraries>> {
        self.libraries.lock().expect("nothing panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(number: usize) -> Script {
        let text = format!("return {number}");
        Script::new(Digest::of(text.as_bytes()), text.as_bytes(), ScriptFlags::LEGACY, 0)
    }

    fn library(name: &str, functions: &[&str]) -> Arc<Library> {
        let function = |name: &&str| {
            Arc::new(Function {
                name: (*name).into(),
                description: None,
                flags: ScriptFlags::default(),
                reach: Learnt::default(),
            })
        };
        let functions = functions.iter().map(function).collect();
        Arc::new(Library { name: name.into(), text: Box::default(), body_at: 0, functions })
    }

    #[test]
    fn a_function_belongs_to_one_library() {
        let mut libraries = Libraries::default();
        libraries.add(library("one", &["a", "B", "b"])).unwrap();
        assert_eq!(&*libraries.function(b"b").unwrap().name, "B");
        assert_eq!(libraries.add(library("two", &["c", "A"])), Err("A".into()));
        assert!(libraries.find(b"two").is_none() && libraries.function(b"c").is_none());
        libraries.add(library("one", &["A", "d"])).unwrap();
        assert_eq!(libraries.function_count(), 2);
        libraries.add(library("two", &["b"])).unwrap();
        libraries.remove(b"one");
        assert!(libraries.function(b"a").is_none() && libraries.function(b"B").is_some());
        assert_eq!(libraries.iter().len(), 1);
    }

    #[test]
    fn the_script_used_least_recently_is_forgotten_and_loaded_ones_are_not() {
        let scripts = Scripts::new(1);
        scripts.add(script(0), true);
        for number in 1..=EVAL_SCRIPTS_MAX {
            scripts.add(script(number), false);
        }
        assert_eq!(scripts.totals().evicted, 0);
        let generation = scripts.generation();
        scripts.touch(&scripts.find(&script(1).digest).unwrap());
        scripts.add(script(EVAL_SCRIPTS_MAX + 1), false);
        assert_eq!(scripts.totals().evicted, 1);
        assert_ne!(scripts.generation(), generation);
        assert!(scripts.find(&script(0).digest).is_some());
        assert!(scripts.find(&script(1).digest).is_some());
        assert!(scripts.find(&script(2).digest).is_none());
        scripts.flush();
        assert_eq!(scripts.totals().scripts, 0);
    }
}
