//! Cells of the grid.

use super::{LATITUDE_MAX, LONGITUDE_MAX, Point};
use std::ops::Range;

/// A cell: the grid halved `steps` times in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Latitude in the even bits, longitude in the odd ones; `steps` of each.
    bits: u64,
    /// `1..=STEPS_MAX`
    steps: u32,
}

/// What a cell covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) longitude: (f64, f64),
    pub(super) latitude: (f64, f64),
}

const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

impl Cell {
    /// The finest cells are scores.
    pub(super) const STEPS_MAX: u32 = 26;

    pub(super) const fn new(bits: u64, steps: u32) -> Self {
        Self { bits, steps }
    }

    pub(super) const fn bits(self) -> u64 {
        self.bits
    }

    /// The cell of a point, in a grid up to the latitude `latitude_max`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the grid, so from 0 to 2^26"
    )]
    pub(super) fn of(point: Point, steps: u32, latitude_max: f64) -> Self {
        let place = |value: f64, limit: f64| {
            let share = ((value - -limit) / (limit - -limit)).clamp(0.0, 1.0);
            (share * f64::from(1_u32 << steps)) as u32
        };
        let latitude = spread(place(point.latitude, latitude_max));
        let longitude = spread(place(point.longitude, LONGITUDE_MAX));
        Self { bits: latitude | longitude << 1, steps }
    }

    pub(super) fn area(self) -> Area {
        let edges = |place: u32, limit: f64| {
            let scale = limit - -limit;
            let cells = f64::from(1_u32 << self.steps);
            let edge = |place: f64| -limit + (place * 1.0 / cells) * scale;
            (edge(f64::from(place)), edge(f64::from(place.wrapping_add(1))))
        };
        Area {
            latitude: edges(gather(self.bits), LATITUDE_MAX),
            longitude: edges(gather(self.bits >> 1), LONGITUDE_MAX),
        }
    }

    /// The cell so many cells to the east and the north, around the edges of the grid.
    pub(super) fn moved(self, east: i32, north: i32) -> Self {
        let mask = (1_u32 << self.steps) - 1;
        let moved = |place: u32, by: i32| place.wrapping_add_signed(by) & mask;
        let latitude = spread(moved(gather(self.bits), north));
        let longitude = spread(moved(gather(self.bits >> 1), east));
        Self { bits: latitude | longitude << 1, steps: self.steps }
    }

    /// The scores of the finest cells within.
    #[expect(clippy::cast_precision_loss, reason = "53 bits at most")]
    pub(super) fn scores(self) -> Range<f64> {
        let shift = 2 * (Self::STEPS_MAX - self.steps);
        (self.bits << shift) as f64..((self.bits + 1) << shift) as f64
    }
}

/// Puts the bits of a number at the even places of another.
fn spread(number: u32) -> u64 {
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    spread = (spread | spread << 2) & 0x3333_3333_3333_3333;
    (spread | spread << 1) & LATITUDE_BITS
}

/// The inverse of [`spread`]; what is at the odd places does not matter.
#[expect(clippy::cast_possible_truncation, reason = "32 bits are left")]
fn gather(bits: u64) -> u32 {
    let mut gathered = bits & LATITUDE_BITS;
    gathered = (gathered | gathered >> 1) & 0x3333_3333_3333_3333;
    gathered = (gathered | gathered >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    gathered = (gathered | gathered >> 4) & 0x00ff_00ff_00ff_00ff;
    gathered = (gathered | gathered >> 8) & 0x0000_ffff_0000_ffff;
    (gathered | gathered >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_and_gathered() {
        for number in [0, 1, 2, 3, 0xffff_ffff, 0x1234_5678, 0x8000_0001] {
            assert_eq!(gather(spread(number)), number);
            assert_eq!(gather(spread(number) | !LATITUDE_BITS), number);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn cells_have_neighbours_around_the_edges() {
        let cell = Cell::of(Point { longitude: -180.0, latitude: 0.0 }, 3, LATITUDE_MAX);
        assert_eq!(cell.moved(-1, 0).area().longitude, (135.0, 180.0));
        assert_eq!(cell.moved(-1, 0).moved(1, 0), cell);
        assert_eq!(cell.moved(3, 2).moved(-3, -2), cell);
    }
}
