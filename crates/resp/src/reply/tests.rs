#![expect(clippy::cast_possible_truncation, reason = "bytes at random")]

use super::*;

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

/// All replies in `pieces`, and the error that ends them.
fn replies<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<ReplyError>, bool) {
    let mut parser = ReplyParser::default();
    let mut buffer = Vec::new();
    let mut replies = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.parse(&buffer) {
                Ok(Step { consumed, reply }) => {
                    buffer.drain(..consumed);
                    match reply {
                        Some(reply) => replies.push(reply),
                        None => break,
                    }
                }
                Err(error) => return (replies, Some(error), false),
            }
        }
    }
    (replies, None, parser.is_idle() && buffer.is_empty())
}

fn samples() -> Vec<(&'static [u8], Reply)> {
    let pairs = || vec![(bulk("a"), Reply::Integer(1)), (Reply::Null, Reply::Boolean(false))];
    vec![
        (b"+OK\r\n", Reply::Simple(b"OK".to_vec())),
        (b"+\r\n", Reply::Simple(Vec::new())),
        (b"-ERR no\r\n", Reply::Error(b"ERR no".to_vec())),
        (b":0\r\n", Reply::Integer(0)),
        (b":-9223372036854775808\r\n", Reply::Integer(i64::MIN)),
        (b"$5\r\na\r\n\0b\r\n", Reply::Bulk(b"a\r\n\0b".to_vec())),
        (b"$0\r\n\r\n", bulk("")),
        (b"$-1\r\n", Reply::Null),
        (b"_\r\n", Reply::Null),
        (b"*-1\r\n", Reply::NullArray),
        (b"*0\r\n", Reply::Array(Vec::new())),
        (
            b"*2\r\n*0\r\n*1\r\n:1\r\n",
            Reply::Array(vec![Reply::Array(Vec::new()), Reply::Array(vec![Reply::Integer(1)])]),
        ),
        (b"%2\r\n$1\r\na\r\n:1\r\n_\r\n#f\r\n", Reply::Map(pairs())),
        (b"%0\r\n", Reply::Map(Vec::new())),
        (b"~1\r\n$1\r\na\r\n", Reply::Set(vec![bulk("a")])),
        (
            b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
            Reply::Push(vec![Reply::Simple(b"invalidate".to_vec()), Reply::Array(vec![bulk("k")])]),
        ),
        (
            b"|2\r\n$1\r\na\r\n:1\r\n_\r\n#f\r\n*1\r\n#t\r\n",
            Reply::Attributed(pairs(), Box::new(Reply::Array(vec![Reply::Boolean(true)]))),
        ),
        (
            b"*1\r\n|0\r\n:5\r\n",
            Reply::Array(vec![Reply::Attributed(Vec::new(), Box::new(Reply::Integer(5)))]),
        ),
        (b",3.25\r\n", Reply::Double(3.25)),
        (b",-inf\r\n", Reply::Double(f64::NEG_INFINITY)),
        (b",1e+20\r\n", Reply::Double(1e20)),
        (
            b"(-123456789012345678901234567890\r\n",
            Reply::BigNumber(b"-123456789012345678901234567890".to_vec()),
        ),
        (b"=8\r\ntxt:a\r\nb\r\n", Reply::Verbatim(*b"txt", b"a\r\nb".to_vec())),
        (b"=4\r\nmkd:\r\n", Reply::Verbatim(*b"mkd", Vec::new())),
    ]
}

#[test]
fn every_type_is_read() {
    for (input, reply) in samples() {
        let (found, error, idle) = replies([input].into_iter());
        assert_eq!((found, error, idle), (vec![reply], None, true), "{}", input.escape_ascii());
    }
}

#[test]
fn the_same_replies_come_of_any_pieces() {
    let (inputs, expected): (Vec<&[u8]>, Vec<Reply>) = samples().into_iter().unzip();
    let stream = inputs.concat();
    for piece_bytes in 1..=stream.len() {
        let (found, error, idle) = replies(stream.chunks(piece_bytes));
        assert!(error.is_none() && idle);
        assert_eq!(found, expected, "pieces of {piece_bytes} bytes");
    }
    let nan = replies([&b",nan\r\n"[..]].into_iter()).0;
    assert!(matches!(nan[..], [Reply::Double(nan)] if nan.is_nan()));
}

#[test]
fn what_is_malformed_is_refused_where_it_is() {
    use ReplyErrorKind::*;
    for (input, kind, offset) in [
        (&b"x\r\n"[..], UnknownType(b'x'), 0),
        (b"+OK\r\n\r\n", UnknownType(b'\r'), 5),
        (b"+a\nb\r\n", InvalidCrlf, 0),
        (b"+a\rb\r\n", InvalidCrlf, 0),
        (b":\r\n", InvalidValue, 0),
        (b":1.0\r\n", InvalidValue, 0),
        (b":9223372036854775808\r\n", InvalidValue, 0),
        (b"_x\r\n", InvalidValue, 0),
        (b"#\r\n", InvalidValue, 0),
        (b"#true\r\n", InvalidValue, 0),
        (b",\r\n", InvalidValue, 0),
        (b",1.5x\r\n", InvalidValue, 0),
        (b"(\r\n", InvalidValue, 0),
        (b"(1e5\r\n", InvalidValue, 0),
        (b"(--1\r\n", InvalidValue, 0),
        (b"$\r\n", InvalidLength, 0),
        (b"$-2\r\n", InvalidLength, 0),
        (b"$?\r\n", InvalidLength, 0),
        (b"$536870913\r\n", InvalidLength, 0),
        (b"$99999999999999999999\r\n", InvalidLength, 0),
        (b"$1\r\nab\r\n", InvalidCrlf, 0),
        (b"=3\r\ntxt\r\n", InvalidValue, 0),
        (b"=-1\r\n", InvalidLength, 0),
        (b"*-2\r\n", InvalidLength, 0),
        (b"%-1\r\n", InvalidLength, 0),
        (b"~-1\r\n", InvalidLength, 0),
        (b"%9223372036854775807\r\n", NestedPush, 0),
        (b"*2\r\n:1\r\n:x\r\n", InvalidValue, 8),
        (b"*1\r\n>1\r\n:1\r\n", NestedPush, 4),
    ] {
        let (_, error, _) = replies([input].into_iter());
        if input == b"%9223372036854775807\r\n" {
            // 2^64 - 2 values are missing now: no overflow, and no memory.
            assert_eq!(error, None);
            continue;
        }
        assert_eq!(error, Some(ReplyError { kind, offset }), "{}", input.escape_ascii());
        let (_, bytewise, _) = replies(input.chunks(1));
        assert_eq!(bytewise, error, "{}", input.escape_ascii());
    }
}

#[test]
fn depth_and_lines_are_bounded() {
    let depth_max = ReplyLimits::default().depth_max;
    let nested = |depth: usize, opening: &[u8]| [&opening.repeat(depth), &b":1\r\n"[..]].concat();
    for opening in [&b"*1\r\n"[..], b"~1\r\n", b"|0\r\n"] {
        let (found, error, _) = replies([&nested(depth_max, opening)[..]].into_iter());
        assert_eq!((found.len(), error), (1, None));
        let (_, error, _) = replies([&nested(depth_max + 1, opening)[..]].into_iter());
        assert_eq!(error.unwrap().kind, ReplyErrorKind::TooDeep);
        let (_, error, _) = replies([&nested(1_000_000, opening)[..]].into_iter());
        assert_eq!(error.unwrap().kind, ReplyErrorKind::TooDeep);
    }
    let mut parser = ReplyParser::new(ReplyLimits { line_bytes_max: 10, ..ReplyLimits::default() });
    assert!(parser.parse(b"+0123456789\r\n").unwrap().reply.is_some());
    assert!(parser.parse(b"+0123456789").unwrap().reply.is_none());
    let error = parser.parse(b"+01234567890").unwrap_err();
    assert_eq!(error, ReplyError { kind: ReplyErrorKind::LineTooLong, offset: 13 });
}

#[test]
fn declared_counts_allocate_nothing() {
    let mut parser = ReplyParser::default();
    for _ in 0..3 {
        let step = parser.parse(b"*9223372036854775807\r\n").unwrap();
        assert_eq!(step, Step { consumed: 22, reply: None });
    }
    assert!(parser.open.iter().all(|open| open.values.capacity() == 0));
}

/// What the fuzz target finds in a minute of its own, again at each test run.
#[test]
fn streams_at_random_parse_alike_in_any_pieces() {
    let samples = samples();
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..20_000 {
        let mut data = vec![below(256) as u8];
        for _ in 0..below(8) {
            let (sample, _) = &samples[below(samples.len())];
            let end = if below(3) == 0 { below(sample.len()) } else { sample.len() };
            data.extend_from_slice(&sample[..end]);
        }
        for _ in 0..below(3) {
            let at = below(data.len());
            data[at] = below(256) as u8;
        }
        fuzz::check_any_reply(&data);
    }
}
