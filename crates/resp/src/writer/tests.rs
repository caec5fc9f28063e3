#![expect(clippy::redundant_closure_for_method_calls, reason = "the lines of a table look alike")]

use super::*;

fn written(protocol: Protocol, write: impl Fn(&mut ReplyWriter<'_>)) -> String {
    let mut output = Output::new();
    write(&mut ReplyWriter::new(&mut output, protocol));
    output.assert_complete();
    output.check_invariants();
    output.to_vec().escape_ascii().to_string()
}

#[track_caller]
fn expect(write: impl Fn(&mut ReplyWriter<'_>), resp2: &str, resp3: &str) {
    assert_eq!(written(Protocol::Resp2, &write), resp2);
    assert_eq!(written(Protocol::Resp3, &write), resp3);
}

/// The shapes redis-server 7.0.15 answers `DEBUG PROTOCOL` with after `HELLO 2` and `HELLO 3`.
#[test]
fn every_shape_in_both_protocols() {
    expect(|w| w.simple("PONG"), r"+PONG\r\n", r"+PONG\r\n");
    expect(|w| w.ok(), r"+OK\r\n", r"+OK\r\n");
    expect(|w| w.error("ERR no"), r"-ERR no\r\n", r"-ERR no\r\n");
    expect(|w| w.bulk(b"Hello World"), r"$11\r\nHello World\r\n", r"$11\r\nHello World\r\n");
    expect(|w| w.bulk(b""), r"$0\r\n\r\n", r"$0\r\n\r\n");
    expect(|w| w.bulk_integer(-12), r"$3\r\n-12\r\n", r"$3\r\n-12\r\n");
    expect(|w| w.null(), r"$-1\r\n", r"_\r\n");
    expect(|w| w.null_array(), r"*-1\r\n", r"_\r\n");
    expect(|w| w.double(2.341), r"$5\r\n2.341\r\n", r",2.341\r\n");
    expect(|w| w.double(f64::INFINITY), r"$3\r\ninf\r\n", r",inf\r\n");
    expect(|w| w.double(f64::NEG_INFINITY), r"$4\r\n-inf\r\n", r",-inf\r\n");
    expect(|w| w.double(f64::NAN), r"$3\r\nnan\r\n", r",nan\r\n");
    expect(|w| w.double_text(b"0.1"), r"$3\r\n0.1\r\n", r",0.1\r\n");
    expect(|w| w.boolean(true), r":1\r\n", r"#t\r\n");
    expect(|w| w.boolean(false), r":0\r\n", r"#f\r\n");
    expect(
        |w| w.big_number("1234567999999999999999999999999999999"),
        r"$37\r\n1234567999999999999999999999999999999\r\n",
        r"(1234567999999999999999999999999999999\r\n",
    );
    expect(
        |w| w.verbatim(*b"txt", b"This is a verbatim\nstring"),
        r"$25\r\nThis is a verbatim\nstring\r\n",
        r"=29\r\ntxt:This is a verbatim\nstring\r\n",
    );
    let array = |w: &mut ReplyWriter<'_>| {
        w.array(2);
        w.integer(0);
        w.integer(1);
    };
    expect(array, r"*2\r\n:0\r\n:1\r\n", r"*2\r\n:0\r\n:1\r\n");
    let set = |w: &mut ReplyWriter<'_>| {
        w.set(1);
        w.integer(0);
    };
    expect(set, r"*1\r\n:0\r\n", r"~1\r\n:0\r\n");
    let push = |w: &mut ReplyWriter<'_>| {
        w.push(1);
        w.simple("message");
    };
    expect(push, r"*1\r\n+message\r\n", r">1\r\n+message\r\n");
    let map = |w: &mut ReplyWriter<'_>| {
        w.map(3);
        for key in 0..3 {
            w.integer(key);
            w.boolean(key == 1);
        }
    };
    expect(
        map,
        r"*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
        r"%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n",
    );
    let attribute = |w: &mut ReplyWriter<'_>| {
        w.attribute(1);
        w.bulk(b"ttl");
        w.integer(60);
        w.bulk(b"value");
    };
    assert_eq!(written(Protocol::Resp3, attribute), r"|1\r\n$3\r\nttl\r\n:60\r\n$5\r\nvalue\r\n");
}

#[test]
fn numbers_and_lengths_of_every_width() {
    for value in [
        0,
        1,
        9,
        10,
        11,
        99,
        100,
        101,
        110,
        999,
        1000,
        1001,
        9999,
        10_000,
        123_456_789,
        i64::MAX,
        -1,
        -2,
        -10,
        -12_345,
        i64::MIN,
    ] {
        let expected = format!(r":{value}\r\n");
        expect(|w| w.integer(value), &expected, &expected);
    }
    for len in [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 16_383, 16_384, 100_000] {
        let bytes = vec![b'x'; len];
        let expected = format!(r"${len}\r\n{}\r\n", "x".repeat(len));
        expect(|w| w.bulk(&bytes), &expected, &expected);
        let shared = SharedBytes::from(bytes.clone());
        expect(|w| w.bulk_shared(&shared), &expected, &expected);
    }
}

#[test]
fn an_error_is_one_line_whatever_it_quotes() {
    for (text, line) in [
        (&b"ERR plain"[..], r"-ERR plain\r\n"),
        (b"ERR a\r\n+OK\r\n", r"-ERR a  +OK\r\n"),
        (b"\r\n\nERR a\n\n\r", r"-ERR a\r\n"),
        (b"ERR a\0b", r"-ERR a b\r\n"),
        (b"\r\n", r"-\r\n"),
        (b"", r"-\r\n"),
    ] {
        expect(|w| w.error(text), line, line);
    }
}

#[test]
fn deferred_lengths_nest() {
    for filler in [0, 10, 4000, 5000, 100_000] {
        let text = vec![b'x'; filler];
        let shared = SharedBytes::from(text.clone());
        let write = |w: &mut ReplyWriter<'_>| {
            w.integer(1);
            let outer = w.begin_deferred();
            for inner_len in 0..3 {
                let inner = w.begin_deferred();
                for _ in 0..inner_len {
                    w.bulk(&text);
                    w.bulk_shared(&shared);
                }
                w.end_map(inner, inner_len);
            }
            let set = w.begin_deferred();
            w.end_set(set, 0);
            w.end_array(outer, 4);
            w.integer(2);
        };
        let bulk = format!(r"${filler}\r\n{}\r\n", "x".repeat(filler));
        let resp3 = format!(
            r":1\r\n*4\r\n%0\r\n%1\r\n{}%2\r\n{}~0\r\n:2\r\n",
            bulk.repeat(2),
            bulk.repeat(4)
        );
        let resp2 = resp3.replace("%1", "*2").replace("%2", "*4").replace(['%', '~'], "*");
        expect(write, &resp2, &resp3);
    }
}

#[test]
fn much_is_not_moved_for_a_header() {
    let mut output = Output::new();
    let mut writer = ReplyWriter::new(&mut output, Protocol::Resp2);
    let deferred = writer.begin_deferred();
    writer.bulk(&vec![b'x'; 100_000]);
    let address = writer.output().first_chunk().as_ptr();
    writer.end_array(deferred, 1);
    let chunks: Vec<&[u8]> = output.chunks().collect();
    assert_eq!(chunks[0], b"*1\r\n");
    assert_eq!(chunks[1].as_ptr(), address);
}

#[test]
#[cfg(debug_assertions)]
fn the_ledger_counts_replies() {
    let mut output = Output::new();
    let mut writer = ReplyWriter::new(&mut output, Protocol::Resp3);
    writer.ok();
    writer.map(1);
    writer.ok();
    writer.array(0);
    writer.attribute(0);
    writer.ok();
    assert_eq!(output.replies(), Some(3));
    output.clear(0);
    assert_eq!(output.replies(), Some(0));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a reply is incomplete")]
fn too_few_values_are_noticed() {
    let mut output = Output::new();
    let mut writer = ReplyWriter::new(&mut output, Protocol::Resp2);
    writer.array(2);
    writer.ok();
    output.advance(1);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "values written and declared")]
fn a_wrong_deferred_length_is_noticed() {
    let mut output = Output::new();
    let mut writer = ReplyWriter::new(&mut output, Protocol::Resp2);
    let deferred = writer.begin_deferred();
    writer.ok();
    writer.end_map(deferred, 1);
}
