//! What the server is asked to be: command line, environment, configuration files.

use crate::check;
use crate::start::{ALLOCATOR_NAME, COMMIT};
use darter_command_table::{Rename, RenameError};
use darter_server::REDIS_VERSION;
use darter_server::config::{
    CommandLine, ConfigStore, Line, LoadError, Loaded, Loader, Support, UserLine, help, rows,
};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fmt};

/// What the command line asks for.
pub(crate) enum Asked {
    /// To run.
    Run(Box<Configuration>),
    /// For something that has been answered already.
    Answered(ExitCode),
}

/// What to run with.
pub(crate) struct Configuration {
    /// Every parameter.
    pub(crate) store: ConfigStore,
    /// Commands called by other names.
    pub(crate) renames: Vec<Rename>,
    /// The lines that say so.
    rename_lines: Vec<Line>,
    /// Who users are.
    pub(crate) users: Vec<UserLine>,
    /// The file it was read from, as an absolute path.
    pub(crate) file: Option<PathBuf>,
    /// What an operator should know, to be logged.
    pub(crate) warnings: Vec<String>,
}

/// Why the server does not start.
#[derive(Debug)]
pub(crate) enum OptionsError {
    /// Something that Redis can do and Darter cannot.
    Unsupported(&'static str),
    /// The configuration cannot be read or carried out.
    Load(LoadError),
}

impl From<LoadError> for OptionsError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => write!(formatter, "{what} is not supported"),
            Self::Load(error) => error.fmt(formatter),
        }
    }
}

/// Longest configuration that is read from standard input, which has no end of its own.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Reads the words of a command line, the program's name first, and the environment.
pub(crate) fn read_words(args: Vec<OsString>) -> Result<Asked, OptionsError> {
    let words: Vec<Vec<u8>> = args.into_iter().skip(1).map(OsString::into_vec).collect();
    let first: &[u8] = words.first().map_or(b"", Vec::as_slice);
    match (first, words.len()) {
        (b"-v" | b"--version", _) => return Ok(answer(&format!("{}\n", version()))),
        // Writing to a string does not fail.
        (b"-h" | b"--help", 1) => return Ok(answer(&help::text().unwrap_or_default())),
        (b"--check-system", 1) => return Ok(Asked::Answered(check::run())),
        (b"--test-memory", _) => return Err(OptionsError::Unsupported("--test-memory")),
        _ => {}
    }
    let command_line = CommandLine::parse(&words);
    let mut loader = Loader::new();
    let file = command_line.file.as_deref().map(|path| Path::new(OsStr::from_bytes(path)));
    // Before a `dir` changes what relative paths mean.
    let absolute = file.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    if let Some(path) = file {
        loader.file(path)?;
    }
    if command_line.reads_standard_input {
        let mut text = Vec::new();
        let input = io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut text);
        input.map_err(|error| LoadError::File { path: "-".into(), reason: error.to_string() })?;
        loader.standard_input(&text)?;
    }
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec())));
    loader.environment(variables)?;
    loader.options(command_line.lines)?;
    Ok(Asked::Run(Box::new(Configuration::of(loader.finish(), absolute))))
}

fn answer(text: &str) -> Asked {
    // Nobody to tell when standard output is closed.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Asked::Answered(ExitCode::SUCCESS)
}

/// What `--version` prints, in the form scripts take Redis's apart.
fn version() -> String {
    format!(
        "Darter server v={} sha={COMMIT}:0 malloc={ALLOCATOR_NAME} bits={} redis={REDIS_VERSION}",
        env!("CARGO_PKG_VERSION"),
        usize::BITS
    )
}

impl Configuration {
    fn of(loaded: Loaded, file: Option<PathBuf>) -> Self {
        let Loaded { store, renames, rename_lines, users, warnings } = loaded;
        Self { store, renames, rename_lines, users, file, warnings }
    }

    /// Parameters that were changed although that has no effect.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        rows()
            .map(|row| row.parameter)
            .filter(|parameter| {
                let default = parameter.kind.format(&parameter.default_value());
                parameter.support() == Support::Accepted
                    && self.store.text(parameter.name).as_bytes() != default
            })
            .map(|parameter| parameter.name)
            .collect()
    }
}

/// The error of a rename that cannot be, with the line that asks for it.
pub(crate) fn rename_error(lines: &[Line], (index, error): (usize, RenameError)) -> LoadError {
    LoadError::Line { line: lines[index].clone(), reason: error.to_string() }
}

impl Configuration {
    /// Takes the lines of the renames, for [`rename_error`].
    pub(crate) fn take_rename_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.rename_lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ineffective_parameters_are_told() {
        let mut loader = Loader::new();
        loader.standard_input(b"activerehashing no\nsave \"\"\nport 7000\n").unwrap();
        let configuration = Configuration::of(loader.finish(), None);
        assert_eq!(configuration.without_effect(), ["activerehashing"]);
    }

    #[test]
    fn the_version_can_be_taken_apart() {
        let version = version();
        assert!(version.contains(" v=") && version.contains(" sha=") && version.contains("bits="));
    }
}
