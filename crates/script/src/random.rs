//! The numbers of `math.random`: `lrand48` of POSIX, whose sequence Redis's scripts see on every machine.

/// A generator with 48 bits of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Random {
    state: u64,
}

const BITS_48: u64 = (1 << 48) - 1;

impl Random {
    /// As `srand48(seed)`.
    pub(crate) const fn new(seed: i32) -> Self {
        Self { state: ((seed.cast_unsigned() as u64) << 16) | 0x330e }
    }

    /// The next number in `0.0..1.0`.
    pub(crate) fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & BITS_48;
        let bits = i32::try_from(self.state >> 17).expect("31 bits");
        f64::from(bits % i32::MAX) / f64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_redis() {
        let mut random = Random::new(0);
        assert_eq!(format!("{:.14}", random.next()), "0.17082803611217");
        let mut again = Random::new(0);
        again.next();
        assert_eq!(random, again);
    }
}
