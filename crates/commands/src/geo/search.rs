//! GEOSEARCH, GEORADIUS and their forms.

use super::arguments::UNIT;
use super::long_search::search_in_slices;
use super::look::{write_distance, write_point};
use super::search_options::{Form, Order, Query};
use crate::reply::write_item;
use crate::sorted_set::ScoreRange;
use darter_command_table::{
    Access, Arg, Arity, Begin, Call, Category, Command, Deprecation, Find, Flags, Group, Handler,
    KeySpec, ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_shard::{Expiry, Interest};
use darter_value::geo::{Point, Shape};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, SortedSet};
use std::ops::Range;

const WITH: &[Arg] = &[
    Arg::word("withcoord", "WITHCOORD").optional(),
    Arg::word("withdist", "WITHDIST").optional(),
    Arg::word("withhash", "WITHHASH").optional(),
];
const ORDER: Arg =
    Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const COUNT: Arg = Arg::block(
    "count-block",
    &[Arg::integer("count").token("COUNT"), Arg::word("any", "ANY").optional().since("6.2.0")],
)
.optional();
const STORE_TO: Arg = Arg::one_of(
    "store",
    &[
        Arg::key_by("storekey", 1).shown("key").token("STORE"),
        Arg::key_by("storedistkey", 2).shown("key").token("STOREDIST"),
    ],
)
.optional();
const FROM: Arg = Arg::one_of(
    "from",
    &[
        Arg::string("member").token("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")])
            .token("FROMLONLAT"),
    ],
)
.optional();
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::double("radius").token("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::double("width").token("BYBOX"), Arg::double("height"), UNIT]),
        Arg::block(
            "polygon",
            &[
                Arg::integer("num-vertices").token("BYPOLYGON"),
                Arg::block("vertices", &[Arg::double("longitude"), Arg::double("latitude")])
                    .multiple(),
            ],
        )
        .since("9.0.0"),
    ],
);

const COMPLEXITY: &str = "O(N+log(M)) where N is the number of places in the cells around the shape and M \
                          that of places in the shape.";

/// Finds places in a shape.
pub(super) static GEOSEARCH: Command = Command {
    name: "GEOSEARCH",
    group: Group::Geo,
    since: "6.2.0",
    summary: "The places within a circle, a box or a polygon.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(7),
    flags: Flags::READONLY,
    acl: Category::GEO,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), FROM, BY, ORDER, COUNT, WITH[0], WITH[1], WITH[2]],
    history: &[("9.0.0", "Added support for the `BYPOLYGON` option.")],
    handler: Handler::Keyed(geosearch),
    slices: Some(|call| search_in_slices(call, Form::Search, false)),
    ..Command::BASE
};

/// Stores places in a shape.
pub(super) static GEOSEARCHSTORE: Command = Command {
    name: "GEOSEARCHSTORE",
    group: Group::Geo,
    since: "6.2.0",
    summary: "Stores the places within a circle, a box or a polygon as a sorted set.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(8),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::GEO,
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE)),
        KeySpec::at(2, Access::READ_ONLY.and(Access::ACCESS)),
    ],
    args: &[
        Arg::key("destination"),
        Arg::key_by("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        Arg::word("storedist", "STOREDIST").optional(),
    ],
    history: &[("9.0.0", "Added support for the `BYPOLYGON` option.")],
    handler: Handler::Keyed(geosearchstore),
    slices: Some(|call| search_in_slices(call, Form::SearchStore, true)),
    ..Command::BASE
};

const OLD: Command =
    Command { group: Group::Geo, complexity: COMPLEXITY, acl: Category::GEO, ..Command::BASE };

/// Where the key behind a word is. The last such word counts, so the search begins at the end.
const fn stored_at(word: &'static str) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word, from: -2 },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        access: Access::OVERWRITE.and(Access::UPDATE),
        notes: None,
    }
}

/// Finds places around a point.
pub(super) static GEORADIUS: Command = Command {
    name: "GEORADIUS",
    since: "3.2.0",
    summary: "The places within a distance of a point, or stores them.",
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        stored_at("STORE"),
        stored_at("STOREDIST"),
    ],
    args: &[
        Arg::key("key"),
        Arg::double("longitude"),
        Arg::double("latitude"),
        Arg::double("radius"),
        UNIT,
        WITH[0],
        WITH[1],
        WITH[2],
        COUNT,
        ORDER,
        STORE_TO,
    ],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    }),
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    handler: Handler::Keyed(georadius),
    slices: Some(|call| search_in_slices(call, Form::Coordinates, true)),
    ..OLD
};

/// Finds places around a member.
pub(super) static GEORADIUSBYMEMBER: Command = Command {
    name: "GEORADIUSBYMEMBER",
    since: "3.2.0",
    summary: "The places within a distance of one of them, or stores them.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        stored_at("STORE"),
        stored_at("STOREDIST"),
    ],
    args: &[
        Arg::key("key"),
        Arg::string("member"),
        Arg::double("radius"),
        UNIT,
        WITH[0],
        WITH[1],
        WITH[2],
        COUNT,
        ORDER,
        STORE_TO,
    ],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    }),
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    handler: Handler::Keyed(georadiusbymember),
    slices: Some(|call| search_in_slices(call, Form::Member, true)),
    ..OLD
};

/// Finds places around a member, and never writes.
pub(super) static GEORADIUSBYMEMBER_RO: Command = Command {
    name: "GEORADIUSBYMEMBER_RO",
    since: "3.2.10",
    summary: "The places within a distance of one of them.",
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::string("member"),
        Arg::double("radius"),
        UNIT,
        WITH[0],
        WITH[1],
        WITH[2],
        COUNT,
        ORDER,
    ],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    }),
    handler: Handler::Keyed(georadiusbymember_ro),
    slices: Some(|call| search_in_slices(call, Form::Member, false)),
    ..OLD
};

/// Finds places around a point, and never writes.
pub(super) static GEORADIUS_RO: Command = Command {
    name: "GEORADIUS_RO",
    since: "3.2.10",
    summary: "The places within a distance of a point.",
    arity: Arity::AtLeast(6),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::double("longitude"),
        Arg::double("latitude"),
        Arg::double("radius"),
        UNIT,
        WITH[0],
        WITH[1],
        WITH[2],
        COUNT,
        ORDER,
    ],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
    }),
    history: &[("6.2.0", "Added the `ANY` option for `COUNT`.")],
    handler: Handler::Keyed(georadius_ro),
    slices: Some(|call| search_in_slices(call, Form::Coordinates, false)),
    ..OLD
};

fn geosearch(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::Search, false)
}

fn geosearchstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::SearchStore, true)
}

fn georadius(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::Coordinates, true)
}

fn georadiusbymember(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::Member, true)
}

fn georadius_ro(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::Coordinates, false)
}

fn georadiusbymember_ro(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    search(call, view, Form::Member, false)
}

/// A place that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit<'s> {
    pub(super) member: Item<'s>,
    pub(super) score: f64,
    pub(super) point: Point,
    /// Metres from the middle of the search.
    pub(super) distance: f64,
}

/// The event of storing what was found.
pub(super) const fn event(form: Form) -> &'static str {
    match form {
        Form::SearchStore => "geosearchstore",
        Form::Search | Form::Coordinates | Form::Member => "georadiusstore",
    }
}

fn search(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    form: Form,
    may_store: bool,
) -> ReplyResult {
    let source = call.key(form.source());
    let mut keyspace = call.keyspace(view, &source);
    let set = keyspace.read_collection::<SortedSet>(&source)?;
    let query = Query::parse(call, form, may_store, set)?;
    let hits = match (&query.shape, set) {
        (Some(shape), Some(set)) => {
            let ranks = ranks_of(set, shape);
            let places: usize = ranks.iter().map(Range::len).sum();
            call.in_one_piece(places.saturating_mul(shape.effort()))?;
            find(set, shape, &query, ranks)
        }
        _ => Vec::new(),
    };
    let Some(index) = query.store else {
        call.reply.array(hits.len());
        for hit in hits {
            write_hit(&mut call.reply, &hit, &query);
        }
        return Ok(());
    };
    let stored = stored(call, &hits, &query);
    let len = stored.len();
    let destination = call.key(index);
    let mut keyspace = call.keyspace(view, &destination);
    keyspace.tell(Interest::SORTED_SET, event(form));
    keyspace.set_collection(&destination, stored, Expiry::Clear);
    call.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

/// The ranks of the places in the cells around a shape.
pub(super) fn ranks_of(set: &SortedSet, shape: &Shape) -> Vec<Range<usize>> {
    let ranges = shape.score_ranges().into_iter();
    ranges.map(|scores| ScoreRange::until(scores.start, scores.end).ranks(set)).collect()
}

/// The places in a shape among those of these ranks, in the order asked for, no more than asked for.
fn find<'s>(
    set: &'s SortedSet,
    shape: &Shape,
    query: &Query,
    ranks: Vec<Range<usize>>,
) -> Vec<Hit<'s>> {
    let enough = if query.any { query.count.unwrap_or(usize::MAX) } else { usize::MAX };
    let mut hits = Vec::new();
    'ranges: for ranks in ranks {
        for (member, score) in set.range(ranks, false) {
            let point = Point::from_score(score);
            if let Some(distance) = shape.distance_within(point) {
                hits.push(Hit { member, score, point, distance });
                if hits.len() >= enough {
                    break 'ranges;
                }
            }
        }
    }
    let wanted = query.count.unwrap_or(usize::MAX).min(hits.len());
    if let Some(order) = query.order {
        let compare = |left: &Hit<'_>, right: &Hit<'_>| {
            let nearest = left.distance.total_cmp(&right.distance);
            if order == Order::Nearest { nearest } else { nearest.reverse() }
        };
        if wanted > 0 && wanted < hits.len() {
            hits.select_nth_unstable_by(wanted - 1, compare);
            hits.truncate(wanted);
        }
        hits.sort_by(compare);
    }
    hits.truncate(wanted);
    hits
}

pub(super) fn write_hit(reply: &mut ReplyWriter<'_>, hit: &Hit<'_>, query: &Query) {
    let extras = [query.with_distance, query.with_hash, query.with_point];
    let extras = extras.into_iter().filter(|extra| *extra).count();
    if extras > 0 {
        reply.array(1 + extras);
    }
    write_item(reply, hit.member);
    if query.with_distance {
        write_distance(reply, hit.distance / query.metres);
    }
    if query.with_hash {
        #[expect(clippy::cast_possible_truncation, reason = "a place is a number of 53 bits")]
        reply.integer(hit.score as i64);
    }
    if query.with_point {
        write_point(reply, hit.point);
    }
}

/// The places as a sorted set of their own.
fn stored(call: &Call<'_>, hits: &[Hit<'_>], query: &Query) -> SortedSet {
    let rules = Rules { limits: &call.limits.encodings, hasher: call.hasher };
    let mut set = SortedSet::default();
    let mut text = IntegerText::new();
    let lengths = hits.iter().map(|hit| bytes_of(hit.member, &mut text).len());
    let bytes_max = lengths.max().unwrap_or(0);
    set.expect(hits.len(), bytes_max, rules);
    for hit in hits {
        let score = if query.store_distance { hit.distance / query.metres } else { hit.score };
        set.set(bytes_of(hit.member, &mut text), score, rules);
    }
    set
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    const SICILY: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 \
         17.241510 38.788135 edge2 => :4";

    #[test]
    fn places_are_found_in_every_shape() {
        transcript(&format!(
            r"
            {SICILY}
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC => *2 $7 Catania $7 Palermo
            GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST => *4 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424 *2 $5 edge2 $8 279.7403 *2 $5 edge1 $8 279.7405
            GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km DESC COUNT 1 => *1 $7 Catania
            GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT 1 WITHHASH => *1 *2 $7 Palermo :3479099956230698
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 500 km COUNT 1 ANY => *1 $7 Palermo
            GEOSEARCH g BYPOLYGON 3 13 38 14 38 13.4 39 => *1 $7 Palermo
            GEOSEARCH none FROMMEMBER x BYRADIUS 1 m => *0
            GEORADIUS g 15 37 200 km WITHCOORD WITHDIST COUNT 1 => *1 *3 $7 Catania $7 56.4413 *2 $20 15.08726745843887329 $20 37.50266842333162032
            GEORADIUS_RO g 15 37 100 mi => *1 $7 Catania
            GEORADIUSBYMEMBER g Palermo 1 m => *1 $7 Palermo
            GEORADIUSBYMEMBER_RO g Palermo 1 M => *1 $7 Palermo
            GEORADIUSBYMEMBER none x y z => *0
            "
        ));
    }

    #[test]
    fn places_are_stored() {
        transcript(&format!(
            r"
            {SICILY}
            GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km => :2
            ZRANGE d 0 -1 WITHSCORES => *4 $7 Palermo $16 3479099956230698 $7 Catania $16 3479447370796909
            GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST COUNT 1 => :1
            ZRANGE d 0 -1 WITHSCORES => *2 $7 Catania $16 56.4412578701582
            GEORADIUS g 15 37 200 km STORE d => :2
            GEORADIUS g 15 37 200 m STORE d => :0
            EXISTS d                => :0
            GEORADIUSBYMEMBER g Palermo 1 km STOREDIST e STORE d => :1
            GEORADIUSBYMEMBER g Palermo 1 km STORE store STOREDIST store => :1
            DEL d e store           => :2
            GEORADIUS g 15 37 200 km STORE d STORE e => :2
            EXISTS d e              => :1
            GEORADIUSBYMEMBER none x 1 km STORE e => :0
            EXISTS e                => :0
            "
        ));
    }

    #[test]
    fn malformed_searches_are_refused() {
        transcript(&format!(
            r"
            {SICILY}
            SET t 1                 => +OK
            GEOSEARCH t FROMLONLAT 15 37 BYRADIUS 200 km => -WRONGTYPE Operation against a key holding the wrong kind of value
            GEOSEARCH g FROMMEMBER x BYRADIUS 1 km => -ERR member x does not exist
            GEOSEARCH g FROMLONLAT 15 37 FROMMEMBER x BYRADIUS 1 km => -ERR syntax error
            GEOSEARCH g BYRADIUS 1 km ASC COUNT 1 => -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
            GEOSEARCH g FROMLONLAT 15 37 ASC DESC => -ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GEOSEARCH
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS x km => -ERR need numeric radius
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS -1 km => -ERR radius cannot be negative
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 yd => -ERR unsupported unit provided. please use M, KM, FT, MI
            GEOSEARCH g FROMLONLAT 15 37 BYBOX x 1 km => -ERR need numeric width
            GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 x km => -ERR need numeric height
            GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 -1 km => -ERR height or width cannot be negative
            GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 1 km BYRADIUS 1 m => -ERR syntax error
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT 0 => -ERR COUNT must be > 0
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km ANY => -ERR the ANY argument requires COUNT argument
            GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km STORE d => -ERR syntax error
            GEOSEARCH g BYPOLYGON 2 1 1 2 2 => -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
            GEOSEARCH g BYPOLYGON x 1 1 2 2 => -ERR invalid number of vertices
            GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 1 km WITHDIST => -ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            GEORADIUS g 15 37 200 km STORE d WITHHASH => -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            GEORADIUS_RO g 15 37 200 km STORE d => -ERR syntax error
            GEORADIUS g 200 37 200 km => -ERR invalid longitude,latitude pair 200.000000,37.000000
            "
        ));
    }
}
