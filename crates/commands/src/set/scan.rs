//! SSCAN.

use crate::element_scan::{Bare, ElementScan, begin, cursor, nothing};
use crate::reply::write_item;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_value::Set;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;

/// One step of a walk over the members of a set.
pub(super) static SSCAN: Command = Command {
    name: "SSCAN",
    group: Group::Set,
    since: "2.8.0",
    summary: "One step of a walk over the members of a set.",
    complexity: "O(1) for every call. O(N) for a whole walk, where N is the number of members.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(sscan),
    ..Command::BASE
};

fn sscan(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let cursor = cursor(call)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.read_collection::<Set>(&key)? else {
        nothing(&mut call.reply);
        return Ok(());
    };
    let scan = ElementScan::parse(call, Bare::Never)?;
    let mut text = IntegerText::new();
    let mut found = Vec::new();
    let next = set.scan(cursor, scan.count, |member| {
        if scan.shows(bytes_of(member, &mut text)) {
            found.push(member);
        }
    });
    begin(&mut call.reply, next);
    call.reply.array(found.len());
    for member in found {
        write_item(&mut call.reply, member);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn a_walk_visits_every_member() {
        let mut bench = Bench::new(1);
        for number in 0..1000 {
            bench.run(&format!("SADD s member:{number}"));
        }
        for options in ["", "COUNT 1", "COUNT 5000", "MATCH member:*"] {
            let (mut members, mut cursor) = (Vec::new(), "0".to_owned());
            loop {
                let mut answer = names_in(&bench.run(&format!("SSCAN s {cursor} {options}")));
                cursor = answer.remove(0);
                members.append(&mut answer);
                if cursor == "0" {
                    break;
                }
            }
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), 1000, "{options}");
        }
    }

    #[test]
    fn options_are_checked_if_there_is_a_set() {
        transcript(
            r"
            SSCAN s x               => -ERR invalid cursor
            SSCAN s 0 FOO           => *2 $1 0 *0
            SADD s 1 2 a            => :3
            SSCAN s 0               => *2 $1 0 *3 $1 1 $1 2 $1 a
            SSCAN s 0 MATCH [0-9] COUNT 1 => *2 $1 0 *2 $1 1 $1 2
            SSCAN s 0 COUNT 0       => -ERR syntax error
            SSCAN s 0 COUNT x       => -ERR value is not an integer or out of range
            SSCAN s 0 MATCH         => -ERR syntax error
            SSCAN s 0 TYPE set      => -ERR syntax error
            SSCAN s 0 NOSCORES      => -ERR NOSCORES option can only be used in ZSCAN
            SSCAN s 0 NOVALUES      => -ERR NOVALUES option can only be used in HSCAN
            SET t 1                 => +OK
            SSCAN t 0 FOO           => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
