//! SORT and `SORT_RO`.

mod long;
mod options;
mod pattern;

use crate::effects::add_with_elements;
use darter_base::float::{as_c_reads, parse_f64};
use darter_command_table::{
    Access, Arg, Arity, Begin, Call, Category, Command, Find, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_resp::OwnedArgs;
use darter_shard::{Expiry, Interest};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Collection as _, End, List, Set, SortedSet, ValueRef};
use options::{Options, Order};
use pattern::Pattern;
use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements and M that of the elements \
                          answered, and a lookup for each pattern and element. O(M) for a list or a \
                          sorted set that is not sorted.";

const ACL: Category =
    Category::SET.and(Category::SORTED_SET).and(Category::LIST).and(Category::DANGEROUS);

const BY: Arg = Arg::key_pattern("by-pattern", 1).shown("pattern").token("BY").optional();
const LIMIT: Arg =
    Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();
const GET: Arg = Arg::key_pattern("get-pattern", 1)
    .shown("pattern")
    .token("GET")
    .optional()
    .multiple_with_token();
const ORDER: Arg =
    Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const SORTING: Arg = Arg::word("sorting", "ALPHA").optional();

/// Keys that cannot be found without running the command.
const fn unknown(access: Access, notes: &'static str) -> KeySpec {
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, access, notes: Some(notes) }
}

/// Sorts, and may store.
pub(super) static SORT: Command = Command {
    name: "SORT",
    group: Group::Generic,
    since: "1.0.0",
    summary: "The elements of a list, a set or a sorted set in order, or stores them as a list.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: ACL,
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        unknown(
            Access::READ_ONLY.and(Access::ACCESS),
            "The keys that BY and GET make of elements.",
        ),
        unknown(
            Access::OVERWRITE.and(Access::UPDATE),
            "The key behind STORE, wherever that stands.",
        ),
    ],
    args: &[
        Arg::key("key"),
        BY,
        LIMIT,
        GET,
        ORDER,
        SORTING,
        Arg::key_by("destination", 2).token("STORE").optional(),
    ],
    further_keys: Some(options::each_destination),
    reaches_beyond: Some(options::reaches_beyond),
    handler: Handler::Keyed(sort),
    slices: Some(long::sort_in_slices),
    ..Command::BASE
};

/// Sorts and answers.
pub(super) static SORT_RO: Command = Command {
    name: "SORT_RO",
    since: "7.0.0",
    summary: "The elements of a list, a set or a sorted set in order.",
    flags: Flags::READONLY,
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        unknown(
            Access::READ_ONLY.and(Access::ACCESS),
            "The keys that BY and GET make of elements.",
        ),
    ],
    args: &[Arg::key("key"), BY, LIMIT, GET, ORDER, SORTING],
    further_keys: None,
    handler: Handler::Keyed(sort_ro),
    slices: Some(long::sort_ro_in_slices),
    ..SORT
};

fn sort(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, true)?;
    run(call, view, options)
}

fn sort_ro(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, false)?;
    run(call, view, options)
}

fn run(call: &mut Call<'_>, view: &mut ShardView<'_>, mut options: Options<'_>) -> ReplyResult {
    let mut elements = Elements::load(call, view, &mut options)?;
    elements.sort(call, view, &options)?;
    match options.store {
        None => answer(call, view, &options, &elements),
        Some(destination) => store(call, view, &options, &elements, destination),
    }
    Ok(())
}

fn answer(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    options: &Options<'_>,
    elements: &Elements,
) {
    call.reply.array(elements.wanted.len() * options.gets.len().max(1));
    let mut value = Vec::new();
    for element in elements.in_order() {
        if options.gets.is_empty() {
            call.reply.bulk(element);
        }
        for pattern in &options.gets {
            value.clear();
            match pattern.look_up(call, view, element, |found| value.extend_from_slice(found)) {
                Some(()) => call.reply.bulk(&value),
                None => call.reply.null(),
            }
        }
    }
}

/// What is missing is stored as an empty string.
fn store(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    options: &Options<'_>,
    elements: &Elements,
    destination: usize,
) {
    let limit = call.limits.encodings.list;
    let mut list = List::default();
    // Fields that have expired are not there now, but when this is run again.
    let leaves_elements = call.is_recorded() && options.reads_fields();
    let mut elements_left = OwnedArgs::new();
    let mut push = |text: &[u8]| {
        list.prepare(text.len(), 1, limit);
        list.push(End::Back, text, limit);
        if leaves_elements {
            elements_left.push(text);
        }
    };
    let mut value = Vec::new();
    for element in elements.in_order() {
        if options.gets.is_empty() {
            push(element);
        }
        for pattern in &options.gets {
            value.clear();
            pattern.look_up(call, view, element, |found| value.extend_from_slice(found));
            push(&value);
        }
    }
    let count = list.len();
    let key = call.key(destination);
    let mut keyspace = call.keyspace(view, &key);
    let existed = leaves_elements && keyspace.peek(&key).is_some();
    keyspace.tell(Interest::LIST, "sortstore").set_collection(&key, list, Expiry::Clear);
    if leaves_elements {
        call.leave(|effects| {
            if existed {
                effects.add(&[b"DEL", key.bytes]);
            }
            add_with_elements(effects, b"RPUSH", key.bytes, elements_left.as_args());
        });
    }
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Elements on their way, copied: the values they are ordered by, and the destination, may be anywhere.
#[derive(Debug, Default)]
struct Elements {
    /// All texts, one behind the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Which entries are wanted.
    wanted: Range<usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Where its text is.
    text: Range<usize>,
    weight: Weight,
}

/// What an element is ordered by.
#[derive(Clone, Debug)]
enum Weight {
    /// Its text.
    Own,
    Number(f64),
    /// A text elsewhere among the bytes; absent ones come first.
    Text(Option<Range<usize>>),
}

impl Elements {
    /// The elements of the collection at the first argument: all, or the wanted ones when they are not
    /// to be sorted.
    fn load(
        call: &Call<'_>,
        view: &mut ShardView<'_>,
        options: &mut Options<'_>,
    ) -> Result<Self, ReplyError> {
        let key = call.key(1);
        let mut keyspace = call.keyspace(view, &key);
        let mut elements = Self::default();
        let Some(value) = keyspace.read(&key) else { return Ok(elements) };
        let ValueRef::Object(object) = value else { return Err(ReplyError::WrongType) };
        let mut text = IntegerText::new();
        if let Some(list) = List::of(object) {
            elements.wanted = options.window(list.len());
            let range = elements.visited(options, list.len());
            options.in_one_piece(call, range.len())?;
            let mut left = range.len();
            if left > 0 {
                let (end, from) = if options.is_reversed() {
                    (End::Back, list.len() - 1 - range.start)
                } else {
                    (End::Front, range.start)
                };
                list.walk(end, from, |element| {
                    elements.add(element.bytes(&mut text));
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            }
        } else if let Some(set) = Set::of(object) {
            options.order_set(call.limits.by_script);
            elements.wanted = options.window(set.len());
            options.in_one_piece(call, set.len())?;
            set.for_each(|member| elements.add(bytes_of(member, &mut text)));
        } else if let Some(set) = SortedSet::of(object) {
            elements.wanted = options.window(set.len());
            let mut ranks = elements.visited(options, set.len());
            options.in_one_piece(call, ranks.len())?;
            if options.is_reversed() {
                ranks = set.len() - ranks.end..set.len() - ranks.start;
            }
            for (member, _) in set.range(ranks, options.is_reversed()) {
                elements.add(bytes_of(member, &mut text));
            }
        } else {
            return Err(ReplyError::WrongType);
        }
        Ok(elements)
    }

    /// Which of `len` elements have to be looked at. If only those that are wanted, then they are all
    /// there is from now on.
    fn visited(&mut self, options: &Options<'_>, len: usize) -> Range<usize> {
        if matches!(options.order, Order::Natural) {
            let visited = self.wanted.clone();
            self.wanted = 0..visited.len();
            visited
        } else {
            0..len
        }
    }

    fn add(&mut self, element: &[u8]) {
        let text = self.append(element);
        self.entries.push(Entry { text, weight: Weight::Own });
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        begin..self.bytes.len()
    }

    /// Brings the wanted entries into order.
    fn sort(
        &mut self,
        call: &Call<'_>,
        view: &mut ShardView<'_>,
        options: &Options<'_>,
    ) -> Result<(), ReplyError> {
        if matches!(options.order, Order::Natural) {
            return Ok(());
        }
        self.weigh(0..self.entries.len(), options, |pattern, element, value| {
            let found =
                pattern.look_up(call, view, element, |found| value.extend_from_slice(found));
            found.is_some()
        })?;
        let Self { bytes, entries, wanted } = self;
        let compare = |one: &Entry, other: &Entry| {
            let ordering = one.compare(other, bytes);
            if options.is_descending { ordering.reverse() } else { ordering }
        };
        if wanted.end == 0 {
            return Ok(());
        }
        if wanted.end < entries.len() {
            entries.select_nth_unstable_by(wanted.end, compare);
        }
        entries[..wanted.end].sort_unstable_by(compare);
        Ok(())
    }

    /// Finds what these entries are ordered by. `look_up` appends the value that a pattern means for an element, and says
    /// whether there is one.
    fn weigh<'p>(
        &mut self,
        entries: Range<usize>,
        options: &Options<'p>,
        mut look_up: impl FnMut(Pattern<'p>, &[u8], &mut Vec<u8>) -> bool,
    ) -> Result<(), ReplyError> {
        let pattern = match options.order {
            Order::By(pattern) => pattern,
            Order::Elements if options.is_alphabetical => return Ok(()),
            Order::Elements => Pattern::Element,
            Order::Natural => return Ok(()),
        };
        let mut value = Vec::new();
        for index in entries {
            let element = &self.bytes[self.entries[index].text.clone()];
            value.clear();
            let found = look_up(pattern, element, &mut value);
            self.entries[index].weight = if options.is_alphabetical {
                Weight::Text(found.then(|| self.append(&value)))
            } else if found {
                Weight::Number(number(&value).ok_or(NOT_A_NUMBER)?)
            } else {
                Weight::Number(0.0)
            };
        }
        Ok(())
    }

    /// The wanted elements.
    fn in_order(&self) -> impl Iterator<Item = &[u8]> {
        self.entries[self.wanted.clone()].iter().map(|entry| &self.bytes[entry.text.clone()])
    }
}

const NOT_A_NUMBER: ReplyError =
    ReplyError::Text("ERR One or more scores can't be converted into double");

impl Entry {
    /// Ascending. Elements of equal weight are ordered by their text.
    fn compare(&self, other: &Self, bytes: &[u8]) -> Ordering {
        let text = |range: &Range<usize>| &bytes[range.clone()];
        let by_weight = match (&self.weight, &other.weight) {
            (Weight::Number(one), Weight::Number(other)) => {
                one.partial_cmp(other).unwrap_or(Ordering::Equal)
            }
            (Weight::Text(one), Weight::Text(other)) => {
                one.as_ref().map(text).cmp(&other.as_ref().map(text))
            }
            _ => Ordering::Equal,
        };
        by_weight.then_with(|| text(&self.text).cmp(text(&other.text)))
    }
}

/// A number as C's `strtod` reads it, which must be all it sees; nothing is zero.
fn number(text: &[u8]) -> Option<f64> {
    let text = as_c_reads(text)?;
    if text.is_empty() { Some(0.0) } else { parse_f64(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        assert_eq!(number(b""), Some(0.0));
        assert_eq!(number(b" \t\x0b1.5"), Some(1.5));
        assert_eq!(number(b"1\0x"), Some(1.0));
        assert_eq!(number(b"-inf"), Some(f64::NEG_INFINITY));
        for text in [&b" "[..], b"1 ", b"x", b"nan", b"1x"] {
            assert_eq!(number(text), None);
        }
    }

    #[test]
    fn elements_are_sorted_over_shards() {
        transcript(
            r"
            RPUSH l 3 1 2 10                      => :4
            MSET w1 9 w2 8 w3 7                   => +OK
            HSET h1 f one                         => :1
            SORT l                                => *4 $1 1 $1 2 $1 3 $2 10
            SORT l DESC LIMIT 1 2                 => *2 $1 3 $1 2
            SORT l ALPHA                          => *4 $1 1 $2 10 $1 2 $1 3
            SORT l BY w* GET # GET h*->f          => *8 $2 10 $-1 $1 3 $-1 $1 2 $-1 $1 1 $3 one
            SORT l BY nosort STORE d              => :4
            LRANGE d 0 -1                         => *4 $1 3 $1 1 $1 2 $2 10
            SORT l GET w* STORE d                 => :4
            LRANGE d 0 -1                         => *4 $1 9 $1 8 $1 7 $0 
            SORT none STORE d                     => :0
            EXISTS d                              => :0
            SORT_RO l STORE d                     => -ERR syntax error
            SORT w1                               => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
