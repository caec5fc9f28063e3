//! Places on the earth, as scores of a sorted set.
//!
//! A place is a cell of a grid that is halved 26 times in each direction; the 52 bits of the cell, longitude
//! and latitude in turn, are its score. Cells that share their first bits are a bigger cell, and a range of
//! scores: so what lies in a shape is found by a few ranges of scores, and a look at each member there.
//!
//! Angles are in degrees, lengths in metres. Everything is computed in doubles with the steps that Redis
//! takes, so that the digits are the same.

mod cell;
mod shape;

pub use shape::{Polygon, Shape};

use cell::Cell;

/// A point on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

/// The quadratic mean radius of the earth, for which distances are computed.
const EARTH_RADIUS_METRES: f64 = 6_372_797.560_856;

/// Whole turns of the grid: longitudes, and the latitudes of the web's maps.
const LONGITUDE_MAX: f64 = 180.0;
const LATITUDE_MAX: f64 = 85.051_128_78;

impl Point {
    /// The point, if it is on the grid.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_on_grid = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        is_on_grid.then_some(Self { longitude, latitude })
    }

    /// The score of the cell it is in.
    #[expect(clippy::cast_precision_loss, reason = "53 bits at most")]
    pub fn to_score(self) -> f64 {
        Cell::of(self, Cell::STEPS_MAX, LATITUDE_MAX).bits() as f64
    }

    /// The middle of the cell of a score. Any number is a cell, after a fashion.
    pub fn from_score(score: f64) -> Self {
        let area = Cell::new(bits_of(score), Cell::STEPS_MAX).area();
        let middle =
            |(min, max): (f64, f64), limit: f64| f64::midpoint(min, max).clamp(-limit, limit);
        Self {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    /// The geohash others know the place by: eleven letters, of which the last says nothing.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // Geohashes reach up to the poles, which the grid does not.
        let bits = Cell::of(self, Cell::STEPS_MAX, 90.0).bits();
        let mut text = [ALPHABET[0]; 11];
        for (index, letter) in text[..10].iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (47 - 5 * index) & 0x1f) as usize];
        }
        text
    }

    /// Metres to another point along a great circle (haversine).
    pub fn distance(self, other: Self) -> f64 {
        /// Below this the longitudes are as good as equal: some nanometres.
        const NOTHING: f64 = 1e-15;
        let sine = |from: f64, to: f64| ((radians(to) - radians(from)) / 2.0).sin();
        let by_longitude = sine(self.longitude, other.longitude);
        if by_longitude.abs() <= NOTHING {
            return latitude_distance(self.latitude, other.latitude);
        }
        let by_latitude = sine(self.latitude, other.latitude);
        let cosines = radians(self.latitude).cos() * radians(other.latitude).cos();
        let chord = by_latitude * by_latitude + cosines * by_longitude * by_longitude;
        2.0 * EARTH_RADIUS_METRES * chord.sqrt().asin()
    }
}

/// The bits a score stands for. What is no cell is converted as Redis's C does on its usual machines:
/// negative numbers wrap around, too big ones are nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers that do not fit are told apart before"
)]
fn bits_of(score: f64) -> u64 {
    /// 2^64
    const END: f64 = 18_446_744_073_709_551_616.0;
    if score < 0.0 {
        (score as i64).cast_unsigned()
    } else if score < END {
        score as u64
    } else {
        0
    }
}

/// Metres between two latitudes.
fn latitude_distance(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_METRES * (radians(to) - radians(from)).abs()
}

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Point = Point { longitude: 13.361_389, latitude: 38.115_556 };
    const CATANIA: Point = Point { longitude: 15.087_269, latitude: 37.502_669 };

    /// The examples of the documentation of GEOADD, GEODIST and GEOHASH.
    #[test]
    #[expect(clippy::float_cmp, reason = "the digits are to be the same")]
    fn the_examples_of_the_documentation() {
        assert_eq!(PALERMO.to_score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.to_score(), 3_479_447_370_796_909.0);
        let (palermo, catania) =
            (Point::from_score(PALERMO.to_score()), Point::from_score(CATANIA.to_score()));
        assert_eq!(palermo.distance(catania), 166_274.151_569_600_33);
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
    }

    #[test]
    fn a_point_comes_back_about_the_same() {
        for longitude in [-180.0, -179.99, -1.5, 0.0, 77.7, 180.0] {
            for latitude in [-85.051_128_78, -33.0, 0.0, 12.25, 85.051_128_78] {
                let point = Point::new(longitude, latitude).expect("on the grid");
                let back = Point::from_score(point.to_score());
                assert!(point.distance(back) < 1.0, "{point:?} {back:?}");
            }
        }
        assert_eq!(Point::new(180.1, 0.0), None);
        assert_eq!(Point::new(0.0, 85.1), None);
        assert_eq!(Point::new(f64::NAN, 0.0), None);
    }

    #[test]
    fn any_score_is_some_point() {
        for score in [-1.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 0.5, 9e15] {
            let Point { longitude, latitude } = Point::from_score(score);
            assert!(Point::new(longitude, latitude).is_some());
        }
    }
}
