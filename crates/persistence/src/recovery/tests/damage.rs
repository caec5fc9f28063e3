//! Every kind of damage to every file of a log: what is found afterwards is nothing, with the reason, or a prefix.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::FileExt as _;

use super::*;

/// A directory's files.
type Files = BTreeMap<OsString, Vec<u8>>;

/// The file of the example that may have a torn end.
const LAST: &str = "appendonly.aof.3.incr.aof";

struct Example {
    directory: TempDir,
    place: Place,
    /// The directory as it was after each step; the last is whole.
    steps: Vec<Files>,
    /// The directory as it is.
    there: RefCell<Files>,
    /// What is in it.
    commands: Vec<String>,
    /// Where in them a prefix may end.
    ends: Vec<usize>,
}

impl Example {
    /// Two files and then a base, a file that could not be synced and was begun anew, and one that goes on.
    fn write(id: u8) -> Self {
        let directory = TempDir::new().unwrap();
        let place = place(&directory);
        let mut steps = Vec::new();
        let mut log = Log::create(place.clone(), LogId([id; 16])).unwrap();
        let mut appender = log.begin_file(log.beginning()).unwrap();
        base(&mut log, "abc", appender.position());
        steps.push(files_of(&place));
        appender.append(&group("SET gone 1")).unwrap();
        let mut appender = log.begin_file(appender.position()).unwrap();
        base(&mut log, "defg", appender.position());
        log.delete_history().unwrap();
        let groups =
            ["SET a 1", "MULTI; SET b 2; SET c 3; EXEC", "DEL d", "LPUSH e 1 2 3", "INCR f"];
        appender.append(&group(groups[0])).unwrap();
        appender.note_synced(appender.position().offset);
        appender.append(&group(groups[1])).unwrap();
        steps.push(files_of(&place));
        let at = appender.position();
        // Never synced, and written again.
        appender.append(&group(groups[2])).unwrap();
        let mut appender = log.begin_file(at).unwrap();
        appender
            .append(&[group("DEL d"), b"#TS:12\r\n".to_vec(), group(groups[3])].concat())
            .unwrap();
        steps.push(files_of(&place));
        appender.append(&group(groups[4])).unwrap();
        steps.push(files_of(&place));
        let mut commands = vec!["load defg".to_owned()];
        let mut ends = vec![1];
        for group in groups {
            commands.extend(group.split("; ").map(str::to_owned));
            if group != "DEL d" {
                ends.push(commands.len());
            }
        }
        let there = RefCell::new(files_of(&place));
        Self { directory, place, steps, there, commands, ends }
    }

    fn files(&self) -> &Files {
        self.steps.last().unwrap()
    }

    /// Reads what `files` are, and asserts that it is nothing, or all, or, where that `may_be_short`, less.
    fn check(&self, files: &Files, may_be_short: bool, what: &dyn Fn() -> String) -> bool {
        let directory = self.place.directory();
        let mut there = self.there.borrow_mut();
        for name in there.keys().filter(|&name| !files.contains_key(name)) {
            fs::remove_file(directory.join(name)).unwrap();
        }
        for (name, content) in files {
            if there.get(name) != Some(content) {
                overwrite(&directory.join(name), content);
            }
        }
        there.clone_from(files);
        match read(&self.place) {
            Ok((found, recovered)) => {
                let is_prefix =
                    self.commands.starts_with(&found) && self.ends.contains(&found.len());
                let is_short = found.len() < self.commands.len();
                assert!(is_prefix && (!is_short || may_be_short), "{}: {found:?}", what());
                assert!(may_be_short || recovered.torn.is_none(), "{}", what());
                if recovered.torn.is_none() {
                    return true;
                }
                // What was left is whole, and can be written to.
                let (again, second) = read(&self.place).unwrap();
                assert!(again == found && second.torn.is_none(), "{}", what());
                let (mut log, resumed) =
                    Log::resume(self.place.clone(), second, LogId([9; 16])).unwrap();
                let mut appender = log.go_on(resumed).unwrap();
                appender.append(&group("SET more 1")).unwrap();
                let (longer, _) = read(&self.place).unwrap();
                assert_eq!(longer[..found.len()], found);
                assert_eq!(longer[found.len()..], ["SET more 1"]);
                *there = files_of(&self.place);
                true
            }
            Err(error) => {
                assert!(error.path.starts_with(directory), "{}: {error}", what());
                let now = files_of(&self.place);
                assert_eq!(&now, files, "{}: files were changed: {error}", what());
                false
            }
        }
    }
}

/// Some file systems sync a file that is emptied first.
fn overwrite(path: &Path, content: &[u8]) {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).unwrap();
    file.write_all_at(content, 0).unwrap();
    file.set_len(content.len() as u64).unwrap();
}

fn files_of(place: &Place) -> Files {
    let entries = fs::read_dir(place.directory()).unwrap();
    let file = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name(), fs::read(entry.path()).unwrap())
    };
    entries.map(file).collect()
}

fn with(files: &Files, name: &OsString, content: Vec<u8>) -> Files {
    let mut files = files.clone();
    files.insert(name.clone(), content);
    files
}

#[test]
fn the_example_is_read_as_it_was_written() {
    let example = Example::write(1);
    assert_eq!(example.files().len(), 4);
    assert!(example.check(example.files(), false, &|| "whole".into()));
    assert_eq!(example.directory.path().read_dir().unwrap().count(), 1);
}

#[test]
fn no_flipped_bit_is_read_over() {
    let example = Example::write(1);
    for (name, content) in example.files() {
        // What follows the point at which the next file goes on does not count.
        let superseded =
            usize::from(name == "appendonly.aof.2.incr.aof") * (57 + group("DEL d").len());
        for at in 0..content.len() - superseded {
            for bit in 0..8 {
                let mut content = content.clone();
                content[at] ^= 1 << bit;
                let what = || format!("{}: byte {at}, bit {bit}", name.display());
                assert!(
                    !example.check(&with(example.files(), name, content), false, &what),
                    "{}",
                    what()
                );
            }
        }
    }
}

#[test]
fn a_shorter_file_is_a_torn_end_or_an_error() {
    let example = Example::write(1);
    for (name, content) in example.files() {
        for len in 0..content.len() {
            let is_last = *name == LAST;
            let files = with(example.files(), name, content[..len].to_vec());
            let is_read =
                example.check(&files, is_last, &|| format!("{}: {len} bytes", name.display()));
            assert!(!is_last || is_read == (len >= 81), "{len} bytes");
        }
    }
}

#[test]
fn zeroes_are_a_torn_end_or_an_error() {
    let example = Example::write(1);
    for (name, content) in example.files() {
        let is_last = *name == LAST;
        for at in (0..content.len()).step_by(2) {
            for len in [1, 16, 100, content.len()] {
                let mut content = content.clone();
                let end = content.len().min(at + len);
                content[at..end].fill(0);
                let to_end = end == content.len();
                let what = || format!("{}: {len} from {at}", name.display());
                let is_read = example.check(&with(example.files(), name, content), is_last, &what);
                if is_last && at >= 81 && to_end {
                    assert!(is_read, "{}", what());
                }
            }
            // Beyond the end, too.
            if is_last {
                let mut content = content.clone();
                content.resize(content.len() + at, 0);
                let what = || format!("{at} more");
                assert!(example.check(&with(example.files(), name, content), true, &what));
            }
        }
    }
}

#[test]
fn a_file_in_the_place_of_another_is_an_error() {
    let (example, other) = (Example::write(1), Example::write(2));
    let files = example.files();
    let old_files = example.steps.iter().chain(&other.steps);
    let mut others: Vec<(&OsString, &Vec<u8>)> = old_files.flatten().collect();
    others.extend(files);
    let names = files.keys();
    for name in names {
        let mut without = files.clone();
        without.remove(name);
        assert!(!example.check(&without, false, &|| format!("without {}", name.display())));
        for (of, content) in &others {
            // An older version of the last file is like a torn one.
            let is_last = *name == LAST;
            let what = || {
                format!("{} in the place of {}: {}", of.display(), name.display(), content.len())
            };
            example.check(&with(files, name, (*content).clone()), is_last, &what);
        }
        for second in files.keys() {
            if name != second {
                let mut files = with(files, name, files[second].clone());
                files.insert(second.clone(), example.files()[name].clone());
                let what = || format!("{} and {} exchanged", name.display(), second.display());
                assert!(!example.check(&files, false, &what), "{}", what());
            }
        }
    }
    // A directory of two times, or of two logs.
    for mixed in &other.steps {
        for name in mixed.keys() {
            let what = || format!("with {} of another log", name.display());
            example.check(&with(files, name, mixed[name].clone()), false, &what);
        }
    }
}

#[test]
fn a_part_of_a_file_that_is_missing_or_there_twice_is_an_error() {
    let example = Example::write(1);
    for (name, content) in example.files() {
        let is_last = *name == LAST;
        for at in (0..content.len()).step_by(3) {
            for len in [1, 2, 10, 57, 58, 80, content.len()] {
                let end = content.len().min(at + len);
                let what = || format!("{}: {len} from {at}", name.display());
                let less = [&content[..at], &content[end..]].concat();
                example.check(&with(example.files(), name, less), is_last, &what);
                let more = [&content[..end], &content[at..]].concat();
                example.check(&with(example.files(), name, more), is_last, &what);
            }
        }
    }
}

#[test]
fn a_torn_end_is_refused_if_it_must_not_be_cut_off() {
    let example = Example::write(1);
    let name = OsString::from(LAST);
    let mut content = example.files()[&name].clone();
    content.truncate(content.len() - 1);
    let path = example.place.file(&name);
    fs::write(&path, &content).unwrap();
    let options = Options { cuts_torn_end: false, ..Options::default() };
    let error = recover(&example.place, &options, &mut Collector::default()).unwrap_err();
    assert!(matches!(error.why, Why::Torn(_)), "{error}");
    assert!(error.path == path && error.to_string().contains("--fix"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), content);
    let (_, recovered) = read(&example.place).unwrap();
    let torn = recovered.torn.unwrap();
    assert_eq!(torn.kept_bytes + torn.cut_bytes, content.len() as u64);
    assert_eq!(fs::read(&path).unwrap().len() as u64, torn.kept_bytes);
}
