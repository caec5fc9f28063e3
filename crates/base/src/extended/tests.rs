use super::*;

fn sum(left: &str, right: &str) -> String {
    let parse = |text: &str| {
        Extended::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is refused"))
    };
    String::from_utf8((parse(left) + parse(right)).to_text()).unwrap()
}

/// Answers of redis-server 7.0.15 on x86-64 to `SET k left` and `INCRBYFLOAT k right`.
#[test]
fn sums_are_those_of_redis() {
    for (left, right, text) in [
        ("10.50", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("0", "3.0e3", "3000"),
        ("0.1", "0.2", "0.3"),
        ("1", "-1", "0"),
        ("-0", "0", "0"),
        ("-0.1", "0.1", "0"),
        ("3", "1.000000000000000005", "4.00000000000000001"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("36893488147419103233", "0", "36893488147419103232"),
        ("1e20", "0.5", "100000000000000000000"),
        ("12345678901234567890", "0.5", "12345678901234567890"),
        ("1.1", "2.2", "3.3"),
        ("0x1p-1", "0x.8", "1"),
        ("1e-17", "0", "0.00000000000000001"),
        ("1e-18", "0", "0"),
        ("-1e-18", "0", "0"),
        ("5e-18", "0", "0"),
        ("5.0000000000000001e-18", "0", "0.00000000000000001"),
        ("1e-4940", "0", "0"),
        (".5", "5.", "5.5"),
    ] {
        assert_eq!(sum(left, right), text, "{left} + {right}");
    }
}

#[test]
fn texts_redis_refuses() {
    for text in [
        "",
        " 1",
        "1 ",
        "1a",
        "nan",
        "-nan",
        "1e4933",
        "-1e5000",
        "1e-4952",
        "1e-99999999999999999999",
        "0x1p16384",
        "0x1p-16447",
        "1e",
        "0x",
        "1.19e4932",
    ] {
        assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Extended::parse(&b"1".repeat(5120)), None);
    assert_eq!(Extended::parse(&[b"0.", &b"1".repeat(5118)[..]].concat()), None);
    assert!(Extended::parse(&[b"0.", &b"1".repeat(5117)[..]].concat()).is_some());
}

#[test]
fn the_range_ends_where_the_format_does() {
    let largest = Extended::parse(b"0x1.fffffffffffffffep16383").unwrap();
    let text = largest.to_text();
    assert_eq!(text.len(), 4933);
    assert!(
        text.starts_with(b"11897314953572317650212638530309702051690633222946242004403237338917")
    );
    assert!(largest.is_finite());
    assert!(!(largest + largest).is_finite());
    // Half a unit of the last place is still rounded down, one bit more is not.
    let half_unit = Extended::parse(b"0x1p16319").unwrap();
    assert!(!(largest + half_unit).is_finite());
    let less = Extended::parse(b"0x1.fffp16318").unwrap();
    assert_eq!(largest + less, largest);
    assert_eq!(Extended::parse(&text), Some(largest));
    let smallest = Extended::parse(b"0x1p-16445").unwrap();
    assert_eq!(Extended::parse(b"3.6e-4951"), Some(smallest));
    assert_eq!(Extended::parse(b"0x1.8p-16446"), Some(smallest));
    assert_eq!(Extended::parse(b"0x1p-16446"), None);
}

#[test]
fn infinities_add_as_they_should() {
    let infinity = Extended::parse(b"inf").unwrap();
    let minus_infinity = Extended::parse(b"-Infinity").unwrap();
    let one = Extended::from_i64(1);
    assert!(!(infinity + one).is_finite());
    assert_eq!((infinity + minus_infinity).to_text(), b"nan");
    assert_eq!((one + minus_infinity).to_text(), b"-inf");
    assert_eq!(Extended::from_f64(f64::NEG_INFINITY), minus_infinity);
    assert!(!Extended::from_f64(f64::NAN).is_finite());
}

#[test]
fn doubles_and_integers_convert_exactly() {
    for (value, text) in [
        (0.1, "0.10000000000000001"),
        (13.361_389_338_970_184, "13.36138933897018433"),
        (-0.0, "0"),
        (-1.5e10, "-15000000000"),
        (5e-324, "0"),
    ] {
        assert_eq!(Extended::from_f64(value).to_text(), text.as_bytes());
    }
    // The exact decimal expansion of a double is the same number.
    for value in [f64::MAX, 2_f64.powi(80), 1.5, -0.375] {
        let exact = format!("{value:.3}");
        assert_eq!(Some(Extended::from_f64(value)), Extended::parse(exact.as_bytes()));
    }
    for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1] {
        assert_eq!(Extended::from_i64(value).to_text(), value.to_string().as_bytes());
        assert_eq!(Some(Extended::from_i64(value)), Extended::parse(value.to_string().as_bytes()));
    }
}

/// Every way to read a decimal must give the same number: the short way, and the exact one by big
/// numbers, which zeros in front of and behind the digits lead to.
#[test]
fn short_and_exact_parsing_agree() {
    let mut state = 7_u64;
    for _ in 0..20_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let digits = (state >> 1).to_string();
        let digits = &digits[..=(state % digits.len() as u64) as usize];
        let exponent = (state >> 32) as i64 % 27 - 13;
        let short = format!("{digits}e{exponent}");
        // The same number with more than 19 significant digits, and a last one that is too small to
        // count but not to be looked at.
        let value = Extended::parse(short.as_bytes()).unwrap();
        let exact = format!("{digits}{}e{}", "0".repeat(30), exponent - 30);
        assert_eq!(Extended::parse(exact.as_bytes()), Some(value), "{short}");
        let digits = FloatText::parse(short.as_bytes());
        let Some(FloatText::Decimal(digits)) = digits else { panic!("{short}") };
        let exponent = digits.exponent;
        let natural = BigNatural::from_digits(digits.iter());
        if exponent < 0 && natural.bits() > 0 {
            let divided = divide_by_ten_to(natural, exponent.unsigned_abs() as usize);
            assert_eq!(Extended::from_unrounded(false, divided), value, "{short}");
        }
    }
}

#[test]
fn numbers_compare_by_value() {
    let ascending =
        ["-inf", "-1e4932", "-2", "-1.5", "-1e-4940", "0", "1e-4940", "1.5", "2", "inf"];
    let numbers: Vec<Extended> =
        ascending.iter().map(|text| Extended::parse(text.as_bytes()).unwrap()).collect();
    for (low, left) in numbers.iter().enumerate() {
        for (high, right) in numbers.iter().enumerate() {
            assert_eq!(right.is_above(*left), high > low, "{} {}", ascending[low], ascending[high]);
            assert_eq!((-*left).is_above(-*right), high > low, "the other way round");
        }
    }
    let zero = Extended::ZERO;
    assert!(!zero.is_above(-zero) && !(-zero).is_above(zero));
    assert!(Extended::MAX.is_finite() && !(Extended::MAX + Extended::MAX).is_finite());
    assert!(Extended::parse(b"inf").unwrap().is_above(Extended::MAX));
}
