//! Points, lengths and units as clients give them.

use darter_base::float::parse_f64;
use darter_command_table::{Arg, Call, ReplyError, until_nul};
use darter_value::SortedSet;
use darter_value::geo::Point;

/// The units, for documentation.
pub(super) const UNIT: Arg = Arg::one_of(
    "unit",
    &[Arg::word("m", "M"), Arg::word("km", "KM"), Arg::word("ft", "FT"), Arg::word("mi", "MI")],
);

/// Longitude and latitude at `index` and behind it.
pub(super) fn point(call: &Call<'_>, index: usize) -> Result<Point, ReplyError> {
    let number = |index| parse_f64(call.args.at(index)).ok_or(ReplyError::NotAFloat);
    let (longitude, latitude) = (number(index)?, number(index + 1)?);
    Point::new(longitude, latitude).ok_or_else(|| {
        ReplyError::Message(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// Where the member at `index` of the arguments is.
pub(super) fn member_point(
    call: &Call<'_>,
    index: usize,
    set: &SortedSet,
) -> Result<Point, ReplyError> {
    let member = call.args.at(index);
    let score = set.score(member).ok_or_else(|| {
        ReplyError::Line([b"ERR member ", until_nul(member), b" does not exist"].concat())
    })?;
    Ok(Point::from_score(score))
}

/// Metres of the unit at `index`.
pub(super) fn unit(call: &Call<'_>, index: usize) -> Result<f64, ReplyError> {
    if call.is_word(index, "M") {
        Ok(1.0)
    } else if call.is_word(index, "KM") {
        Ok(1000.0)
    } else if call.is_word(index, "FT") {
        Ok(0.3048)
    } else if call.is_word(index, "MI") {
        Ok(1609.34)
    } else {
        Err(ReplyError::Text("ERR unsupported unit provided. please use M, KM, FT, MI"))
    }
}

/// The length at `index`, in whatever unit.
pub(super) fn length(
    call: &Call<'_>,
    index: usize,
    error: &'static str,
) -> Result<f64, ReplyError> {
    parse_f64(call.args.at(index)).ok_or(ReplyError::Text(error))
}
