mod damage;

use std::fs;

use darter_resp::request::encode;
use tempfile::TempDir;

use super::*;
use crate::error::Spot;
use crate::log::{BaseFormat, Log};
use crate::position::LogId;

/// Collects what it is given. Its snapshots are `REDIS`, a digit that says how many bytes follow, and those.
#[derive(Default)]
struct Collector {
    commands: Vec<String>,
}

impl Recipient for Collector {
    fn begin(&mut self, _bytes: u64) {}

    fn file(&mut self, _path: &Path, _bytes: u64) {}

    fn snapshot(&mut self, rdb: &mut dyn Read, _path: &Path) -> Result<u64, String> {
        let mut text = Vec::new();
        rdb.read_to_end(&mut text).map_err(|error| error.to_string())?;
        let len = text.get(5).filter(|digit| digit.is_ascii_digit()).ok_or("no RDB")? - b'0';
        let end = 6 + usize::from(len);
        let content = text.get(6..end).ok_or("the file ends too early")?;
        self.commands.push(format!("load {}", content.escape_ascii()));
        Ok(end as u64)
    }

    fn command(&mut self, _at: u64, args: Args<'_>) -> Result<(), Refused> {
        let words: Vec<_> = args.iter().map(|word| word.escape_ascii().to_string()).collect();
        self.commands.push(words.join(" "));
        Ok(())
    }

    fn progress(&mut self, _bytes: u64) {}
}

fn place(directory: &TempDir) -> Place {
    Place::new(directory.path(), "appendonlydir", "appendonly.aof")
}

fn read(place: &Place) -> Result<(Vec<String>, Recovered), LogError> {
    let mut collector = Collector::default();
    let recovered = recover(place, &Options::default(), &mut collector)?;
    Ok((collector.commands, recovered))
}

fn group(text: &str) -> Vec<u8> {
    text.split("; ").flat_map(|line| encode(&line.split(' ').collect::<Vec<_>>())).collect()
}

fn base(log: &mut Log, text: &str, at: Position) {
    let temporary = log.temporary(1);
    let content = format!("REDIS{}{text}", text.len());
    fs::write(&temporary, &content).unwrap();
    let seal = Seal { bytes: content.len() as u64, crc: crc32c::crc32c(content.as_bytes()) };
    log.install_base(&temporary, BaseFormat::Rdb, at, seal).unwrap();
}

#[test]
fn a_log_is_read_as_it_was_written_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let (found, recovered) = read(&place).unwrap();
    assert!(found.is_empty() && recovered.tail == Tail::Nothing);
    let mut log = Log::create(place.clone(), LogId([1; 16])).unwrap();
    let mut appender = log.begin_file(log.beginning()).unwrap();
    base(&mut log, "abc", appender.position());
    appender.append(&group("SET a 1")).unwrap();
    appender.append(&group("MULTI; SET b 2; EXEC")).unwrap();
    let (found, recovered) = read(&place).unwrap();
    let mut expected = vec!["load abc", "SET a 1", "MULTI", "SET b 2", "EXEC"];
    assert_eq!(found, expected);
    let (mut log, resumed) = Log::resume(place.clone(), recovered, LogId([2; 16])).unwrap();
    let mut appender = log.go_on(resumed).unwrap();
    appender.append(&group("SET c 3")).unwrap();
    let mut appender = log.begin_file(appender.position()).unwrap();
    appender.append(&group("SET d 4")).unwrap();
    expected.extend(["SET c 3", "SET d 4"]);
    assert_eq!(read(&place).unwrap().0, expected);
    let at = appender.position();
    let mut appender = log.begin_file(at).unwrap();
    appender.append(&group("SET e 5")).unwrap();
    base(&mut log, "abcd", at);
    log.delete_history().unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(found, ["load abcd", "SET e 5"]);
    assert_eq!(&recovered.manifest, log.manifest());
    let files = fs::read_dir(place.directory()).unwrap().count();
    assert_eq!(files, 3);
}

#[test]
fn files_without_a_change_end_with_their_base() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let mut log = Log::create(place.clone(), LogId([1; 16])).unwrap();
    let mut appender = log.begin_file(log.beginning()).unwrap();
    for text in ["a", "ab", "abc"] {
        base(&mut log, text, appender.position());
        log.delete_history().unwrap();
        assert_eq!(log.manifest().incremental.len(), 1);
        appender = log.begin_file(appender.position()).unwrap();
    }
    base(&mut log, "abcd", appender.position());
    log.delete_history().unwrap();
    appender.append(&group("SET a 1")).unwrap();
    assert_eq!(read(&place).unwrap().0, ["load abcd", "SET a 1"]);
    assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 3);
}

/// A log of one file of chunks of `len` bytes, of which each begins when the ones before were synced, if they
/// `are_synced`.
fn chunks(place: &Place, count: usize, len: usize, are_synced: bool) -> PathBuf {
    let mut log = Log::create(place.clone(), LogId([1; 16])).unwrap();
    let mut appender = log.begin_file(log.beginning()).unwrap();
    base(&mut log, "", appender.position());
    for index in 0..count {
        let value = "x".repeat(len);
        appender.append(&group(&format!("SET {index} {value}"))).unwrap();
        if are_synced {
            appender.note_synced(appender.position().offset);
        }
    }
    appender.path().to_owned()
}

#[test]
fn a_hole_is_a_torn_end_unless_it_had_been_synced() {
    for are_synced in [false, true] {
        let directory = TempDir::new().unwrap();
        let place = place(&directory);
        let path = chunks(&place, 20, 1000, are_synced);
        let mut content = fs::read(&path).unwrap();
        content[8192..12288].fill(0);
        fs::write(&path, &content).unwrap();
        match read(&place) {
            Ok((found, recovered)) => {
                assert!(!are_synced);
                assert!((5..12).contains(&found.len()), "{}", found.len());
                assert!(recovered.torn.unwrap().kept_bytes <= 8192);
            }
            Err(error) => {
                assert!(are_synced, "{error}");
                assert!(matches!(error.why, Why::Damaged(_)), "{error}");
            }
        }
    }
}

#[test]
fn a_torn_line_in_a_value_is_no_evidence() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let path = chunks(&place, 3, 100, true);
    let (_, recovered) = read(&place).unwrap();
    let (mut log, resumed) = Log::resume(place.clone(), recovered, LogId([2; 16])).unwrap();
    let mut appender = log.go_on(resumed).unwrap();
    let line =
        crate::line::ChunkLine::of(b"", 0, Position { offset: 1 << 20, chain: 0 }, Some(1 << 20));
    let value = [b"\r\n".to_vec(), line.bytes().to_vec()].concat().repeat(50);
    appender.append(&encode(&[b"SET".as_slice(), b"k", &value])).unwrap();
    let content = fs::read(&path).unwrap();
    for len in [content.len() - 1, content.len() - 1000] {
        fs::write(&path, &content[..len]).unwrap();
        assert_eq!(read(&place).unwrap().0.len(), 4);
    }
    let mut zeroed = content.clone();
    let len = content.len();
    zeroed[len - 600..].fill(0);
    fs::write(&path, &zeroed).unwrap();
    assert_eq!(read(&place).unwrap().0.len(), 4);
}

#[test]
fn long_chunks_and_arguments_are_read() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let path = chunks(&place, 3, 3_000_000, true);
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(
        found.iter().map(String::len).collect::<Vec<_>>(),
        [5, 3_000_006, 3_000_006, 3_000_006]
    );
    assert_eq!(recovered.bytes, fs::metadata(path).unwrap().len() + 6);
}

/// A directory as Redis writes it.
fn foreign(place: &Place, files: &[(&str, &str, Vec<u8>)]) {
    fs::create_dir_all(place.directory()).unwrap();
    let mut manifest = Vec::new();
    for (index, (kind, name, content)) in files.iter().enumerate() {
        let line = format!("file {name} seq {} type {kind}\n", index + 1);
        manifest.extend_from_slice(line.as_bytes());
        fs::write(place.directory().join(name), content).unwrap();
    }
    fs::write(place.manifest(), manifest).unwrap();
}

#[test]
fn a_log_of_redis_is_read_and_goes_on_as_ours() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let torn = [group("SET c 1"), group("MULTI; SET d 1")].concat();
    let whole = group("SET c 1").len() as u64;
    foreign(
        &place,
        &[
            ("b", "appendonly.aof.1.base.rdb", [b"REDIS2xy".to_vec(), group("SET a 1")].concat()),
            ("i", "appendonly.aof.1.incr.aof", group("SET b 1")),
            ("i", "appendonly.aof.2.incr.aof", torn.clone()),
        ],
    );
    let (found, recovered) = read(&place).unwrap();
    let mut expected = vec!["load xy", "SET a 1", "SET b 1", "SET c 1"];
    assert_eq!(found, expected);
    assert_eq!(recovered.torn.as_ref().unwrap().kept_bytes, whole);
    assert_eq!(recovered.tail, Tail::Closed(None));
    let (mut log, resumed) = Log::resume(place.clone(), recovered, LogId([2; 16])).unwrap();
    let mut appender = log.go_on(resumed).unwrap();
    appender.append(&group("SET d 1")).unwrap();
    expected.push("SET d 1");
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(found, expected);
    assert!(matches!(recovered.tail, Tail::Open { .. }));
    // Nothing of theirs may change any more.
    for name in ["1.base.rdb", "1.incr.aof", "2.incr.aof"] {
        let path = place.directory().join(format!("appendonly.aof.{name}"));
        let content = fs::read(&path).unwrap();
        for changed in [
            content[..content.len() - 1].to_vec(),
            [content.clone(), group("SET x 1")].concat(),
            String::from_utf8(content.clone()).unwrap().replace('1', "2").into_bytes(),
        ] {
            fs::write(&path, &changed).unwrap();
            assert_eq!(read(&place).unwrap_err().path, path);
        }
        fs::write(&path, &content).unwrap();
    }
    assert_eq!(read(&place).unwrap().0, expected);
}

#[test]
fn redis_may_continue_a_log_of_ours_and_we_may_continue_that() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let path = chunks(&place, 2, 1, true);
    let content = fs::read(&path).unwrap();
    let theirs = [group("SELECT 0"), b"#TS:1\r\n".to_vec(), group("SET 3 x")].concat();
    fs::write(&path, [content, theirs].concat()).unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(found, ["load ", "SET 0 x", "SET 1 x", "SELECT 0", "SET 3 x"]);
    let (mut log, resumed) = Log::resume(place.clone(), recovered, LogId([3; 16])).unwrap();
    let mut appender = log.go_on(resumed).unwrap();
    appender.append(&group("SET 4 x")).unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(found[4..], ["SET 3 x", "SET 4 x"]);
    assert!(matches!(recovered.tail, Tail::Open { .. }));
    // And it cannot be continued once more.
    let content = fs::read(&path).unwrap();
    fs::write(&path, [content, group("SET 5 x")].concat()).unwrap();
    assert_eq!(read(&place).unwrap_err().path, path);
}

#[test]
fn what_is_wrong_in_a_log_of_redis_is_refused() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let base = ("b", "appendonly.aof.1.base.rdb", b"REDIS0".to_vec());
    for (files, wrong, at) in [
        (vec![("b", "a.rdb", vec![])], "a.rdb", Spot::Whole),
        (vec![("b", "a.rdb", b"REDIS9".to_vec())], "a.rdb", Spot::Byte(6)),
        (vec![base.clone(), ("i", "b.aof", b"x".to_vec())], "b.aof", Spot::Byte(0)),
        (
            vec![base.clone(), ("i", "b.aof", [group("SET a 1"), b"!!!".to_vec()].concat())],
            "b.aof",
            Spot::Byte(27),
        ),
        (
            vec![base, ("i", "b.aof", b"*1\r\n".to_vec()), ("i", "c.aof", vec![])],
            "b.aof",
            Spot::Byte(0),
        ),
    ] {
        foreign(&place, &files);
        let error = read(&place).unwrap_err();
        assert_eq!(error.path, place.directory().join(wrong), "{error}");
        assert_eq!(error.spot, at, "{error}");
    }
}

#[test]
fn an_empty_file_of_redis_is_no_error() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    foreign(
        &place,
        &[("b", "a.aof", group("SET a 1")), ("i", "b.aof", vec![]), ("i", "c.aof", vec![])],
    );
    assert_eq!(read(&place).unwrap().0, ["SET a 1"]);
    foreign(&place, &[("b", "a.aof", vec![]), ("i", "b.aof", group("SET b 1"))]);
    assert_eq!(read(&place).unwrap().0, ["SET b 1"]);
}

#[test]
fn a_directory_without_its_manifest_is_refused() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    chunks(&place, 1, 1, true);
    fs::remove_file(place.manifest()).unwrap();
    let error = read(&place).unwrap_err();
    assert!(matches!(error.why, Why::NoManifest), "{error}");
    // Unless it is of another log.
    let other = Place::new(directory.path(), "appendonlydir", "other.aof");
    assert_eq!(read(&other).unwrap().1.tail, Tail::Nothing);
}

#[test]
fn a_crash_before_the_first_manifest_is_no_lost_manifest() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let mut log = Log::create(place.clone(), LogId([1; 16])).unwrap();
    log.begin_file(log.beginning()).unwrap().append(&group("SET a 1")).unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert!(found.is_empty() && recovered.tail == Tail::Nothing);
    // Nor is one between the base and the manifest.
    fs::write(place.directory().join("appendonly.aof.1.base.rdb"), "REDIS0").unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert!(found.is_empty() && recovered.tail == Tail::Nothing);
}

#[test]
fn a_log_in_one_file_is_moved_into_a_directory() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    let single = directory.path().join("appendonly.aof");
    let content = [b"REDIS3abc".to_vec(), group("SET a 1")].concat();
    fs::write(&single, &content).unwrap();
    let (found, recovered) = read(&place).unwrap();
    assert_eq!(found, ["load abc", "SET a 1"]);
    assert!(!single.exists());
    assert_eq!(recovered.manifest.base.unwrap().name, "appendonly.aof");
    // A crash between the manifest and the move.
    fs::rename(place.directory().join("appendonly.aof"), &single).unwrap();
    assert_eq!(read(&place).unwrap().0, found);
    // A file beside a directory that is in use is not touched.
    fs::write(&single, &content).unwrap();
    assert_eq!(read(&place).unwrap().0, found);
    assert!(single.exists());
}

#[test]
fn a_new_log_counts_when_it_has_its_base() {
    let directory = TempDir::new().unwrap();
    let place = place(&directory);
    chunks(&place, 1, 1, true);
    let mut log = Log::create(place.clone(), LogId([5; 16])).unwrap();
    let mut appender = log.begin_file(log.beginning()).unwrap();
    appender.append(&group("SET a 1")).unwrap();
    assert_eq!(read(&place).unwrap().0, ["load ", "SET 0 x"]);
    let beginning = log.beginning();
    base(&mut log, "new", beginning);
    assert_eq!(read(&place).unwrap().0, ["load new", "SET a 1"]);
    log.delete_history().unwrap();
    assert_eq!(read(&place).unwrap().0, ["load new", "SET a 1"]);
    assert_eq!(fs::read_dir(place.directory()).unwrap().count(), 3);
}
