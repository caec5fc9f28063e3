//! Finding the files an `include` means.

use crate::config::line::{Line, LoadError, Place};
use crate::config::special::reason;
use darter_base::glob::{Case, glob_matches};
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Files that one pattern may match.
const MATCHES_MAX: usize = 1000;

/// Largest file that is read: configurations are small, and a device has no end.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The lines of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, LoadError> {
    let failed = |reason| LoadError::File { path: path.to_owned(), reason };
    let file = fs::File::open(path).map_err(|error| failed(reason(&error)))?;
    let mut text = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| failed(reason(&error)))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed("too large for a configuration file".to_owned()));
    }
    let shared: std::sync::Arc<Path> = path.into();
    Ok(Line::all_of(&text, |number| Place::File { path: shared.clone(), number }))
}

/// The files that `word` of an `include` means: itself, or those that match it as a pattern, sorted.
/// A pattern may match none, so that a directory for additions can be empty. A relative path begins
/// at the working directory, as for Redis, or, when there is nothing, at `beside`, the directory of
/// the file that includes.
pub(super) fn included(word: &[u8], beside: Option<&Path>) -> Vec<PathBuf> {
    let path = Path::new(OsStr::from_bytes(word));
    let beside = beside.filter(|_| path.is_relative()).map(|directory| directory.join(path));
    if is_pattern(word) {
        let found = expand(path);
        return match beside {
            Some(beside) if found.is_empty() => expand(&beside),
            _ => found,
        };
    }
    match beside {
        Some(beside) if !path.exists() && beside.exists() => vec![beside],
        _ => vec![path.to_owned()],
    }
}

fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// The existing paths that match, component by component.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        match component {
            Component::Normal(name) if is_pattern(name.as_bytes()) => {
                found = found.iter().flat_map(|path| matching(path, name.as_bytes())).collect();
                found.truncate(MATCHES_MAX);
            }
            other => found.iter_mut().for_each(|path| path.push(other)),
        }
    }
    found.retain(|path| path.exists());
    found
}

/// The entries of a directory that match, sorted; hidden ones only when the pattern is hidden.
fn matching(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let listed =
        if directory.as_os_str().is_empty() { fs::read_dir(".") } else { fs::read_dir(directory) };
    let Ok(entries) = listed else { return Vec::new() };
    let is_match = |name: &[u8]| {
        name.starts_with(b".") == pattern.starts_with(b".")
            && glob_matches(pattern, name, Case::Exact)
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_match(entry.file_name().as_bytes()))
        .map(|entry| directory.join(entry.file_name()))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_in_directories_and_names() {
        let root = std::env::temp_dir().join(format!("darter-include-{}", std::process::id()));
        for directory in ["a", "b"] {
            fs::create_dir_all(root.join(directory)).unwrap();
            for file in ["2.conf", "1.conf", ".hidden.conf", "other"] {
                fs::write(root.join(directory).join(file), "").unwrap();
            }
        }
        let found = |word: &str| -> Vec<String> {
            let shown = |path: PathBuf| {
                path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned()
            };
            included(word.as_bytes(), Some(&root)).into_iter().map(shown).collect()
        };
        assert_eq!(found("*/*.conf"), ["a/1.conf", "a/2.conf", "b/1.conf", "b/2.conf"]);
        assert_eq!(found("a/?.conf"), ["a/1.conf", "a/2.conf"]);
        assert!(found("c/*.conf").is_empty());
        assert_eq!(found("a/1.conf"), ["a/1.conf"]);
        assert_eq!(found("missing.conf"), ["missing.conf"]);
        fs::remove_dir_all(&root).unwrap();
    }
}
