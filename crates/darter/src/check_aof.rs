//! `darter check-aof`: whether the files of a log are whole, in the form of redis-check-aof's report; and cutting off
//! what is not.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use darter_persistence::{
    Examination, FileKind, Finding, LogError, Recipient, Refused, Report, Why,
};
use darter_resp::{Args, Limits};

use crate::check_rdb::{check_preamble, refuse, say};

const HELP: &str = "\
Checks the files of a log of changes from beginning to end, and repairs the last one.

Usage: darter check-aof [--fix [--yes] | --truncate-to-timestamp SECONDS] FILE
       darter check-aof --version | -v
       darter check-aof --help | -h

FILE is a manifest (appendonly.aof.manifest), which stands for all files it names; or one file of commands.

  --fix    Cuts off what is behind the last command or chunk that is whole, if that is in the last file; asks first.
  --yes    Does not ask.
  --truncate-to-timestamp SECONDS
           Cuts off what is behind the first mark of a later time than this Unix time. There are such marks in
           files that were written with aof-timestamp-enabled.

Make a copy of the directory before anything is cut off, and run no server on it meanwhile. Reads the files of
Redis up to 8.0 and of Valkey 7.2 to 9. Called by the names redis-check-aof or valkey-check-aof the binary does the
same.

Exits with 0 if the files are sound, or are now; with 1 if they are not or cannot be read.
";

/// What to do besides looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    fix: bool,
    /// Without a question.
    yes: bool,
    last_second: Option<i64>,
}

/// Runs with the words of the command line, the program's name first.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let words: Vec<_> = args.iter().skip(1).map(|word| word.as_bytes()).collect();
    let (asked, path) = match words.as_slice() {
        [b"--help" | b"-h"] => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        [b"--version" | b"-v"] => {
            say(&format!("darter check-aof {}\n", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        [b"--fix", path] => (Asked { fix: true, ..Asked::default() }, path),
        [b"--fix", b"--yes", path] => (Asked { fix: true, yes: true, last_second: None }, path),
        [b"--truncate-to-timestamp", time, path] => {
            let time = str::from_utf8(time).ok().and_then(|text| text.parse().ok());
            let Some(last_second) = time else {
                return refuse("Invalid timestamp, aborting...\n");
            };
            (Asked { last_second: Some(last_second), ..Asked::default() }, path)
        }
        [path] => (Asked::default(), path),
        _ => return refuse(HELP),
    };
    if path.starts_with(b"--") {
        return refuse(HELP);
    }
    match check(Path::new(OsStr::from_bytes(path)), asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(&format!("{text}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Checks what `path` is; on an error, what to say in the end.
fn check(path: &Path, asked: Asked) -> Result<(), String> {
    let examination = match Examination::begin(path) {
        Ok(examination) => examination,
        // Redis's words, in its order.
        Err(error @ LogError { why: Why::Manifest(_), .. }) => {
            say("Start checking Multi Part AOF\n");
            return Err(error.to_string());
        }
        Err(error) => return Err(error.to_string()),
    };
    if !examination.is_directory() {
        say("Start checking Old-Style AOF\n");
        return check_file(&examination, 0, path, "AOF", true, asked);
    }
    say("Start checking Multi Part AOF\n");
    let files: Vec<_> = examination.files().collect();
    let mut has_begun_incremental = false;
    for (index, &(kind, path)) in files.iter().enumerate() {
        let name = Path::new(path.file_name().unwrap_or_default());
        let is_last = index + 1 == files.len();
        let role = if kind == FileKind::Base {
            let is_rdb = examination.is_rdb(index).map_err(|error| cannot_open(path, &error))?;
            let format = if is_rdb { "RDB" } else { "RESP" };
            say(&format!("Start to check BASE AOF ({format} format).\n"));
            "BASE AOF"
        } else {
            if !has_begun_incremental {
                say("Start to check INCR files.\n");
                has_begun_incremental = true;
            }
            "INCR AOF"
        };
        check_file(&examination, index, name, role, is_last, asked)?;
    }
    say("All AOF files and manifest are valid\n");
    Ok(())
}

/// Checks the file at `index`, which is shown as `name`.
fn check_file(
    examination: &Examination,
    index: usize,
    name: &Path,
    role: &str,
    is_last: bool,
    asked: Asked,
) -> Result<(), String> {
    let shown = name.display();
    let mut counter = Counter::default();
    let report = examination
        .examine(index, asked.last_second, Limits::authenticated(), &mut counter)
        .map_err(|error| error.to_string())?;
    if counter.is_bad_preamble {
        return Err("RDB preamble of AOF file is not sane, aborting.".to_owned());
    }
    let (wrong, to_do) = match &report.finding {
        Finding::Empty => {
            say(&format!("{role} {shown} is empty\n"));
            return Ok(());
        }
        Finding::Later => return cut_later(&report, name, is_last, asked.last_second.unwrap_or(0)),
        Finding::Sound => (None, ""),
        Finding::Torn(reason) => (Some(format!("{}: {reason}", report.whole)), ""),
        Finding::Damaged(error) => {
            (Some(error.to_string()), "damage, which is more than a torn end")
        }
    };
    if let Some(reason) = &wrong {
        say(&format!("{reason}\n"));
    }
    let diff = report.size.saturating_sub(report.whole);
    if wrong.is_none() && asked.last_second.is_some() {
        let time = asked.last_second.unwrap_or(0);
        say(&format!("Truncate nothing in AOF {shown} to timestamp {time}\n"));
    } else {
        say(&format!(
            "AOF analyzed: filename={shown}, size={}, ok_up_to={}, ok_up_to_line={}, diff={diff}\n",
            report.size, report.whole, counter.line
        ));
    }
    if wrong.is_none() {
        say(&format!("{role} {shown} is valid\n"));
        return Ok(());
    }
    if !asked.fix {
        return Err(format!("AOF {shown} is not valid. Use the --fix option to try fixing it."));
    }
    if !is_last {
        return Err(format!("Failed to truncate AOF {shown} because it is not the last file"));
    }
    if diff == 0 {
        return Err(format!("AOF {shown} cannot be repaired by cutting something off"));
    }
    say(&format!(
        "This will shrink the AOF {shown} from {} bytes, with {diff} bytes, to {} bytes\n",
        report.size, report.whole
    ));
    if !to_do.is_empty() {
        say(&format!("This is {to_do}: commands that are whole may be among what is lost.\n"));
    }
    if !asked.yes && !agrees() {
        return Err("Aborting...".to_owned());
    }
    report.cut().map_err(|error| format!("Failed to truncate AOF {shown}: {error}"))?;
    say(&format!("Successfully truncated AOF {shown}\n"));
    Ok(())
}

/// Cuts off what is later than `time`.
fn cut_later(report: &Report, name: &Path, is_last: bool, time: i64) -> Result<(), String> {
    let (shown, whole) = (name.display(), report.whole);
    if !is_last {
        return Err(format!(
            "Failed to truncate AOF {shown} to timestamp {time} to offset {whole} because it is not the last file.\n\
             To do it nevertheless, delete all files behind it and their lines in the manifest, and run this again."
        ));
    }
    if report.keeps_nothing() {
        return Err(format!("AOF {shown} has nothing before timestamp {time}, aborting..."));
    }
    report
        .cut()
        .map_err(|error| format!("Failed to truncate AOF {shown} to timestamp {time}: {error}"))?;
    say(&format!("Successfully truncated AOF {shown} to timestamp {time}\n"));
    Ok(())
}

/// Asks on the terminal, or whoever else is there.
fn agrees() -> bool {
    say("Continue? [y/N]: ");
    let mut answer = String::new();
    // No answer is no.
    io::stdin().read_line(&mut answer).is_ok() && answer.starts_with(['y', 'Y'])
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    format!("Cannot open file {}: {error}, aborting...", path.display())
}

/// Counts what it is given.
struct Counter {
    /// The line behind what was read, counted as redis-check-aof does: of commands only, and not of RDB.
    line: u64,
    is_bad_preamble: bool,
}

impl Default for Counter {
    fn default() -> Self {
        Self { line: 1, is_bad_preamble: false }
    }
}

impl Recipient for Counter {
    fn begin(&mut self, _bytes: u64) {}

    fn file(&mut self, _path: &Path, _bytes: u64) {}

    fn snapshot(&mut self, rdb: &mut dyn Read, _path: &Path) -> Result<u64, String> {
        let checked = check_preamble(rdb);
        self.is_bad_preamble = checked.is_none();
        let len = checked.ok_or("the RDB data are damaged")?;
        say("RDB preamble is OK, proceeding with AOF tail...\n");
        Ok(len)
    }

    fn command(&mut self, _at: u64, args: Args<'_>) -> Result<(), Refused> {
        // The count; and of each argument its length, and itself.
        self.line += 1 + 2 * args.len() as u64;
        Ok(())
    }

    fn progress(&mut self, _bytes: u64) {}
}
