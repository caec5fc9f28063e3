use super::*;
use crate::integer::IntegerText;
use crate::packing::bytes_of;

const LIMITS: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 100 };

fn add(stream: &mut Stream, ms: u64, fields: &[(&str, &str)]) {
    let pairs = fields.iter().map(|(field, value)| (field.as_bytes(), value.as_bytes()));
    stream.log_mut().append(StreamId::new(ms, 0), pairs, LIMITS);
}

#[test]
fn random_operations_match_the_model() {
    for seed in 1..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes: Vec<u8> = (0..600)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[1]
            })
            .collect();
        exercise::stream(&bytes);
    }
}

#[test]
fn an_entry_of_two_small_fields_takes_few_bytes() {
    let mut stream = Stream::default();
    let count = 10_000_u64;
    for number in 0..count {
        let value = format!("value{number}");
        let fields = [("sensor", "1234"), ("temperature", value.as_str())];
        add(&mut stream, 1_700_000_000_000 + number * 3, &fields);
    }
    let bytes_each = stream.heap_bytes() as u64 / count;
    assert!(bytes_each <= 22, "{bytes_each}");
    stream.check_invariants();
}

#[test]
fn texts_come_back_as_they_were() {
    let texts = [
        "",
        "0",
        "-0",
        "00",
        "1",
        "-1",
        "127",
        "128",
        "-128",
        "-129",
        "32767",
        "32768",
        "65535",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "x",
        "1.5",
        " 1",
    ];
    let mut stream = Stream::default();
    let fields: Vec<_> = texts.iter().map(|text| (*text, *text)).collect();
    add(&mut stream, 1, &fields);
    add(&mut stream, 2, &fields);
    let mut number = IntegerText::new();
    for entry in stream.log().entries(StreamId::MIN, StreamId::MAX) {
        for ((field, value), text) in entry.fields().zip(texts) {
            assert_eq!(bytes_of(field, &mut number), text.as_bytes());
            assert_eq!(bytes_of(value, &mut number), text.as_bytes());
        }
        assert_eq!(entry.fields_len(), texts.len());
    }
}

#[test]
fn lag_is_known_as_long_as_nothing_is_missing_in_between() {
    let mut stream = Stream::default();
    for ms in 1..=5 {
        add(&mut stream, ms, &[("f", "v")]);
    }
    stream.add_group(b"g", Group::new(StreamId::MIN, None));
    let lag = |stream: &Stream| stream.log().lag_of(stream.group(b"g").unwrap());
    assert_eq!(lag(&stream), Some(5));
    let read = |stream: &mut Stream, ms| {
        stream.edit_group(b"g", |group, log| {
            let id = StreamId::new(ms, 0);
            group.entries_read = log.entries_read_with(group, id);
            group.last_id = id;
        });
    };
    read(&mut stream, 1);
    assert_eq!(lag(&stream), Some(4));
    stream.log_mut().delete(StreamId::new(3, 0));
    assert_eq!(lag(&stream), None, "one of those to be read is gone");
    read(&mut stream, 4);
    assert_eq!(lag(&stream), None);
    read(&mut stream, 5);
    assert_eq!(lag(&stream), Some(0));
}

#[test]
fn whole_nodes_go_first() {
    let mut stream = Stream::default();
    for ms in 1..=250 {
        add(&mut stream, ms, &[("f", "v")]);
    }
    assert_eq!(stream.log().nodes_len(), 3);
    let trim = |keep, whole_nodes, removed_max| Trim { keep, whole_nodes, removed_max };
    assert_eq!(stream.trim(trim(Keep::Latest(200), true, 0), References::Keep).count, 0);
    assert_eq!(stream.trim(trim(Keep::Latest(100), true, 99), References::Keep).count, 0);
    assert_eq!(stream.trim(trim(Keep::Latest(100), true, 100), References::Keep).count, 100);
    assert_eq!(stream.log().first_id(), StreamId::new(101, 0));
    assert_eq!(stream.trim(trim(Keep::Latest(100), false, 0), References::Keep).count, 50);
    assert_eq!(stream.log().first_id(), StreamId::new(151, 0));
    assert_eq!(
        stream.trim(trim(Keep::From(StreamId::new(201, 0)), true, 0), References::Keep).count,
        50
    );
    assert_eq!(stream.trim(trim(Keep::Latest(0), false, 0), References::Keep).count, 50);
    assert_eq!((stream.log().len(), stream.log().nodes_len()), (0, 0));
    assert_eq!(stream.log().last_id(), StreamId::new(250, 0));
    stream.check_invariants();
}
