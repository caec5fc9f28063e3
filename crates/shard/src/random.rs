//! Random numbers for commands that choose (RANDOMKEY, SPOP, HRANDFIELD ...).

/// A sequence of random numbers: `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014). One addition and a mix per number, equally distributed over 64 bits,
/// and the same again for the same seed, so that a test or a simulation can be repeated.
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, each about as likely as any other; 0 if there is none.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the result is below `end`")]
    pub const fn below(&mut self, end: usize) -> usize {
        // The high half of the product: no division, and a bias below 2^-64 of `end`.
        let product = self.next() as u128 * end as u128;
        (product >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64() {
        // The reference implementation's first numbers for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_eq!(random.next(), 9_817_491_932_198_370_423);
    }
}
