//! `darter check-rdb`: what is in an RDB file, or where it is damaged, in the form of redis-check-rdb's report.

use darter_base::UnixMillis;
use darter_rdb::file::{During, RawEntry, ReadError, Reader, Record, Why};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

const HELP: &str = "\
Checks an RDB file from beginning to end and tells what is in it.

Usage: darter check-rdb FILE
       darter check-rdb --version | -v
       darter check-rdb --help | -h

Reads the files of Redis up to 8.0 and of Valkey 7.2 to 9, and decodes every value. Called by the
names redis-check-rdb or valkey-check-rdb the binary does the same. Values of modules are read over:
the server refuses files that have them.

Exits with 0 if the file is sound, with 1 if it is not or cannot be read.
";

/// Runs with the words of the command line, the program's name first.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let [path] = args.get(1..).unwrap_or_default() else {
        return refuse(HELP);
    };
    match path.as_bytes() {
        b"--help" | b"-h" => say(HELP),
        b"--version" | b"-v" => say(&format!("darter check-rdb {}\n", env!("CARGO_PKG_VERSION"))),
        option if option.starts_with(b"--") => return refuse(HELP),
        _ => return check(path),
    }
    ExitCode::SUCCESS
}

fn check(path: &OsStr) -> ExitCode {
    let shown = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return refuse(&format!("Cannot open file {shown}: {error}\n")),
    };
    say(&format!("[offset 0] Checking RDB file {shown}\n"));
    match report(|census| read_file(file, census)) {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// Checks the RDB data that a log begins with, and says how long they are, if they are sound.
pub(crate) fn check_preamble(from: &mut dyn Read) -> Option<u64> {
    report(|census| read(from, census).map(|reader| reader.offset()))
}

/// Tells what `read` finds.
fn report<T>(read: impl FnOnce(&mut Census) -> Result<T, Damage>) -> Option<T> {
    let mut census = Census::new(UnixMillis(jiff::Timestamp::now().as_millisecond()));
    let found = read(&mut census);
    if let Err(damage) = &found {
        say(&format!("--- RDB ERROR DETECTED ---\n{damage}"));
    }
    say(&census.to_string());
    found.ok()
}

/// What is wrong with a file.
struct Damage {
    offset: u64,
    during: During,
    why: String,
    /// The type and the name of the key it was found in.
    key: Option<(u8, String)>,
}

impl Damage {
    fn of(error: &ReadError, key: Option<(u8, String)>) -> Self {
        let ReadError { offset, during, why } = error;
        Self { offset: *offset, during: *during, why: why.to_string(), key }
    }
}

impl Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "[offset {}] {}", self.offset, self.why)?;
        writeln!(out, "[additional info] While doing: {}", self.during.name())?;
        if let Some((kind, key)) = &self.key {
            writeln!(out, "[additional info] Reading key '{key}'")?;
            writeln!(out, "[additional info] Reading type {kind}")?;
        }
        Ok(())
    }
}

/// Reads a file to its end.
fn read_file(file: File, census: &mut Census) -> Result<(), Damage> {
    let mut reader = read(file, census)?;
    match reader.finish() {
        Ok(()) => tell(reader.offset(), "\\o/ RDB looks OK! \\o/"),
        // A server refuses that, for it may be the commands of a log that begins with a snapshot.
        Err(error @ ReadError { offset, why: Why::Trailing, .. }) => {
            tell(offset, "RDB is whole up to here, but something follows its end.");
            return Err(Damage::of(&error, None));
        }
        Err(error) => return Err(Damage::of(&error, None)),
    }
    Ok(())
}

/// Reads to the end of the RDB data.
fn read<R: Read>(from: R, census: &mut Census) -> Result<Reader<R>, Damage> {
    let mut reader = Reader::new(from).map_err(|error| Damage::of(&error, None))?.with_modules();
    tell(reader.offset(), &format!("RDB version {}", reader.version().0));
    loop {
        let start = reader.offset();
        let record = match reader.next_record() {
            Ok(record) => record,
            Err(error) => {
                let key = reader.in_hand().map(|(kind, key)| (kind, shown(&key)));
                return Err(Damage::of(&error, key));
            }
        };
        let text = match record {
            Record::Entry(entry) => {
                census.note_entry(&entry);
                if let Err(corrupt) = entry.value.decode() {
                    return Err(Damage {
                        offset: start,
                        during: During::Value,
                        why: format!("{corrupt} of the key that begins here"),
                        key: Some((entry.value.kind, shown(&entry.key))),
                    });
                }
                continue;
            }
            Record::ModuleEntry { key, module, deadline_ms } => {
                census.note_key(deadline_ms);
                format!("MODULE VALUE of {module} for the key '{}'", shown(&key))
            }
            Record::Database(index) => {
                census.select(index);
                format!("Selecting DB ID {index}")
            }
            Record::Function(_) => {
                census.functions += 1;
                continue;
            }
            Record::Aux { name, value } => {
                format!("AUX FIELD {} = '{}'", shown(&name), shown(&value))
            }
            Record::ModuleAux { module } => format!("MODULE AUX for: {module}"),
            Record::SlotImport { job } => format!("SLOT IMPORT {}", shown(&job)),
            Record::Sizes { .. } | Record::Slot { .. } => continue,
            Record::End { checked } => {
                let text = if checked {
                    "Checksum OK"
                } else {
                    "The file has no checksum: nothing to compare with."
                };
                tell(reader.offset(), text);
                break;
            }
        };
        tell(reader.offset(), &text);
    }
    Ok(reader)
}

/// What is in a file.
struct Census {
    now: UnixMillis,
    functions: u64,
    /// The database at hand is the last.
    databases: Vec<Database>,
}

#[derive(Default)]
struct Database {
    index: u64,
    keys: u64,
    expires: u64,
    expired: u64,
    value_bytes: u64,
}

impl Census {
    const fn new(now: UnixMillis) -> Self {
        Self { now, functions: 0, databases: Vec::new() }
    }

    fn select(&mut self, index: u64) {
        // Those of a whole file are in a row; what it repeats is counted apart only if that is not so.
        if self.databases.last().is_none_or(|last| last.index != index) {
            self.databases.retain(|database| database.keys > 0);
            self.databases.push(Database { index, ..Database::default() });
        }
    }

    fn note_entry(&mut self, entry: &RawEntry<'_>) {
        let database = self.note_key(entry.deadline_ms);
        database.value_bytes += entry.value.content.len() as u64;
    }

    fn note_key(&mut self, deadline_ms: Option<i64>) -> &mut Database {
        if self.databases.is_empty() {
            self.select(0);
        }
        let now = self.now.0;
        let database = self.databases.last_mut().expect("one was selected");
        database.keys += 1;
        if let Some(deadline_ms) = deadline_ms {
            database.expires += 1;
            database.expired += u64::from(deadline_ms < now);
        }
        database
    }
}

impl Display for Census {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = |of: fn(&Database) -> u64| self.databases.iter().map(of).sum::<u64>();
        writeln!(out, "[info] {} keys read", total(|database| database.keys))?;
        writeln!(out, "[info] {} expires", total(|database| database.expires))?;
        writeln!(out, "[info] {} already expired", total(|database| database.expired))?;
        writeln!(out, "[info] {} functions", self.functions)?;
        for Database { index, keys, expires, value_bytes, .. } in &self.databases {
            writeln!(
                out,
                "[info] db{index}: {keys} keys, {expires} expires, {value_bytes} bytes of values"
            )?;
        }
        Ok(())
    }
}

fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}

fn tell(offset: u64, text: &str) {
    say(&format!("[offset {offset}] {text}\n"));
}

pub(crate) fn say(text: &str) {
    // Nobody to tell when standard output is closed.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

pub(crate) fn refuse(text: &str) -> ExitCode {
    // Likewise.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::FAILURE
}
