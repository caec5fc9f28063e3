#![expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use super::*;

const SPARSE_BYTES_MAX: u32 = 3000;

fn elements(count: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|number| format!("ele:{number}").into_bytes())
}

#[test]
fn the_estimate_is_within_a_few_percent_in_both_forms() {
    let mut sparse = empty();
    let mut dense = empty();
    make_dense(&mut dense).unwrap();
    for (number, element) in elements(100_000).enumerate() {
        let changed = add(&mut sparse, &element, SPARSE_BYTES_MAX).unwrap();
        assert_eq!(add_to_dense(&mut dense, &element), changed);
        if [1, 10, 500, 1_000, 5_000, 20_000, 99_999].contains(&number) {
            let expected = number as f64 + 1.0;
            let estimate = count(&sparse).unwrap();
            assert_eq!(count(&dense), Ok(estimate));
            let error = (estimate as f64 - expected).abs() / expected;
            assert!(error < 0.03, "{estimate} for {expected}");
        }
    }
    assert_eq!(form_of(&sparse), Some(Form::Dense), "grown out of its form");
    assert_eq!(sparse, dense);
}

#[test]
fn sparse_strings_are_those_of_redis() {
    // PFADD hll a b c d e f g, as redis-server 7.0 stores it.
    let mut bytes = empty();
    for element in [b"a", b"b", b"c", b"d", b"e", b"f", b"g"] {
        add(&mut bytes, element, SPARSE_BYTES_MAX).unwrap();
    }
    assert_eq!(count(&bytes), Ok(7));
    let covered: usize = runs(&bytes).map(|run| run.unwrap().len).sum();
    assert_eq!(covered, REGISTERS);
}

#[test]
fn splitting_and_joining_keeps_every_register() {
    let mut bytes = empty();
    let mut model = vec![0_u8; REGISTERS];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = (state >> 33) as usize % 600;
        let value = 1 + (state >> 20) as u8 % 6;
        let changed = raise(&mut bytes, index, value, u32::MAX).unwrap();
        assert_eq!(changed, value > model[index]);
        model[index] = model[index].max(value);
    }
    assert_eq!(registers(&bytes).unwrap().values().as_slice(), model);
    assert_eq!(form_of(&bytes), Some(Form::Sparse));
    let mut dense = bytes.clone();
    assert_eq!(make_dense(&mut dense), Ok(true));
    assert_eq!(make_dense(&mut dense), Ok(false));
    assert_eq!(registers(&dense).unwrap().values().as_slice(), model);
    assert_eq!(count(&dense), count(&bytes));
}

#[test]
fn values_beyond_the_sparse_form_make_it_dense() {
    let mut bytes = empty();
    assert_eq!(raise(&mut bytes, 16_383, 33, SPARSE_BYTES_MAX), Ok(true));
    assert_eq!(form_of(&bytes), Some(Form::Dense));
    assert_eq!(registers(&bytes).unwrap().values()[16_383], 33);
    let mut bytes = empty();
    assert_eq!(raise(&mut bytes, 100, 1, 18), Ok(true), "no room for another run");
    assert_eq!(form_of(&bytes), Some(Form::Dense));
}

#[test]
fn a_union_is_absorbed() {
    let mut left = empty();
    let mut right = empty();
    for (number, element) in elements(400).enumerate() {
        let side = if number < 250 { &mut left } else { &mut right };
        add(side, &element, SPARSE_BYTES_MAX).unwrap();
    }
    let mut union = registers(&left).unwrap();
    union.merge(&right).unwrap();
    let mut all = empty();
    for element in elements(400) {
        add(&mut all, &element, SPARSE_BYTES_MAX).unwrap();
    }
    assert_eq!(Ok(union.count()), count(&all));
    absorb(&mut left, &union, false, SPARSE_BYTES_MAX).unwrap();
    assert_eq!(form_of(&left), Some(Form::Sparse));
    assert_eq!(count(&left), count(&all));
    absorb(&mut right, &union, true, SPARSE_BYTES_MAX).unwrap();
    assert_eq!(form_of(&right), Some(Form::Dense));
    assert_eq!(count(&right), count(&all));
}

#[test]
fn the_cached_count_is_marked_out_of_date() {
    let mut bytes = empty();
    assert_eq!(cached_count(&bytes), Some(0));
    add(&mut bytes, b"x", SPARSE_BYTES_MAX).unwrap();
    assert_eq!(cached_count(&bytes), None);
    cache_count(&mut bytes, 1);
    assert_eq!(cached_count(&bytes), Some(1));
    assert_eq!(add(&mut bytes, b"x", SPARSE_BYTES_MAX), Ok(false));
    assert_eq!(cached_count(&bytes), Some(1));
}

#[test]
fn corrupt_strings_are_refused() {
    assert_eq!(form_of(b"HYLL"), None);
    let mut dense = empty();
    make_dense(&mut dense).unwrap();
    assert_eq!(form_of(&dense[1..]), None);
    dense.push(0);
    assert_eq!(form_of(&dense), None);
    let mut other = empty();
    other[ENCODING_AT] = 2;
    assert_eq!(form_of(&other), None);
    let bodies: [&[u8]; 6] =
        [b"", b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xff\x7f\xff", b"\x80\x80\x80\x80"];
    for body in bodies {
        let mut bytes = empty();
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(body);
        assert_eq!(count(&bytes), Err(Corrupt), "{body:?}");
        assert_eq!(registers(&bytes).err(), Some(Corrupt));
        assert_eq!(make_dense(&mut bytes.clone()), Err(Corrupt));
        // Raising a register may go unnoticed, but never goes past an end.
        for index in [0, 5, REGISTERS - 1] {
            let _ = raise(&mut bytes.clone(), index, 3, SPARSE_BYTES_MAX);
        }
    }
}
