//! What SORT is asked for.

use super::pattern::Pattern;
use crate::long_read::ELEMENTS_PER_SLICE;
use darter_command_table::{Call, ReplyError};
use darter_resp::Args;
use std::ops::Range;

/// The options, of which the last of each kind counts; GETs add up.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) order: Order<'a>,
    pub(super) is_descending: bool,
    pub(super) is_alphabetical: bool,
    /// Offset and count; a negative count is no limit.
    limit: Option<(i64, i64)>,
    /// What to answer for each element; the element itself if there is none.
    pub(super) gets: Vec<Pattern<'a>>,
    /// The argument index of the destination.
    pub(super) store: Option<usize>,
}

/// What elements are ordered by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order<'a> {
    /// Themselves.
    Elements,
    /// Other keys' values.
    By(Pattern<'a>),
    /// Nothing: they come as the collection has them.
    Natural,
}

/// One option among the arguments: its word's index and what it is.
enum Word {
    Ascending,
    Descending,
    Alphabetical,
    Limit,
    Store,
    By,
    Get,
}

impl Word {
    /// How many arguments follow the word.
    const fn operands(&self) -> usize {
        match self {
            Self::Ascending | Self::Descending | Self::Alphabetical => 0,
            Self::Store | Self::By | Self::Get => 1,
            Self::Limit => 2,
        }
    }
}

/// The word at `index` with all its operands, if it is one.
fn word_at(args: Args<'_>, index: usize, may_store: bool) -> Option<Word> {
    let is = |word: &str| args.at(index).eq_ignore_ascii_case(word.as_bytes());
    let word = if is("ASC") {
        Word::Ascending
    } else if is("DESC") {
        Word::Descending
    } else if is("ALPHA") {
        Word::Alphabetical
    } else if is("LIMIT") {
        Word::Limit
    } else if may_store && is("STORE") {
        Word::Store
    } else if is("BY") {
        Word::By
    } else if is("GET") {
        Word::Get
    } else {
        return None;
    };
    (index + word.operands() < args.len()).then_some(word)
}

/// What a user hears that may not read every key.
const BY_DENIED: &str = "ERR BY option of SORT denied due to insufficient ACL permissions.";
const GET_DENIED: &str = "ERR GET option of SORT denied due to insufficient ACL permissions.";

impl<'a> Options<'a> {
    pub(super) fn parse(call: &Call<'a>, may_store: bool) -> Result<Self, ReplyError> {
        let args = call.args;
        let mut options = Self {
            order: Order::Elements,
            is_descending: false,
            is_alphabetical: false,
            limit: None,
            gets: Vec::new(),
            store: None,
        };
        let mut index = 2;
        while index < args.len() {
            let word = word_at(args, index, may_store).ok_or(ReplyError::Syntax)?;
            match word {
                Word::Ascending => options.is_descending = false,
                Word::Descending => options.is_descending = true,
                Word::Alphabetical => options.is_alphabetical = true,
                Word::Limit => {
                    options.limit = Some((call.integer(index + 1)?, call.integer(index + 2)?));
                }
                Word::Store => options.store = Some(index + 1),
                Word::By => {
                    let pattern = Pattern::new(args.at(index + 1));
                    // Once said, it stays said.
                    if !pattern.has_place() {
                        options.order = Order::Natural;
                    } else if call.limits.stays_within {
                        return Err(ReplyError::Text(BY_DENIED));
                    } else if !matches!(options.order, Order::Natural) {
                        options.order = Order::By(pattern);
                    }
                }
                Word::Get if call.limits.stays_within => {
                    return Err(ReplyError::Text(GET_DENIED));
                }
                Word::Get => options.gets.push(Pattern::new(args.at(index + 1))),
            }
            index += 1 + word.operands();
        }
        Ok(options)
    }

    /// Whether patterns make keys of elements.
    pub(super) fn reads_keys(&self) -> bool {
        self.lookups() > 0
    }

    /// Whether fields of hashes decide what comes of it.
    pub(super) fn reads_fields(&self) -> bool {
        let is_field = |pattern: &Pattern<'_>| matches!(pattern, Pattern::Field { .. });
        matches!(&self.order, Order::By(pattern) if is_field(pattern))
            || self.gets.iter().any(is_field)
    }

    /// How many keys are looked up for an element.
    fn lookups(&self) -> usize {
        let gets = self.gets.iter().filter(|pattern| pattern.has_place());
        usize::from(matches!(&self.order, Order::By(_))) + gets.count()
    }

    /// Leaves the command to its slices if it would go through so many `elements`.
    pub(super) fn in_one_piece(&self, call: &Call<'_>, elements: usize) -> Result<(), ReplyError> {
        /// A lookup takes about as long as so many elements elsewhere.
        const ELEMENTS_PER_LOOKUP: usize = 4;
        let each = 1 + self.lookups().saturating_mul(ELEMENTS_PER_LOOKUP);
        call.in_one_piece(elements.saturating_mul(each))
    }

    /// How many elements are looked up, or answered, in one slice.
    pub(super) fn elements_per_slice(&self) -> usize {
        /// Half a millisecond's work.
        const LOOKUPS_PER_SLICE: usize = 1024;
        match self.lookups() {
            0 => ELEMENTS_PER_SLICE,
            lookups => (LOOKUPS_PER_SLICE / lookups).max(1),
        }
    }

    /// A set has no order; where one is needed that does not depend on how it is kept, it is that of the texts.
    pub(super) fn order_set(&mut self, by_script: bool) {
        let must_repeat = self.store.is_some() || by_script;
        if must_repeat && matches!(self.order, Order::Natural) {
            self.order = Order::Elements;
            self.is_alphabetical = true;
        }
    }

    /// Whether the elements come as the collection has them, from its end.
    pub(super) const fn is_reversed(&self) -> bool {
        matches!(self.order, Order::Natural) && self.is_descending
    }

    /// Which of `len` elements are wanted.
    pub(super) fn window(&self, len: usize) -> Range<usize> {
        let Some((offset, count)) = self.limit else { return 0..len };
        let start = usize::try_from(offset.max(0)).map_or(len, |offset| offset.min(len));
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// Calls `visit` with the index of the destination, if there is one.
pub(super) fn each_destination(args: Args<'_>, visit: &mut dyn FnMut(usize)) {
    let mut destination = None;
    let mut index = 2;
    while index < args.len() {
        match word_at(args, index, true) {
            Some(word) => {
                if matches!(word, Word::Store) {
                    destination = Some(index + 1);
                }
                index += 1 + word.operands();
            }
            None => index += 1,
        }
    }
    if let Some(index) = destination {
        visit(index);
    }
}

/// Whether a BY or GET makes keys of elements.
pub(super) fn reaches_beyond(args: Args<'_>) -> bool {
    let mut index = 2;
    while index < args.len() {
        match word_at(args, index, true) {
            Some(word) => {
                if matches!(word, Word::By | Word::Get)
                    && Pattern::new(args.at(index + 1)).has_place()
                {
                    return true;
                }
                index += 1 + word.operands();
            }
            None => index += 1,
        }
    }
    false
}
