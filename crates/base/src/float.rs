//! Double precision numbers as text: what Redis accepts in commands and what it prints.
//!
//! Redis reads a score or an increment with C's `strtod` and insists that it takes the whole text
//! (`string2d` in 7.0; Valkey 9 the same; Redis 8 no longer takes hexadecimal). [`FloatText`] is that
//! grammar, shared with [`crate::extended`]. Refused beyond it are a leading space, NaN, and a text
//! whose value overflows or underflows to zero.
//!
//! Redis 7.0 prints doubles with `%.17g` everywhere: `0.1` comes out as `0.10000000000000001`. Since
//! 7.2, and in every Valkey, replies, sorted set scores and rewritten logs carry the shortest text
//! that reads back as the same number, laid out as the `fpconv` library does it; [`format_f64`] is
//! that form, [`format_f64_17`] the old one, for peers of the older kind. For one double in 2000
//! `fpconv` does not find the shortest text, or not the nearest of the shortest: it prints 276.008229
//! as `276.00822899999997`. We do not follow it there; both texts read back as the same number.
//! Results of `INCRBYFLOAT` and coordinates of `GEOPOS` are neither: see [`crate::extended`].

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts of digits and decimal exponents are below 1,100; precision is lost on purpose"
)]

use std::fmt::Write;

use crate::number::{NumberText, format_i64, format_u64};
use crate::rounding::Unrounded;

/// A text `strtod` would take whole, other than NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatText<'a> {
    /// `inf` or `infinity` in any case.
    Infinity {
        /// Whether a minus sign stood before it.
        negative: bool,
    },
    /// Digits, a point, digits, an exponent of ten.
    Decimal(Digits<'a>),
    /// The same in hexadecimal after `0x`, with an exponent of two.
    Hexadecimal(Digits<'a>),
}

/// The number `integer.fraction * base ^ exponent`, where the base is 10 for decimal digits and 2
/// for hexadecimal ones. At least one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits<'a> {
    /// Whether a minus sign stood before it.
    pub negative: bool,
    /// ASCII digits before the point.
    pub integer: &'a [u8],
    /// ASCII digits behind the point.
    pub fraction: &'a [u8],
    /// The exponent, cut off at a magnitude far beyond what any digits can make up for.
    pub exponent: i64,
}

impl<'a> FloatText<'a> {
    /// Reads `text`, all of it.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = split_sign(text);
        match unsigned {
            [b'i' | b'I', ..] => {
                let infinite = unsigned.eq_ignore_ascii_case(b"inf")
                    || unsigned.eq_ignore_ascii_case(b"infinity");
                infinite.then_some(Self::Infinity { negative })
            }
            [b'0', b'x' | b'X', rest @ ..] => {
                Digits::parse(negative, rest, u8::is_ascii_hexdigit, b'p').map(Self::Hexadecimal)
            }
            _ => Digits::parse(negative, unsigned, u8::is_ascii_digit, b'e').map(Self::Decimal),
        }
    }
}

impl<'a> Digits<'a> {
    const EXPONENT_MAGNITUDE_MAX: i64 = 1 << 40;

    fn parse(
        negative: bool,
        text: &'a [u8],
        is_digit: fn(&u8) -> bool,
        exponent_mark: u8,
    ) -> Option<Self> {
        let split = |text: &'a [u8]| {
            text.split_at(text.iter().position(|byte| !is_digit(byte)).unwrap_or(text.len()))
        };
        let (integer, rest) = split(text);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split(rest),
            rest => (&[][..], rest),
        };
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [mark, rest @ ..] if mark.eq_ignore_ascii_case(&exponent_mark) => {
                Self::parse_exponent(rest)?
            }
            _ => return None,
        };
        Some(Self { negative, integer, fraction, exponent })
    }

    fn parse_exponent(text: &[u8]) -> Option<i64> {
        let (negative, digits) = split_sign(text);
        if digits.is_empty() {
            return None;
        }
        let magnitude = digits.iter().try_fold(0_i64, |value, digit| {
            let value = value * 10 + i64::from(digit.wrapping_sub(b'0'));
            digit.is_ascii_digit().then(|| value.min(Self::EXPONENT_MAGNITUDE_MAX))
        })?;
        Some(if negative { -magnitude } else { magnitude })
    }

    /// Every digit in order, the point left out.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &'a u8> + Clone + use<'a> {
        self.integer.iter().chain(self.fraction)
    }

    /// Whether every digit is 0.
    pub(crate) fn is_zero(&self) -> bool {
        self.iter().all(|&digit| digit == b'0')
    }

    /// The value of hexadecimal digits.
    pub(crate) fn hexadecimal_value(&self) -> Unrounded {
        let (mut mantissa, mut sticky) = (0_u128, false);
        let mut exponent = self.exponent - 4 * self.fraction.len() as i64;
        for &digit in self.iter() {
            let value = char::from(digit).to_digit(16).unwrap_or(0);
            if mantissa >> 124 == 0 {
                mantissa = mantissa << 4 | u128::from(value);
            } else {
                sticky |= value != 0;
                exponent += 4;
            }
        }
        Unrounded { mantissa, exponent, sticky }
    }
}

/// Whether a minus sign stands before `text`, and what is behind it or a plus sign.
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [sign @ (b'-' | b'+'), rest @ ..] => (*sign == b'-', rest),
        _ => (false, text),
    }
}

/// What C's `strtod` sees of `text`: nothing behind a NUL, nor the white space it begins with. `None` if
/// there is white space only, of which `strtod` reads nothing.
pub fn as_c_reads(text: &[u8]) -> Option<&[u8]> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let begin = text.iter().position(|byte| !is_space(byte));
    begin.map_or(text.is_empty().then_some(text), |begin| Some(&text[begin..]))
}

/// The number `text` means to Redis where it wants a double, or `None`.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_short_integer(text) {
        return Some(value);
    }
    match FloatText::parse(text)? {
        FloatText::Infinity { negative } => {
            Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        FloatText::Decimal(digits) => {
            // The grammar is a part of what Rust accepts, and Rust rounds correctly as well.
            let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
            (value.is_finite() && (value != 0.0 || digits.is_zero())).then_some(value)
        }
        FloatText::Hexadecimal(digits) => {
            let value = digits.hexadecimal_value().to_f64();
            (value.is_finite() && (value != 0.0 || digits.is_zero()))
                .then_some(if digits.negative { -value } else { value })
        }
    }
}

/// Most scores are small integers, which need no rounding: up to 15 digits, perhaps a minus sign.
fn parse_short_integer(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let magnitude = digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u64::from(digit))
    })?;
    let magnitude = magnitude as f64;
    Some(if negative { -magnitude } else { magnitude })
}

/// The text of `value` as Redis 7.2 and later, and Valkey, print it: the shortest that reads back
/// as the same number. Integers below 2^62 have no exponent; `inf`, `-inf`, `nan` and `-0` are
/// themselves.
pub fn format_f64(value: f64) -> NumberText {
    if let Some(text) = format_special(value) {
        return text;
    }
    if value.abs() <= 4_611_686_018_427_387_904.0 && value.fract() == 0.0 {
        return format_i64(value as i64);
    }
    format_short_fraction(value).unwrap_or_else(|| format_shortest(value))
}

/// The text of a finite `value` that has up to 4 digits behind the point and 15 in all, as amounts of
/// money and most scores do. No other text that reads back as the same number is as short.
#[expect(clippy::float_cmp, reason = "whether the text reads back as the very same number")]
fn format_short_fraction(value: f64) -> Option<NumberText> {
    let magnitude = value.abs();
    for (places, scale) in [(1, 10_u64), (2, 100), (3, 1000), (4, 10_000)] {
        let scaled = (magnitude * scale as f64).round();
        if scaled >= 1e15 {
            return None;
        }
        // Both numbers are exact, so their quotient is what the text reads back as.
        if scaled / scale as f64 == magnitude {
            let scaled = scaled as u64;
            let mut text = NumberText::empty();
            if value < 0.0 {
                text.push(b'-');
            }
            text.push_all(&format_u64(scaled / scale));
            text.push(b'.');
            let fraction = format_u64(scaled % scale);
            text.push_zeros(places - fraction.len());
            text.push_all(&fraction);
            return Some(text);
        }
    }
    None
}

/// As [`format_f64`] for what is finite, and not an integer of less than 2^62.
fn format_shortest(value: f64) -> NumberText {
    let scientific = Scientific::shortest(value);
    let digits = scientific.digits();
    let count = digits.len() as i32;
    // How many places the point stands behind the last digit; negative: in front of it.
    let places = scientific.exponent - (count - 1);
    let mut text = scientific.signed_text();
    if places >= 0 && scientific.exponent.abs() < count + 7 {
        text.push_all(digits);
        text.push_zeros(places as usize);
    } else if places < 0 && (places > -7 || scientific.exponent.abs() < 4) {
        push_with_point(&mut text, digits, count + places);
    } else {
        push_scientific(&mut text, digits, scientific.exponent, 1);
    }
    text
}

/// The text of `value` as Redis 7.0 prints it: C's `%.17g`, but for `inf`, `-inf` and `nan`.
pub fn format_f64_17(value: f64) -> NumberText {
    if let Some(text) = format_special(value) {
        return text;
    }
    let scientific = Scientific::with_17_digits(value);
    let digits = scientific.digits();
    let mut text = scientific.signed_text();
    if (-4..17).contains(&scientific.exponent) {
        let before_point = scientific.exponent + 1;
        if digits.len() as i32 <= before_point {
            text.push_all(digits);
            text.push_zeros(before_point as usize - digits.len());
        } else {
            push_with_point(&mut text, digits, before_point);
        }
    } else {
        push_scientific(&mut text, digits, scientific.exponent, 2);
    }
    text
}

/// The text of `value` with exactly `fraction_digits` (1 to 17) digits behind the point, as
/// `GEODIST` prints distances with 4. The scaled value must be within the range of an `i64`;
/// beyond it the text is that of the nearest value within.
pub fn format_f64_fixed(value: f64, fraction_digits: u32) -> NumberText {
    debug_assert!((1..=17).contains(&fraction_digits));
    let scale = 10_u64.pow(fraction_digits);
    let scaled = (value * scale as f64).round_ties_even() as i64;
    let magnitude = scaled.unsigned_abs();
    let mut text = NumberText::empty();
    if scaled < 0 {
        text.push(b'-');
    }
    text.push_all(&format_u64(magnitude / scale));
    text.push(b'.');
    let fraction = format_u64(magnitude % scale);
    text.push_zeros(fraction_digits as usize - fraction.len());
    text.push_all(&fraction);
    text
}

fn format_special(value: f64) -> Option<NumberText> {
    let special: &[u8] = if value.is_nan() {
        b"nan"
    } else if value == f64::INFINITY {
        b"inf"
    } else if value == f64::NEG_INFINITY {
        b"-inf"
    } else if value == 0.0 {
        if value.is_sign_negative() { b"-0" } else { b"0" }
    } else {
        return None;
    };
    let mut text = NumberText::empty();
    text.push_all(special);
    Some(text)
}

/// `digits` with the point behind the first `before_point` of them, or with zeros between the point
/// and them when that is not positive.
fn push_with_point(text: &mut NumberText, digits: &[u8], before_point: i32) {
    if before_point > 0 {
        let (integer, fraction) = digits.split_at(before_point as usize);
        text.push_all(integer);
        text.push(b'.');
        text.push_all(fraction);
    } else {
        text.push_all(b"0.");
        text.push_zeros(before_point.unsigned_abs() as usize);
        text.push_all(digits);
    }
}

fn push_scientific(
    text: &mut NumberText,
    digits: &[u8],
    exponent: i32,
    exponent_digits_min: usize,
) {
    text.push(digits[0]);
    if digits.len() > 1 {
        text.push(b'.');
        text.push_all(&digits[1..]);
    }
    text.push(b'e');
    text.push(if exponent < 0 { b'-' } else { b'+' });
    let magnitude = format_u64(u64::from(exponent.unsigned_abs()));
    text.push_zeros(exponent_digits_min.saturating_sub(magnitude.len()));
    text.push_all(&magnitude);
}

/// The number `d.ddd * 10 ^ exponent`, its digits without trailing zeros.
struct Scientific {
    negative: bool,
    digits: NumberText,
    exponent: i32,
}

impl Scientific {
    fn shortest(value: f64) -> Self {
        Self::from_rust(value, format_args!("{:e}", value.abs()))
    }

    fn with_17_digits(value: f64) -> Self {
        Self::from_rust(value, format_args!("{:.16e}", value.abs()))
    }

    /// From what Rust prints for the magnitude of a finite `value`: `d.ddde-x`.
    fn from_rust(value: f64, printed: std::fmt::Arguments<'_>) -> Self {
        let mut scientific = NumberText::empty();
        scientific.write_fmt(printed).expect("a double has at most 17 digits here");
        let mut digits = NumberText::empty();
        let mut bytes = scientific.as_bytes();
        let mut zeros = 0;
        while let [byte, rest @ ..] = bytes {
            bytes = rest;
            match byte {
                b'e' => break,
                b'.' => {}
                b'0' => zeros += 1,
                digit => {
                    digits.push_zeros(zeros);
                    digits.push(*digit);
                    zeros = 0;
                }
            }
        }
        let exponent = crate::number::parse_i64(bytes).unwrap_or(0) as i32;
        Self { negative: value.is_sign_negative(), digits, exponent }
    }

    fn digits(&self) -> &[u8] {
        self.digits.as_bytes()
    }

    /// The beginning of the text: the sign.
    fn signed_text(&self) -> NumberText {
        let mut text = NumberText::empty();
        if self.negative {
            text.push(b'-');
        }
        text
    }
}

#[cfg(test)]
mod tests;
