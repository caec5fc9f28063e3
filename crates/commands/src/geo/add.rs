//! GEOADD.

use super::arguments::point;
use crate::sorted_set::{AddOptions, add_members};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};

/// Adds places.
pub(super) static GEOADD: Command = Command {
    name: "GEOADD",
    group: Group::Geo,
    since: "3.2.0",
    summary: "Adds places to a sorted set, or moves them.",
    complexity: "O(log(N)) for each place, where N is the size of the sorted set.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::GEO,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
            .optional()
            .since("6.2.0"),
        Arg::word("change", "CH").optional().since("6.2.0"),
        Arg::block(
            "data",
            &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")],
        )
        .multiple(),
    ],
    history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
    handler: Handler::Keyed(geoadd),
    ..Command::BASE
};

fn geoadd(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let mut options = AddOptions::default();
    let mut from = 2;
    loop {
        if call.is_word(from, "NX") {
            options.nx = true;
        } else if call.is_word(from, "XX") {
            options.xx = true;
        } else if call.is_word(from, "CH") {
            options.ch = true;
        } else {
            break;
        }
        from += 1;
    }
    let args = call.args;
    if args.len() == from || !(args.len() - from).is_multiple_of(3) || (options.nx && options.xx) {
        return Err(ReplyError::Syntax);
    }
    let mut members = Vec::new();
    for index in (from..args.len()).step_by(3) {
        members.push((point(call, index)?.to_score(), args.at(index + 2)));
    }
    add_members(call, view, options, &members)
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn places_are_added_and_moved() {
        transcript(
            r"
            GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania => :2
            ZSCORE g Palermo        => $16 3479099956230698
            GEOADD g 13.5 38 Palermo => :0
            GEOADD g CH 13.6 38 Palermo => :1
            GEOADD g NX CH 13.7 38 Palermo 1 1 x => :1
            GEOADD g XX 2 2 y       => :0
            ZCARD g                 => :3
            GEOADD g NX XX 1 1 x    => -ERR syntax error
            GEOADD g 1 1 x 2        => -ERR syntax error
            GEOADD g NX CH XX       => -ERR syntax error
            GEOADD g a 1 x          => -ERR value is not a valid float
            GEOADD g 181 1 x        => -ERR invalid longitude,latitude pair 181.000000,1.000000
            GEOADD g 1 86 x         => -ERR invalid longitude,latitude pair 1.000000,86.000000
            SET t 1                 => +OK
            GEOADD t 1 1 x          => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
