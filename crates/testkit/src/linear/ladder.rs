//! Pipelines seen from outside: one client writes 1 to all rungs of a ladder of keys, in order, then
//! 2, and so on, in pipelines; the others look.

/// Rungs of the ladder: enough to lie in many shards.
pub const RUNGS: usize = 24;

/// What is wrong with a look at all rungs at one instant (MGET), from the first to the last; `None`
/// if it is what some beginning of the writer's commands leaves behind.
pub fn fault_in_snapshot(rungs: &[i64]) -> Option<&'static str> {
    if rungs.windows(2).any(|pair| pair[0] < pair[1]) {
        return Some("a later rung was written before an earlier one");
    }
    match (rungs.first(), rungs.last()) {
        (Some(first), Some(last)) if first - last > 1 => Some("a rung was left out"),
        _ => None,
    }
}

/// What is wrong with a look at one rung after the other, from the last to the first, each as it was
/// found.
pub fn fault_in_descent(rungs: &[i64]) -> Option<&'static str> {
    rungs
        .windows(2)
        .any(|pair| pair[0] > pair[1])
        .then_some("an earlier rung, read later, had not been written yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_a_pipeline_are_fine_and_nothing_else() {
        for good in [&[0, 0, 0][..], &[1, 0, 0], &[2, 2, 1], &[2, 2, 2], &[]] {
            assert_eq!(fault_in_snapshot(good), None, "{good:?}");
        }
        for bad in [&[0, 1, 0][..], &[1, 1, 2], &[2, 1, 0], &[3, 3, 1]] {
            assert!(fault_in_snapshot(bad).is_some(), "{bad:?}");
        }
        assert_eq!(fault_in_descent(&[1, 1, 2, 5]), None);
        assert!(fault_in_descent(&[1, 2, 1]).is_some());
    }
}
