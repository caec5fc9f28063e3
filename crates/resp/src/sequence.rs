//! Requests one behind the other, some of them between MULTI and EXEC: what a log and a stream for replicas consist of.

use crate::{Args, Limits, Parsed, RequestParser, Span};

/// Finds commands in a window of bytes, and has those that were found until they are forgotten. Nothing is copied and,
/// once the vectors have grown, nothing allocated.
#[derive(Debug)]
pub struct Sequence {
    limits: Limits,
    parser: RequestParser,
    /// The arguments of the commands, those of a command relative to where it begins.
    spans: Vec<Span>,
    commands: Vec<Found>,
    /// Bytes of the window that have been looked at.
    parsed: usize,
    in_transaction: bool,
}

/// A command.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Where it begins in the window.
    at: usize,
    /// Where its spans end.
    spans_end: usize,
}

/// What follows in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command, which is one of those that were found now.
    Command,
    /// So many bytes that say nothing: empty lines. They are passed over by [`Sequence::skip`], or not.
    Nothing(usize),
    /// Nothing whole: look again when the window, beginning with the same bytes, has so many.
    Unfinished {
        /// More than it has now. The sender chooses this number: it is a reason to wait, not to allocate.
        needed: usize,
    },
    /// Something else.
    Malformed(&'static str),
}

impl Sequence {
    /// At the beginning, outside of transactions.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            parser: RequestParser::new(),
            spans: Vec::new(),
            commands: Vec::new(),
            parsed: 0,
            in_transaction: false,
        }
    }

    /// Looks for one more command in `window`, which begins with what has been looked at.
    pub fn parse(&mut self, window: &[u8]) -> Step {
        let rest = &window[self.parsed..];
        match self.parser.parse(rest, &mut self.spans, &self.limits) {
            Parsed::Command { consumed } => self.take(rest, consumed),
            Parsed::Nothing { consumed } => Step::Nothing(consumed),
            Parsed::Incomplete { needed_bytes, .. } => {
                Step::Unfinished { needed: self.parsed.saturating_add(needed_bytes) }
            }
            Parsed::Malformed(_) | Parsed::Inline { .. } => Step::Malformed("a malformed command"),
        }
    }

    /// Notes the command at the beginning of `rest`.
    fn take(&mut self, rest: &[u8], consumed: usize) -> Step {
        let from = self.commands.last().map_or(0, |last| last.spans_end);
        let name = &rest[self.spans[from].start..self.spans[from].end];
        if name.eq_ignore_ascii_case(b"MULTI") {
            if self.in_transaction {
                return Step::Malformed("MULTI within a transaction");
            }
            self.in_transaction = true;
        } else if name.eq_ignore_ascii_case(b"EXEC") {
            if !self.in_transaction {
                return Step::Malformed("EXEC without MULTI");
            }
            self.in_transaction = false;
        }
        self.commands.push(Found { at: self.parsed, spans_end: self.spans.len() });
        self.parsed += consumed;
        Step::Command
    }

    /// Passes over bytes that are no command.
    pub const fn skip(&mut self, bytes: usize) {
        self.parsed += bytes;
    }

    /// Bytes of the window that have been looked at.
    pub const fn parsed(&self) -> usize {
        self.parsed
    }

    /// How many commands were found.
    pub const fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none was.
    pub const fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Whether the last one is within a transaction that has not ended.
    pub const fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// The first `count` of the commands that were found in `window`, each with where it begins.
    pub fn commands<'a>(
        &'a self,
        window: &'a [u8],
        count: usize,
    ) -> impl Iterator<Item = (usize, Args<'a>)> {
        let mut from = 0;
        self.commands[..count].iter().map(move |&Found { at, spans_end }| {
            let args = Args::new(&window[at..], &self.spans[from..spans_end]);
            from = spans_end;
            (at, args)
        })
    }

    /// Forgets the first `count` commands: the window will begin `bytes` later, behind them.
    pub fn forget_first(&mut self, count: usize, bytes: usize) {
        let spans = count.checked_sub(1).map_or(0, |last| self.commands[last].spans_end);
        self.spans.drain(..spans);
        self.commands.drain(..count);
        for found in &mut self.commands {
            found.at -= bytes;
            found.spans_end -= spans;
        }
        self.parsed -= bytes;
    }

    /// Forgets all commands: the window will begin behind them. A request that has begun there goes on.
    pub fn forget_all(&mut self) {
        self.spans.clear();
        self.commands.clear();
        self.parsed = 0;
    }

    /// Begins again, as if nothing had been looked at.
    pub fn restart(&mut self) {
        self.forget_all();
        self.parser = RequestParser::new();
        self.in_transaction = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::encode;

    fn names(sequence: &Sequence, window: &[u8]) -> Vec<(usize, String)> {
        let commands = sequence.commands(window, sequence.len());
        commands.map(|(at, args)| (at, args.at(0).escape_ascii().to_string())).collect()
    }

    #[test]
    fn commands_stay_until_they_are_forgotten() {
        let (first, second) = (encode(&["PING"]), encode(&["GET", "k"]));
        let window = [first.clone(), second.clone()].concat();
        let mut sequence = Sequence::new(Limits::default());
        assert_eq!(sequence.parse(&window), Step::Command);
        assert_eq!(
            sequence.parse(&window[..first.len() + 4]),
            Step::Unfinished { needed: first.len() + 5 }
        );
        assert_eq!(sequence.parse(&window), Step::Command);
        assert_eq!(
            names(&sequence, &window),
            [(0, "PING".to_owned()), (first.len(), "GET".to_owned())]
        );
        assert_eq!(sequence.parsed(), window.len());
        sequence.forget_first(1, first.len());
        assert_eq!(names(&sequence, &second), [(0, "GET".to_owned())]);
        assert_eq!(sequence.parsed(), second.len());
    }

    #[test]
    fn what_says_nothing_is_passed_over_if_that_is_wanted() {
        let mut sequence = Sequence::new(Limits::default());
        let window = [b"\r\n".as_slice(), &encode(&["PING"])].concat();
        assert_eq!(sequence.parse(&window), Step::Nothing(2));
        sequence.skip(2);
        assert_eq!(sequence.parse(&window), Step::Command);
        assert_eq!(names(&sequence, &window), [(2, "PING".to_owned())]);
        sequence.restart();
        assert!(sequence.is_empty());
        assert_eq!(sequence.parsed(), 0);
    }

    #[test]
    fn transactions_begin_once_and_end_once() {
        let window = [encode(&["multi"]), encode(&["MULTI"])].concat();
        let mut sequence = Sequence::new(Limits::default());
        assert_eq!(sequence.parse(&window), Step::Command);
        assert!(sequence.is_in_transaction());
        assert_eq!(sequence.parse(&window), Step::Malformed("MULTI within a transaction"));
        sequence.restart();
        assert_eq!(sequence.parse(&encode(&["EXEC"])), Step::Malformed("EXEC without MULTI"));
    }
}
