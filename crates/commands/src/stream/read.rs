//! XREAD.

use super::id;
use super::long_read::read_in_slices;
use super::reply::write_entries;
use super::sources::{Request, each_key, keys_from, may_block, parse_after, with_stream};
use darter_command_table::{
    Arg, Arity, Call, Category, Command, ELEMENTS_IN_ONE_PIECE, Flags, Group, Handler, ReplyError,
    ReplyResult, ShardView, Waits,
};
use darter_resp::{DeferredLength, Protocol, ReplyWriter};
use darter_value::Collection;
use darter_value::stream::{Stream, StreamId};

/// Entries after given ids.
pub(super) static XREAD: Command = Command {
    name: "XREAD",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Entries of one or several streams behind the ids given for each.",
    complexity: "O(M) for M entries returned, and O(log(N)) for each stream of N nodes.",
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY.and(Flags::BLOCKING),
    acl: Category::STREAM,
    keys: &[keys_from(1)],
    exact_keys: Some(each_key),
    args: &[
        Arg::integer("count").token("COUNT").optional(),
        Arg::integer("milliseconds").token("BLOCK").optional(),
        Arg::block("streams", &[Arg::key("key").multiple(), Arg::string("id").multiple()])
            .token("STREAMS"),
    ],
    waits: Some(Waits { when: may_block, give_back: None }),
    handler: Handler::Keyed(xread),
    slices: Some(read_in_slices),
    ..Command::BASE
};

/// Results by stream: a map where the protocol has maps, begun with the first result.
#[derive(Default)]
pub(super) struct Results {
    begun: Option<DeferredLength>,
    len: usize,
}

impl Results {
    /// Begins the result of the stream called `key`, whose entries are to follow.
    pub(super) fn begin_stream(&mut self, reply: &mut ReplyWriter<'_>, key: &[u8]) {
        if self.begun.is_none() {
            self.begun = Some(reply.begin_deferred());
        }
        self.len += 1;
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Whether there are none so far.
    pub(super) const fn is_empty(&self) -> bool {
        self.begun.is_none()
    }

    /// Ends the results; whether there were any.
    pub(super) fn finish(self, reply: &mut ReplyWriter<'_>) -> bool {
        let Some(begun) = self.begun else { return false };
        if reply.protocol() == Protocol::Resp2 {
            reply.end_array(begun, self.len);
        } else {
            reply.end_map(begun, self.len);
        }
        true
    }
}

fn xread(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let request = Request::parse(call, false)?;
    let mut after = Vec::new();
    for index in 0..request.len {
        let key = request.key(call, index);
        if call.passes_over(view, &key) {
            after.push(None);
            continue;
        }
        let text = request.id(call, index);
        after.push(Some(with_stream(call, view, &key, |stream| resolve(text, stream))?));
    }
    call.in_one_piece(entries_asked(&request, call, view, &after))?;
    let mut results = Results::default();
    for (index, after) in after.iter().enumerate() {
        let Some(start) = after.and_then(StreamId::next) else { continue };
        let key = request.key(call, index);
        let mut keyspace = call.keyspace(view, &key);
        let Some(stream) = keyspace.peek_collection::<Stream>(&key)? else { continue };
        let mut entries = stream.log().entries(start, StreamId::MAX).peekable();
        if entries.peek().is_some() {
            results.begin_stream(&mut call.reply, key.bytes);
            write_entries(&mut call.reply, entries, request.count);
        }
    }
    if !results.finish(&mut call.reply) {
        // What was last now is what is waited for the successors of.
        let args = call.args;
        let meant = || {
            let ids = after.iter().enumerate().filter_map(|(index, after)| {
                let at = request.id_at(index);
                (args.at(at) == b"$").then_some((at, id::text((*after)?)))
            });
            ids.collect()
        };
        request.wait_or_null(call, false, None, meant);
    }
    Ok(())
}

/// How many entries there are behind the ids, at most one more than may be read in one piece.
fn entries_asked(
    request: &Request<'_>,
    call: &Call<'_>,
    view: &mut ShardView<'_>,
    after: &[Option<StreamId>],
) -> usize {
    let entries_max = if request.count == 0 { usize::MAX } else { request.count };
    let mut entries = 0;
    for (index, after) in after.iter().enumerate() {
        let Some(start) = after.and_then(StreamId::next) else { continue };
        let key = request.key(call, index);
        if let Ok(Some(stream)) = call.keyspace(view, &key).peek_collection::<Stream>(&key) {
            // No more are gone through than one piece may have.
            let weight = stream.weight();
            let left =
                ((ELEMENTS_IN_ONE_PIECE + 1).saturating_sub(entries) / weight + 1).min(entries_max);
            entries += match usize::try_from(stream.log().len()) {
                Ok(len) if len.saturating_mul(weight) <= ELEMENTS_IN_ONE_PIECE / request.len => 0,
                _ => stream.log().entries(start, StreamId::MAX).take(left).count() * weight,
            };
        }
    }
    entries
}

/// The id behind which entries are asked for.
pub(super) fn resolve(text: &[u8], stream: Option<&Stream>) -> Result<StreamId, ReplyError> {
    let last_id = stream.map_or(StreamId::MIN, |stream| stream.log().last_id());
    match text {
        b"$" => Ok(last_id),
        // The last entry.
        b"+" if stream.is_some_and(|stream| !stream.log().is_empty()) => {
            last_id.previous().ok_or(ReplyError::Text("ERR the stream last element ID is 0-0"))
        }
        b"+" => Ok(StreamId::MIN),
        b">" => Err(ReplyError::Text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.",
        )),
        _ => parse_after(text),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn xread_answers_what_follows_the_ids() {
        transcript(
            r"
            XADD a 1-1 f 1          => $3 1-1
            XADD a 2-1 f 2          => $3 2-1
            XADD b 1-1 g 3          => $3 1-1
            XREAD STREAMS a 0       => *1 *2 $1 a *2 *2 $3 1-1 *2 $1 f $1 1 *2 $3 2-1 *2 $1 f $1 2
            XREAD COUNT 1 STREAMS a b nokey 0 0 0 => *2 *2 $1 a *1 *2 $3 1-1 *2 $1 f $1 1 *2 $1 b *1 *2 $3 1-1 *2 $1 g $1 3
            XREAD STREAMS a b 1-1 1-1 => *1 *2 $1 a *1 *2 $3 2-1 *2 $1 f $1 2
            XREAD STREAMS a $       => *-1
            XREAD STREAMS a +       => *1 *2 $1 a *1 *2 $3 2-1 *2 $1 f $1 2
            XREAD BLOCK 10 STREAMS a $ => *-1
            @resp 3
            XREAD STREAMS b 0       => %1 $1 b *1 *2 $3 1-1 *2 $1 g $1 3
            XREAD STREAMS b 5       => _
            @resp 2
            XREAD STREAMS a b 0     => -ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.
            XREAD STREAMS a >       => -ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.
            XREAD NOACK STREAMS a 0 => -ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.
            XREAD BLOCK x STREAMS a 0 => -ERR timeout is not an integer or out of range
            XREAD BLOCK -1 STREAMS a 0 => -ERR timeout is negative
            XREAD COUNT 1 a 0       => -ERR syntax error
            ",
        );
    }
}
