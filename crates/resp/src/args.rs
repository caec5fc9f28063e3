//! The arguments of one command: byte strings inside a buffer somebody else owns, or owns.

use std::ops::Index;

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
/// fat pointers, made without copying an argument.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// The arguments at `spans`, which must lie in `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        debug_assert!(spans.iter().all(|span| span.start <= span.end && span.end <= buffer.len()));
        Self { buffer, spans }
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
        Self { buffer: self.buffer, spans: self.spans.get(from..).unwrap_or_default() }
    }

    /// The arguments up to index `to`; all when `to` is past the end.
    pub fn head(self, to: usize) -> Self {
        Self { buffer: self.buffer, spans: &self.spans[..to.min(self.spans.len())] }
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
/// another worker, or read from an inline request. Two allocations however many arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// No arguments.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new() }
    }

    /// Adds a copy of `arg` at the end.
    pub fn push(&mut self, arg: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(arg);
        self.spans.push(Span { start, end: self.bytes.len() });
    }

    /// The same arguments, borrowed.
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.bytes, spans: &self.spans }
    }

    /// Bytes of heap memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> Self {
        let mut owned =
            Self { bytes: Vec::with_capacity(args.bytes()), spans: Vec::with_capacity(args.len()) };
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
