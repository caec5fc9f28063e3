//! From register values to a number of elements (Ertl, arXiv:1702.01284, algorithm 6).

use super::{INDEX_BITS, REGISTERS};

/// A register has 6 bits.
pub(super) const VALUES: usize = 64;
/// The longest run of zeroes a hash can show.
const RUN_MAX: usize = (u64::BITS - INDEX_BITS) as usize;
/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate for registers of which `histogram[v]` have the value `v`. All 16384 are in it.
pub(super) fn cardinality(histogram: &[u32; VALUES]) -> u64 {
    let registers = f64::from(u32::try_from(REGISTERS).expect("a small constant"));
    let of = |value: usize| f64::from(histogram[value]);
    let mut z = registers * tau((registers - of(RUN_MAX + 1)) / registers);
    for value in (1..=RUN_MAX).rev() {
        z = (z + of(value)) * 0.5;
    }
    z += registers * sigma(of(0) / registers);
    // No element: z is infinite and the estimate 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let estimate = (ALPHA * registers * registers / z).round() as u64;
    estimate
}

fn sigma(mut x: f64) -> f64 {
    #[expect(clippy::float_cmp, reason = "exactly all registers")]
    if x == 1.0 {
        return f64::INFINITY;
    }
    let mut y = 1.0;
    let mut z = x;
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        #[expect(clippy::float_cmp, reason = "until nothing changes any more")]
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    #[expect(clippy::float_cmp, reason = "exactly none or all registers")]
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let mut y = 1.0;
    let mut z = 1.0 - x;
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        #[expect(clippy::float_cmp, reason = "until nothing changes any more")]
        if z == before {
            return z / 3.0;
        }
    }
}
