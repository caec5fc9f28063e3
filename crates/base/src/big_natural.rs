//! Natural numbers of any size, just enough of them to round and print 80-bit floats exactly.

#![expect(clippy::cast_possible_truncation, reason = "words are cut off wider words on purpose")]

use std::cmp::Ordering;

/// A natural number. Words are 64 bits, the lowest first; the highest is not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BigNatural {
    words: Vec<u64>,
}

impl BigNatural {
    /// Largest power of ten in a word, and its exponent.
    const TEN_POWER: u64 = 10_000_000_000_000_000_000;
    const TEN_EXPONENT: usize = 19;

    pub(crate) fn from_u64(value: u64) -> Self {
        Self { words: if value == 0 { Vec::new() } else { vec![value] } }
    }

    /// The number with these ASCII decimal digits.
    pub(crate) fn from_digits<'a>(digits: impl Iterator<Item = &'a u8>) -> Self {
        let mut number = Self::from_u64(0);
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            scale *= 10;
            if scale == Self::TEN_POWER {
                number.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        number.multiply_add(scale, chunk);
        number
    }

    /// Multiplies by ten to the power of `exponent`.
    pub(crate) fn multiply_by_ten_to(&mut self, exponent: usize) {
        for _ in 0..exponent / Self::TEN_EXPONENT {
            self.multiply_add(Self::TEN_POWER, 0);
        }
        let rest = (exponent % Self::TEN_EXPONENT) as u32;
        self.multiply_add(10_u64.pow(rest), 0);
    }

    pub(crate) fn bits(&self) -> usize {
        match self.words.last() {
            Some(word) => self.words.len() * 64 - word.leading_zeros() as usize,
            None => 0,
        }
    }

    pub(crate) fn shift_left(&mut self, bits: usize) {
        let within = bits % 64;
        if within > 0 {
            let mut carry = 0;
            for word in &mut self.words {
                let shifted_out = *word >> (64 - within);
                *word = *word << within | carry;
                carry = shifted_out;
            }
            if carry > 0 {
                self.words.push(carry);
            }
        }
        if !self.words.is_empty() {
            self.words.splice(..0, std::iter::repeat_n(0, bits / 64));
        }
    }

    /// The highest 128 bits as a number, how many bits were left off below, and whether any of
    /// those was 1.
    pub(crate) fn top_bits(&self) -> (u128, usize, bool) {
        let dropped = self.bits().saturating_sub(128);
        let bit_range = |from: usize| {
            let word = |index: usize| u128::from(self.words.get(index).copied().unwrap_or(0));
            let (index, within) = (from / 64, from % 64);
            let low = word(index) | word(index + 1) << 64;
            if within == 0 { low } else { low >> within | word(index + 2) << (128 - within) }
        };
        let whole_words = dropped / 64;
        let within = dropped % 64;
        let sticky = self.words[..whole_words].iter().any(|&word| word != 0)
            || within > 0 && self.words[whole_words] << (64 - within) != 0;
        (bit_range(dropped), dropped, sticky)
    }

    /// Subtracts `other` if it is not larger, and says whether it did.
    pub(crate) fn subtract_if_possible(&mut self, other: &Self) -> bool {
        if self.compare(other) == Ordering::Less {
            return false;
        }
        let mut borrow = false;
        for (index, word) in self.words.iter_mut().enumerate() {
            let subtrahend = other.words.get(index).copied().unwrap_or(0);
            (*word, borrow) = word.borrowing_sub(subtrahend, borrow);
        }
        debug_assert!(!borrow);
        self.trim();
        true
    }

    /// Appends the decimal digits to `text`; for 0, the digit 0.
    pub(crate) fn append_digits(mut self, text: &mut Vec<u8>) {
        let mut chunks = Vec::new();
        while !self.words.is_empty() {
            chunks.push(self.divide_small(Self::TEN_POWER));
        }
        let mut chunks = chunks.into_iter().rev();
        let first = chunks.next().unwrap_or(0);
        text.extend_from_slice(&crate::number::format_u64(first));
        for chunk in chunks {
            let digits = crate::number::format_u64(chunk);
            text.extend(std::iter::repeat_n(b'0', Self::TEN_EXPONENT - digits.len()));
            text.extend_from_slice(&digits);
        }
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for word in &mut self.words {
            (*word, carry) = word.carrying_mul(factor, carry);
        }
        if carry > 0 {
            self.words.push(carry);
        }
    }

    /// Divides by `divisor` and returns the remainder.
    fn divide_small(&mut self, divisor: u64) -> u64 {
        let divisor = u128::from(divisor);
        let mut remainder = 0;
        for word in self.words.iter_mut().rev() {
            let dividend = remainder << 64 | u128::from(*word);
            *word = (dividend / divisor) as u64;
            remainder = dividend % divisor;
        }
        self.trim();
        remainder as u64
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.words
            .len()
            .cmp(&other.words.len())
            .then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str) -> BigNatural {
        BigNatural::from_digits(digits.as_bytes().iter())
    }

    fn text(number: BigNatural) -> String {
        let mut digits = Vec::new();
        number.append_digits(&mut digits);
        String::from_utf8(digits).unwrap()
    }

    #[test]
    fn digits_come_back() {
        for digits in
            ["0", "1", "9999999999999999999", "10000000000000000000", "18446744073709551616"]
        {
            assert_eq!(text(number(digits)), digits);
        }
        let long = "1234567890".repeat(50);
        assert_eq!(text(number(&long)), long);
        assert_eq!(text(number("000")), "0");
    }

    #[test]
    fn powers_shifts_and_differences() {
        let mut ten_to_fifty = number("1");
        ten_to_fifty.multiply_by_ten_to(50);
        assert_eq!(text(ten_to_fifty.clone()), format!("1{}", "0".repeat(50)));
        let mut two_to_200 = number("1");
        two_to_200.shift_left(200);
        assert_eq!(two_to_200.bits(), 201);
        assert_eq!(
            text(two_to_200.clone()),
            "1606938044258990275541962092341162602522202993782792835301376"
        );
        assert!(two_to_200.subtract_if_possible(&ten_to_fifty));
        assert_eq!(
            text(two_to_200.clone()),
            "1606938044158990275541962092341162602522202993782792835301376"
        );
        assert!(!ten_to_fifty.subtract_if_possible(&two_to_200));
    }

    #[test]
    fn top_bits_say_what_they_drop() {
        assert_eq!(number("5").top_bits(), (5, 0, false));
        let mut wide = number("3");
        wide.shift_left(200);
        assert_eq!(wide.top_bits(), (3 << 126, 74, false));
        let mut odd = wide.clone();
        odd.multiply_add(1, 1);
        assert_eq!(odd.top_bits(), (3 << 126, 74, true));
    }
}
