//! The entry point of the fuzz target `request`.

use super::{Parsed, RequestParser};
use crate::{Args, Limits, Span};

/// Parses `data` in one piece and in others, which the first byte of `data` decides, and panics if
/// what comes out differs, or is not what it came from.
pub fn check_any_request(data: &[u8]) {
    let Some((&choice, stream)) = data.split_first() else { return };
    let limits = if choice & 1 == 0 { Limits::authenticated() } else { Limits::unauthenticated() };
    let limits = Limits { inline_bytes_max: 4 << (choice >> 1 & 7), ..limits };
    let whole = transcript(std::iter::once(stream), &limits);
    let piece_bytes = 1 + usize::from(choice >> 4);
    assert_eq!(transcript(stream.chunks(piece_bytes), &limits), whole);
    let (first, second) = stream.split_at(stream.len() * usize::from(choice) / 256);
    assert_eq!(transcript([first, second].into_iter(), &limits), whole);
}

/// What comes out of `pieces`: a line for each outcome, arguments as canonical arrays.
fn transcript<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Vec<u8> {
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    let mut buffer = Vec::new();
    let mut transcript = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            spans.clear();
            let consumed = match parser.parse(&buffer, &mut spans, limits) {
                Parsed::Command { consumed } => {
                    let written = write_array(&mut transcript, Args::new(&buffer, &spans));
                    // Only the header of an array may be written otherwise than it is canonical,
                    // and it may not.
                    assert_eq!(transcript[written..], buffer[..consumed]);
                    consumed
                }
                Parsed::Inline { consumed, args } => {
                    assert!(!args.as_args().is_empty());
                    assert_eq!(buffer[consumed - 1], b'\n');
                    write_array(&mut transcript, args.as_args());
                    consumed
                }
                Parsed::Nothing { consumed } => consumed,
                Parsed::Incomplete { needed_bytes, argument_bytes } => {
                    assert!(needed_bytes > buffer.len());
                    assert!(argument_bytes < needed_bytes);
                    assert_eq!(spans, [] as [Span; 0]);
                    break;
                }
                Parsed::Malformed(error) => {
                    assert!(parser.is_idle());
                    transcript.extend_from_slice(&error.message());
                    return transcript;
                }
            };
            assert!(parser.is_idle() && 0 < consumed && consumed <= buffer.len());
            buffer.drain(..consumed);
        }
    }
    transcript.extend_from_slice(&buffer);
    transcript
}

/// Appends `args` in canonical form and says where they begin.
fn write_array(transcript: &mut Vec<u8>, args: Args<'_>) -> usize {
    let start = transcript.len();
    transcript.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args.iter() {
        transcript.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        transcript.extend_from_slice(arg);
        transcript.extend_from_slice(b"\r\n");
    }
    start
}
