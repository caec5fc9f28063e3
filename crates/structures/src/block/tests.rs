use super::*;
use crate::exercise;

fn good_bytes(key_len: usize, payload: Payload<'_, Infallible>, ttl: bool) -> usize {
    let deadline = if ttl { Some(Deadline::MAX) } else { None };
    Block::new(&vec![b'k'; key_len], payload, deadline).view().good_bytes()
}

#[test]
fn the_promised_sizes_hold() {
    for ttl in [false, true] {
        assert_eq!(good_bytes(16, Payload::Bytes(&[0; 32]), ttl), 64);
        assert_eq!(good_bytes(16, Payload::Bytes(&[0; 100]), ttl), 128);
        assert_eq!(good_bytes(16, Payload::Integer(1 << 38), ttl), 32);
        assert_eq!(good_bytes(16, Payload::Integer(7), ttl), 32);
        assert_eq!(good_bytes(0, Payload::Bytes(&[]), ttl), 16);
    }
}

#[test]
fn integers_of_every_width_come_back() {
    for key_len in [0, 1, 5, 16] {
        for shift in 0..64 {
            for integer in [1_i64 << shift, -1 << shift, i64::MAX >> shift, i64::MIN >> shift] {
                let key = vec![b'k'; key_len];
                let block = Block::<Infallible>::new(&key, Payload::Integer(integer), None);
                assert!(matches!(block.view().payload(), PayloadRef::Integer(i) if i == integer));
                assert_eq!(block.view().key(), key);
            }
        }
    }
}

#[test]
fn lengths_around_the_field_widths_come_back() {
    for key_len in [0, 1, 254, 255, 256, 257, 65_535, 65_536] {
        for len in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 20] {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; len]);
            let block = Block::<Infallible>::new(&key, Payload::Bytes(&value), Some(Deadline::MAX));
            assert_eq!(block.view().key(), key);
            assert!(matches!(block.view().payload(), PayloadRef::Bytes(bytes) if bytes == value));
            assert_eq!(block.view().deadline(), Some(Deadline::MAX));
        }
    }
}

#[test]
fn replacing_a_value_of_the_same_size_class_stays_in_place() {
    let block = Block::<Infallible>::new(b"0123456789abcdef", Payload::Bytes(&[1; 32]), None);
    let address = block.view().key().as_ptr();
    let block = block.with_payload(Payload::Bytes(&[2; 40]));
    assert_eq!(block.view().key().as_ptr(), address);
    let block = block.with_payload(Payload::Bytes(&[3; 90]));
    assert!(matches!(block.view().payload(), PayloadRef::Bytes([3, ..])));
    assert_eq!(block.view().key(), b"0123456789abcdef");
}

#[test]
fn random_operations_match_the_model() {
    exercise::for_seeds(300, 2_000, exercise::block);
}
