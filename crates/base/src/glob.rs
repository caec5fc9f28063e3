//! Glob patterns exactly as Redis matches them (`KEYS`, `SCAN MATCH`, `PSUBSCRIBE`, ACL rules).
//!
//! `*` any run of bytes, `?` any one byte, `[abc]` `[a-z]` `[^abc]` one byte of a class, `\x` the
//! byte `x`. Redis's corner cases are kept, since patterns found in the wild depend on them:
//!
//! * an empty text matches only an empty pattern: not even `*`;
//! * a class left open ends with the pattern (`[ab` is `[ab]`); `[` alone matches nothing and `[^`
//!   any byte; `]` always closes, so `[]` matches nothing and the next `]` is an ordinary byte;
//! * in a range written backwards the ends are exchanged; bytes in a range compare as *signed*
//!   numbers, so `[a-\xff]` is 0xff..=0x61, passing through 0x00 (Redis compares C `char`s, which
//!   are signed on x86);
//! * `[a-]` is a range up to `]`, and the class goes on behind it;
//! * a backslash at the very end of a pattern is an ordinary byte, in a class as well;
//! * when case is ignored, only ASCII letters fold, a range's ends are exchanged *before* they are
//!   folded, and an escaped byte in a class still compares exactly.
//!
//! Only the last `*` seen needs to be remembered: whatever stood before it was matched as early as
//! possible, and matching it later cannot help what follows. So a match takes at most
//! `pattern.len() * text.len()` steps, whatever the pattern, in constant memory. Redis, which
//! recurses, gives up at the 1001st star that is not the last element, and so does this.

/// Stars a match may pass, of those with something behind them.
const STARS_MAX: usize = 1000;

/// Whether letters of different case are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Exact,
    /// ASCII letters match in either case.
    Ignored,
}

/// Whether `pattern` matches all of `text`. O(`pattern.len() * text.len()`), usually linear.
pub fn glob_matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let mut at = 0;
    let mut read = 0;
    // Where to go on after a mismatch: behind the last `*`, one byte later in the text.
    let mut retry: Option<(usize, usize)> = None;
    let mut stars = 0;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((at, read));
            continue;
        }
        if let Some(next) = match_one(pattern, at, text[read], case) {
            at = next;
            read += 1;
            continue;
        }
        let Some((after_star, from)) = retry else { return false };
        at = after_star;
        read = from + 1;
        retry = Some((after_star, read));
    }
    !text.is_empty() && pattern[at..].iter().all(|&byte| byte == b'*') || pattern.is_empty()
}

/// Whether `pattern` is a plain byte string: then the only text it matches is itself, and a look-up
/// may replace a walk.
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Matches `byte` against the pattern element at `at`, which is not `*`. Returns where the next
/// element begins, or `None` for a mismatch.
#[inline]
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<usize> {
    let matched = match *pattern.get(at)? {
        b'?' => true,
        b'[' => return match_class(pattern, at + 1, byte, case),
        b'\\' if at + 1 < pattern.len() => {
            return same(pattern[at + 1], byte, case).then_some(at + 2);
        }
        literal => same(literal, byte, case),
    };
    matched.then_some(at + 1)
}

/// As [`match_one`], for the class whose `[` stands before `at`.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, case: Case) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    let next = loop {
        match pattern[at..] {
            [] => break at,
            [b']', ..] => break at + 1,
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                found |= in_range(low, high, byte, case);
                at += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, case);
                at += 1;
            }
        }
    };
    (found != negated).then_some(next)
}

#[expect(clippy::cast_possible_wrap, reason = "ranges compare as signed bytes, see the page above")]
fn in_range(low: u8, high: u8, byte: u8, case: Case) -> bool {
    let (low, high) = if low as i8 > high as i8 { (high, low) } else { (low, high) };
    let fold = |byte| if case == Case::Ignored { lower(byte) } else { byte };
    (fold(low) as i8..=fold(high) as i8).contains(&(fold(byte) as i8))
}

#[inline]
fn same(left: u8, right: u8, case: Case) -> bool {
    left == right || case == Case::Ignored && lower(left) == lower(right)
}

const fn lower(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(pattern: &str, text: &str) -> bool {
        glob_matches(pattern.as_bytes(), text.as_bytes(), Case::Exact)
    }

    /// Pattern, text, and whether redis-server 7.0.15 matches them; `redis_differential`, an example of
    /// `darter-resp`, asks it about random ones.
    #[test]
    fn corner_cases_agree_with_redis() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("*", "", false),
            ("", "a", false),
            ("*", "a", true),
            ("**", "a", true),
            ("a*", "a", true),
            ("*a", "a", true),
            ("*a*", "a", true),
            ("a?", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\", "a\\", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[", "[", false),
            ("[", "a", false),
            ("[^", "a", true),
            ("[a", "a", true),
            ("[ab", "b", true),
            ("[^a", "b", true),
            ("[]", "]", false),
            ("[]a]", "a", false),
            ("[^]a]", "xa]", true),
            ("[a-]", "a", true),
            ("[a-]", "^", true),
            ("[a-]]", "_", true),
            ("[a-", "-", true),
            ("[\\", "\\", true),
            ("[\\]]", "]", true),
            ("[\\a-c]", "b", false),
            ("[\\a-c]", "-", true),
        ] {
            assert_eq!(exact(pattern, text), matches, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        assert!(glob_matches(b"[a-\xff]", b"\xff", Case::Exact));
        assert!(glob_matches(b"[a-\xff]", b"\x00", Case::Exact));
        assert!(!glob_matches(b"[a-\xff]", b"z", Case::Exact));
        assert!(glob_matches(b"[\x80-\xff]", b"\xc0", Case::Exact));
    }

    #[test]
    fn ignoring_case_folds_letters_only() {
        let ignored = |pattern: &[u8], text: &[u8]| glob_matches(pattern, text, Case::Ignored);
        assert!(ignored(b"HELLO*", b"hello world"));
        assert!(ignored(b"[A-Z]", b"q"));
        assert!(ignored(b"[abc]", b"B"));
        assert!(!ignored(b"[\\a]", b"A"));
        assert!(!ignored(b"@", b"`"));
        // 'Z' < 'a' stays in this order and folds to the empty range z..=a.
        assert!(!ignored(b"[Z-a]", b"z"));
        assert!(!ignored("É".as_bytes(), "é".as_bytes()));
    }

    #[test]
    fn abusive_patterns_are_not_exponential() {
        let mut pattern = b"a*".repeat(60);
        pattern.push(b'b');
        assert!(!glob_matches(&pattern, &b"a".repeat(100), Case::Exact));
        let pattern = b"*?".repeat(STARS_MAX);
        assert!(glob_matches(&pattern, &b"x".repeat(100_000), Case::Exact));
        assert!(!glob_matches(&pattern, &b"x".repeat(STARS_MAX - 1), Case::Exact));
        let pattern = b"*[^".repeat(10_000);
        glob_matches(&pattern, &b"x".repeat(1000), Case::Exact);
    }

    #[test]
    fn literals_are_recognised() {
        assert!(is_literal(b"user:1000"));
        assert!(is_literal(b"a]b^c-d"));
        for pattern in [&b"a*"[..], b"a?", b"[a]", b"a\\*"] {
            assert!(!is_literal(pattern));
        }
    }

    #[test]
    fn very_many_stars_match_nothing() {
        // Both answers are redis-server 7.0.15's.
        let text = "a".repeat(3000);
        assert!(exact(&"*?".repeat(1000), &text));
        assert!(exact(&("*?".repeat(1000) + "*"), &text));
        assert!(!exact(&"*?".repeat(1001), &text));
    }
}
