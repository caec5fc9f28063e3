//! Lua's patterns, matched without recursion and with a way to interrupt.
//!
//! Lua's own matcher tries alternatives by calling itself, so that a pattern can exhaust the stack or run
//! for hours in one call. Here what remains to be tried is kept on a stack of its own. An item of a pattern
//! is passed once on the way to a match, so that this stack is no deeper than the pattern is long.
//! (Lua 5.1 reference manual, 5.4.1.)

/// Most captures a pattern can have.
const CAPTURES_MAX: usize = 32;

/// Steps between two questions whether to go on.
const STEPS_PER_QUESTION: u32 = 4096;

/// What a capture captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    /// Opened here and not closed.
    Open(usize),
    /// From a position to before another.
    Range(usize, usize),
    /// `()`: a position.
    Position(usize),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Malformed(&'static str),
    Interrupted,
}

/// What to try, or to undo, when the way taken fails.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// An item took `taken` bytes from `start` on; it can take fewer. The pattern goes on at `next`.
    Fewer { start: usize, taken: usize, next: usize },
    /// An item took nothing from `at` on; it can take one byte more.
    More { at: usize, item: usize, end: usize },
    /// The pattern can go on at `next` with nothing taken at `at`.
    Without { at: usize, next: usize },
    /// A capture was begun.
    Begun,
    /// A capture that began at `start` was closed.
    Closed { index: usize, start: usize },
}

/// One pattern over one string.
#[derive(Debug)]
pub(crate) struct Matcher<'a> {
    source: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    choices: Vec<Choice>,
    steps: u32,
}

impl<'a> Matcher<'a> {
    /// `pattern` without its anchor. It ends at its first NUL, as in Lua 5.1.
    pub(crate) fn new(source: &'a [u8], pattern: &'a [u8]) -> Self {
        let pattern = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
        Self { source, pattern, captures: Vec::new(), choices: Vec::new(), steps: 0 }
    }

    pub(crate) fn source(&self) -> &'a [u8] {
        self.source
    }

    /// Of the latest match.
    pub(crate) fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Where a match that begins at `at` ends. `go_on` is told of steps taken and says whether to go on.
    pub(crate) fn match_at(
        &mut self,
        at: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Option<usize>, Problem> {
        self.captures.clear();
        self.choices.clear();
        let (mut at, mut item) = (at, 0);
        loop {
            self.step(1, go_on)?;
            let advanced = self.advance(at, item, go_on)?;
            match advanced {
                Advance::Matched => return Ok(Some(at)),
                Advance::To(next_at, next_item) => (at, item) = (next_at, next_item),
                Advance::Fails => match self.retreat(go_on)? {
                    Some(place) => (at, item) = place,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Passes one item of the pattern.
    fn advance(
        &mut self,
        at: usize,
        item: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Advance, Problem> {
        let Some(&kind) = self.pattern.get(item) else { return Ok(Advance::Matched) };
        match kind {
            b'(' => {
                let position = self.pattern.get(item + 1) == Some(&b')');
                if self.captures.len() >= CAPTURES_MAX {
                    return Err(Problem::Malformed("too many captures"));
                }
                let capture = if position { Capture::Position(at) } else { Capture::Open(at) };
                self.captures.push(capture);
                self.choices.push(Choice::Begun);
                Ok(Advance::To(at, item + if position { 2 } else { 1 }))
            }
            b')' => {
                let open = self
                    .captures
                    .iter()
                    .rposition(|capture| matches!(capture, Capture::Open(_)))
                    .ok_or(Problem::Malformed("invalid pattern capture"))?;
                if let Capture::Open(start) = self.captures[open] {
                    self.captures[open] = Capture::Range(start, at);
                    self.choices.push(Choice::Closed { index: open, start });
                }
                Ok(Advance::To(at, item + 1))
            }
            b'$' if item + 1 == self.pattern.len() => {
                Ok(if at == self.source.len() { Advance::Matched } else { Advance::Fails })
            }
            b'%' => match self.pattern.get(item + 1) {
                Some(b'b') => self.balanced(at, item + 2, go_on),
                Some(b'f') => self.frontier(at, item + 2),
                Some(&digit @ b'0'..=b'9') => self.back_reference(at, item, digit),
                _ => self.single(at, item, go_on),
            },
            _ => self.single(at, item, go_on),
        }
    }

    /// Takes the latest choice that is left.
    fn retreat(
        &mut self,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Option<(usize, usize)>, Problem> {
        while let Some(choice) = self.choices.pop() {
            self.step(1, go_on)?;
            match choice {
                Choice::Begun => {
                    self.captures.pop();
                }
                Choice::Closed { index, start } => self.captures[index] = Capture::Open(start),
                Choice::Without { at, next } => return Ok(Some((at, next))),
                Choice::Fewer { start, taken, next } => {
                    if let Some(taken) = taken.checked_sub(1) {
                        self.choices.push(Choice::Fewer { start, taken, next });
                        return Ok(Some((start + taken, next)));
                    }
                }
                Choice::More { at, item, end } => {
                    if self.matches_single(at, item, end) {
                        self.choices.push(Choice::More { at: at + 1, item, end });
                        return Ok(Some((at + 1, end + 1)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// An item for one byte, and how often it may occur.
    fn single(
        &mut self,
        at: usize,
        item: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Advance, Problem> {
        let end = self.end_of_class(item)?;
        let matches = self.matches_single(at, item, end);
        match self.pattern.get(end) {
            Some(b'?') => {
                if matches {
                    self.choices.push(Choice::Without { at, next: end + 1 });
                    return Ok(Advance::To(at + 1, end + 1));
                }
                Ok(Advance::To(at, end + 1))
            }
            Some(b'*') => self.take_all(at, item, end, go_on),
            Some(b'+') => {
                if matches {
                    self.take_all_after_one(at, item, end, go_on)
                } else {
                    Ok(Advance::Fails)
                }
            }
            Some(b'-') => {
                self.choices.push(Choice::More { at, item, end });
                Ok(Advance::To(at, end + 1))
            }
            _ => Ok(if matches { Advance::To(at + 1, end) } else { Advance::Fails }),
        }
    }

    fn take_all(
        &mut self,
        start: usize,
        item: usize,
        end: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Advance, Problem> {
        let mut taken = 0;
        while self.matches_single(start + taken, item, end) {
            taken += 1;
            self.step(1, go_on)?;
        }
        let next = end + 1;
        self.choices.push(Choice::Fewer { start, taken, next });
        Ok(Advance::To(start + taken, next))
    }

    fn take_all_after_one(
        &mut self,
        at: usize,
        item: usize,
        end: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Advance, Problem> {
        self.take_all(at + 1, item, end, go_on)
    }

    /// `%bxy`
    fn balanced(
        &mut self,
        at: usize,
        delimiters: usize,
        go_on: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Advance, Problem> {
        let (Some(&open), Some(&close)) =
            (self.pattern.get(delimiters), self.pattern.get(delimiters + 1))
        else {
            return Err(Problem::Malformed("unbalanced pattern"));
        };
        if self.source.get(at) != Some(&open) {
            return Ok(Advance::Fails);
        }
        let mut depth = 1_usize;
        for (offset, &byte) in self.source[at + 1..].iter().enumerate() {
            self.step(1, go_on)?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Advance::To(at + offset + 2, delimiters + 2));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(Advance::Fails)
    }

    /// `%f[set]`
    fn frontier(&self, at: usize, set: usize) -> Result<Advance, Problem> {
        if self.pattern.get(set) != Some(&b'[') {
            return Err(Problem::Malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.end_of_class(set)?;
        let previous = at.checked_sub(1).map_or(0, |before| self.source[before]);
        let current = self.source.get(at).copied().unwrap_or(0);
        let crosses =
            !self.set_holds(previous, set, end - 1) && self.set_holds(current, set, end - 1);
        Ok(if crosses { Advance::To(at, end) } else { Advance::Fails })
    }

    /// `%1`
    fn back_reference(&self, at: usize, item: usize, digit: u8) -> Result<Advance, Problem> {
        let index = usize::from(digit).checked_sub(usize::from(b'1'));
        let Some(Capture::Range(start, end)) = index.and_then(|index| self.captures.get(index))
        else {
            return Err(Problem::Malformed("invalid capture index"));
        };
        let captured = &self.source[*start..*end];
        let matches = self.source[at..].starts_with(captured);
        Ok(if matches { Advance::To(at + captured.len(), item + 2) } else { Advance::Fails })
    }

    /// Where the class that begins at `item` ends.
    fn end_of_class(&self, item: usize) -> Result<usize, Problem> {
        let pattern = self.pattern;
        match pattern[item] {
            b'%' => {
                if item + 1 >= pattern.len() {
                    return Err(Problem::Malformed("malformed pattern (ends with '%')"));
                }
                Ok(item + 2)
            }
            b'[' => {
                let missing = Problem::Malformed("malformed pattern (missing ']')");
                let mut at = item + 1;
                if pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A ']' that comes first is one of the set.
                loop {
                    let byte = *pattern.get(at).ok_or(missing)?;
                    at += if byte == b'%' { 2 } else { 1 };
                    match pattern.get(at) {
                        Some(b']') => return Ok(at + 1),
                        Some(_) => {}
                        None => return Err(missing),
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    /// Whether the byte at `at` is of the class `pattern[item..end]`.
    fn matches_single(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(&byte) = self.source.get(at) else { return false };
        match self.pattern[item] {
            b'.' => true,
            b'%' => class_holds(byte, self.pattern[item + 1]),
            b'[' => self.set_holds(byte, item, end - 1),
            literal => literal == byte,
        }
    }

    /// Whether the set between the brackets at `open` and `close` holds `byte`.
    fn set_holds(&self, byte: u8, open: usize, close: usize) -> bool {
        let pattern = self.pattern;
        let mut at = open + 1;
        let inverted = pattern[at] == b'^';
        if inverted {
            at += 1;
        }
        while at < close {
            if pattern[at] == b'%' {
                if class_holds(byte, pattern[at + 1]) {
                    return !inverted;
                }
                at += 2;
            } else if pattern[at + 1] == b'-' && at + 2 < close {
                if (pattern[at]..=pattern[at + 2]).contains(&byte) {
                    return !inverted;
                }
                at += 3;
            } else {
                if pattern[at] == byte {
                    return !inverted;
                }
                at += 1;
            }
        }
        inverted
    }

    fn step(&mut self, steps: u32, go_on: &mut dyn FnMut(u32) -> bool) -> Result<(), Problem> {
        self.steps += steps;
        if self.steps >= STEPS_PER_QUESTION {
            let steps = std::mem::take(&mut self.steps);
            if !go_on(steps) {
                return Err(Problem::Interrupted);
            }
        }
        Ok(())
    }
}

enum Advance {
    Matched,
    To(usize, usize),
    Fails,
}

/// Whether the class `%letter` holds `byte`.
fn class_holds(byte: u8, letter: u8) -> bool {
    let holds = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return letter == byte,
    };
    holds != letter.is_ascii_uppercase()
}
