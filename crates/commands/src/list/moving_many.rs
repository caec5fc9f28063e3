//! LMOVEM: several elements at once.
//!
//! What is moved is taken as a whole before anything is added, also within one list. It arrives as a block: in
//! the order it had (`BULK`), or as if its elements, in the order in which they are popped, had been pushed one by
//! one (`OBO`). The reply is the block from left to right.

use super::end;
use super::moving::KEYS;
use super::pop::remove;
use darter_base::number::{format_u64, parse_i64};
use darter_command_table::{
    Arg, Arity, Call, Category, Command, Effects, Flags, Group, Handler, ReplyError, ReplyResult,
    ShardView,
};
use darter_resp::{Args, OwnedArgs};
use darter_shard::{Edit, Interest, NodeLimit};
use darter_value::{End, List};
use std::ops::ControlFlow;

/// The documentation of how many are moved, and in which order.
pub(super) const HOW_MANY: Arg = Arg::block(
    "how-many",
    &[
        Arg::one_of(
            "selector",
            &[Arg::integer("count").token("COUNT"), Arg::integer("exactly").token("EXACTLY")],
        ),
        Arg::one_of("ordering", &[Arg::word("obo", "OBO"), Arg::word("bulk", "BULK")]),
    ],
)
.optional();

/// Moves elements.
pub(super) static LMOVEM: Command = Command {
    name: "LMOVEM",
    group: Group::List,
    since: "8.10.0",
    summary: "Moves up to a number of elements, or exactly as many, from an end of a list to an end of \
              another one, and returns them.",
    complexity: "O(N) where N is the number of elements moved.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: KEYS,
    args: &[
        Arg::key("source"),
        Arg::key_by("destination", 1),
        Arg::one_of("wherefrom", end::CHOICES),
        Arg::one_of("whereto", end::CHOICES),
        HOW_MANY,
    ],
    handler: Handler::Keyed(lmovem),
    ..Command::BASE
};

fn lmovem(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let moves = ManyMoves::parse(call, 5)?;
    if moves.run(call, view)? == 0 {
        call.reply.null_array();
    }
    Ok(())
}

/// What LMOVEM and BLMOVEM are asked for.
pub(super) struct ManyMoves {
    from: End,
    to: End,
    /// Elements to move, at most; at least 1.
    count: usize,
    /// Nothing is moved if there are fewer.
    is_exact: bool,
    /// The elements keep their order.
    keeps_order: bool,
}

impl ManyMoves {
    /// Parses the ends and, from the argument at `how_many_at` on, how many.
    pub(super) fn parse(call: &Call<'_>, how_many_at: usize) -> Result<Self, ReplyError> {
        let (from, to) = (end::parse(call, 3)?, end::parse(call, 4)?);
        let mut moves = Self { from, to, count: 1, is_exact: false, keeps_order: false };
        match call.args.len() - how_many_at {
            0 => return Ok(moves),
            3 => {}
            _ => return Err(ReplyError::Syntax),
        }
        moves.is_exact = call.is_word(how_many_at, "EXACTLY");
        if !moves.is_exact && !call.is_word(how_many_at, "COUNT") {
            return Err(ReplyError::Syntax);
        }
        let count = parse_i64(call.args.at(how_many_at + 1)).filter(|count| *count > 0);
        let count = count.and_then(|count| usize::try_from(count).ok());
        moves.count = count.ok_or(ReplyError::Text("ERR count should be greater than 0"))?;
        moves.keeps_order = call.is_word(how_many_at + 2, "BULK");
        if !moves.keeps_order && !call.is_word(how_many_at + 2, "OBO") {
            return Err(ReplyError::Syntax);
        }
        Ok(moves)
    }

    /// Moves elements from the list at argument 1 to the one at argument 2 and answers them; how many. They may be
    /// the same list, and may be in different shards. Without enough of them it does nothing and looks at no
    /// destination.
    pub(super) fn run(
        &self,
        call: &mut Call<'_>,
        view: &mut ShardView<'_>,
    ) -> Result<usize, ReplyError> {
        let (source, destination) = (call.key(1), call.key(2));
        let mut keyspace = call.keyspace(view, &source);
        let len = keyspace.peek_collection::<List>(&source)?.map_or(0, List::len);
        if len == 0 || self.is_exact && len < self.count {
            return Ok(0);
        }
        call.keyspace(view, &destination).peek_collection::<List>(&destination)?;
        let count = self.count.min(len);
        let limit = call.limits.encodings.list;
        let is_same = source.bytes == destination.bytes;
        let mut moved = OwnedArgs::new();
        call.keyspace(view, &source).edit(&source, |list: &mut List| {
            moved = self.take(list, count, limit);
            if is_same {
                // Here and now, for the list is not to become empty.
                self.put(list, moved.as_args(), limit);
            }
            Edit::counted(count as u64, ())
        })?;
        let mut keyspace = call.keyspace(view, &destination);
        if !is_same {
            keyspace.edit_or_create(&destination, |list: &mut List| {
                self.put(list, moved.as_args(), limit);
                Edit::uncounted(())
            })?;
            keyspace.signal(&destination);
        }
        // As with LMOVE, what comes is told before what goes.
        keyspace.note(Interest::LIST, end::push_event(self.to), &destination);
        call.keyspace(view, &source).note(Interest::LIST, end::pop_event(self.from), &source);
        call.reply.array(count);
        for element in moved.as_args().iter() {
            call.reply.bulk(element);
        }
        let keys = (source.bytes, destination.bytes);
        call.leave(|effects| self.describe(keys, moved.as_args(), count == len, effects));
        Ok(count)
    }

    /// Removes `count` elements, as many as there must be, from their end: as they arrive, from left to right.
    fn take(&self, list: &mut List, count: usize, limit: NodeLimit) -> OwnedArgs {
        let is_kept = self.keeps_order || self.from != self.to;
        // From the end that is to be the left one of the block.
        let first_from = match (self.from, is_kept) {
            (End::Front, true) => (End::Front, 0),
            (End::Front, false) => (End::Back, count - 1),
            (End::Back, true) => (End::Front, list.len() - count),
            (End::Back, false) => (End::Back, list.len() - 1),
        };
        let mut taken = OwnedArgs::new();
        let (mut element_bytes, mut left) = (Vec::new(), count);
        list.walk(first_from.0, first_from.1, |element| {
            element_bytes.clear();
            element.copy_into(&mut element_bytes);
            taken.push(&element_bytes);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        remove(list, self.from, count, limit);
        taken
    }

    /// Adds a block at an end.
    fn put(&self, list: &mut List, block: Args<'_>, limit: NodeLimit) {
        list.prepare(block.bytes(), block.len(), limit);
        match self.to {
            End::Back => block.iter().for_each(|element| list.push(End::Back, element, limit)),
            End::Front => {
                block.iter().rev().for_each(|element| list.push(End::Front, element, limit));
            }
        }
    }

    /// Leaves commands that older servers know, too. A list that is moved within itself is not to go in between, for
    /// its deadline would go with it.
    fn describe(
        &self,
        (source, destination): (&[u8], &[u8]),
        block: Args<'_>,
        is_whole: bool,
        effects: &mut Effects,
    ) {
        let count = format_u64(block.len() as u64);
        let pop: [&[u8]; 3] = [end::pop_command(self.from), source, count.as_bytes()];
        if is_whole && source == destination {
            // All of it: wherever the block is added, it is what stays.
            match self.from {
                End::Front => effects.add_with(&[b"RPUSH", source], block.iter()),
                End::Back => effects.add_with(&[b"LPUSH", source], block.iter().rev()),
            }
            return effects.add(&pop);
        }
        effects.add(&pop);
        match self.to {
            End::Front => effects.add_with(&[b"LPUSH", destination], block.iter().rev()),
            End::Back => effects.add_with(&[b"RPUSH", destination], block.iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn a_block_arrives_in_the_order_asked_for() {
        for (ends, ordering, block) in [
            ("LEFT LEFT", "OBO", "*2 $1 b $1 a"),
            ("LEFT LEFT", "BULK", "*2 $1 a $1 b"),
            ("LEFT RIGHT", "OBO", "*2 $1 a $1 b"),
            ("LEFT RIGHT", "BULK", "*2 $1 a $1 b"),
            ("RIGHT LEFT", "OBO", "*2 $1 c $1 4"),
            ("RIGHT LEFT", "BULK", "*2 $1 c $1 4"),
            ("RIGHT RIGHT", "OBO", "*2 $1 4 $1 c"),
            ("RIGHT RIGHT", "BULK", "*2 $1 c $1 4"),
        ] {
            let at = if ends.ends_with("LEFT") { "0 1" } else { "1 2" };
            transcript(&format!(
                r"
                RPUSH s a b c 4         => :4
                RPUSH d x               => :1
                LMOVEM s d {ends} COUNT 2 {ordering} => {block}
                LRANGE d {at}           => {block}
                LLEN s                  => :2
                LLEN d                  => :3
                "
            ));
        }
    }

    #[test]
    fn too_few_are_moved_or_none() {
        transcript(
            r"
            LMOVEM s d LEFT RIGHT   => *-1
            RPUSH s a b c           => :3
            LMOVEM s d LEFT RIGHT EXACTLY 4 BULK => *-1
            EXISTS d                => :0
            LMOVEM s d LEFT RIGHT   => *1 $1 a
            LMOVEM s d LEFT RIGHT COUNT 9 OBO => *2 $1 b $1 c
            EXISTS s                => :0
            LMOVEM d d LEFT RIGHT COUNT 2 BULK => *2 $1 a $1 b
            LMOVEM d d LEFT LEFT EXACTLY 3 OBO => *3 $1 b $1 a $1 c
            LRANGE d 0 -1           => *3 $1 b $1 a $1 c
            ",
        );
    }
}
