//! CRC-64 as RDB files and DUMP payloads carry it.
//!
//! The "Jones" polynomial, reflected, starting at 0 and not inverted at the end. Eight bytes at a time with
//! eight tables (Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC
//! Generation", 2008).

/// 0xad93d23594c935a9 with its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[n][b]`: what byte `b` contributes when `n` bytes follow it.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// The checksum of `bytes` behind what `crc` is the checksum of (0 for nothing).
pub fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        crc ^= u64::from_le_bytes(word.try_into().expect("eight bytes"));
        crc = crc
            .to_le_bytes()
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    for byte in words.remainder() {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_that_of_redis() {
        // From Redis's own self-test.
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn parts_add_up_and_words_agree_with_bytes() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = crc64(0, &bytes);
        let bytewise = bytes.iter().fold(0, |crc, byte| crc64(crc, &[*byte]));
        assert_eq!(whole, bytewise);
        for at in [0, 1, 7, 8, 9, 500] {
            let (left, right) = bytes.split_at(at);
            assert_eq!(crc64(crc64(0, left), right), whole, "{at}");
        }
    }
}
