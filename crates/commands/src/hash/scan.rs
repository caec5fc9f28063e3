//! HSCAN.

use crate::element_scan::{self, Bare, ElementScan};
use crate::reply::{write_element, write_item};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_resp::{Output, ReplyWriter};
use darter_value::Hash;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;

/// One step of a walk over the fields of a hash.
pub(super) static HSCAN: Command = Command {
    name: "HSCAN",
    group: Group::Hash,
    since: "2.8.0",
    summary: "One step of a walk over the fields of a hash.",
    complexity: "O(1) for every call. O(N) for a whole walk, where N is the number of fields.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::word("novalues", "NOVALUES").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(hscan),
    ..Command::BASE
};

fn hscan(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let cursor = element_scan::cursor(call)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(hash) = keyspace.read_collection::<Hash>(&key)? else {
        element_scan::nothing(&mut call.reply);
        return Ok(());
    };
    let scan = ElementScan::parse(call, Bare::Values)?;
    let mut found = Output::new();
    let mut writer = ReplyWriter::new(&mut found, call.reply.protocol());
    let (mut count, mut text) = (0, IntegerText::new());
    let next = hash.scan(cursor, scan.count, call.now.0, |field| {
        if scan.shows(bytes_of(field.name, &mut text)) {
            write_item(&mut writer, field.name);
            count += 1;
            if !scan.is_bare {
                write_element(&mut writer, field.value);
                count += 1;
            }
        }
    });
    element_scan::begin(&mut call.reply, next);
    call.reply.array(count);
    call.reply.output().append(found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn small_hashes_are_visited_at_once() {
        transcript(
            r"
            HSCAN h 0               => *2 $1 0 *0
            HSCAN h 0 FOO           => *2 $1 0 *0
            HSCAN h x               => -ERR invalid cursor
            HSET h a 1 b 2 ab 3     => :3
            HSCAN h 0               => *2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 ab $1 3
            HSCAN h 0 MATCH a* COUNT 1 => *2 $1 0 *4 $1 a $1 1 $2 ab $1 3
            HSCAN h 0 NOVALUES      => *2 $1 0 *3 $1 a $1 b $2 ab
            HSCAN h 0 COUNT 0       => -ERR syntax error
            HSCAN h 0 TYPE string   => -ERR syntax error
            HSCAN h 0 FOO           => -ERR syntax error
            SET s v                 => +OK
            HSCAN s 0               => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }

    #[test]
    fn a_walk_visits_every_field_of_a_big_hash() {
        let mut bench = Bench::new(1);
        for field in 0..2000 {
            bench.run(&format!("HSET h field:{field} {field}"));
        }
        let (mut names, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let mut answer = names_in(&bench.run(&format!("HSCAN h {cursor} COUNT 50 NOVALUES")));
            cursor = answer.remove(0);
            names.append(&mut answer);
            if cursor == "0" {
                break;
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 2000);
    }
}
