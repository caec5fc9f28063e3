//! The arguments of one command: byte strings inside a buffer somebody else owns, or owns.

use std::ops::Index;
use std::sync::Arc;

use darter_base::SharedBytes;
use darter_base::shared_bytes::is_nearly_all;

/// A range of bytes in the buffer a command was parsed from. `start <= end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Position of the first byte.
    pub start: usize,
    /// Position after the last byte.
    pub end: usize,
}

impl Span {
    /// Bytes in the range.
    pub const fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether the range holds no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The arguments of one command, the command's name included at index 0. Borrowed and `Copy`: two
/// fat pointers and another one, made without copying an argument.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
    /// What `buffer` lies in, if parts of that may be kept.
    shared: Option<&'a Arc<Vec<u8>>>,
}

impl<'a> Args<'a> {
    /// The arguments at `spans`, which must lie in `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        debug_assert!(spans.iter().all(|span| span.start <= span.end && span.end <= buffer.len()));
        Self { buffer, spans, shared: None }
    }

    /// The same, which lie in `shared`, of which whoever wants to may keep a part.
    #[must_use]
    pub const fn lying_in(self, shared: Option<&'a Arc<Vec<u8>>>) -> Self {
        Self { shared, ..self }
    }

    /// The argument at `index` to be kept without a copy, if it is a big one in a buffer that others may hold and that has
    /// little else. Panics past the end.
    #[inline]
    pub fn share(self, index: usize) -> Option<SharedBytes> {
        self.share_from(self.shared?, index)
    }

    #[cold]
    fn share_from(self, shared: &Arc<Vec<u8>>, index: usize) -> Option<SharedBytes> {
        let start = self.start_in(shared)? + self.spans[index].start;
        SharedBytes::part(shared, start..start + self.spans[index].len())
    }

    /// Where the buffer begins in `shared`.
    fn start_in(self, shared: &[u8]) -> Option<usize> {
        let start = self.buffer.as_ptr().addr().checked_sub(shared.as_ptr().addr())?;
        (start.checked_add(self.buffer.len())? <= shared.len()).then_some(start)
    }

    /// Number of arguments, the name included.
    pub const fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all, not even a name.
    pub const fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`, or `None` past the end.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        Some(&self.buffer[span.start..span.end])
    }

    /// The argument at `index`, borrowed for as long as the buffer (which `args[index]` cannot
    /// express). Panics past the end.
    pub fn at(self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.buffer[span.start..span.end]
    }

    /// Where they are in the buffer.
    pub const fn spans(self) -> &'a [Span] {
        self.spans
    }

    /// Every argument in order.
    pub fn iter(
        self,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + 'a {
        let buffer = self.buffer;
        self.spans.iter().map(move |span| &buffer[span.start..span.end])
    }

    /// The arguments from index `from` on; none when `from` is past the end.
    pub fn tail(self, from: usize) -> Self {
        Self { spans: self.spans.get(from..).unwrap_or_default(), ..self }
    }

    /// The arguments up to index `to`; all when `to` is past the end.
    pub fn head(self, to: usize) -> Self {
        Self { spans: &self.spans[..to.min(self.spans.len())], ..self }
    }

    /// Sum of the arguments' lengths in bytes. O(len).
    pub fn bytes(self) -> usize {
        self.spans.iter().map(|span| span.len()).sum()
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(self.iter().map(|arg| arg.escape_ascii().to_string()))
            .finish()
    }
}

/// Arguments that outlive the buffer they arrived in: a command queued by `MULTI`, posted to
/// another worker, or read from an inline request. Two allocations however many arguments; big ones are not copied but keep
/// the buffer they arrived in, if it may be shared.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    /// Those that were copied.
    bytes: Vec<u8>,
    /// Where all of them are if none was.
    shared: Option<Arc<Vec<u8>>>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// No arguments.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), shared: None, spans: Vec::new() }
    }

    /// Adds a copy of `arg` at the end.
    pub fn push(&mut self, arg: &[u8]) {
        if self.shared.is_some() {
            *self = self.as_args().iter().collect();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(arg);
        self.spans.push(Span { start, end: self.bytes.len() });
    }

    /// The same arguments, borrowed.
    pub fn as_args(&self) -> Args<'_> {
        match &self.shared {
            None => Args { buffer: &self.bytes, spans: &self.spans, shared: None },
            Some(shared) => Args { buffer: shared, spans: &self.spans, shared: Some(shared) },
        }
    }

    /// Bytes of heap memory held.
    pub fn memory_bytes(&self) -> usize {
        let shared_bytes = self.shared.as_ref().map_or(0, |shared| shared.capacity());
        self.bytes.capacity() + shared_bytes + self.spans.capacity() * size_of::<Span>()
    }
}

impl PartialEq for OwnedArgs {
    fn eq(&self, other: &Self) -> bool {
        self.as_args().iter().eq(other.as_args().iter())
    }
}

impl Eq for OwnedArgs {}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        if let Some(shared) = args.shared
            && let Some(start) = args.start_in(shared)
            && is_nearly_all(args.buffer.len(), shared)
        {
            let spans = args.spans.iter();
            let spans = spans.map(|span| Span { start: start + span.start, end: start + span.end });
            let shared = Some(Arc::clone(shared));
            return Self { bytes: Vec::new(), shared, spans: spans.collect() };
        }
        let mut owned = Self {
            bytes: Vec::with_capacity(args.bytes()),
            shared: None,
            spans: Vec::with_capacity(args.len()),
        };
        for arg in args.iter() {
            owned.push(arg);
        }
        owned
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(args: I) -> Self {
        let mut owned = Self::new();
        for arg in args {
            owned.push(arg.as_ref());
        }
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SET key <value>` behind `before` bytes of something else, and where its arguments are from there on.
    fn request(before: usize, value: &[u8]) -> (Arc<Vec<u8>>, [Span; 3]) {
        let mut buffer = vec![b'-'; before];
        let mut spans = [Span::default(); 3];
        for (span, word) in spans.iter_mut().zip([b"SET", b"key".as_slice(), value]) {
            span.start = buffer.len() - before;
            buffer.extend_from_slice(word);
            span.end = buffer.len() - before;
            buffer.extend_from_slice(b"\r\n");
        }
        buffer.shrink_to_fit();
        (Arc::new(buffer), spans)
    }

    #[test]
    fn an_argument_is_shared_that_is_nearly_all_of_a_buffer_that_may_be() {
        let value: Vec<u8> = (0..5000_u16).map(|at| at.to_le_bytes()[0]).collect();
        let (buffer, spans) = request(7, &value);
        let args = Args::new(&buffer[7..], &spans);
        assert!(args.share(2).is_none(), "nobody said that it may");
        let args = args.lying_in(Some(&buffer));
        assert!(args.share(1).is_none(), "the buffer has much else");
        assert_eq!(&args.tail(1).share(1).expect("it is all but little")[..], value);
    }

    #[test]
    fn owned_arguments_keep_the_buffer_of_big_ones() {
        let value = vec![b'v'; 5000];
        let (buffer, spans) = request(7, &value);
        let args = Args::new(&buffer[7..], &spans).lying_in(Some(&buffer));
        let mut owned = OwnedArgs::from(args);
        assert_eq!(Arc::strong_count(&buffer), 2);
        assert_eq!(owned, OwnedArgs::from(Args::new(&buffer[7..], &spans)));
        assert_eq!(owned.as_args().share(2).map(|shared| shared.len()), Some(5000));
        owned.push(b"KEEPTTL");
        assert_eq!(Arc::strong_count(&buffer), 1, "there is no room for more in it");
        assert_eq!(owned.as_args().iter().nth(3), Some(&b"KEEPTTL"[..]));
        assert_eq!(owned.as_args().at(2), value);
        let (buffer, spans) = request(700, &value);
        let small = OwnedArgs::from(Args::new(&buffer[700..], &spans).lying_in(Some(&buffer)));
        assert_eq!(Arc::strong_count(&buffer), 1, "too much of it is something else");
        assert_eq!(small.as_args().len(), 3);
    }
}
