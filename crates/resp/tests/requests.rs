//! The table of requests in `requests.txt`, in one piece, byte by byte, and in random pieces.

#![expect(clippy::unwrap_used, reason = "in tests, which integration tests are as a whole")]

use std::fmt::Write;

use darter_base::split_args::split_args;
use darter_resp::{Args, Limits, Parsed, RequestParser, Span};

const TABLE: &str = include_str!("requests.txt");

/// Feeds `pieces` to a parser as a connection does, and notes everything that comes out in the
/// notation of the table.
fn outcomes<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Vec<Vec<u8>> {
    let mut parser = RequestParser::new();
    let mut spans = Vec::<Span>::new();
    let mut buffer = Vec::new();
    let mut outcomes = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            spans.clear();
            let consumed = match parser.parse(&buffer, &mut spans, limits) {
                Parsed::Command { consumed } => {
                    outcomes.push(notation(Args::new(&buffer, &spans)));
                    consumed
                }
                Parsed::Inline { consumed, args } => {
                    outcomes.push(notation(args.as_args()));
                    consumed
                }
                Parsed::Nothing { consumed } => consumed,
                Parsed::Incomplete { needed_bytes, .. } => {
                    assert!(needed_bytes > buffer.len(), "nothing new is needed");
                    assert!(spans.is_empty());
                    break;
                }
                Parsed::Malformed(error) => {
                    let message = error.message();
                    let reason = message.strip_prefix(b"ERR Protocol error: ").unwrap();
                    outcomes.push([b"-", reason].concat());
                    return outcomes;
                }
            };
            assert!(consumed > 0);
            assert!(parser.is_idle());
            buffer.drain(..consumed);
        }
    }
    if !buffer.is_empty() {
        outcomes.push(b"...".to_vec());
    }
    outcomes
}

fn notation(args: Args<'_>) -> Vec<u8> {
    let args: Vec<&[u8]> = args.iter().collect();
    [b"(", &args.join(&b'|')[..], b")"].concat()
}

/// Input and outcomes of each line.
fn table() -> impl Iterator<Item = (Vec<u8>, Vec<Vec<u8>>)> {
    TABLE.lines().filter(|line| line.starts_with('"')).map(|line| {
        let mut words = split_args(line.as_bytes()).unwrap().into_iter();
        let input = words.next().unwrap();
        (input, words.take_while(|word| word != b"redis:").collect())
    })
}

fn readable(outcomes: &[Vec<u8>]) -> Vec<String> {
    outcomes.iter().map(|outcome| outcome.escape_ascii().to_string()).collect()
}

#[test]
fn the_table_holds_for_requests_in_one_piece() {
    for (input, mut expected) in table() {
        if input.is_empty() {
            expected.clear();
        }
        let found = outcomes([&input[..]].into_iter(), &Limits::default());
        assert_eq!(readable(&found), readable(&expected), "{}", input.escape_ascii());
    }
}

#[test]
fn the_table_holds_for_requests_in_any_two_pieces_and_byte_by_byte() {
    for (input, _) in table() {
        let limits = Limits::default();
        let whole = outcomes([&input[..]].into_iter(), &limits);
        for middle in 0..=input.len() {
            let (first, second) = input.split_at(middle);
            assert_eq!(outcomes([first, second].into_iter(), &limits), whole);
        }
        assert_eq!(outcomes(input.chunks(1), &limits), whole);
    }
}

#[test]
fn lines_are_limited_at_the_same_byte_in_any_pieces() {
    let long = |prefix: &str, len: usize, end: &str| {
        let mut input = prefix.as_bytes().to_vec();
        input.resize(prefix.len() + len, b'1');
        input.extend_from_slice(end.as_bytes());
        input
    };
    let limits = Limits::default();
    for (input, last) in [
        (long("", 65_536, "\n"), None),
        (long("", 65_536, ""), Some("...")),
        (long("", 65_537, ""), Some("-too big inline request")),
        (long("", 65_537, "\n"), Some("-too big inline request")),
        (long("*", 65_535, "\r\n"), Some("-invalid multibulk length")),
        (long("*", 65_535, "\r"), Some("...")),
        (long("*", 65_536, ""), Some("-too big mbulk count string")),
        (long("*", 65_536, "\r\n"), Some("-too big mbulk count string")),
        (long("*1\r\n$", 65_535, "\r\n"), Some("-invalid bulk length")),
        (long("*1\r\n$", 65_536, ""), Some("-too big bulk count string")),
        (long("*1\r\n", 65_537, ""), Some("-too big bulk count string")),
    ] {
        for piece_bytes in [input.len(), 65_536, 65_537, 16_384, 1000] {
            let outcomes = readable(&outcomes(input.chunks(piece_bytes), &limits));
            match last {
                Some(last) => assert_eq!(outcomes, [last]),
                None => assert!(outcomes.len() == 1 && outcomes[0].starts_with('(')),
            }
        }
    }
}

#[test]
fn before_authentication_less_is_allowed() {
    let limits = Limits::unauthenticated();
    for (input, expected) in [
        ("*10\r\n", "..."),
        ("*11\r\n", "-unauthenticated multibulk length"),
        ("*1000000\r\n", "-unauthenticated multibulk length"),
        ("*3000000000\r\n", "-invalid multibulk length"),
        ("*1\r\n$16384\r\n", "..."),
        ("*1\r\n$16385\r\n", "-unauthenticated bulk length"),
        ("*1\r\n$600000000\r\n", "-invalid bulk length"),
    ] {
        assert_eq!(readable(&outcomes([input.as_bytes()].into_iter(), &limits)), [expected]);
    }
    let auth = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n";
    assert_eq!(readable(&outcomes([&auth[..]].into_iter(), &limits)), ["(AUTH|secret)"]);
}

#[test]
fn a_larger_limit_allows_longer_arguments() {
    let limits = Limits { bulk_bytes_max: 4 << 30, ..Limits::default() };
    let input = b"*1\r\n$4294967296\r\n";
    assert_eq!(readable(&outcomes([&input[..]].into_iter(), &limits)), ["..."]);
    let limits = Limits { bulk_bytes_max: u64::MAX, ..Limits::default() };
    let input = b"*1\r\n$9223372036854775807\r\n";
    let found = readable(&outcomes([&input[..]].into_iter(), &limits));
    assert_eq!(found, ["-invalid bulk length"]);
}

/// CVE-2026-27623: Valkey 9.0.0 to 9.0.2 took what follows an empty array for an array.
#[test]
fn empty_requests_leave_no_state_behind() {
    let mut input = b"*0\r\n".repeat(10_000);
    let mut expected = Vec::new();
    for round in 0..40 {
        input.extend_from_slice(b"*0\r\n");
        let pings = round % 3;
        input.extend_from_slice(&b"PING\r\n*-1\r\n\r\n".repeat(pings));
        expected.extend(std::iter::repeat_n("(PING)", pings));
        input.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\n*0\r\n");
        expected.push("(ECHO|a)");
    }
    for piece_bytes in [input.len(), 1, 2, 3, 4, 5, 7, 11, 64, 1000, 16_384] {
        let found = outcomes(input.chunks(piece_bytes), &Limits::default());
        assert_eq!(readable(&found), expected, "pieces of {piece_bytes} bytes");
    }
}

/// Long enough that progress is kept, and in pieces that end everywhere.
#[test]
fn many_arguments_in_small_pieces_are_kept_track_of() {
    let args: Vec<String> = (0..100).map(|index| "x".repeat(index * 7 % 120)).collect();
    let mut input = format!("*{}\r\n", args.len());
    for arg in &args {
        write!(input, "${}\r\n{arg}\r\n", arg.len()).unwrap();
    }
    let input = input.into_bytes();
    let expected = [format!("({})", args.join("|"))];
    for piece_bytes in 1..input.len() {
        let found = outcomes(input.chunks(piece_bytes), &Limits::default());
        assert_eq!(readable(&found), expected, "pieces of {piece_bytes} bytes");
    }
}

#[test]
fn a_million_arguments_in_small_pieces_take_linear_work() {
    const ARGS: usize = 1_000_000;
    let mut input = format!("*{ARGS}\r\n").into_bytes();
    for _ in 0..ARGS {
        input.extend_from_slice(b"$1\r\nx\r\n");
    }
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    let limits = Limits::default();
    // 15 bytes a piece are 466,667 calls: going back to the first argument each time would look at
    // 10^11 arguments, and not end in the time a test has.
    let mut there = 0;
    let consumed = loop {
        there = (there + 15).min(input.len());
        match parser.parse(&input[..there], &mut spans, &limits) {
            Parsed::Command { consumed } => break consumed,
            Parsed::Incomplete { .. } => assert!(there < input.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(consumed, input.len());
    assert_eq!(spans.len(), ARGS);
    assert!(parser.is_idle());
}

#[test]
fn declared_counts_and_lengths_allocate_nothing() {
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    for input in ["*2147483647\r\n", "*1\r\n$536870912\r\n", "*2147483647\r\n$536870912\r\nx"] {
        let parsed = parser.parse(input.as_bytes(), &mut spans, &Limits::default());
        assert!(matches!(parsed, Parsed::Incomplete { .. }));
        assert_eq!((spans.capacity(), parser.memory_bytes()), (0, 0), "{input}");
        parser = RequestParser::new();
    }
}

#[test]
fn a_bulk_says_how_many_bytes_it_needs() {
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    let input = b"*2\r\n$3\r\nGET\r\n$1000\r\n";
    match parser.parse(input, &mut spans, &Limits::default()) {
        Parsed::Incomplete { needed_bytes, .. } => assert_eq!(needed_bytes, input.len() + 1002),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spans_are_appended_behind_those_of_other_commands() {
    let mut parser = RequestParser::new();
    let mut spans = vec![Span { start: 7, end: 9 }];
    let input = b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI";
    let limits = Limits::default();
    let Parsed::Command { consumed } = parser.parse(input, &mut spans, &limits) else {
        panic!("no command")
    };
    assert!(matches!(
        parser.parse(&input[consumed..], &mut spans, &limits),
        Parsed::Incomplete { .. }
    ));
    assert_eq!(spans, [Span { start: 7, end: 9 }, Span { start: 8, end: 12 }]);
}

#[test]
fn a_parser_is_one_pointer() {
    assert_eq!(size_of::<RequestParser>(), size_of::<usize>());
}
