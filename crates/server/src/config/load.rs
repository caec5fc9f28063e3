//! The configuration a server starts with: files, standard input, environment, command line.
//!
//! Later sources win, and within one the later line, but for parameters that collect what all their
//! lines say (`save`). Files that include each other are followed without recursion; how deep and
//! how many is bounded, and a file cannot include itself.

use crate::config::files;
use crate::config::line::{Line, LoadError, Place, quoted};
use crate::config::memory_limit;
use crate::config::store::{ConfigStore, SetError};
use crate::config::table::{Row, row_named, rows};
use crate::config::value::Kind;
use darter_base::split_args::split_args;
use darter_command_table::Rename;
use std::path::{Path, PathBuf};
use std::{fs, vec};

/// Files that include each other end here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Files that are read in all.
const FILES_MAX: usize = 10_000;

/// Names that once were parameters: taken without a word, as Redis and Valkey take theirs.
const FORMER_NAMES: &[&str] = &[
    "events-per-io-thread",
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "lua-replicate-commands",
];

/// What a server starts with.
#[derive(Debug)]
pub struct Loaded {
    /// Every parameter.
    pub store: ConfigStore,
    /// Commands called by other names, in the order of the lines that say so.
    pub renames: Vec<Rename>,
    /// Those lines.
    pub rename_lines: Vec<Line>,
    /// Who users are.
    pub users: Vec<UserLine>,
    /// What an operator should know, to be logged.
    pub warnings: Vec<String>,
}

/// A line `user name rule ...`. Whether its rules are some is known when the commands are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The line itself.
    pub line: Line,
    /// The user.
    pub name: Vec<u8>,
    /// What is said of it.
    pub rules: Vec<Vec<u8>>,
}

/// Reads one source after the other.
#[derive(Debug)]
pub struct Loader {
    loaded: Loaded,
    /// By the number of the row: whether a line of this kind of source has set it.
    is_given: Vec<bool>,
    files: usize,
}

/// A file being read.
struct Reading {
    /// Where it is, links followed, to notice that it includes itself.
    path: Option<PathBuf>,
    /// What is left of it.
    lines: vec::IntoIter<Line>,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader {
    /// Every parameter at its default.
    pub fn new() -> Self {
        Self {
            loaded: Loaded {
                store: ConfigStore::new(),
                renames: Vec::new(),
                rename_lines: Vec::new(),
                users: Vec::new(),
                warnings: Vec::new(),
            },
            is_given: rows().map(|_| false).collect(),
            files: 0,
        }
    }

    /// Reads a file and those it includes.
    pub fn file(&mut self, path: &Path) -> Result<(), LoadError> {
        let lines = files::read(path)?;
        self.follow(Reading { path: fs::canonicalize(path).ok(), lines: lines.into_iter() })
    }

    /// Reads what came from standard input.
    pub fn standard_input(&mut self, text: &[u8]) -> Result<(), LoadError> {
        let lines = Line::all_of(text, |number| Place::StandardInput { number });
        self.follow(Reading { path: None, lines: lines.into_iter() })
    }

    /// Reads variables of the environment: `DARTER_` and a parameter's name in capitals, with `_`
    /// for `-`. They replace what files say.
    pub fn environment(
        &mut self,
        variables: impl Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), LoadError> {
        let mut variables: Vec<(String, Vec<u8>)> = variables.collect();
        // The order of an environment means nothing; Redis's own variable counts least.
        // What stands for others comes before them, too.
        let counts_most = |name: &str| name != "REDIS_PASSWORD" && name != variable_of(CACHE_MODE);
        variables.sort_by_key(|(name, _)| (counts_most(name), name.clone()));
        for (variable, value) in variables {
            if variable == variable_of(CACHE_MODE) {
                self.set(&Line {
                    text: quoted(CACHE_MODE, &value),
                    place: Place::Variable(variable),
                })?;
                continue;
            }
            let Some(row) = row_of_variable(&variable) else { continue };
            let text = quoted(row.parameter.name, &value);
            self.is_given[row.index] = false;
            self.set(&Line { text, place: Place::Variable(variable) })?;
        }
        Ok(())
    }

    /// Reads the options of the command line.
    pub fn options(&mut self, lines: Vec<Vec<u8>>) -> Result<(), LoadError> {
        let line = |text| Line { text, place: Place::CommandLine };
        let lines: Vec<Line> =
            lines.into_iter().filter(|text| !text.is_empty()).map(line).collect();
        self.follow(Reading { path: None, lines: lines.into_iter() })
    }

    /// Everything read.
    pub fn finish(self) -> Loaded {
        self.loaded
    }

    fn follow(&mut self, first: Reading) -> Result<(), LoadError> {
        let mut open = vec![first];
        while let Some(reading) = open.last_mut() {
            let Some(line) = reading.lines.next() else {
                open.pop();
                continue;
            };
            if let Some(words) = self.set(&line)? {
                let included = self.include(&line, &words, &open)?;
                open.extend(included);
            }
        }
        Ok(())
    }

    /// The files an `include` line means, the one to be read first last.
    fn include(
        &mut self,
        line: &Line,
        words: &[Vec<u8>],
        open: &[Reading],
    ) -> Result<Vec<Reading>, LoadError> {
        let [word] = words else { return Err(LoadError::of(line, BAD_DIRECTIVE)) };
        let depth = open.iter().filter(|reading| reading.path.is_some()).count();
        if depth > INCLUDE_DEPTH_MAX {
            let reason = format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
            return Err(LoadError::of(line, reason));
        }
        let beside = match &line.place {
            Place::File { path, .. } => path.parent(),
            _ => None,
        };
        let mut readings = Vec::new();
        for path in files::included(word, beside) {
            self.files += 1;
            if self.files > FILES_MAX {
                return Err(LoadError::of(line, "too many files are included"));
            }
            let lines = files::read(&path)?;
            let canonical = fs::canonicalize(&path).ok();
            if canonical.is_some() && open.iter().any(|reading| reading.path == canonical) {
                return Err(LoadError::of(line, "the file includes itself"));
            }
            readings.push(Reading { path: canonical, lines: lines.into_iter() });
        }
        readings.reverse();
        Ok(readings)
    }

    /// Carries one line out; the words of an `include` are left to the caller.
    fn set(&mut self, line: &Line) -> Result<Option<Vec<Vec<u8>>>, LoadError> {
        let refuse = |reason: &str| Err(LoadError::of(line, reason));
        let Some((name, words)) = line.split() else {
            return refuse("Unbalanced quotes in configuration line");
        };
        if name.eq_ignore_ascii_case(CACHE_MODE) {
            return self.set_cache_mode(line, &words).map(|()| None);
        }
        if let Some(row) = row_named(name.as_bytes()) {
            self.set_parameter(line, row, &words)?;
            return Ok(None);
        }
        match (name.as_str(), words.as_slice()) {
            ("include", _) => return Ok(Some(words)),
            ("rename-command", [from, to]) => {
                self.loaded.renames.push(Rename { from: from.clone(), to: to.clone() });
                self.loaded.rename_lines.push(line.clone());
            }
            ("user", [name, rules @ ..]) => {
                let (name, rules) = (name.clone(), rules.to_vec());
                self.loaded.users.push(UserLine { line: line.clone(), name, rules });
            }
            ("loadmodule", [_, ..]) => return refuse("modules are not supported"),
            ("sentinel", [_, ..]) => {
                return refuse("sentinel directive while not in sentinel mode");
            }
            ("rename-command" | "user" | "loadmodule" | "sentinel", _) => {
                return refuse(BAD_DIRECTIVE);
            }
            (former, [_]) if FORMER_NAMES.contains(&former) => {}
            _ if line.place.forgives_unknown_names() => {
                let place = &line.place;
                self.loaded
                    .warnings
                    .push(format!("Reading {place}: no parameter '{name}', ignored"));
            }
            _ => return refuse(BAD_DIRECTIVE),
        }
        Ok(None)
    }

    /// `cache-mode yes` stands for the lines that make a cache of all the memory there is.
    fn set_cache_mode(&mut self, line: &Line, words: &[Vec<u8>]) -> Result<(), LoadError> {
        let [word] = words else { return Err(LoadError::of(line, BAD_DIRECTIVE)) };
        if word.eq_ignore_ascii_case(b"no") {
            return Ok(());
        }
        if !word.eq_ignore_ascii_case(b"yes") {
            return Err(LoadError::of(line, "argument must be 'yes' or 'no'"));
        }
        for (name, value) in cache_mode_lines() {
            let Some(row) = row_named(name.as_bytes()) else { continue };
            self.set_parameter(line, row, &[value.as_bytes().to_vec()])?;
        }
        Ok(())
    }

    fn set_parameter(&mut self, line: &Line, row: Row, words: &[Vec<u8>]) -> Result<(), LoadError> {
        let parameter = row.parameter;
        let split;
        let mut words = words;
        // Several words may also be given as one, `--save "60 1"`.
        if let (Kind::Words(_), [only]) = (parameter.kind, words)
            && !only.is_empty()
        {
            split = split_args(only).map_err(|error| LoadError::of(line, error.to_string()))?;
            words = &split;
        }
        let mut all: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let known = self.loaded.store.text(parameter.name);
        let is_reset = matches!(all.as_slice(), [only] if only.is_empty());
        if parameter.collects && self.is_given[row.index] && !is_reset {
            all.splice(0..0, known.split_ascii_whitespace().map(str::as_bytes));
        }
        self.is_given[row.index] = true;
        match self.loaded.store.set_at_start(parameter.name, &all) {
            Ok(()) => Ok(()),
            Err(SetError::Refused { reason, .. }) => Err(LoadError::of(line, reason)),
            Err(error @ SetError::Unknown(_)) => Err(LoadError::of(line, error.to_string())),
        }
    }
}

/// Not a parameter, but a line that stands for others: what is set behind it counts, as behind those.
pub(super) const CACHE_MODE: &str = "cache-mode";

/// The parameters `cache-mode yes` sets.
fn cache_mode_lines() -> [(&'static str, &'static str); 2] {
    // Without a container `auto` is no limit, and a cache has one.
    let maxmemory = if memory_limit::maxmemory() == 0 { "75%" } else { "auto" };
    [("maxmemory", maxmemory), ("maxmemory-policy", "allkeys-s3")]
}

/// What Redis says of a line it cannot make anything of.
const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// The environment variable of a parameter.
pub fn variable_of(name: &str) -> String {
    format!("DARTER_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// The parameter a variable of the environment sets.
fn row_of_variable(variable: &str) -> Option<Row> {
    if variable == "REDIS_PASSWORD" {
        return row_named(b"requirepass");
    }
    variable.starts_with("DARTER_").then_some(())?;
    rows().find(|row| row.parameter.names().any(|name| variable_of(name) == variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandLine;

    /// A directory that is gone at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("darter-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            fs::write(self.0.join(name), text).unwrap();
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn cache_mode_stands_for_other_lines() {
        let mut loader = Loader::new();
        let text = b"maxmemory-policy allkeys-lru\ncache-mode yes\nmaxmemory-samples 3\n";
        loader.standard_input(text).unwrap();
        options(&mut loader, &["--maxmemory", "100mb"]).unwrap();
        let store = loader.finish().store;
        assert_eq!(store.text("maxmemory-policy"), "allkeys-s3");
        assert_eq!(store.text("maxmemory"), "104857600");

        let mut loader = Loader::new();
        options(&mut loader, &["--cache-mode", "--port", "1"]).unwrap();
        assert!(loader.finish().store.current().maxmemory_bytes > 0);

        let mut loader = Loader::new();
        let variables = [("DARTER_CACHE_MODE", "yes"), ("DARTER_MAXMEMORY", "7mb")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        loader.environment(variables.into_iter()).unwrap();
        let store = loader.finish().store;
        assert_eq!(store.text("maxmemory-policy"), "allkeys-s3");
        assert_eq!(store.current().maxmemory_bytes, 7 << 20);

        let mut loader = Loader::new();
        options(&mut loader, &["--cache-mode", "no"]).unwrap();
        assert_eq!(loader.finish().store.text("maxmemory-policy"), "noeviction");
        assert!(options(&mut Loader::new(), &["--cache-mode", "maybe"]).is_err());
        assert!(options(&mut Loader::new(), &["--cache-mode", "yes", "yes"]).is_err());
    }

    fn options(loader: &mut Loader, words: &[&str]) -> Result<(), LoadError> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        loader.options(CommandLine::parse(&words).lines)
    }

    fn refusal(words: &[&str]) -> String {
        options(&mut Loader::new(), words).unwrap_err().to_string()
    }

    #[test]
    fn later_lines_win_and_save_points_collect() {
        let mut loader = Loader::new();
        loader.standard_input(b"save 900 1\nsave 300 10\nport 1\nport 2\n").unwrap();
        loader.environment([("DARTER_TIMEOUT".to_owned(), b"1".to_vec())].into_iter()).unwrap();
        options(&mut loader, &["--save", "100", "100", "--bind", "127.0.0.1", "-::1"]).unwrap();
        let store = loader.finish().store;
        assert_eq!(store.text("save"), "900 1 300 10 100 100");
        assert_eq!((store.text("port"), store.text("bind")), ("2".into(), "127.0.0.1 -::1".into()));

        let mut loader = Loader::new();
        loader.standard_input(b"save 900 1\nsave \"\"\nsave 5 1\n").unwrap();
        assert_eq!(loader.loaded.store.text("save"), "5 1");
        options(&mut loader, &["--save"]).unwrap();
        assert_eq!(loader.finish().store.text("save"), "");
    }

    #[test]
    fn the_environment_stands_between_files_and_options() {
        let mut loader = Loader::new();
        loader.standard_input(b"port 1\ntimeout 1\nsave 900 1\n").unwrap();
        let variables = [
            ("REDIS_PASSWORD", "bitnami"),
            ("DARTER_PORT", "2"),
            ("DARTER_SAVE", "60 1"),
            ("DARTER_HASH_MAX_ZIPLIST_ENTRIES", "9"),
            ("DARTER_SOMETHING", "else"),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        loader.environment(variables.into_iter()).unwrap();
        options(&mut loader, &["--port", "3"]).unwrap();
        let store = loader.finish().store;
        let shown = |name| store.text(name);
        assert_eq!(
            (shown("port"), shown("timeout"), shown("save")),
            ("3".into(), "1".into(), "60 1".into())
        );
        assert_eq!(shown("requirepass"), "bitnami");
        assert_eq!(shown("hash-max-listpack-entries"), "9");
    }

    #[test]
    fn unknown_names_are_forgiven_in_files_only() {
        let mut loader = Loader::new();
        loader.standard_input(b"nothing 1\nvm-enabled no\nlua-replicate-commands yes\n").unwrap();
        let warnings = loader.finish().warnings;
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("line 1") && warnings[0].contains("'nothing'"));
        assert!(refusal(&["--nothing", "1"]).ends_with(BAD_DIRECTIVE));
    }

    #[test]
    fn refusals_show_the_line() {
        for (words, line, reason) in [
            (&["--port"][..], "'port'", "wrong number of arguments"),
            (&["--port", "1", "2"], r#"'port "1" "2"'"#, "wrong number of arguments"),
            (&["--port", "--bla"], r#"'port "--bla"'"#, "couldn't be parsed into an integer"),
            (&["--shutdown-on-sigint"], "'shutdown-on-sigint'", "must be one of the following"),
            (&["--user"], "user", BAD_DIRECTIVE),
            (&["--loadmodule", "a.so"], "loadmodule", "not supported"),
            (&["--include"], "'include'", BAD_DIRECTIVE),
            (&["--rename-command", "get"], "rename-command", BAD_DIRECTIVE),
        ] {
            let shown = refusal(words);
            assert!(shown.contains(line) && shown.contains(reason), "{shown}");
            assert!(shown.contains("FATAL CONFIG FILE ERROR"));
        }
        let error = Loader::new().standard_input(b"port 1\nlogfile \"x\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("Unbalanced quotes"), "{error}");
    }

    #[test]
    fn lines_about_users_are_kept_as_they_are() {
        let mut loader = Loader::new();
        let text = b"user default on nopass ~* &* +@all\nrequirepass foo\nuser \"a\" on '>p w'\n";
        loader.standard_input(text).unwrap();
        let loaded = loader.finish();
        assert_eq!(loaded.store.text("requirepass"), "foo");
        let [first, second] = &*loaded.users else { panic!("{:?}", loaded.users) };
        assert_eq!((first.name.as_slice(), first.rules.len()), (b"default".as_slice(), 5));
        assert_eq!(second.name, b"a");
        assert_eq!(second.rules, [b"on".to_vec(), b">p w".to_vec()]);
    }

    #[test]
    fn renames_are_kept_in_order() {
        let mut loader = Loader::new();
        loader
            .standard_input(b"rename-command FLUSHALL \"\"\nrename-command CONFIG b840\n")
            .unwrap();
        let loaded = loader.finish();
        assert_eq!(loaded.renames[1], Rename { from: b"CONFIG".into(), to: b"b840".into() });
        assert_eq!(loaded.rename_lines[0].place, Place::StandardInput { number: 1 });
    }

    #[test]
    fn files_include_each_other_where_the_line_stands() {
        let scratch = Scratch::new("load");
        scratch.write("10.inc", "port 10\ntimeout 10\n");
        scratch.write("20.inc", "port 20\n");
        let main =
            scratch.write("main.conf", "port 1\ninclude *.inc\ninclude none*.conf\ntimeout 3\n");
        let mut loader = Loader::new();
        loader.file(&main).unwrap();
        let store = loader.finish().store;
        assert_eq!((store.text("port"), store.text("timeout")), ("20".into(), "3".into()));
    }

    #[test]
    fn a_file_that_includes_itself_or_is_missing_is_refused() {
        let scratch = Scratch::new("cycle");
        scratch.write("a.conf", "include b.conf\n");
        scratch.write("b.conf", "include ./a.conf\n");
        let error = Loader::new().file(&scratch.0.join("a.conf")).unwrap_err().to_string();
        assert!(error.contains("b.conf") && error.contains("includes itself"), "{error}");
        let missing = scratch.write("c.conf", "include missing.conf\n");
        let error = Loader::new().file(&missing).unwrap_err().to_string();
        assert!(error.starts_with("Fatal error, can't open config file 'missing.conf'"), "{error}");
        for depth in 0..=INCLUDE_DEPTH_MAX + 1 {
            scratch.write(&format!("d{depth}"), &format!("include d{}\n", depth + 1));
        }
        let error = Loader::new().file(&scratch.0.join("d0")).unwrap_err().to_string();
        assert!(error.contains("deep"), "{error}");
    }
}
