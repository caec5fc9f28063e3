//! XTRIM, and the options it shares with XADD.

use super::effects::push_trimmed;
use super::id;
use super::idempotence::Source;
use super::references::{REFERENCES_ARG, parse_word};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_resp::OwnedArgs;
use darter_shard::{Edit, Interest};
use darter_value::stream::{Keep, References, Stream, Trim, Trimmed};

/// The documentation of `MAXLEN | MINID [= | ~] threshold [LIMIT count]`.
const TRIM_PARTS: &[Arg] = &[
    Arg::one_of("strategy", &[Arg::word("maxlen", "MAXLEN"), Arg::word("minid", "MINID")]),
    Arg::one_of("operator", &[Arg::word("equal", "="), Arg::word("approximately", "~")]).optional(),
    Arg::string("threshold"),
    Arg::integer("count").token("LIMIT").since("6.2.0").optional(),
];
pub(super) const TRIM_ARG: Arg = Arg::block("trim", TRIM_PARTS);

/// Removes old entries.
pub(super) static XTRIM: Command = Command {
    name: "XTRIM",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Removes the oldest entries of a stream, down to a length or up to an id.",
    complexity: "O(N) where N is the number of entries removed; they go in whole nodes, so the \
                 constant is small.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), TRIM_ARG, REFERENCES_ARG],
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "`MINID` and `LIMIT`."), ("8.2.0", "`KEEPREF`, `DELREF` and `ACKED`.")],
    handler: Handler::Keyed(xtrim),
    ..Command::BASE
};

/// The options of XADD before the id, or those of XTRIM.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) trim: Option<Trim>,
    pub(super) references: References,
    pub(super) no_stream: bool,
    pub(super) source: Option<Source>,
    /// The first argument that is none of them.
    pub(super) end: usize,
}

impl Options {
    /// Parses arguments from the second on: up to the id for XADD (`for_add`), else to the end.
    pub(super) fn parse(call: &Call<'_>, for_add: bool) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut keep = None;
        let mut whole_nodes = false;
        let mut limit = None;
        let mut index = 2;
        let args_len = call.args.len();
        while index < args_len {
            if for_add && let Some((source, last)) = Source::parse(call, index, options.source)? {
                options.source = Some(source);
                index = last + 1;
                continue;
            }
            let has_operand = index + 1 < args_len;
            let is_len = call.is_word(index, "MAXLEN");
            if (is_len || call.is_word(index, "MINID")) && has_operand {
                if keep.is_some() {
                    return Err(ReplyError::Text(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not \
                         compatible",
                    ));
                }
                index += 1;
                whole_nodes = call.args.at(index) == b"~" && index + 1 < args_len;
                if whole_nodes || (call.args.at(index) == b"=" && index + 1 < args_len) {
                    index += 1;
                }
                keep = Some(if is_len {
                    let len = u64::try_from(call.integer(index)?);
                    Keep::Latest(
                        len.map_err(|_| ReplyError::Text("ERR The MAXLEN argument must be >= 0."))?,
                    )
                } else {
                    Keep::From(id::parse(call.args.at(index), 0)?)
                });
            } else if call.is_word(index, "LIMIT") && has_operand {
                index += 1;
                let count = u64::try_from(call.integer(index)?);
                let count =
                    count.map_err(|_| ReplyError::Text("ERR The LIMIT argument must be >= 0."))?;
                limit = Some(count);
            } else if for_add && call.is_word(index, "NOMKSTREAM") {
                options.no_stream = true;
            } else if let Some(references) = parse_word(call, index) {
                options.references = references;
            } else if for_add {
                break;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        options.end = index;
        if for_add && index < args_len {
            // What is no option must be an id, and a bad one is reported before bad combinations.
            id::parse_new(call.args.at(index))?;
            if options.source.is_some() {
                Source::check_entry_id(call, call.args.at(index))?;
            }
        }
        let Some(keep) = keep else {
            if limit.is_some_and(|limit| limit > 0) {
                return Err(ReplyError::Text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if !for_add {
                return Err(ReplyError::Text(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                ));
            }
            return Ok(options);
        };
        if limit.is_some() && !whole_nodes {
            return Err(ReplyError::Text(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let removed_max = match limit {
            Some(limit) => limit,
            None if whole_nodes => default_limit(call),
            None => 0,
        };
        options.trim = Some(Trim { keep, whole_nodes, removed_max });
        Ok(options)
    }

    /// Trims as they say.
    pub(super) fn trim(&self, stream: &mut Stream) -> Trimmed {
        self.trim.map(|trim| stream.trim(trim, self.references)).unwrap_or_default()
    }

    /// Whether they mean the same whatever the nodes of the stream are.
    pub(super) fn trims_the_same_again(&self) -> bool {
        match self.trim {
            None => true,
            Some(trim) => !trim.whole_nodes && self.references != References::Acknowledged,
        }
    }
}

/// Entries of a hundred nodes: what trimming by whole nodes may remove at a time if nothing else is said.
fn default_limit(call: &Call<'_>) -> u64 {
    match u64::from(call.limits.encodings.stream_node_entries_max) {
        0 => 10_000,
        entries => (100 * entries).min(1_000_000),
    }
}

fn xtrim(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, false)?;
    let key = call.key(1);
    let trimmed = call.keyspace(view, &key).tell(Interest::STREAM, "xtrim").edit(
        &key,
        |stream: &mut Stream| {
            let trimmed = options.trim(stream);
            Edit::counted(trimmed.count, trimmed)
        },
    )?;
    let trimmed = trimmed.unwrap_or_default();
    if trimmed.count > 0 && !options.trims_the_same_again() {
        call.leave(|effects| {
            let mut words = OwnedArgs::new();
            push_trimmed(&mut words, trimmed, options.references);
            effects.add_with(&[b"XTRIM", key.bytes], words.as_args().iter());
        });
    }
    call.reply.integer(trimmed.count.cast_signed());
    Ok(())
}
