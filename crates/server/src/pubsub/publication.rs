//! A message on its way, and what of it is written to each subscriber.
//!
//! What all subscribers get is packed once: the channel and the payload as they stand on the wire. In
//! front of it goes a head, which differs by kind of subscription and by protocol: its first byte says
//! whether it is an array or a push.

use super::Kind;
use darter_base::SharedBytes;
use darter_base::number::format_u64;
use darter_resp::{Output, Protocol, ReplyWriter};
use std::ops::Range;
use std::sync::Arc;

/// What a message costs on its way besides its bytes.
const OVERHEAD_BYTES: u64 = 128;

/// A message and whom it is for. Shared by all workers it is sent to.
#[derive(Debug)]
pub struct Publication {
    /// The kind of the channel.
    pub kind: Kind,
    /// The patterns that match it.
    pub patterns: Vec<Arc<[u8]>>,
    /// Channel and payload as bulk strings.
    tail: SharedBytes,
    /// The channel's name within it.
    channel: Range<usize>,
}

impl Publication {
    /// A message to subscribers of the channel and of `patterns`.
    pub fn new(kind: Kind, channel: &[u8], payload: &[u8], patterns: Vec<Arc<[u8]>>) -> Self {
        let mut tail = Vec::with_capacity(channel.len() + payload.len() + 32);
        let name = push_bulk(&mut tail, channel);
        push_bulk(&mut tail, payload);
        Self { kind, patterns, tail: tail.into(), channel: name }
    }

    /// The channel's name.
    pub fn channel(&self) -> &[u8] {
        &self.tail[self.channel.clone()]
    }

    /// What it counts for while it is under way.
    pub fn cost_bytes(&self) -> u64 {
        OVERHEAD_BYTES + self.tail.len() as u64
    }

    /// What subscribers of the channel get.
    pub fn to_channel(&self) -> Message<'_> {
        let head = match self.kind {
            Kind::ShardChannel => b"*3\r\n$8\r\nsmessage\r\n".to_vec(),
            Kind::Channel | Kind::Pattern => b"*3\r\n$7\r\nmessage\r\n".to_vec(),
        };
        Message { head, tail: &self.tail }
    }

    /// What subscribers of a pattern get.
    pub fn to_pattern(&self, pattern: &[u8]) -> Message<'_> {
        let mut head = b"*4\r\n$8\r\npmessage\r\n".to_vec();
        push_bulk(&mut head, pattern);
        Message { head, tail: &self.tail }
    }
}

/// Where the bytes are then.
fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    out.push(b'$');
    out.extend_from_slice(&format_u64(bytes.len() as u64));
    out.extend_from_slice(b"\r\n");
    let start = out.len();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    start..start + bytes.len()
}

/// A message as it is written.
#[derive(Debug)]
pub struct Message<'a> {
    head: Vec<u8>,
    tail: &'a SharedBytes,
}

impl Message<'_> {
    /// Adds it to a subscriber's output. A large payload is added by reference.
    pub fn write(&mut self, output: &mut Output, protocol: Protocol) {
        self.head[0] = if protocol == Protocol::Resp3 { b'>' } else { b'*' };
        ReplyWriter::new(output, protocol).encoded(&self.head);
        output.extend_shared(self.tail);
    }

    /// Its size on the wire.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;

    fn written(mut message: Message<'_>, protocol: Protocol) -> String {
        let mut output = Output::new();
        message.write(&mut output, protocol);
        assert_eq!(output.len(), message.bytes());
        let mut slices = [IoSlice::new(b""); 4];
        let count = output.io_slices(&mut slices);
        slices[..count].iter().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect()
    }

    #[test]
    fn messages_are_arrays_or_pushes() {
        let publication = Publication::new(Kind::Channel, b"news", b"hi", Vec::new());
        assert_eq!(publication.channel(), b"news");
        assert_eq!(
            written(publication.to_channel(), Protocol::Resp2),
            "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        );
        assert_eq!(
            written(publication.to_pattern(b"n*"), Protocol::Resp3),
            ">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
        );
        let publication = Publication::new(Kind::ShardChannel, b"s", b"", Vec::new());
        assert_eq!(
            written(publication.to_channel(), Protocol::Resp3),
            ">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$0\r\n\r\n"
        );
    }
}
