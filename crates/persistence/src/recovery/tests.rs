use std::fs;

use darter_resp::request::encode;
use tempfile::TempDir;

use super::*;
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

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
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
    let (mut log, mut appender) = Log::resume(place.clone(), recovered, LogId([2; 16])).unwrap();
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
