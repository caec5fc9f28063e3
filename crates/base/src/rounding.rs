//! Rounding an exact binary value to a float's mantissa.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rounded mantissa fits, that is what rounding is for"
)]

/// The positive number `mantissa * 2 ^ exponent`, plus less than one unit of the mantissa's last
/// bit if `sticky`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrounded {
    pub(crate) mantissa: u128,
    pub(crate) exponent: i64,
    pub(crate) sticky: bool,
}

impl Unrounded {
    /// The nearest number of at most `precision` (1 to 64) significant bits whose last bit is worth
    /// at least `2 ^ exponent_min`, ties to even, as mantissa and exponent. A `sticky` number must
    /// have more than `precision` bits.
    pub(crate) fn round(self, precision: u32, exponent_min: i64) -> (u64, i64) {
        let bits = 128 - self.mantissa.leading_zeros();
        debug_assert!(!self.sticky || bits > precision);
        let excess = i64::from(bits.saturating_sub(precision));
        let dropped = excess.max(exponent_min.saturating_sub(self.exponent)).max(0);
        if dropped == 0 {
            return (self.mantissa as u64, self.exponent);
        }
        let exponent = self.exponent + dropped;
        if dropped > 127 {
            // Less than half of a unit, unless all 128 bits were dropped and the first was 1.
            let above_half =
                dropped == 128 && (self.mantissa << 1 != 0 || self.sticky) && bits == 128;
            return (u64::from(above_half), exponent);
        }
        let kept = self.mantissa >> dropped;
        let rest = self.mantissa - (kept << dropped);
        let half = 1_u128 << (dropped - 1);
        let up = rest > half || rest == half && (self.sticky || kept & 1 == 1);
        let rounded = kept + u128::from(up);
        // A carry out of `precision` bits leaves a power of two, so shifting it loses nothing.
        if rounded >> precision == 0 {
            (rounded as u64, exponent)
        } else {
            ((rounded >> 1) as u64, exponent + 1)
        }
    }

    /// The nearest double, ties to even; infinite when it is too large.
    pub(crate) fn to_f64(self) -> f64 {
        let (mantissa, exponent) = self.round(53, -1074);
        let bits = i64::from(64 - mantissa.leading_zeros());
        if mantissa == 0 {
            return 0.0;
        }
        if exponent + bits > 1024 {
            return f64::INFINITY;
        }
        // Exact in two steps, since the result is representable and so is the value between.
        let first = exponent.clamp(-1000, 900);
        mantissa as f64 * power_of_two(first) * power_of_two(exponent - first)
    }
}

/// `2 ^ exponent` for a normal double.
fn power_of_two(exponent: i64) -> f64 {
    debug_assert!((-1022..=1023).contains(&exponent));
    f64::from_bits(((exponent + 1023) as u64) << 52)
}
