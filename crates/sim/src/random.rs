//! The stream of choices behind a seed.

/// `SplitMix64` (Steele, Lea, Flood 2014): tiny, and good from any seed, 0, 1, 2, ... included.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream that belongs to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..limit`; `limit` is at least 1.
    pub fn below(&mut self, limit: u32) -> u32 {
        // The high half of a 32 by 32 bit product: as even as anybody needs here.
        let scaled = (self.bits() >> 32) * u64::from(limit);
        u32::try_from(scaled >> 32).expect("below the limit, a u32")
    }

    /// A position in `0..len`; `len` is at least 1 and fits 32 bits.
    pub fn position(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).expect("small collections")) as usize
    }

    /// A number in `low..=high`.
    pub fn within(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    /// One of `choices`, which is not empty.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.position(choices.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream_and_limits_hold() {
        let (mut one, mut same, mut other) = (Random::new(7), Random::new(7), Random::new(8));
        assert_eq!(one.bits(), same.bits());
        assert_ne!(one.bits(), other.bits());
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[one.position(5)] += 1;
            assert!((3..=4).contains(&one.within(3, 4)));
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    }
}
