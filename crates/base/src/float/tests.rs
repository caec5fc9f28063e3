#![expect(
    clippy::unreadable_literal,
    clippy::approx_constant,
    reason = "literals look like the texts beside them"
)]

use super::*;

#[test]
fn texts_redis_accepts() {
    for (text, value) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("+5", 5.0),
        ("5.", 5.0),
        (".5", 0.5),
        ("-.5e1", -5.0),
        ("007", 7.0),
        ("3.14", 3.14),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("1e-3", 0.001),
        ("0x1p-1", 0.5),
        ("0XA", 10.0),
        ("-0x.8", -0.5),
        ("0x1.8p+1", 3.0),
        ("0x0p5", 0.0),
        ("0e999999999999999999999", 0.0),
        ("inf", f64::INFINITY),
        ("+Inf", f64::INFINITY),
        ("-INFINITY", f64::NEG_INFINITY),
        ("1.7976931348623157e308", f64::MAX),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("4.9e-324", 5e-324),
        ("0x1p-1074", 5e-324),
        ("0x0.0000000000000cp-1022", 5e-324),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
        ("9007199254740993", 9007199254740992.0),
        ("0x20000000000001", 9007199254740992.0),
        ("0x20000000000003", 9007199254740996.0),
        ("0x200000000000010000000000000000000000001", 2_f64.powi(153) + 2_f64.powi(101)),
    ] {
        let parsed = parse_f64(text.as_bytes()).unwrap_or_else(|| panic!("{text} is refused"));
        assert_eq!(parsed.to_bits(), value.to_bits(), "{text}: {parsed} is not {value}");
    }
}

#[test]
fn texts_redis_refuses() {
    for text in [
        "",
        "+",
        "-",
        ".",
        "-.",
        "e5",
        "1e",
        "1e+",
        "1e5.5",
        " 1",
        "1 ",
        "\t1",
        "1_000",
        "1,5",
        "0x",
        "0x.",
        "0xg",
        "0x1p",
        "0x1p+",
        "1p5",
        "--1",
        "+-1",
        "nan",
        "NaN",
        "-nan",
        "nan(1)",
        "in",
        "infi",
        "infinityx",
        "1e400",
        "-1e400",
        "1e-400",
        "0x1p1024",
        "0x1p-1076",
        "0x1.fffffffffffff8p1023",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "1f",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_f64(b"1\0"), None);
    assert_eq!(parse_f64(b"\xff"), None);
}

/// The layout of Redis 7.2 and Valkey, whose shortest digits these are.
#[test]
fn shortest_texts() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-42.0, "-42"),
        (0.1, "0.1"),
        (3.14, "3.14"),
        (-1234.5678, "-1234.5678"),
        (0.001, "0.001"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (0.00000012, "1.2e-7"),
        (0.0000123456, "1.23456e-5"),
        (1234.56789012, "1234.56789012"),
        (12345.67890123, "1.234567890123e+4"),
        (0.00123456789, "0.00123456789"),
        (0.000123456789, "1.23456789e-4"),
        (1e18, "1000000000000000000"),
        (1e19, "1e+19"),
        (1.5e19, "1.5e+19"),
        (1e20, "1e+20"),
        (1.2345e21, "1.2345e+21"),
        (12345678901234567890.0, "12345678901234567000"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
        (4611686018427387904.0, "4611686018427387904"),
        (123456.789, "123456.789"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
    ] {
        assert_eq!(format_f64(value).as_str(), text);
    }
}

/// Answers of redis-server 7.0.15 to `ZSCORE`.
#[test]
fn seventeen_digit_texts() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.10000000000000001"),
        (3.14, "3.1400000000000001"),
        (100.0, "100"),
        (0.0001, "0.0001"),
        (0.00001, "1.0000000000000001e-05"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (123456789012345680.0, "1.2345678901234568e+17"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "4.9406564584124654e-324"),
        (-1.5, "-1.5"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(format_f64_17(value).as_str(), text);
    }
}

#[test]
fn fixed_texts() {
    for (value, digits, text) in [
        (0.0, 4, "0.0000"),
        (166274.15156960033, 4, "166274.1516"),
        (0.775, 4, "0.7750"),
        (-0.00004, 4, "0.0000"),
        (-12.5, 1, "-12.5"),
        (1.0, 17, "1.00000000000000000"),
    ] {
        assert_eq!(format_f64_fixed(value, digits).as_str(), text);
    }
}

#[test]
fn every_text_reads_back_as_the_same_number() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = f64::from_bits(state ^ state >> 29);
        if value.is_nan() {
            continue;
        }
        for text in [format_f64(value), format_f64_17(value)] {
            assert_eq!(parse_f64(&text).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
    }
}

#[test]
fn the_short_way_to_print_a_fraction_gives_the_same_text() {
    let mut state = 1_u64;
    for _ in 0..200_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let integer = state >> (15 + state % 49);
        let value = integer as f64 / 10_f64.powi((state >> 58) as i32 % 7);
        for value in [value, -value, value * 0.1, value.next_up()] {
            if value.fract() != 0.0
                && let Some(text) = format_short_fraction(value)
            {
                assert_eq!(text.as_str(), format_shortest(value).as_str());
            }
        }
    }
}

#[test]
fn hexadecimal_and_decimal_agree() {
    let mut state = 1_u64;
    for _ in 0..50_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Widths around the 53 bits of a mantissa, so that rounding decides.
        let integer = state >> (state % 12);
        let hexadecimal = format!("{integer:#x}");
        let parsed = parse_f64(hexadecimal.as_bytes()).unwrap();
        assert_eq!(parsed.to_bits(), (integer as f64).to_bits(), "{hexadecimal}");
    }
}
