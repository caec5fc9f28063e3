//! `darter check-aof`. What redis-check-aof's own tests look for is in `tests/integration/aof.tcl` of Redis 8.0.

use crate::support::{darter, run};
use darter_persistence::{Log, LogId, Place, Position, Seal};
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// What is printed, and the exit code.
fn check(options: &[&str], path: &Path) -> (String, Option<i32>) {
    let output = run(&[&["check-aof"], options, &[path.to_str().unwrap()]].concat());
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

/// As [`check`], with `--fix` and an answer to its question.
fn fix(path: &Path, answer: &str) -> (String, Option<i32>) {
    let mut child = darter()
        .args(["check-aof", "--fix", path.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have found that there is nothing to ask.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

fn command(line: &str) -> Vec<u8> {
    darter_resp::request::encode(&line.split(' ').collect::<Vec<_>>())
}

/// The parts in a row: commands, `#` lines, or, with a `!`, bytes.
fn content(parts: &[&str]) -> Vec<u8> {
    let part = |part: &&str| match part.as_bytes()[0] {
        b'#' => format!("{part}\r\n").into_bytes(),
        b'!' => part.as_bytes().to_vec(),
        _ => command(part),
    };
    parts.iter().flat_map(part).collect()
}

/// A directory as Redis writes it; the manifest.
fn theirs(directory: &TempDir, base: &[u8], incremental: &[u8]) -> PathBuf {
    fs::write(directory.path().join("appendonly.aof.1.base.aof"), base).unwrap();
    fs::write(directory.path().join("appendonly.aof.1.incr.aof"), incremental).unwrap();
    let manifest = directory.path().join("appendonly.aof.manifest");
    let text = "file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(&manifest, text).unwrap();
    manifest
}

/// A directory of ours with a chunk for each of `chunks`; the manifest, and the file of chunks.
fn ours(directory: &TempDir, chunks: &[&[&str]]) -> (PathBuf, PathBuf) {
    let place = Place::new(directory.path(), "log", "appendonly.aof");
    let mut log = Log::create(place.clone(), LogId([1; 16])).unwrap();
    let mut appender = log.begin_file(log.beginning()).unwrap();
    let base = b"REDIS0009\xff\0\0\0\0\0\0\0\0";
    let temporary = log.temporary(1);
    fs::write(&temporary, base).unwrap();
    let mut seal = Seal::EMPTY;
    seal.add(base);
    let at: Position = appender.position();
    log.install_base(&temporary, darter_persistence::BaseFormat::Rdb, at, seal).unwrap();
    for chunk in chunks {
        appender.append(&content(chunk)).unwrap();
    }
    (place.manifest(), appender.path().to_owned())
}

fn contains_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}: {text}"));
        rest = after;
    }
}

#[test]
fn sound_files_of_redis_are_told_of() {
    let directory = TempDir::new().unwrap();
    let commands = content(&["set foo hello", "set bar world"]);
    let manifest = theirs(&directory, &commands, &commands);
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(0), "{text}");
    let parts = [
        "Start checking Multi Part AOF",
        "Start to check BASE AOF (RESP format)",
        "BASE AOF appendonly.aof.1.base.aof is valid",
        "Start to check INCR files",
        "AOF analyzed: filename=appendonly.aof.1.incr.aof, size=66, ok_up_to=66, ok_up_to_line=15, diff=0",
        "INCR AOF appendonly.aof.1.incr.aof is valid",
        "All AOF files and manifest are valid",
    ];
    contains_in_order(&text, &parts);
    let preamble = [b"REDIS0009\xff\0\0\0\0\0\0\0\0".to_vec(), commands.clone()].concat();
    let manifest = theirs(&directory, &preamble, &commands);
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(0), "{text}");
    let parts = [
        "Start to check BASE AOF (RDB format)",
        "RDB preamble is OK, proceeding with AOF tail",
        "BASE AOF appendonly.aof.1.base.aof is valid",
        "All AOF files and manifest are valid",
    ];
    contains_in_order(&text, &parts);
    for content in [commands, preamble] {
        let path = directory.path().join("single.aof");
        fs::write(&path, content).unwrap();
        let (text, code) = check(&[], &path);
        assert_eq!(code, Some(0), "{text}");
        contains_in_order(&text, &["Start checking Old-Style AOF", "is valid"]);
    }
}

#[test]
fn a_torn_end_is_cut_off_when_asked_for() {
    let directory = TempDir::new().unwrap();
    let base = content(&["set a 1"]);
    let manifest = theirs(&directory, &base, &content(&["set foo hello", "!!!"]));
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ok_up_to_line=8") && text.contains("not valid"), "{text}");
    let (text, code) = fix(&manifest, "n\n");
    assert!(code == Some(1) && text.contains("Aborting"), "{text}");
    let (text, code) = fix(&manifest, "y\n");
    assert!(code == Some(0) && text.contains("Successfully truncated"), "{text}");
    assert!(text.contains("Successfully truncated AOF"), "{text}");
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn only_the_last_file_is_cut() {
    let directory = TempDir::new().unwrap();
    let base = content(&["set foo hello", "multi", "set bar world"]);
    let manifest = theirs(&directory, &base, &content(&["set foo hello"]));
    let (text, code) = check(&[], &manifest);
    assert!(code == Some(1) && text.contains("not valid"), "{text}");
    let (text, code) = check(&["--fix", "--yes"], &manifest);
    assert_eq!(code, Some(1), "{text}");
    contains_in_order(&text, &["Failed to truncate AOF", "because it is not the last file"]);
    let base = content(&["#TS:1628217470", "set a 1", "#TS:1628217474"]);
    let manifest = theirs(&directory, &base, &content(&["set foo hello"]));
    let (text, code) = check(&["--truncate-to-timestamp", "1628217473"], &manifest);
    assert_eq!(code, Some(1), "{text}");
    let parts = ["Failed to truncate AOF", "to timestamp", "because it is not the last file"];
    contains_in_order(&text, &parts);
}

const TIMED: &[&str] = &[
    "#TS:1628217470",
    "set foo1 bar1",
    "#TS:1628217471",
    "set foo2 bar2",
    "#TS:1628217472",
    "#TS:1628217473",
    "set foo3 bar3",
    "#TS:1628217474",
];

#[test]
fn what_is_later_is_cut_off() {
    let directory = TempDir::new().unwrap();
    let manifest = theirs(&directory, &content(&["set a 1"]), &content(TIMED));
    let incremental = directory.path().join("appendonly.aof.1.incr.aof");
    for (time, kept) in [(1_628_217_473, 7), (1_628_217_471, 4), (1_628_217_470, 2)] {
        let (text, code) = check(&["--truncate-to-timestamp", &time.to_string()], &manifest);
        assert!(code == Some(0) && text.contains("Successfully truncated AOF"), "{text}");
        assert_eq!(fs::read(&incremental).unwrap(), content(&TIMED[..kept]));
    }
    let (text, code) = check(&["--truncate-to-timestamp", "1628217475"], &manifest);
    assert!(code == Some(0) && text.contains("Truncate nothing"), "{text}");
    let (text, code) = check(&["--truncate-to-timestamp", "1628217469"], &manifest);
    assert!(code == Some(1) && text.contains("aborting"), "{text}");
    let (text, code) = check(&["--truncate-to-timestamp", "soon"], &manifest);
    assert!(code == Some(1) && text.contains("aborting"), "{text}");
}

#[test]
fn what_is_later_in_a_chunk_is_cut_off() {
    let directory = TempDir::new().unwrap();
    let (manifest, path) = ours(&directory, &[&["set a 1"], TIMED, &["set b 1"]]);
    for (time, kept) in [(1_628_217_473, 7), (1_628_217_471, 4)] {
        let (text, code) = check(&["--truncate-to-timestamp", &time.to_string()], &manifest);
        assert!(code == Some(0) && text.contains("Successfully truncated AOF"), "{text}");
        let file = fs::read(&path).unwrap();
        assert!(file.ends_with(&content(&TIMED[..kept])));
        let (text, code) = check(&[], &manifest);
        assert_eq!(code, Some(0), "{text}");
    }
    // At the beginning of a chunk.
    let (text, code) = check(&["--truncate-to-timestamp", "1"], &manifest);
    assert_eq!(code, Some(0), "{text}");
    assert!(fs::read(&path).unwrap().ends_with(&content(&["set a 1"])));
}

#[test]
fn damage_to_a_chunk_is_told_of_and_cut_off() {
    let directory = TempDir::new().unwrap();
    let (manifest, path) = ours(&directory, &[&["set a 1"], &["set b 1"], &["set c 1"]]);
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(0), "{text}");
    let whole = fs::read(&path).unwrap();
    let chunk = (whole.len() - 81) / 3;
    let mut damaged = whole.clone();
    damaged[81 + 2 * chunk - 3] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(1), "{text}");
    let where_it_is = format!("byte {}", 81 + chunk);
    contains_in_order(&text, &[&where_it_is, "1 chunks follow", "not valid"]);
    let (text, code) = check(&["--fix", "--yes"], &manifest);
    assert_eq!(code, Some(0), "{text}");
    contains_in_order(&text, &["more than a torn end", "Successfully truncated"]);
    assert_eq!(fs::read(&path).unwrap(), whole[..81 + chunk]);
    assert_eq!(check(&[], &manifest).1, Some(0));
    // A file by itself can be looked at as well.
    let (text, code) = check(&[], &path);
    assert!(code == Some(0) && text.contains("is valid"), "{text}");
}

#[test]
fn what_is_not_whole_as_a_set_is_told_of() {
    let directory = TempDir::new().unwrap();
    let manifest = theirs(&directory, b"", b"");
    let mut text = fs::read(&manifest).unwrap();
    text.extend_from_slice(b"!!!\n");
    fs::write(&manifest, text).unwrap();
    let (text, code) = check(&[], &manifest);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Invalid AOF manifest file format") && text.contains("line 3"), "{text}");
    let (manifest, path) = ours(&directory, &[&["set a 1"]]);
    fs::remove_file(&path).unwrap();
    let (text, code) = check(&[], &manifest);
    assert!(code == Some(1) && text.contains("missing"), "{text}");
}

#[test]
fn it_can_be_called_by_redis_s_name_and_says_how() {
    assert_eq!(check(&[], Path::new("/nowhere")).1, Some(1));
    assert_eq!(run(&["check-aof"]).status.code(), Some(1));
    assert_eq!(run(&["check-aof", "--help"]).status.code(), Some(0));
    let version = darter().arg0("redis-check-aof").arg("--version").output().unwrap();
    assert!(version.stdout.starts_with(b"darter check-aof "));
}
