//! What a search is given.

use super::arguments::{length, member_point, point, unit};
use darter_command_table::{Call, ReplyError};
use darter_value::SortedSet;
use darter_value::geo::{Point, Polygon, Shape};

/// The forms of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS: a point and a radius, then options.
    Coordinates,
    /// GEORADIUSBYMEMBER: a member and a radius, then options.
    Member,
    /// GEOSEARCH, and GEOSEARCHSTORE, where the place may stand anywhere.
    Search,
    SearchStore,
}

impl Form {
    /// The argument index of the key to search in.
    pub(super) const fn source(self) -> usize {
        match self {
            Self::SearchStore => 2,
            Self::Coordinates | Self::Member | Self::Search => 1,
        }
    }
}

/// In which order places are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Nearest,
    Farthest,
}

/// What is to be done with the places in a shape.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "words that are there or not")]
pub(super) struct Query {
    /// `None` if there is nothing to search in.
    pub(super) shape: Option<Shape>,
    /// Metres of the unit lengths are given in.
    pub(super) metres: f64,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_point: bool,
    pub(super) order: Option<Order>,
    /// How many places at most.
    pub(super) count: Option<usize>,
    /// Whether any `count` of them will do.
    pub(super) any: bool,
    /// The argument index of the key to store to.
    pub(super) store: Option<usize>,
    /// Whether to store distances rather than places.
    pub(super) store_distance: bool,
}

/// Where a search is to be, as far as known.
#[derive(Default)]
struct Place {
    center: Center,
    from_member: bool,
    extent: Option<Extent>,
}

/// What a search is around.
#[derive(Clone, Copy, Default, PartialEq)]
enum Center {
    /// Not said so far.
    #[default]
    Unknown,
    /// A member, but there is no sorted set.
    Nowhere,
    At(Point),
}

/// What a search covers, around a center or by itself.
enum Extent {
    /// In units.
    Radius(f64),
    Box {
        width: f64,
        height: f64,
    },
    Polygon(Vec<Point>),
}

impl Query {
    /// Reads all arguments; `set` is what is to be searched.
    pub(super) fn parse(
        call: &Call<'_>,
        form: Form,
        may_store: bool,
        set: Option<&SortedSet>,
    ) -> Result<Self, ReplyError> {
        let mut query = Self {
            shape: None,
            metres: 1.0,
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: None,
            count: None,
            any: false,
            store: None,
            store_distance: false,
        };
        let mut place = Place::default();
        let mut index = match form {
            Form::Coordinates => {
                place.center = Center::At(point(call, 2)?);
                query.read_radius(call, 4, &mut place)?;
                6
            }
            Form::Member => {
                // Without a set the radius is not even looked at.
                place.center = Center::Nowhere;
                if let Some(set) = set {
                    place.center = Center::At(member_point(call, 2, set)?);
                    query.read_radius(call, 3, &mut place)?;
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = Some(1);
                3
            }
        };
        while index < call.args.len() {
            index = match query.option(call, form, may_store, index)? {
                Some(next) => next,
                None if matches!(form, Form::Search | Form::SearchStore) => {
                    query.place_option(call, index, set, &mut place)?
                }
                None => return Err(ReplyError::Syntax),
            };
        }
        query.check(call, form, &place)?;
        query.shape = place.shape(query.metres);
        if query.count.is_some() && query.order.is_none() && !query.any {
            query.order = Some(Order::Nearest);
        }
        Ok(query)
    }

    /// Reads an option all forms have; where the next one is, `None` if it is no such option.
    fn option(
        &mut self,
        call: &Call<'_>,
        form: Form,
        may_store: bool,
        index: usize,
    ) -> Result<Option<usize>, ReplyError> {
        let has_value = index + 1 < call.args.len();
        let is_radius = matches!(form, Form::Coordinates | Form::Member);
        if call.is_word(index, "WITHDIST") {
            self.with_distance = true;
        } else if call.is_word(index, "WITHHASH") {
            self.with_hash = true;
        } else if call.is_word(index, "WITHCOORD") {
            self.with_point = true;
        } else if call.is_word(index, "ANY") {
            self.any = true;
        } else if call.is_word(index, "ASC") {
            self.order = Some(Order::Nearest);
        } else if call.is_word(index, "DESC") {
            self.order = Some(Order::Farthest);
        } else if has_value && call.is_word(index, "COUNT") {
            let count = usize::try_from(call.integer(index + 1)?).unwrap_or(0);
            if count == 0 {
                return Err(ReplyError::Text("ERR COUNT must be > 0"));
            }
            self.count = Some(count);
            return Ok(Some(index + 2));
        } else if has_value && is_radius && may_store && call.is_word(index, "STORE") {
            self.store = Some(index + 1);
            self.store_distance = false;
            return Ok(Some(index + 2));
        } else if has_value && is_radius && may_store && call.is_word(index, "STOREDIST") {
            self.store = Some(index + 1);
            self.store_distance = true;
            return Ok(Some(index + 2));
        } else if form == Form::SearchStore && call.is_word(index, "STOREDIST") {
            self.store_distance = true;
        } else {
            return Ok(None);
        }
        Ok(Some(index + 1))
    }

    /// Reads an option that says where to search; where the next one is.
    fn place_option(
        &mut self,
        call: &Call<'_>,
        index: usize,
        set: Option<&SortedSet>,
        place: &mut Place,
    ) -> Result<usize, ReplyError> {
        let values = call.args.len() - index - 1;
        let has_polygon = matches!(place.extent, Some(Extent::Polygon(_)));
        if values >= 1
            && call.is_word(index, "FROMMEMBER")
            && (place.center == Center::Unknown || place.from_member)
            && !has_polygon
        {
            place.from_member = true;
            place.center = match set {
                Some(set) => Center::At(member_point(call, index + 1, set)?),
                None => Center::Nowhere,
            };
            return Ok(index + 2);
        }
        if values >= 2 && call.is_word(index, "FROMLONLAT") && !place.from_member && !has_polygon {
            place.center = Center::At(point(call, index + 1)?);
            return Ok(index + 3);
        }
        if values >= 2
            && call.is_word(index, "BYRADIUS")
            && matches!(place.extent, None | Some(Extent::Radius(_)))
        {
            self.read_radius(call, index + 1, place)?;
            return Ok(index + 3);
        }
        if values >= 3
            && call.is_word(index, "BYBOX")
            && matches!(place.extent, None | Some(Extent::Box { .. }))
        {
            let width = length(call, index + 1, "ERR need numeric width")?;
            let height = length(call, index + 2, "ERR need numeric height")?;
            if width < 0.0 || height < 0.0 {
                return Err(ReplyError::Text("ERR height or width cannot be negative"));
            }
            self.metres = unit(call, index + 3)?;
            place.extent = Some(Extent::Box { width, height });
            return Ok(index + 4);
        }
        if values >= 2
            && call.is_word(index, "BYPOLYGON")
            && place.center == Center::Unknown
            && (place.extent.is_none() || has_polygon)
        {
            return self.read_polygon(call, index, place);
        }
        Err(ReplyError::Syntax)
    }

    fn read_radius(
        &mut self,
        call: &Call<'_>,
        index: usize,
        place: &mut Place,
    ) -> Result<(), ReplyError> {
        let radius = length(call, index, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(ReplyError::Text("ERR radius cannot be negative"));
        }
        self.metres = unit(call, index + 1)?;
        place.extent = Some(Extent::Radius(radius));
        Ok(())
    }

    fn read_polygon(
        &mut self,
        call: &Call<'_>,
        index: usize,
        place: &mut Place,
    ) -> Result<usize, ReplyError> {
        let invalid = ReplyError::Text("ERR invalid number of vertices");
        let wanted = call.integer(index + 1).ok().and_then(|count| i32::try_from(count).ok());
        let wanted = usize::try_from(wanted.ok_or(invalid)?).unwrap_or(0);
        let first = index + 2;
        if wanted < 3 || (call.args.len() - first) / 2 < wanted {
            return Err(ReplyError::Text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices"));
        }
        let end = first + wanted * 2;
        let vertices = (first..end).step_by(2).map(|index| point(call, index));
        place.extent = Some(Extent::Polygon(vertices.collect::<Result<_, _>>()?));
        self.metres = 1.0;
        Ok(end)
    }

    fn check(&self, call: &Call<'_>, form: Form, place: &Place) -> Result<(), ReplyError> {
        let about = |before: &str, name: &[u8], after: &str| {
            Err(ReplyError::Line([before.as_bytes(), name, after.as_bytes()].concat()))
        };
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let name: &[u8] = match form {
                Form::SearchStore => b"GEOSEARCHSTORE",
                _ => b"STORE option in GEORADIUS",
            };
            let after = " is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return about("ERR ", name, after);
        }
        let is_search = matches!(form, Form::Search | Form::SearchStore);
        let has_polygon = matches!(place.extent, Some(Extent::Polygon(_)));
        if is_search && place.center == Center::Unknown && !has_polygon {
            let before = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return about(before, call.args.at(0), "");
        }
        if is_search && place.extent.is_none() {
            let before = "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for ";
            return about(before, call.args.at(0), "");
        }
        // Only a key that the key-specs find can be stored to: not one behind a word that is a key itself.
        let mut is_key = self.store.is_none();
        call.command.each_key(call.args, |index| is_key |= self.store == Some(index));
        if !is_key {
            return Err(ReplyError::Syntax);
        }
        if self.any && self.count.is_none() {
            return Err(ReplyError::Text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }
}

impl Place {
    /// The shape, if everything about it is known.
    fn shape(self, metres: f64) -> Option<Shape> {
        let center = match self.center {
            Center::At(point) => Some(point),
            Center::Unknown | Center::Nowhere => None,
        };
        Some(match self.extent? {
            Extent::Polygon(vertices) => Shape::Polygon(Polygon::new(vertices)),
            Extent::Radius(radius) => Shape::Circle { center: center?, radius: radius * metres },
            Extent::Box { width, height } => {
                Shape::Box { center: center?, width: width * metres, height: height * metres }
            }
        })
    }
}
