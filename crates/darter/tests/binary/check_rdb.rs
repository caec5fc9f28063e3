//! `darter check-rdb`.

use crate::support::{darter, run};
use std::fs;
use std::os::unix::process::CommandExt as _;

/// Two keys, one of which has expired long ago, in databases 0 and 3; without a checksum.
const FILE: &[u8] = b"REDIS0010\
    \xfa\x09redis-ver\x067.0.15\
    \xf5\x0d#!lua name=a\n\
    \xfe\x00\xfb\x01\x00\x00\x01a\x05hello\
    \xfe\x03\xfb\x01\x01\xfc\xe8\x03\0\0\0\0\0\0\x02\x01s\x02\x01x\x01y\
    \xff\0\0\0\0\0\0\0\0";

/// What is printed about a file, and the exit code.
fn report(contents: &[u8]) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dump.rdb");
    fs::write(&path, contents).unwrap();
    let output = run(&["check-rdb", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    (text.replace(path.to_str().unwrap(), "FILE"), output.status.code())
}

#[test]
fn a_sound_file_is_told_of() {
    let expected = "\
[offset 0] Checking RDB file FILE
[offset 9] RDB version 10
[offset 27] AUX FIELD redis-ver = '7.0.15'
[offset 44] Selecting DB ID 0
[offset 58] Selecting DB ID 3
[offset 87] The file has no checksum: nothing to compare with.
[offset 87] \\o/ RDB looks OK! \\o/
[info] 2 keys read
[info] 1 expires
[info] 1 already expired
[info] 1 functions
[info] db0: 1 keys, 0 expires, 6 bytes of values
[info] db3: 1 keys, 1 expires, 5 bytes of values
";
    assert_eq!(report(FILE), (expected.to_owned(), Some(0)));
}

#[test]
fn damage_is_told_with_its_place_and_key() {
    let (text, code) = report(&FILE[..FILE.len() - 11]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("--- RDB ERROR DETECTED ---\n[offset 76] the file ends too early\n"),
        "{text}"
    );
    assert!(text.contains("While doing: read-object-value\n"), "{text}");
    assert!(text.contains("Reading key 's'\n"), "{text}");
    assert!(text.contains("[info] 1 keys read\n"), "{text}");
    // A member twice: found by decoding only.
    let twice = FILE.len() - 10;
    let mut damaged = FILE.to_vec();
    damaged[twice] = b'x';
    let (text, code) = report(&damaged);
    assert_eq!(code, Some(1));
    assert!(text.contains("corrupt value at byte 5 of the key that begins here\n"), "{text}");
    let mut longer = FILE.to_vec();
    longer.extend(b"*1\r\n");
    let (text, code) = report(&longer);
    assert!(text.contains("something follows its end"), "{text}");
    assert_eq!(code, Some(1), "a server does not load it, either");
}

#[test]
fn what_is_no_file_is_refused() {
    assert_eq!(run(&["check-rdb", "/nowhere"]).status.code(), Some(1));
    assert_eq!(run(&["check-rdb"]).status.code(), Some(1));
    assert_eq!(run(&["check-rdb", "--help"]).status.code(), Some(0));
    let version = darter().arg0("redis-check-rdb").arg("--version").output().unwrap();
    assert!(version.stdout.starts_with(b"darter check-rdb "));
}
