//! 80-bit floating point, as `INCRBYFLOAT` and `HINCRBYFLOAT` compute on x86.
//!
//! Redis adds in C's `long double`. On x86 that is the 80-bit format of the x87 unit: a 64-bit
//! mantissa, exponents to ±16383, and results rounded to the nearest, ties to even. Its text is
//! `%.17Lf` with trailing zeros removed: up to 17 digits behind the point and never an exponent,
//! so `1e4932` prints 4933 digits. Data written by a Redis on x86 gives the same text here, on
//! every machine. Coordinates of `GEOPOS` print in the same way.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "exponents and lengths are within +-20,000 once they are checked"
)]

use crate::big_natural::BigNatural;
use crate::float::{Digits, FloatText};
use crate::rounding::Unrounded;

/// An 80-bit extended precision number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa * 2 ^ exponent`. The mantissa's highest bit is 1, unless the number is zero or
    /// `exponent` is [`EXPONENT_MIN`].
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
    Nan,
}

impl Magnitude {
    /// Of two that are not NaN. Exponents decide, since mantissas begin with a 1 wherever they can.
    fn is_larger(self, other: Self) -> bool {
        match (self, other) {
            (Self::Infinite, other) => other != Self::Infinite,
            (
                Self::Finite { mantissa, exponent },
                Self::Finite { mantissa: other_mantissa, exponent: other_exponent },
            ) => (exponent, mantissa) > (other_exponent, other_mantissa),
            _ => false,
        }
    }
}

/// What the last bit of the smallest numbers is worth.
const EXPONENT_MIN: i64 = -16_445;
/// What the last bit of the largest numbers is worth.
const EXPONENT_MAX: i64 = 16_383 - 63;
/// Digits printed behind the point.
const FRACTION_DIGITS: usize = 17;

impl Extended {
    /// 0.
    pub const ZERO: Self = Self {
        negative: false,
        magnitude: Magnitude::Finite { mantissa: 0, exponent: EXPONENT_MIN },
    };

    /// The largest finite number.
    pub const MAX: Self = Self {
        negative: false,
        magnitude: Magnitude::Finite { mantissa: u64::MAX, exponent: EXPONENT_MAX },
    };

    /// Redis reads a number from at most this many bytes.
    pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

    /// The number `text` means to Redis where it wants a long double, correctly rounded. `None` if
    /// it is malformed or NaN, too long, too large, or not zero but rounded to zero. Infinity is a
    /// number here: what it may not be is a result.
    ///
    /// Up to 19 digits and an exponent within ±26 take some 20 ns; else the cost grows with the
    /// square of the digits and exponent, up to about 0.2 ms.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > Self::TEXT_BYTES_MAX {
            return None;
        }
        let (negative, is_zero, magnitude) = match FloatText::parse(text)? {
            FloatText::Infinity { negative } => {
                return Some(Self { negative, magnitude: Magnitude::Infinite });
            }
            FloatText::Decimal(digits) => (digits.negative, digits.is_zero(), decimal(&digits)),
            FloatText::Hexadecimal(digits) => {
                (digits.negative, digits.is_zero(), Some(digits.hexadecimal_value()))
            }
        };
        let value = Self::from_unrounded(negative, magnitude?);
        (value.is_finite() && value.is_zero() == is_zero).then_some(value)
    }

    /// Exactly `value`.
    pub fn from_i64(value: i64) -> Self {
        let mantissa = u128::from(value.unsigned_abs());
        Self::from_unrounded(value < 0, Unrounded { mantissa, exponent: 0, sticky: false })
    }

    /// Exactly `value`.
    pub fn from_f64(value: f64) -> Self {
        let negative = value.is_sign_negative();
        if value.is_nan() {
            return Self { negative, magnitude: Magnitude::Nan };
        }
        if value.is_infinite() {
            return Self { negative, magnitude: Magnitude::Infinite };
        }
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match (bits >> 52 & 0x7ff) as i64 {
            0 => (fraction, -1074),
            biased => (fraction | 1 << 52, biased - 1075),
        };
        let mantissa = u128::from(mantissa);
        Self::from_unrounded(negative, Unrounded { mantissa, exponent, sticky: false })
    }

    /// Whether this is neither infinite nor NaN.
    pub const fn is_finite(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// Whether this is greater than `other`; the zeros are equal, and NaN is greater than nothing.
    pub fn is_above(self, other: Self) -> bool {
        match (self.magnitude, other.magnitude) {
            (Magnitude::Nan, _) | (_, Magnitude::Nan) => false,
            _ if self.is_zero() && other.is_zero() => false,
            _ if self.negative != other.negative => other.negative,
            (own, others) if self.negative => others.is_larger(own),
            (own, others) => own.is_larger(others),
        }
    }

    /// The text Redis stores and replies: `%.17Lf` without trailing zeros. At most 4952 bytes.
    pub fn to_text(self) -> Vec<u8> {
        let mut text = Vec::new();
        if self.negative {
            text.push(b'-');
        }
        match self.magnitude {
            Magnitude::Finite { mantissa, exponent } if exponent >= 0 => {
                let mut integer = BigNatural::from_u64(mantissa);
                integer.shift_left(exponent as usize);
                integer.append_digits(&mut text);
            }
            Magnitude::Finite { mantissa, exponent } => {
                append_with_fraction(mantissa, exponent.unsigned_abs(), &mut text);
            }
            Magnitude::Infinite => text.extend_from_slice(b"inf"),
            Magnitude::Nan => return b"nan".to_vec(),
        }
        if text == b"-0" {
            text.remove(0);
        }
        text
    }

    const fn is_zero(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { mantissa: 0, .. })
    }

    fn from_unrounded(negative: bool, value: Unrounded) -> Self {
        let (mantissa, exponent) = value.round(u64::BITS, EXPONENT_MIN);
        if mantissa == 0 {
            return Self { negative, ..Self::ZERO };
        }
        let room = (exponent - EXPONENT_MIN) as u64;
        let shift = u64::from(mantissa.leading_zeros()).min(room);
        let (mantissa, exponent) = (mantissa << shift, exponent - shift as i64);
        if exponent > EXPONENT_MAX {
            return Self { negative, magnitude: Magnitude::Infinite };
        }
        Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } }
    }
}

impl std::ops::Neg for Extended {
    type Output = Self;

    fn neg(self) -> Self {
        Self { negative: !self.negative, ..self }
    }
}

impl std::ops::Add for Extended {
    type Output = Self;

    /// The nearest number to the exact sum, ties to even.
    fn add(self, other: Self) -> Self {
        match (self.magnitude, other.magnitude) {
            (Magnitude::Infinite, Magnitude::Infinite) if self.negative != other.negative => {
                Self { negative: false, magnitude: Magnitude::Nan }
            }
            (Magnitude::Nan | Magnitude::Infinite, _) => self,
            (_, Magnitude::Nan | Magnitude::Infinite) => other,
            (
                Magnitude::Finite { mantissa, exponent },
                Magnitude::Finite { mantissa: other_mantissa, exponent: other_exponent },
            ) => {
                let own = (exponent, mantissa);
                let others = (other_exponent, other_mantissa);
                if own >= others {
                    add_finite(self.negative, own, other.negative, others)
                } else {
                    add_finite(other.negative, others, self.negative, own)
                }
            }
        }
    }
}

/// The sum of two finite numbers, each an exponent and a mantissa, of which the second is not larger
/// in magnitude.
fn add_finite(
    negative: bool,
    (exponent, mantissa): (i64, u64),
    small_negative: bool,
    (small_exponent, small_mantissa): (i64, u64),
) -> Extended {
    /// Bits below the mantissa's last one in which the smaller number may lie. With more than two of
    /// them it is enough to know, of the bits below, whether all are 0.
    const GUARD_BITS: u32 = 62;
    let distance = (exponent - small_exponent) as u64;
    let large = u128::from(mantissa) << GUARD_BITS;
    let small = u128::from(small_mantissa) << GUARD_BITS;
    let (aligned, lost) = if distance < 128 {
        let aligned = small >> distance;
        (aligned, aligned << distance != small)
    } else {
        (0, small != 0)
    };
    // The bits lost stand as a 1 in the last place, too far down to make or break a tie.
    let aligned = aligned | u128::from(lost);
    let sum = if negative == small_negative { large + aligned } else { large - aligned };
    let negative = if sum == 0 { negative && small_negative } else { negative };
    let exponent = exponent - i64::from(GUARD_BITS);
    Extended::from_unrounded(negative, Unrounded { mantissa: sum, exponent, sticky: false })
}

/// Appends `mantissa / 2 ^ shift`, with a fraction of at most 17 digits. `shift > 0`.
fn append_with_fraction(mantissa: u64, shift: u64, text: &mut Vec<u8>) {
    const SCALE: u128 = 10_u128.pow(FRACTION_DIGITS as u32);
    let mut integer = if shift < 64 { mantissa >> shift } else { 0 };
    let fraction_bits = if shift < 64 { mantissa & ((1 << shift) - 1) } else { mantissa };
    // Below 2^121, so a larger shift leaves less than half a unit of the last digit.
    let scaled = u128::from(fraction_bits) * SCALE;
    let mut fraction = 0;
    if shift < 128 {
        fraction = scaled >> shift;
        let rest = scaled - (fraction << shift);
        let half = 1 << (shift - 1);
        if rest > half || rest == half && fraction & 1 == 1 {
            fraction += 1;
        }
    }
    if fraction == SCALE {
        integer += 1;
        fraction = 0;
    }
    text.extend_from_slice(&crate::number::format_u64(integer));
    if fraction > 0 {
        let digits = crate::number::format_u64(fraction as u64);
        text.push(b'.');
        text.extend(std::iter::repeat_n(b'0', FRACTION_DIGITS - digits.len()));
        text.extend_from_slice(&digits);
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
}

/// The exact value of decimal digits as far as rounding to 64 bits needs it. `None` if its magnitude
/// is out of any range.
fn decimal(digits: &Digits<'_>) -> Option<Unrounded> {
    const ZERO: Unrounded = Unrounded { mantissa: 0, exponent: 0, sticky: false };
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    let trailing = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    let count = digits.integer.len() + digits.fraction.len();
    if leading == count {
        return Some(ZERO);
    }
    let significant = digits.iter().take(count - trailing).skip(leading);
    let significant_count = count - trailing - leading;
    let exponent = digits.exponent - digits.fraction.len() as i64 + trailing as i64;
    // Of the first digit; the largest number is below 10^4933, half the smallest above 10^-4952.
    if !(-4960..=4940).contains(&(exponent + significant_count as i64)) {
        return None;
    }
    if significant_count <= 19 && (-26..=26).contains(&exponent) {
        let value = significant.fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Some(scale_by_ten(value, exponent));
    }
    let value = BigNatural::from_digits(significant);
    Some(if exponent >= 0 {
        let mut value = value;
        value.multiply_by_ten_to(exponent as usize);
        let (mantissa, dropped, sticky) = value.top_bits();
        Unrounded { mantissa, exponent: dropped as i64, sticky }
    } else {
        divide_by_ten_to(value, exponent.unsigned_abs() as usize)
    })
}

/// `value * 10 ^ exponent` for an exponent within ±26 and a value that is not 0.
fn scale_by_ten(value: u64, exponent: i64) -> Unrounded {
    // Powers of two go to the exponent; 5^26 has 61 bits.
    let five_power = 5_u64.pow(exponent.unsigned_abs() as u32);
    if exponent >= 0 {
        let mantissa = u128::from(value) * u128::from(five_power);
        return Unrounded { mantissa, exponent, sticky: false };
    }
    let shift = 64 + value.leading_zeros();
    let dividend = u128::from(value) << shift;
    // At least 2^127 / 2^61: more bits than any mantissa.
    let quotient = dividend / u128::from(five_power);
    let sticky = quotient * u128::from(five_power) != dividend;
    Unrounded { mantissa: quotient, exponent: exponent - i64::from(shift), sticky }
}

/// `value / 10 ^ exponent` to 66 bits or more, for a value that is not 0.
fn divide_by_ten_to(value: BigNatural, exponent: usize) -> Unrounded {
    /// Bits of quotient worked out. The first is 0 and the second may be.
    const STEPS: i64 = 68;
    let (mut rest, mut divisor) = (value, BigNatural::from_u64(1));
    divisor.multiply_by_ten_to(exponent);
    // Scale so that 1/4 < rest / divisor < 1; then long division, a bit at a time.
    let scale = divisor.bits() as i64 - 1 - rest.bits() as i64;
    if scale >= 0 {
        rest.shift_left(scale as usize);
    } else {
        divisor.shift_left(scale.unsigned_abs() as usize);
    }
    let mut quotient = 0_u128;
    for _ in 0..STEPS {
        rest.shift_left(1);
        quotient = quotient << 1 | u128::from(rest.subtract_if_possible(&divisor));
    }
    Unrounded { mantissa: quotient, exponent: -STEPS - scale, sticky: rest.bits() > 0 }
}

#[cfg(test)]
mod tests;
