//! What the server is asked to be: command line, environment, configuration file.
//!
//! The command line has Redis's form, `darter [file] --name value... --name value...`, where the
//! words behind a name are its value up to the next name. It is brought into the usual form
//! `--name=value` first; clap then knows the names, the environment and the help, all of which come
//! from the rows of the configuration. Later sources win: file, environment, command line.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use darter_server::REDIS_VERSION;
use darter_server::config::{ConfigStore, Directive, Kind, Parameter, SECTIONS, SetError, rows};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// What the command line asks for.
pub(crate) enum Asked {
    /// To run.
    Run(Box<Configuration>),
    /// For something that has been answered already.
    Nothing,
}

/// What to run with.
pub(crate) struct Configuration {
    /// Every parameter.
    pub(crate) store: ConfigStore,
    /// The file it was read from.
    pub(crate) file: Option<PathBuf>,
    /// What an operator should know, to be logged.
    pub(crate) warnings: Vec<String>,
}

/// Why the server does not start.
#[derive(Debug)]
pub(crate) enum OptionsError {
    /// The command line cannot be understood; the text says what about it.
    CommandLine(clap::Error),
    /// A file cannot be read.
    File { path: PathBuf, error: io::Error },
    /// A line of a file cannot be understood.
    Line { path: PathBuf, error: String },
    /// A parameter cannot be set.
    Parameter { origin: String, error: SetError },
}

impl fmt::Display for OptionsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(error) => write!(formatter, "{error}"),
            Self::File { path, error } => {
                write!(formatter, "cannot read the configuration file {}: {error}", path.display())
            }
            Self::Line { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Parameter { origin, error } => write!(formatter, "{origin}: {error}"),
        }
    }
}

/// Between the words of a value while clap has it: no word contains it.
const WORD_SEPARATOR: u8 = 0x1f;

/// The option's name for the file, which no parameter has.
const FILE: &str = "configuration file";

/// Files that include each other end here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Reads the process's command line and environment.
pub(crate) fn read() -> Result<Asked, OptionsError> {
    let args = one_word_each(env::args_os().collect());
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(OptionsError::CommandLine(error)),
        Err(answer) => {
            // Help or version, on standard output; nobody to tell when that is closed.
            let _ = answer.print();
            return Ok(Asked::Nothing);
        }
    };
    Ok(Asked::Run(Box::new(Configuration::of(&matches)?)))
}

impl Configuration {
    fn of(matches: &ArgMatches) -> Result<Self, OptionsError> {
        let mut this = Self { store: ConfigStore::new(), file: None, warnings: Vec::new() };
        if let Some(path) = matches.get_one::<OsString>(FILE) {
            let path = PathBuf::from(path);
            let directives = read_file(&path, 0)?;
            this.set_all(directives)?;
            if path.as_os_str() != "-" {
                this.file = Some(fs::canonicalize(&path).unwrap_or(path));
            }
        }
        if let Some(password) = env::var_os("REDIS_PASSWORD") {
            this.set_all(vec![Directive {
                name: "requirepass".to_owned(),
                words: vec![password.into_vec()],
                origin: "environment variable REDIS_PASSWORD".to_owned(),
            }])?;
        }
        for source in [ValueSource::EnvVariable, ValueSource::CommandLine] {
            this.set_all(directives_of(matches, source))?;
        }
        Ok(this)
    }

    /// Sets what one source gives. A parameter there is not is worth a warning only: a file may have
    /// been written for another server.
    fn set_all(&mut self, directives: Vec<Directive>) -> Result<(), OptionsError> {
        for directive in join_save_points(directives) {
            match self.store.set_at_start(&directive.name, &directive.borrowed_words()) {
                Ok(()) => {}
                Err(SetError::Unknown(name)) => {
                    self.warnings
                        .push(format!("{}: no parameter '{name}', ignored", directive.origin));
                }
                Err(error) => {
                    return Err(OptionsError::Parameter { origin: directive.origin, error });
                }
            }
        }
        Ok(())
    }

    /// Parameters that were changed although they have no effect yet.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        rows()
            .map(|row| row.parameter)
            .filter(|parameter| {
                let default = parameter.kind.format(&parameter.default_value());
                parameter.sets.is_none() && self.store.text(parameter.name).as_bytes() != default
            })
            .map(|parameter| parameter.name)
            .collect()
    }
}

/// The directives of a file and of those it includes.
fn read_file(path: &Path, depth: usize) -> Result<Vec<Directive>, OptionsError> {
    let file_error = |error| OptionsError::File { path: path.to_owned(), error };
    let text = if path.as_os_str() == "-" {
        io::read_to_string(io::stdin()).map(String::into_bytes)
    } else {
        fs::read(path)
    };
    let parsed = Directive::parse_all(&text.map_err(file_error)?)
        .map_err(|error| OptionsError::Line { path: path.to_owned(), error: error.to_string() })?;
    let mut directives = Vec::new();
    for mut directive in parsed {
        directive.origin = format!("{}, {}", path.display(), directive.origin);
        if directive.name != "include" {
            directives.push(directive);
            continue;
        }
        if depth == INCLUDE_DEPTH_MAX {
            return Err(OptionsError::Line {
                path: path.to_owned(),
                error: "files include each other without end".to_owned(),
            });
        }
        for word in directive.words {
            directives.extend(read_file(Path::new(OsStr::from_bytes(&word)), depth + 1)?);
        }
    }
    Ok(directives)
}

/// Several `save` lines of one source are one list.
fn join_save_points(directives: Vec<Directive>) -> Vec<Directive> {
    let mut joined: Vec<Directive> = Vec::new();
    for directive in directives {
        if directive.name == "save"
            && let Some(first) = joined.iter_mut().find(|known| known.name == "save")
        {
            let is_empty = |words: &[Vec<u8>]| matches!(words, [only] if only.is_empty());
            if is_empty(&directive.words) || is_empty(&first.words) {
                first.words = directive.words;
            } else {
                first.words.extend(directive.words);
            }
        } else {
            joined.push(directive);
        }
    }
    joined
}

fn directives_of(matches: &ArgMatches, source: ValueSource) -> Vec<Directive> {
    let mut directives = Vec::new();
    for row in rows() {
        let name = row.parameter.name;
        if matches.value_source(name) != Some(source) {
            continue;
        }
        let origin = match source {
            ValueSource::EnvVariable => format!("environment variable {}", variable(name)),
            _ => format!("option --{name}"),
        };
        for value in matches.get_many::<OsString>(name).into_iter().flatten() {
            let words = value.as_bytes().split(|byte| *byte == WORD_SEPARATOR);
            directives.push(Directive {
                name: name.to_owned(),
                words: words.map(<[u8]>::to_vec).collect(),
                origin: origin.clone(),
            });
        }
    }
    directives
}

/// The environment variable of a parameter.
fn variable(name: &str) -> String {
    format!("DARTER_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// From Redis's form to one word for each option: the words behind `--name` become its value.
fn one_word_each(args: Vec<OsString>) -> Vec<OsString> {
    let mut words = args.into_iter();
    let mut result: Vec<OsString> = words.next().into_iter().collect();
    let mut takes_values = false;
    for word in words {
        let bytes = word.as_bytes();
        if bytes.starts_with(b"--") && bytes.len() > 2 {
            takes_values = !bytes.contains(&b'=') && !matches!(bytes, b"--help" | b"--version");
            let lower = bytes.split(|byte| *byte == b'=').next().unwrap_or_default();
            let lower = lower.to_ascii_lowercase();
            let rest = bytes[lower.len()..].to_vec();
            let is_words = rows().any(|row| {
                matches!(row.parameter.kind, Kind::Words(_))
                    && row.parameter.names().any(|name| name.as_bytes() == &lower[2..])
            });
            let mut option = lower;
            option.extend(rest);
            if takes_values && is_words {
                // `--save` alone stands for no save points.
                option.push(b'=');
            }
            result.push(OsString::from_vec(option));
        } else if takes_values && let Some(last) = result.last_mut() {
            let has_value = last.as_bytes().contains(&b'=') && !last.as_bytes().ends_with(b"=");
            let separator = match (has_value, last.as_bytes().contains(&b'=')) {
                (true, _) => Some(WORD_SEPARATOR),
                (false, true) => None,
                (false, false) => Some(b'='),
            };
            let mut joined = std::mem::take(last).into_vec();
            joined.extend(separator);
            joined.extend(bytes);
            *last = OsString::from_vec(joined);
        } else {
            result.push(word);
        }
    }
    result
}

/// The sections whose options the short help shows.
const SHORT_HELP_SECTIONS: &[&str] = &["Network", "Workers and shards"];

fn command() -> Command {
    let mut command = Command::new("darter")
        .about("A Redis-compatible in-memory cache server that uses every core of a machine.")
        .override_usage("darter [FILE] [--<NAME> <VALUE>...]...")
        .version(version())
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version."),
        )
        .arg(
            Arg::new(FILE)
                .value_name("FILE")
                .value_parser(value_parser!(OsString))
                .help("Configuration file in the syntax of redis.conf; -: standard input."),
        )
        .after_help(
            "Every option is also a line of the configuration file, a name for CONFIG GET and, in \
             capitals, an environment variable (DARTER_PORT=7000). More with --help.",
        )
        .after_long_help(
            "Every option is also a line of the configuration file, a name for CONFIG GET and, in \
             capitals, an environment variable (DARTER_PORT=7000; REDIS_PASSWORD is taken for \
             requirepass). Those marked 'no effect yet' are accepted so that existing \
             configurations work.\n\nExample: darter /etc/darter.conf --port 7000 --save ''",
        );
    for section in SECTIONS {
        for parameter in section.parameters {
            let is_short = SHORT_HELP_SECTIONS.contains(&section.title);
            command = command.arg(option(parameter, section.title, is_short));
        }
    }
    command
}

fn option(parameter: &'static Parameter, heading: &'static str, is_short: bool) -> Arg {
    let effect = if parameter.sets.is_none() { ", no effect yet" } else { "" };
    let unit = if parameter.unit.is_empty() { "" } else { " " };
    let default = if parameter.default.is_empty() { "none" } else { parameter.default };
    let help = format!("{} [{default}{unit}{}{effect}]", parameter.summary, parameter.unit);
    let values = match parameter.kind {
        Kind::Flag => "yes|no".to_owned(),
        Kind::Choice(choices) if choices.len() <= 4 => choices.join("|"),
        Kind::Words(_) => "VALUE...".to_owned(),
        Kind::Number { .. } | Kind::Octal { .. } => "NUMBER".to_owned(),
        Kind::Memory { .. } | Kind::MemoryOrPercent { .. } => "BYTES".to_owned(),
        Kind::Choice(_) | Kind::Text(_) => "VALUE".to_owned(),
    };
    Arg::new(parameter.name)
        .long(parameter.name)
        .aliases(parameter.aliases)
        .env(variable(parameter.name))
        .hide_env(true)
        .hide_env_values(true)
        .value_name(values)
        .value_parser(value_parser!(OsString))
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .help(help)
        .help_heading(heading)
        .hide(parameter.hidden)
        .hide_short_help(!is_short || parameter.sets.is_none())
}

/// What `--version` prints behind the name.
fn version() -> String {
    format!(
        "v={} commit={} allocator={} bits={} redis={REDIS_VERSION}",
        env!("CARGO_PKG_VERSION"),
        crate::start::COMMIT,
        crate::start::ALLOCATOR_NAME,
        usize::BITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        let args = std::iter::once("darter").chain(line.iter().copied()).map(OsString::from);
        one_word_each(args.collect())
            .into_iter()
            .skip(1)
            .map(|word| word.into_string().unwrap().replace('\u{1f}', "~"))
            .collect()
    }

    fn configuration(line: &[&str]) -> Result<Configuration, OptionsError> {
        let args = std::iter::once("darter").chain(line.iter().copied()).map(OsString::from);
        let matches = command()
            .try_get_matches_from(one_word_each(args.collect()))
            .map_err(OptionsError::CommandLine)?;
        Configuration::of(&matches)
    }

    #[test]
    fn words_behind_a_name_are_its_value() {
        assert_eq!(
            words(&["a.conf", "--port", "7000", "--save", "", "--appendonly", "no"]),
            ["a.conf", "--port=7000", "--save=", "--appendonly=no"]
        );
        assert_eq!(words(&["--bind", "127.0.0.1", "-::1"]), ["--bind=127.0.0.1~-::1"]);
        assert_eq!(words(&["--save", "--port", "1"]), ["--save=", "--port=1"]);
        assert_eq!(words(&["--PORT=1", "x.conf"]), ["--port=1", "x.conf"]);
        assert_eq!(words(&["-v"]), ["-v"]);
        assert_eq!(words(&["--list-max-listpack-size", "-2"]), ["--list-max-listpack-size=-2"]);
    }

    #[test]
    fn the_command_line_sets_parameters() {
        let line = [
            "--port",
            "7000",
            "--bind",
            "127.0.0.1",
            "-::1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--save",
            "60",
            "1",
            "--hash-max-ziplist-entries",
            "9",
        ];
        let store = configuration(&line).unwrap().store;
        assert_eq!(store.current().port, 7000);
        assert_eq!(store.current().bind, ["127.0.0.1", "-::1"]);
        assert_eq!(store.text("save"), "60 1");
        assert_eq!(store.text("hash-max-listpack-entries"), "9");
    }

    #[test]
    fn wrong_options_are_refused() {
        for line in [&["--prot", "1"][..], &["--port", "x"], &["--port"], &["--port", "1", "2"]] {
            assert!(configuration(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn ineffective_parameters_are_told() {
        let configuration = configuration(&["--appendonly", "yes", "--save", ""]).unwrap();
        assert_eq!(configuration.without_effect(), ["save", "appendonly"]);
    }

    #[test]
    fn the_help_has_every_option() {
        let help = command().render_long_help().to_string();
        assert!(help.contains("--proto-max-bulk-len") && help.contains("Workers and shards"));
        assert!(!help.contains("--key-load-delay"));
    }
}
