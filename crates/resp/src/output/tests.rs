#![expect(clippy::cast_possible_truncation, reason = "bytes and small numbers at random")]

use super::*;
use crate::{Protocol, ReplyWriter};

/// The `SplitMix64` generator.
struct Random(u64);

impl Random {
    const fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ word >> 31) % bound as u64) as usize
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len_below = [2, 10, 100, 5000, 20_000][self.below(5)];
        let first = self.below(256);
        (0..self.below(len_below)).map(|index| (first + index) as u8).collect()
    }
}

fn gathered(output: &Output, room: usize) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(&[]); room];
    let filled = output.io_slices(&mut slices);
    slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
}

/// Writes one value at random to both.
fn write_value(
    random: &mut Random,
    writer: &mut ReplyWriter<'_>,
    model: &mut Vec<u8>,
    depth: usize,
) {
    match random.below(4) {
        0 | 1 if depth < 4 => {
            let deferred = writer.begin_deferred();
            let len = random.below(4);
            let mut values = Vec::new();
            for _ in 0..len {
                write_value(random, writer, &mut values, depth + 1);
            }
            writer.end_set(deferred, len);
            model.extend_from_slice(format!("~{len}\r\n").as_bytes());
            model.extend_from_slice(&values);
        }
        2 => {
            let data = SharedBytes::from(random.bytes());
            writer.bulk_shared(&data);
            model.extend_from_slice(format!("${}\r\n", data.len()).as_bytes());
            model.extend_from_slice(&data);
            model.extend_from_slice(b"\r\n");
        }
        _ => {
            let bytes = random.bytes();
            writer.encoded(&bytes);
            model.extend_from_slice(&bytes);
        }
    }
}

/// Adds something at random to both.
fn write(random: &mut Random, output: &mut Output, model: &mut Vec<u8>) {
    match random.below(4) {
        0 => {
            let data = SharedBytes::from(random.bytes());
            output.extend_shared(&data);
            model.extend_from_slice(&data);
        }
        1 => {
            let (mut other, mut other_model) = (Output::new(), Vec::new());
            for _ in 0..random.below(4) {
                write(random, &mut other, &mut other_model);
            }
            let sent = random.below(other.len() + 1);
            other.advance(sent);
            output.append(other);
            model.extend_from_slice(&other_model[sent..]);
        }
        _ => write_value(random, &mut ReplyWriter::new(output, Protocol::Resp3), model, 0),
    }
}

#[test]
fn an_output_is_a_queue_of_bytes() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut output = Output::new();
        let mut model = Vec::new();
        for _ in 0..60 {
            write(&mut random, &mut output, &mut model);
            output.check_invariants();
            assert_eq!(output.len(), model.len(), "seed {seed}");
            assert_eq!(output.is_empty(), model.is_empty());
            assert_eq!(output.to_vec(), model, "seed {seed}");
            assert!(model.starts_with(output.first_chunk()));
            assert_eq!(output.first_chunk().is_empty(), model.is_empty());
            assert_eq!(gathered(&output, 1), output.first_chunk());
            let contiguous = output.contiguous().unwrap_or_default();
            assert_eq!(contiguous.is_empty(), model.is_empty() || output.chunks().nth(1).is_some());
            assert!(contiguous.is_empty() || contiguous == model);
            assert!(model.starts_with(&gathered(&output, 3)));
            assert_eq!(gathered(&output, 10_000), model);
            assert!(output.memory_bytes() >= output.len());
            match random.below(8) {
                0 => {
                    output.advance(model.len());
                    model.clear();
                }
                1 => {
                    let taken = output.take();
                    assert_eq!(taken.to_vec(), model);
                    assert!(output.is_empty() && output.memory_bytes() == 0);
                    output = taken;
                }
                2 => {
                    output.clear(1000);
                    model.clear();
                    assert!(output.memory_bytes() <= 2000, "{}", output.memory_bytes());
                }
                _ => {
                    let sent = random.below(model.len() + 1);
                    output.advance(sent);
                    model.drain(..sent);
                }
            }
            output.check_invariants();
        }
    }
}

#[test]
fn shared_buffers_are_not_copied() {
    let data = SharedBytes::from(vec![7; 100_000]);
    let mut output = Output::new();
    output.extend(b"before");
    output.extend_shared(&data);
    output.extend(b"after");
    let chunks: Vec<&[u8]> = output.chunks().collect();
    assert_eq!(chunks.len(), 3);
    assert!(std::ptr::eq(chunks[1], &raw const data[..]));
    assert_eq!(data.holders(), 2);
    output.advance(6 + 50_000);
    assert_eq!(output.first_chunk().len(), 50_000);
    assert_eq!(output.len(), 50_005);
    output.advance(50_000);
    assert_eq!(data.holders(), 1, "let go once it is sent");
    assert_eq!(output.first_chunk(), b"after");
}

#[test]
fn small_shared_buffers_are_copied() {
    let data = SharedBytes::from(vec![7; SHARED_BYTES_MIN - 1]);
    let mut output = Output::new();
    output.extend_shared(&data);
    assert_eq!(data.holders(), 1);
    assert_eq!(output.chunks().count(), 1);
}

#[test]
fn appending_much_does_not_copy_it() {
    let mut large = Output::new();
    large.extend(&vec![1; 100_000]);
    let address = large.first_chunk().as_ptr();
    let mut output = Output::new();
    output.extend(b"x");
    output.append(large);
    output.extend(b"y");
    let chunks: Vec<&[u8]> = output.chunks().collect();
    assert_eq!(chunks[1].as_ptr(), address);
    assert_eq!(output.len(), 100_002);
}

#[test]
fn a_slow_reader_does_not_make_the_vector_grow_for_ever() {
    let mut output = Output::new();
    output.extend(&vec![0; 100_000]);
    for _ in 0..1000 {
        output.extend(&[0; 10_000]);
        output.advance(10_000);
        output.check_invariants();
    }
    assert_eq!(output.len(), 100_000);
    assert!(output.memory_bytes() <= 1_000_000, "{}", output.memory_bytes());
}

#[test]
#[should_panic(expected = "more bytes sent than were there")]
fn more_than_everything_cannot_be_sent() {
    let mut output = Output::new();
    output.extend(b"abc");
    output.advance(4);
}

#[test]
fn a_range_is_shared_unless_that_keeps_much_more_alive() {
    let data: Vec<_> = (0..SHARED_BYTES_MIN * 8).map(|at| (at % 251) as u8).collect();
    let data = SharedBytes::from(data);
    for (range, shared) in [
        (0..data.len(), true),
        (5..SHARED_BYTES_MIN * 3, true),
        (SHARED_BYTES_MIN * 6..data.len(), true),
        (1..SHARED_BYTES_MIN * 2, false),
        (7..90, false),
        (9..9, false),
    ] {
        let mut output = Output::new();
        output.extend(b"<");
        output.extend_shared_range(&data, range.clone());
        output.extend(b">");
        assert_eq!(data.holders() > 1, shared, "{range:?}");
        assert_eq!(output.to_vec(), [b"<", &data[range], b">"].concat());
        output.check_invariants();
    }
}
