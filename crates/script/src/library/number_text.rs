//! Numbers to and from text as C's `printf` and `strtod` do.

/// `number` as `%.{precision}g` writes it; `precision` is at least 1.
pub(crate) fn format_general(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        let text = if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return text.to_owned();
    }
    let scientific = format!("{number:.*e}", precision - 1);
    let (digits, exponent) = scientific.split_once('e').expect("that is its notation");
    let exponent: i32 = exponent.parse().expect("an exponent is short");
    let precision = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= precision {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs());
    }
    let fraction_digits = usize::try_from(precision - 1 - exponent).expect("not negative here");
    let fixed = format!("{number:.fraction_digits$}");
    without_zeros(&fixed).to_owned()
}

/// `text` without zeros at the end of a fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The number at the beginning of `text` as `strtod` reads it, and the bytes it takes: decimal or
/// hexadecimal, infinity or NaN in any case, perhaps after a sign.
pub(crate) fn parse_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let (negative, start) = match text.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let rest = &text[start..];
    let begins =
        |word: &[u8]| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    let (number, len) = if begins(b"infinity") {
        (f64::INFINITY, 8)
    } else if begins(b"inf") {
        (f64::INFINITY, 3)
    } else if begins(b"nan") {
        (f64::NAN, 3)
    } else if begins(b"0x") {
        hexadecimal(&rest[2..]).map_or((0.0, 1), |(number, len)| (number, len + 2))
    } else {
        decimal(rest)?
    };
    Some((if negative { -number } else { number }, start + len))
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(len + 1);
        if whole + fraction > 0 {
            len += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(text.get(len), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let exponent = text.get(len + 1 + signed..).map_or(0, |_| digits(len + 1 + signed));
        if exponent > 0 {
            len += 1 + signed + exponent;
        }
    }
    let number = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((number, len))
}

/// What follows `0x`: digits, perhaps a point among them, perhaps a power of two.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let mut number = 0.0_f64;
    let mut exponent = 0_i32;
    let (mut len, mut digits, mut point) = (0, 0_usize, false);
    while let Some(&byte) = text.get(len) {
        match char::from(byte).to_digit(16) {
            Some(digit) => {
                number = number * 16.0 + f64::from(digit);
                digits += 1;
                if point {
                    exponent = exponent.saturating_sub(4);
                }
            }
            None if byte == b'.' && !point => point = true,
            None => break,
        }
        len += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(len), Some(b'p' | b'P')) {
        let negative = text.get(len + 1) == Some(&b'-');
        let start = len + 1 + usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let power: Vec<u8> = text.get(start..).map_or(Vec::new(), |rest| {
            rest.iter().copied().take_while(u8::is_ascii_digit).collect()
        });
        if !power.is_empty() {
            let value = power.iter().fold(0_i32, |value, digit| {
                value.saturating_mul(10).saturating_add(i32::from(digit - b'0'))
            });
            exponent = exponent.saturating_add(if negative { -value } else { value });
            len = start + power.len();
        }
    }
    Some((number * 2.0_f64.powi(exponent), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_printf() {
        for (number, precision, text) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1.5, 14, "1.5"),
            (100.0, 14, "100"),
            (1e14, 14, "1e+14"),
            (123_456_789_012_345.0, 14, "1.2345678901234e+14"),
            (0.1, 14, "0.1"),
            (1.0 / 3.0, 14, "0.33333333333333"),
            (1.0 / 3.0, 3, "0.333"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (1e100, 14, "1e+100"),
            (99.99, 1, "1e+02"),
            (f64::INFINITY, 14, "inf"),
        ] {
            assert_eq!(format_general(number, precision), text);
        }
    }

    #[test]
    fn numbers_are_read_as_by_strtod() {
        for (text, number, len) in [
            ("1", 1.0, 1),
            ("-1.5e3x", -1500.0, 6),
            ("1e", 1.0, 1),
            ("1.", 1.0, 2),
            (".5", 0.5, 2),
            ("0x1F", 31.0, 4),
            ("0x", 0.0, 1),
            ("0x1p4", 16.0, 5),
            ("0x.8", 0.5, 4),
            ("007", 7.0, 3),
            ("-inf", f64::NEG_INFINITY, 4),
            ("Infinity!", f64::INFINITY, 8),
        ] {
            assert_eq!(parse_prefix(text.as_bytes()), Some((number, len)), "{text}");
        }
        for text in ["", "-", "e5", "."] {
            assert_eq!(parse_prefix(text.as_bytes()), None, "{text}");
        }
    }
}
