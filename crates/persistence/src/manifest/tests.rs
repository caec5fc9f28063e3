use super::*;
use crate::position::{LogId, Position};

fn parse(text: &str) -> Result<Manifest, (usize, &'static str)> {
    Manifest::parse(text.as_bytes())
}

fn ours() -> Manifest {
    let link = Link { log: LogId([7; 16]), at: Position { offset: 123, chain: 0xabc } };
    let base = Entry {
        link: Some(link),
        seal: Some(Seal { bytes: 5, crc: 6 }),
        ..Entry::plain("appendonly.aof.2.base.rdb".into(), 2)
    };
    let mut history = Entry::plain("app \"end\".1.incr.aof".into(), 1);
    history.others.push((b"startoffset".to_vec(), b"12".to_vec()));
    let incremental =
        Entry { link: Some(link), ..Entry::plain("appendonly.aof.2.incr.aof".into(), 2) };
    Manifest { base: Some(base), history: vec![history], incremental: vec![incremental] }
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Manifest::parse(&ours().render()), Ok(ours()));
}

#[test]
fn what_redis_writes_is_read() {
    let text = "# a comment\n\
        file appendonly.aof.2.base.rdb seq 2 type b\n\
        file \"a b.1.incr.aof\" seq 1 type h\n\
        \tFILE appendonly.aof.4.incr.aof SEQ 4 TYPE i startoffset 8 endoffset 9 \r\n\
        file appendonly.aof.5.incr.aof seq 5 type i\n";
    let manifest = parse(text).unwrap();
    assert_eq!(manifest.base.unwrap().name, "appendonly.aof.2.base.rdb");
    assert_eq!(manifest.history[0].name, "a b.1.incr.aof");
    assert_eq!(manifest.incremental.len(), 2);
    assert_eq!(manifest.incremental[0].others.len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let long = format!("file {} seq 1 type b\n", "a".repeat(1024));
    for (text, line, reason) in [
        ("", 1, "empty"),
        ("\n", 1, "Invalid AOF manifest"),
        ("# only a comment\n", 1, "names no file"),
        ("#darter-manifest 00000000\n", 1, "names no file"),
        ("file a seq 1 type h\n", 1, "names no file"),
        ("file a seq 1 type b", 1, "too long line"),
        (&long, 1, "too long line"),
        ("#\nfile a seq 1\n", 2, "Invalid AOF manifest"),
        ("file a seq 1 type b x\n", 1, "Invalid AOF manifest"),
        ("file a seq 1 type\0b x y\n", 1, "Invalid AOF manifest"),
        ("file \"a seq 1 type b\n", 1, "Invalid AOF manifest"),
        ("file \"\" seq 1 type b\n", 1, "Invalid AOF manifest"),
        ("file a seq 0 type b\n", 1, "Invalid AOF manifest"),
        ("file a seq -1 type b\n", 1, "Invalid AOF manifest"),
        ("file a seq 99999999999999999999 type b\n", 1, "Invalid AOF manifest"),
        ("seq 1 type b a b\n", 1, "Invalid AOF manifest"),
        ("file a seq 1 type x\n", 1, "Unknown AOF file type"),
        ("file ../a seq 1 type b\n", 1, "can't be a path"),
        ("file .. seq 1 type b\n", 1, "can't be a path"),
        ("file a seq 1 type b\nfile b seq 2 type b\n", 2, "duplicate base"),
        ("file a seq 2 type i\nfile b seq 2 type i\n", 2, "non-monotonic"),
        ("file a seq 2 type i darter-link x\n", 1, "link"),
        ("file a seq 2 type i darter-seal 1:2\n", 1, "seal"),
        ("file a seq 2 type i darter-seal 1:00000002\n", 1, "checksum"),
        ("#darter-manifest 00000000", 1, "not whole"),
        ("#darter-manifest 00000001\n", 1, "wrong"),
        ("#darter-manifest 00000000\nfile a seq 1 type i\n", 2, "the last"),
    ] {
        let (at, said) = parse(text).unwrap_err();
        assert!(at == line && said.contains(reason), "{text:?}: line {at}: {said}");
    }
}

#[test]
fn no_bit_of_ours_may_differ_and_no_line_be_missing() {
    let text = ours().render();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut text = text.clone();
            text[at] ^= 1 << bit;
            assert!(Manifest::parse(&text).is_err(), "byte {at}, bit {bit}");
        }
        assert!(Manifest::parse(&text[..at]).is_err(), "{at} bytes");
    }
    let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
    for missing in 0..lines.len() {
        let mut lines = lines.clone();
        lines.remove(missing);
        assert!(Manifest::parse(&lines.concat()).is_err(), "line {missing}");
    }
}
