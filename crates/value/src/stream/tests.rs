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

/// A group of two consumers with whom entries of even and odd numbers are pending.
fn group_of(numbers: impl Iterator<Item = u64>) -> Group {
    let mut group = Group::new(StreamId::MAX, None);
    for number in numbers {
        let (consumer, _) = group.add_consumer(&[b'a' + u8::from(number % 2 == 1)], 5);
        let pending = Pending { consumer, delivered_at_ms: 7, deliveries: 1 };
        group.set_pending(StreamId::new(number, 0), pending);
    }
    group
}

#[test]
fn many_entries_go_at_once_and_only_those() {
    let removals: [(u64, u64, usize); 6] =
        [(0, 2000, 1), (500, 700, 1), (100, 1900, 3), (1990, 5000, 1), (1, 2, 1), (3000, 4000, 1)];
    for (from, to, step) in removals {
        for asks_for_order in [false, true] {
            let mut stream = Stream::default();
            for (name, every) in [(b"all".as_slice(), 1), (b"some", 7)] {
                let mut group = group_of((0..2000).step_by(every));
                if asks_for_order {
                    group.delivered_by((0, StreamId::MIN), 9).count();
                }
                stream.add_group(name, group);
            }
            let gone: Vec<_> =
                (from..to).step_by(step).map(|number| StreamId::new(number, 0)).collect();
            let absent = vec![Removed::Absent; gone.len()];
            assert_eq!(stream.remove_entries(&gone, References::Delete), absent);
            stream.check_invariants();
            for (name, every) in [(b"all".as_slice(), 1), (b"some", 7)] {
                let numbers = (0..2000).step_by(every).map(|number| StreamId::new(number, 0));
                let left = numbers.filter(|id| !gone.contains(id));
                let group = stream.group(name).unwrap();
                let pending = group.pending_in(StreamId::MIN..=StreamId::MAX).map(|(id, _)| id);
                assert!(pending.eq(left));
            }
        }
    }
}

#[test]
fn what_many_groups_have_not_acknowledged_stays() {
    let mut stream = Stream::default();
    for number in 0..3000 {
        add(&mut stream, number + 1, &[("f", "v")]);
    }
    for name in 0..500_u64 {
        stream.add_group(&name.to_le_bytes(), group_of((name..3000).step_by(1000)));
    }
    let trim = Trim { keep: Keep::Latest(0), whole_nodes: false, removed_max: 0 };
    let kept = stream.trim(trim, References::Acknowledged);
    // Those whose number is one of a group's, and there is no entry of number 0.
    assert_eq!((kept.count, stream.log().len()), (3000 - 1499, 1499));
    stream.check_invariants();
    assert_eq!(stream.trim(trim, References::Delete).count, 1499);
    assert_eq!(stream.groups().map(|(_, group)| group.pending_len()).sum::<usize>(), 1);
    stream.check_invariants();
}
