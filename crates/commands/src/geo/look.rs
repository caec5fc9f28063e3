//! GEODIST, GEOHASH and GEOPOS.

use super::arguments::{UNIT, unit};
use darter_base::extended::Extended;
use darter_base::float::format_f64_fixed;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_value::SortedSet;
use darter_value::geo::Point;

/// How far two places are apart.
pub(super) static GEODIST: Command = Command {
    name: "GEODIST",
    group: Group::Geo,
    since: "3.2.0",
    summary: "The distance between two places.",
    complexity: "O(1)",
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    acl: Category::GEO,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("member1"), Arg::string("member2"), UNIT.optional()],
    handler: Handler::Keyed(geodist),
    ..Command::BASE
};

/// Geohashes of places.
pub(super) static GEOHASH: Command = Command {
    name: "GEOHASH",
    group: Group::Geo,
    since: "3.2.0",
    summary: "The geohashes of places, as other programs write them.",
    complexity: "O(1) for each place.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::GEO,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("member").multiple().optional()],
    handler: Handler::Keyed(geohash),
    ..Command::BASE
};

/// Coordinates of places.
pub(super) static GEOPOS: Command = Command {
    name: "GEOPOS",
    group: Group::Geo,
    since: "3.2.0",
    summary: "The longitudes and latitudes of places.",
    complexity: "O(1) for each place.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::GEO,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("member").multiple().optional()],
    handler: Handler::Keyed(geopos),
    ..Command::BASE
};

/// A distance: four digits behind the point, tenths of a millimetre for metres.
pub(super) fn write_distance(reply: &mut ReplyWriter<'_>, distance: f64) {
    reply.bulk(&format_f64_fixed(distance, 4));
}

/// Longitude and latitude.
pub(super) fn write_point(reply: &mut ReplyWriter<'_>, point: Point) {
    reply.array(2);
    for coordinate in [point.longitude, point.latitude] {
        reply.double_text(&Extended::from_f64(coordinate).to_text());
    }
}

fn geodist(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let metres = match call.args.len() {
        4 => 1.0,
        5 => unit(call, 4)?,
        _ => return Err(ReplyError::Syntax),
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<SortedSet>(&key)?;
    let place = |index| set.and_then(|set| set.score(call.args.at(index))).map(Point::from_score);
    match place(2).zip(place(3)) {
        Some((from, to)) => write_distance(&mut call.reply, from.distance(to) / metres),
        None => call.reply.null(),
    }
    Ok(())
}

fn geohash(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    write_each(call, view, |reply, point| match point {
        Some(point) => reply.bulk(&point.geohash()),
        None => reply.null(),
    })
}

fn geopos(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    write_each(call, view, |reply, point| match point {
        Some(point) => write_point(reply, point),
        None => reply.null_array(),
    })
}

fn write_each(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    write: impl Fn(&mut ReplyWriter<'_>, Option<Point>),
) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<SortedSet>(&key)?;
    call.reply.array(call.args.len() - 2);
    for index in 2..call.args.len() {
        let score = set.and_then(|set| set.score(call.args.at(index)));
        write(&mut call.reply, score.map(Point::from_score));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn places_are_found_again() {
        transcript(
            r"
            GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania => :2
            GEODIST g Palermo Catania => $11 166274.1516
            GEODIST g Palermo Catania km => $8 166.2742
            GEODIST g Palermo Catania MI => $8 103.3182
            GEODIST g Palermo x     => $-1
            GEODIST none a b        => $-1
            GEODIST g a b yd        => -ERR unsupported unit provided. please use M, KM, FT, MI
            GEODIST g a b km x      => -ERR syntax error
            GEOHASH g Palermo x Catania => *3 $11 sqc8b49rny0 $-1 $11 sqdtr74hyu0
            GEOHASH g               => *0
            GEOPOS g Palermo x      => *2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1
            GEOPOS none x           => *1 *-1
            @resp 3
            GEOPOS g Palermo x      => *2 *2 ,13.36138933897018433 ,38.11555639549629859 _
            ",
        );
    }
}
