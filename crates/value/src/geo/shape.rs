//! What a search covers.

use super::cell::{Area, Cell};
use super::{EARTH_RADIUS_METRES, LATITUDE_MAX, Point, degrees, latitude_distance, radians};
use std::ops::Range;

/// A shape on the earth, lengths in metres.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// What is not farther than `radius` from `center`.
    Circle {
        /// The middle.
        center: Point,
        /// Metres.
        radius: f64,
    },
    /// What is not farther than half of each length from `center`, along the axes.
    Box {
        /// The middle.
        center: Point,
        /// Metres from west to east.
        width: f64,
        /// Metres from south to north.
        height: f64,
    },
    /// What is inside of some lines.
    Polygon(Polygon),
}

/// Sides of a polygon that are looked at in about the time that a circle takes.
const VERTICES_PER_EFFORT: usize = 32;

/// A closed line through points, and their middle.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    vertices: Vec<Point>,
    centroid: Point,
}

impl Polygon {
    /// The polygon of these vertices.
    pub fn new(vertices: Vec<Point>) -> Self {
        // The middle of the vertices in space, seen from the middle of the earth.
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in &vertices {
            let (longitude, latitude) = (radians(vertex.longitude), radians(vertex.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let centroid = Point {
            longitude: degrees(y.atan2(x)),
            latitude: degrees(z.atan2((x * x + y * y).sqrt())),
        };
        Self { vertices, centroid }
    }

    /// Whether an odd number of its sides are east of the point.
    fn contains(&self, point: Point) -> bool {
        let previous = self.vertices.iter().cycle().skip(self.vertices.len() - 1);
        let crossed = self.vertices.iter().zip(previous).filter(|(from, to)| {
            let spans = (from.latitude > point.latitude) != (to.latitude > point.latitude);
            spans
                && point.longitude
                    < (to.longitude - from.longitude) * (point.latitude - from.latitude)
                        / (to.latitude - from.latitude)
                        + from.longitude
        });
        crossed.count() % 2 == 1
    }
}

impl Shape {
    /// How many times as long as for a circle it takes to find out whether a point is in the shape.
    pub const fn effort(&self) -> usize {
        match self {
            Self::Circle { .. } | Self::Box { .. } => 1,
            Self::Polygon(polygon) => 1 + polygon.vertices.len() / VERTICES_PER_EFFORT,
        }
    }

    /// Metres from the middle, if the point is in the shape.
    pub fn distance_within(&self, point: Point) -> Option<f64> {
        match self {
            Self::Circle { center, radius } => {
                Some(center.distance(point)).filter(|distance| distance <= radius)
            }
            Self::Box { center, width, height } => {
                if latitude_distance(point.latitude, center.latitude) > height / 2.0 {
                    return None;
                }
                let beside = Point { longitude: center.longitude, latitude: point.latitude };
                (point.distance(beside) <= width / 2.0).then(|| center.distance(point))
            }
            Self::Polygon(polygon) => {
                polygon.contains(point).then(|| polygon.centroid.distance(point))
            }
        }
    }

    /// Ranges of scores that together hold every point in the shape, in the order of Redis's search: the
    /// cell of the middle, then its neighbours, where they are needed. No score is in two of them.
    pub fn score_ranges(&self) -> Vec<Range<f64>> {
        let bounds = self.bounds();
        let center = self.center();
        let mut steps = steps_for(self.reach(&bounds), center.latitude);
        let mut middle = Cell::of(center, steps, LATITUDE_MAX);
        // Near an edge of its cell the shape may reach over the neighbour.
        let falls_short = middle.moved(0, 1).area().latitude.1 < bounds.latitude.1
            || middle.moved(0, -1).area().latitude.0 > bounds.latitude.0
            || middle.moved(1, 0).area().longitude.1 < bounds.longitude.1
            || middle.moved(-1, 0).area().longitude.0 > bounds.longitude.0;
        if falls_short && steps > 1 {
            steps -= 1;
            middle = Cell::of(center, steps, LATITUDE_MAX);
        }
        let area = middle.area();
        let is_needed = |(east, north): (i32, i32)| {
            steps < 2
                || !((north < 0 && area.latitude.0 < bounds.latitude.0)
                    || (north > 0 && area.latitude.1 > bounds.latitude.1)
                    || (east < 0 && area.longitude.0 < bounds.longitude.0)
                    || (east > 0 && area.longitude.1 > bounds.longitude.1))
        };
        let around = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells = vec![middle];
        for (east, north) in around.into_iter().filter(|direction| is_needed(*direction)) {
            let cell = middle.moved(east, north);
            // Of a grid of two cells the neighbours to both sides are the same.
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells.into_iter().map(Cell::scores).collect()
    }

    fn center(&self) -> Point {
        match self {
            Self::Circle { center, .. } | Self::Box { center, .. } => *center,
            Self::Polygon(polygon) => polygon.centroid,
        }
    }

    /// Metres from the middle that no point of the shape is beyond.
    fn reach(&self, bounds: &Area) -> f64 {
        match self {
            Self::Circle { radius, .. } => *radius,
            Self::Box { width, height, .. } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Self::Polygon(polygon) => {
                let (west, east) = bounds.longitude;
                let (south, north) = bounds.latitude;
                let corners = [(west, north), (east, north), (west, south), (east, south)];
                let distance = |(longitude, latitude)| {
                    polygon.centroid.distance(Point { longitude, latitude })
                };
                corners.into_iter().map(distance).fold(0.0, f64::max)
            }
        }
    }

    /// Longitudes and latitudes that no point of the shape is beyond.
    fn bounds(&self) -> Area {
        let (center, width, height) = match self {
            Self::Circle { center, radius } => (center, *radius, *radius),
            Self::Box { center, width, height } => (center, width / 2.0, height / 2.0),
            Self::Polygon(polygon) => return polygon.bounds(),
        };
        let by_latitude = degrees(height / EARTH_RADIUS_METRES);
        // Towards the pole a degree of longitude is shorter, so the side there decides.
        let widest = if center.latitude < 0.0 {
            center.latitude - by_latitude
        } else {
            center.latitude + by_latitude
        };
        let by_longitude = degrees(width / EARTH_RADIUS_METRES / radians(widest).cos());
        Area {
            longitude: (center.longitude - by_longitude, center.longitude + by_longitude),
            latitude: (center.latitude - by_latitude, center.latitude + by_latitude),
        }
    }
}

impl Polygon {
    fn bounds(&self) -> Area {
        let range = |part: fn(&Point) -> f64| {
            let values = || self.vertices.iter().map(part);
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        };
        Area { longitude: range(|point| point.longitude), latitude: range(|point| point.latitude) }
    }
}

/// How often the grid is to be halved so that a cell and its neighbours cover `metres` around a point.
fn steps_for(metres: f64, latitude: f64) -> u32 {
    /// Half of the extent of the web's maps.
    const MERCATOR_MAX: f64 = 20_037_726.37;
    if metres == 0.0 {
        return Cell::STEPS_MAX;
    }
    let mut steps = 1_i32;
    let mut metres = metres;
    // A length of one nanometre is doubled some 60 times, the smallest double a thousand times.
    while metres < MERCATOR_MAX {
        metres *= 2.0;
        steps += 1;
    }
    // Two less, so that most shapes fit; towards the poles cells are narrower.
    steps -= 2;
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, 26).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every point of a fine grid around a shape is in the shape only if it is in its ranges, and in just one.
    #[test]
    fn ranges_hold_every_point_of_a_shape() {
        let centers = [(0.0, 0.0), (13.3, 38.1), (-122.4, 37.8), (179.0, -60.0), (10.0, 79.0)];
        for (longitude, latitude) in centers {
            let center = Point { longitude, latitude };
            for metres in [10.0, 1_000.0, 150_000.0, 900_000.0] {
                let span = metres / 80_000.0;
                let corner = |east: f64, north: f64| Point {
                    longitude: (longitude + east * span / 3.0).clamp(-180.0, 180.0),
                    latitude: latitude + north * span / 3.0,
                };
                let triangle = vec![corner(-1.0, -1.0), corner(1.0, -0.5), corner(0.0, 1.0)];
                let shapes = [
                    Shape::Circle { center, radius: metres },
                    Shape::Box { center, width: metres * 2.0, height: metres / 2.0 },
                    Shape::Polygon(Polygon::new(triangle)),
                ];
                for shape in shapes {
                    check(&shape, center, span);
                }
            }
        }
    }

    fn check(shape: &Shape, center: Point, span: f64) {
        let ranges = shape.score_ranges();
        let mut within = 0;
        for step in 0..4_000_u32 {
            let east = f64::from(step % 63) / 31.0 - 1.0;
            let north = f64::from(step / 63) / 31.0 - 1.0;
            let point = Point::new(center.longitude + east * span, center.latitude + north * span);
            let Some(point) = point.map(|point| Point::from_score(point.to_score())) else {
                continue;
            };
            let score = point.to_score();
            let holding = ranges.iter().filter(|range| range.contains(&score)).count();
            assert!(holding <= 1, "in two ranges");
            if shape.distance_within(point).is_some() {
                assert_eq!(holding, 1, "{shape:?} {point:?}");
                within += 1;
            }
        }
        assert!(within > 0, "{shape:?}");
    }

    #[test]
    fn a_polygon_contains_what_is_inside() {
        let point = |longitude, latitude| Point { longitude, latitude };
        let square =
            Polygon::new(vec![point(0.0, 0.0), point(2.0, 0.0), point(2.0, 2.0), point(0.0, 2.0)]);
        assert!(square.contains(point(1.0, 1.0)));
        assert!(!square.contains(point(3.0, 1.0)) && !square.contains(point(-1.0, 1.0)));
        assert!((square.centroid.longitude - 1.0).abs() < 0.01);
    }
}
