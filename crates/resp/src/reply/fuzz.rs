//! The entry point of the fuzz target `reply`.

use super::{Reply, ReplyLimits, ReplyParser};

/// Parses `data` in one piece and in others, which the first byte of `data` decides, and panics if
/// what comes out differs.
pub fn check_any_reply(data: &[u8]) {
    let Some((&choice, stream)) = data.split_first() else { return };
    let limits = ReplyLimits {
        bulk_bytes_max: 1 << (choice & 15),
        line_bytes_max: 1 << (choice >> 4 & 7),
        depth_max: 5,
    };
    let whole = transcript(std::iter::once(stream), limits);
    assert_eq!(transcript(stream.chunks(1 + usize::from(choice >> 4)), limits), whole);
    let (first, second) = stream.split_at(stream.len() * usize::from(choice) / 256);
    assert_eq!(transcript([first, second].into_iter(), limits), whole);
}

/// What comes out of `pieces`, in text form, for NaN equals nothing.
fn transcript<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: ReplyLimits) -> String {
    let mut parser = ReplyParser::new(limits);
    let mut buffer = Vec::new();
    let mut replies: Vec<Reply> = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.parse(&buffer) {
                Ok(step) => {
                    buffer.drain(..step.consumed);
                    let Some(reply) = step.reply else { break };
                    assert!(parser.is_idle());
                    replies.push(reply);
                }
                Err(error) => return format!("{replies:?} {error}"),
            }
        }
    }
    format!("{replies:?} {buffer:?} {}", parser.is_idle())
}
