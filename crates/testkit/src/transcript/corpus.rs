//! The files under `tests/transcripts`, and running all of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::model::{ServerKind, Target, Transcript};
use super::parse;
use super::run::{Report, Setting, run_file};
use crate::mode::workspace_root;
use crate::{Feed, Protocol, Server, ServerSpec};

/// How often a reply may fail to come before the rest is not worth the wait.
const TIMEOUTS_MAX: usize = 5;

/// Where the corpus is.
pub fn directory() -> PathBuf {
    workspace_root().join("tests/transcripts")
}

/// Every transcript below a directory, or the one file named, sorted by path.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the transcripts below a directory, or the one named. Paths are kept relative to the tree.
pub fn load(path: &Path) -> Result<Vec<Transcript>, String> {
    let files = files(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let load = |file: &PathBuf| {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let shown = file.strip_prefix(workspace_root()).unwrap_or(file);
        parse::parse(shown, &text).map_err(|error| error.to_string())
    };
    files.iter().map(load).collect()
}

/// Runs transcripts against one server, plus one server for each file that wants its own.
pub fn run(
    transcripts: &[Transcript],
    spec: &ServerSpec,
    target: Target,
    protocol: Protocol,
    feed: Feed,
) -> Result<Report, String> {
    let start = |spec: &ServerSpec| Server::start(spec).map_err(|error| error.to_string());
    let mut shared = start(spec)?;
    let mut report = Report::default();
    for transcript in transcripts {
        if transcript.fresh_connections && protocol == Protocol::Resp3 {
            // Such a file switches protocols itself and would do the same again.
            continue;
        }
        // It need not know the options of a file that has no case for it.
        let has_cases = transcript.cases.iter().any(|case| case.oracles.include(target));
        let own = match &transcript.server_options[..] {
            options if options.is_empty() || !has_cases => None,
            options => Some(start(&spec.with_arguments(options))?),
        };
        let address = own.as_ref().unwrap_or(&shared).address();
        report.add(run_file(transcript, Setting { address, target, protocol, feed }));
        let place = transcript.path.display();
        if !shared.is_running() {
            return Err(format!("the server died during {place}; its log:\n{}", shared.log()));
        }
        if report.timeouts > TIMEOUTS_MAX {
            let verdict = report.verdict().err().unwrap_or_default();
            return Err(format!("too many replies did not come, up to {place}\n{verdict}"));
        }
    }
    Ok(report)
}

/// Which server a program is, by what it says of itself.
pub fn identify(program: &Path) -> Result<Target, String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let kind = match text.split_whitespace().next() {
        Some("Redis") => ServerKind::Redis,
        Some("Valkey") => ServerKind::Valkey,
        _ => ServerKind::Darter,
    };
    let version = text
        .split_whitespace()
        .find_map(|word| parse::version(word.strip_prefix("v=")?))
        .unwrap_or_default();
    Ok(Target { kind, version })
}
