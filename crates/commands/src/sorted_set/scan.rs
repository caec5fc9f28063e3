//! ZSCAN.

use crate::element_scan::{Bare, ElementScan, begin, cursor, nothing};
use crate::reply::write_item;
use darter_base::float::{format_f64, format_f64_17};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::Encoding;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Contents as _, SortedSet};

/// One step of a walk over a sorted set.
pub(super) static ZSCAN: Command = Command {
    name: "ZSCAN",
    group: Group::SortedSet,
    since: "2.8.0",
    summary: "One step of a walk over the members of a sorted set and their scores.",
    complexity: "O(1) for every call. O(N) for a whole walk, where N is the number of members.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::word("noscores", "NOSCORES").optional().since("9.1.0"),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(zscan),
    ..Command::BASE
};

fn zscan(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let cursor = cursor(call)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.read_collection::<SortedSet>(&key)? else {
        nothing(&mut call.reply);
        return Ok(());
    };
    let scan = ElementScan::parse(call, Bare::Scores)?;
    let mut text = IntegerText::new();
    let mut found = Vec::new();
    let next = set.scan(cursor, scan.count, |member, score| {
        if scan.shows(bytes_of(member, &mut text)) {
            found.push((member, score));
        }
    });
    // Redis and Valkey show the scores of big sorted sets with all 17 digits here, and only here.
    let format = if set.encoding() == Encoding::Listpack { format_f64 } else { format_f64_17 };
    begin(&mut call.reply, next);
    call.reply.array(if scan.is_bare { found.len() } else { found.len() * 2 });
    for (member, score) in found {
        write_item(&mut call.reply, member);
        if !scan.is_bare {
            call.reply.bulk(&format(score));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn a_walk_visits_every_member_with_its_score() {
        let mut bench = Bench::new(1);
        for number in 0..1000 {
            bench.run(&format!("ZADD z {number} member:{number}"));
        }
        let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut answer = names_in(&bench.run(&format!("ZSCAN z {cursor} COUNT 20")));
            cursor = answer.remove(0);
            for pair in answer.chunks(2) {
                assert_eq!(pair[0], format!("member:{}", pair[1]));
                seen.push(pair[0].clone());
            }
            if cursor == "0" {
                break;
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn scores_are_bulk_strings_and_can_be_left_out() {
        transcript(
            r"
            ZADD z 1 a 2.5 b        => :2
            ZSCAN z 0               => *2 $1 0 *4 $1 a $1 1 $1 b $3 2.5
            ZSCAN z 0 NOSCORES MATCH b => *2 $1 0 *1 $1 b
            ZSCAN z 0 NOVALUES      => -ERR NOVALUES option can only be used in HSCAN
            ZSCAN none 0 FOO        => *2 $1 0 *0
            @resp 3
            ZSCAN z 0 COUNT 1       => *2 $1 0 *4 $1 a $1 1 $1 b $3 2.5
            ",
        );
    }
}
