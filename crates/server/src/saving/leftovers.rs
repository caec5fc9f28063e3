//! Files that a process left which was killed while it wrote them.

use crate::config::Settings;
use std::fs;
use std::path::Path;

/// Deletes them, unless the process lives: several servers may share a directory.
pub fn delete(settings: &Settings) {
    delete_in(&settings.directory, is_dead);
    delete_in(settings.log_place().directory(), is_dead);
}

/// Deletes the snapshot that this process is writing, which ends before it is finished.
pub fn delete_own(settings: &Settings) {
    delete_in(&settings.directory, |process| process == std::process::id());
}

fn delete_in(directory: &Path, is_dead: impl Fn(u32) -> bool) {
    // Without a directory there is nothing in it; what is wrong with it shows when it is used.
    let Ok(files) = fs::read_dir(directory) else { return };
    for file in files.flatten() {
        let name = file.file_name();
        if name.to_str().and_then(writer_of).is_some_and(&is_dead) {
            let path = file.path();
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!("Deleted {}, which was never finished", path.display()),
                Err(error) => {
                    tracing::warn!("{} is left from before: {error}", path.display());
                }
            }
        }
    }
}

/// The process that writes a file of this name, if it is one that will get another name when it is finished.
fn writer_of(name: &str) -> Option<u32> {
    let middle = name.strip_prefix("temp-")?.strip_suffix(".rdb")?;
    let process = match (middle.strip_prefix("base-"), middle.split_once('-')) {
        (Some(process), _) => process,
        (None, Some((process, count))) => {
            count.parse::<u64>().ok()?;
            process
        }
        (None, None) => middle,
    };
    process.parse().ok()
}

/// Whether no other process has this number. Our own was another's before, as it is in a container.
fn is_dead(process: u32) -> bool {
    process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unfinished_files_say_who_writes_them() {
        assert_eq!(writer_of("temp-12-0.rdb"), Some(12));
        assert_eq!(writer_of("temp-base-7.rdb"), Some(7));
        assert_eq!(writer_of("temp-12.rdb"), Some(12));
        for name in [
            "temp-12-.rdb",
            "temp-a.rdb",
            "temp-a-1.rdb",
            "temp-1-b.rdb",
            "dump.rdb",
            "temp-.rdb",
            "temp-1-2",
        ] {
            assert_eq!(writer_of(name), None, "{name}");
        }
    }

    #[test]
    fn only_files_of_dead_processes_go() {
        let directory =
            std::env::temp_dir().join(format!("darter-leftovers-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for name in ["temp-1-0.rdb", "temp-2-5.rdb", "temp-base-1.rdb", "dump.rdb"] {
            fs::write(directory.join(name), "").unwrap();
        }
        delete_in(&directory, |process| process == 1);
        let mut left: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["dump.rdb", "temp-2-5.rdb"]);
        fs::remove_dir_all(&directory).unwrap();
        delete_in(&directory, |_| true);
    }
}
