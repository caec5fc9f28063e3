//! The kinds of values a parameter takes: from text to value, within bounds, and back.
//!
//! The texts of refusals are Redis 7.0's (`numericConfigSet` and its like), since the Tcl suites
//! match on them.

use crate::config::memory_limit;
use darter_base::memory_size::{MemorySize, parse_memory_bytes, parse_memory_size};
use darter_base::number::parse_i64;

/// A parameter's value. What its number means is for the [`Kind`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `yes` or `no`.
    Flag(bool),
    /// A whole number: wide enough for every bound of any parameter.
    Number(i128),
    /// The position of a word among the kind's choices.
    Choice(usize),
    /// Anything else, in the one form that `CONFIG GET` shows.
    Bytes(Vec<u8>),
}

/// Brings the words of a value into the one form that is kept, or says what is wrong with them.
/// The second argument is the value in force, for parameters that are set in parts.
pub type Canonical = fn(&[&[u8]], Option<&[u8]>) -> Result<Vec<u8>, String>;

/// Which values a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Flag,
    /// A whole number, both bounds included.
    Number { min: i128, max: i128 },
    /// A whole number up to `max`, of which only `low` to `high` is kept: a hint.
    Clamped { max: i128, low: i128, high: i128 },
    /// Bytes, with an optional unit (`64mb`).
    Memory { min: i128, max: i128 },
    /// Bytes, with an optional unit, or a share of the memory of the machine or the container as a
    /// percentage, which becomes bytes; `auto` is what suits the container.
    MachineMemory,
    /// Bytes, or a share of the memory limit as a percentage up to this one, kept negative.
    MemoryOrPercent { percent_max: i128 },
    /// A whole number in base 8.
    Octal { max: i128 },
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Any one text the function has nothing against.
    Text(fn(&[u8]) -> Result<(), &'static str>),
    /// One text that is brought into another form.
    Formed(Canonical),
    /// Several words, given together or one by one.
    Words(Canonical),
}

impl Kind {
    /// Reads a value as `CONFIG SET` sends it: one text, of which [`Kind::Words`] makes words.
    pub fn parse(self, text: &[u8], present: Option<&[u8]>) -> Result<Value, String> {
        if let Self::Words(canonical) = self {
            let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
            return canonical(&words, present).map(Value::Bytes);
        }
        self.parse_one(text, present)
    }

    /// Reads a value as a configuration file and the command line give it: already in words.
    pub fn parse_words(self, words: &[&[u8]], present: Option<&[u8]>) -> Result<Value, String> {
        match (self, words) {
            (Self::Words(canonical), words) => canonical(words, present).map(Value::Bytes),
            (_, [only]) => self.parse_one(only, present),
            _ => Err("wrong number of arguments".to_owned()),
        }
    }

    fn parse_one(self, text: &[u8], present: Option<&[u8]>) -> Result<Value, String> {
        match self {
            Self::Flag => parse_flag(text).map(Value::Flag),
            Self::Number { min, max } => {
                let number = parse_i64(text)
                    .map(i128::from)
                    .or_else(|| darter_base::number::parse_u64(text).map(i128::from))
                    .ok_or("argument couldn't be parsed into an integer")?;
                within(number, min, max)
            }
            Self::Clamped { max, low, high } => {
                match (Self::Number { min: 0, max }).parse_one(text, present)? {
                    Value::Number(number) => Ok(Value::Number(number.clamp(low, high))),
                    other => Ok(other),
                }
            }
            Self::Memory { min, max } => {
                let signed = || parse_i64(text).filter(|_| min < 0).map(i128::from);
                // Nothing at all is 0, as it is for Redis.
                let bytes = if text.is_empty() { Some(0) } else { parse_memory_bytes(text) };
                let bytes = bytes.map(i128::from).or_else(signed);
                within(bytes.ok_or("argument must be a memory value")?, min, max)
            }
            Self::MachineMemory => parse_share_of_machine(text),
            Self::MemoryOrPercent { percent_max } => parse_share(text, percent_max),
            Self::Octal { max } => {
                let number = std::str::from_utf8(text)
                    .ok()
                    .and_then(|text| i64::from_str_radix(text, 8).ok())
                    .ok_or("argument couldn't be parsed as an octal number")?;
                if !(0..=max).contains(&i128::from(number)) {
                    return Err(format!("argument must be between 0 and {max:o} inclusive"));
                }
                Ok(Value::Number(number.into()))
            }
            Self::Choice(choices) => choices
                .iter()
                .position(|choice| choice.as_bytes().eq_ignore_ascii_case(text))
                .map(Value::Choice)
                .ok_or_else(|| none_of(choices)),
            Self::Text(check) => {
                check(text)?;
                Ok(Value::Bytes(text.to_vec()))
            }
            Self::Formed(canonical) | Self::Words(canonical) => {
                canonical(&[text], present).map(Value::Bytes)
            }
        }
    }

    /// The text `CONFIG GET` shows.
    pub fn format(self, value: &Value) -> Vec<u8> {
        match (self, value) {
            (Self::Octal { .. }, Value::Number(number)) => format!("{number:o}").into_bytes(),
            (Self::MemoryOrPercent { .. }, Value::Number(number)) if *number < 0 => {
                format!("{}%", -number).into_bytes()
            }
            (Self::Choice(choices), Value::Choice(choice)) => choices[*choice].as_bytes().to_vec(),
            (_, Value::Flag(flag)) => if *flag { "yes" } else { "no" }.as_bytes().to_vec(),
            (_, Value::Number(number)) => number.to_string().into_bytes(),
            (_, Value::Bytes(bytes)) => bytes.clone(),
            (_, Value::Choice(_)) => unreachable!("only a choice makes a choice"),
        }
    }

    /// The values in words, for documentation.
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "yes or no".to_owned(),
            // Bounds that only say how wide the number is kept in Redis tell a reader nothing.
            Self::Number { min, max } if max < i128::from(i32::MAX) => format!("{min} to {max}"),
            Self::Number { min, .. } if min > i128::from(i32::MIN) => format!("{min} or more"),
            Self::Number { .. } => "a whole number".to_owned(),
            Self::Clamped { low, high, .. } => format!("{low} to {high}"),
            Self::Memory { .. } => "bytes, or with a unit such as 64mb".to_owned(),
            Self::MachineMemory => {
                "bytes, with a unit such as 64mb, a percentage, or auto".to_owned()
            }
            Self::MemoryOrPercent { percent_max } => {
                format!("bytes, or a percentage up to {percent_max}%")
            }
            Self::Octal { max } => format!("0 to {max:o}, octal"),
            Self::Choice(choices) => choices.join(", "),
            Self::Text(_) | Self::Formed(_) => "text".to_owned(),
            Self::Words(_) => "words".to_owned(),
        }
    }
}

/// Typed access for the functions that set a field of the settings. The row's kind decides which of
/// them applies, and its bounds make sure that the number fits.
impl Value {
    /// Whether it is `yes`.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Flag(true))
    }

    /// The number, as any type its bounds fit into.
    ///
    /// # Panics
    /// When it is no number or the row's bounds are wider than the type.
    pub fn number<N: TryFrom<i128>>(&self) -> N {
        let Self::Number(number) = self else { panic!("the row's kind is a number") };
        N::try_from(*number).ok().expect("the row's bounds fit the field's type")
    }

    /// The position among the kind's choices.
    ///
    /// # Panics
    /// When it is no choice.
    pub fn choice(&self) -> usize {
        let Self::Choice(choice) = self else { panic!("the row's kind is a choice") };
        *choice
    }

    /// The bytes of a text or of words.
    ///
    /// # Panics
    /// When it is neither.
    pub fn bytes(&self) -> &[u8] {
        let Self::Bytes(bytes) = self else { panic!("the row's kind is text") };
        bytes
    }
}

fn parse_flag(text: &[u8]) -> Result<bool, String> {
    match text {
        _ if text.eq_ignore_ascii_case(b"yes") => Ok(true),
        _ if text.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

fn parse_share(text: &[u8], percent_max: i128) -> Result<Value, String> {
    if let Some(bytes) = parse_memory_bytes(text) {
        return Ok(Value::Number(bytes.into()));
    }
    let percent = text
        .strip_suffix(b"%")
        .and_then(parse_i64)
        .filter(|percent| *percent >= 0)
        .ok_or("argument must be a memory or percent value")?;
    if i128::from(percent) > percent_max {
        return Err(format!("percentage argument must be less or equal to {percent_max}"));
    }
    Ok(Value::Number(-i128::from(percent)))
}

/// What a share of the memory may be: more than all makes no sense.
const PERCENT_MAX: u64 = 100;

fn parse_share_of_machine(text: &[u8]) -> Result<Value, String> {
    if text.eq_ignore_ascii_case(b"auto") {
        return Ok(Value::Number(memory_limit::maxmemory().into()));
    }
    if text.last() != Some(&b'%') {
        return (Kind::Memory { min: 0, max: u64::MAX.into() }).parse_one(text, None);
    }
    let Some(MemorySize::Percent(percent)) = parse_memory_size(text) else {
        return Err("argument must be a memory or percent value".to_owned());
    };
    if percent > PERCENT_MAX {
        return Err(format!("percentage argument must be less or equal to {PERCENT_MAX}"));
    }
    let memory = memory_limit::read().ok_or("the memory of this machine is not known")?;
    Ok(Value::Number(i128::from(memory.bytes) * i128::from(percent) / i128::from(PERCENT_MAX)))
}

fn within(number: i128, min: i128, max: i128) -> Result<Value, String> {
    if (min..=max).contains(&number) {
        Ok(Value::Number(number))
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

/// The refusal of a word that is none of `choices`.
pub(crate) fn none_of(choices: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", choices.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, text: &str) -> Result<String, String> {
        let value = kind.parse(text.as_bytes(), None)?;
        Ok(String::from_utf8(kind.format(&value)).unwrap())
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let kind = Kind::Number { min: -1, max: 100 };
        assert_eq!(shown(kind, "-1"), Ok("-1".into()));
        assert_eq!(shown(kind, "101"), Err("argument must be between -1 and 100 inclusive".into()));
        for text in ["", "1.5", "x", " 1", "1mb"] {
            assert_eq!(
                shown(kind, text),
                Err("argument couldn't be parsed into an integer".into()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn memory_takes_units_and_shows_bytes() {
        let kind = Kind::Memory { min: 0, max: u64::MAX.into() };
        assert_eq!(shown(kind, "10mb"), Ok("10485760".into()));
        assert_eq!(shown(kind, "10M"), Ok("10000000".into()));
        assert_eq!(shown(kind, "18446744073709551615"), Ok("18446744073709551615".into()));
        assert_eq!(shown(kind, ""), Ok("0".into()));
        assert_eq!(shown(kind, "-1"), Err("argument must be a memory value".into()));
        assert_eq!(shown(kind, "1tb"), Err("argument must be a memory value".into()));
        assert_eq!(shown(Kind::Memory { min: -1, max: 10 }, "-1"), Ok("-1".into()));
    }

    #[test]
    fn a_share_of_memory_is_a_percentage() {
        let kind = Kind::MemoryOrPercent { percent_max: 100 };
        assert_eq!(shown(kind, "5%"), Ok("5%".into()));
        assert_eq!(shown(kind, "1kb"), Ok("1024".into()));
        assert_eq!(
            shown(kind, "101%"),
            Err("percentage argument must be less or equal to 100".into())
        );
        assert_eq!(shown(kind, "x%"), Err("argument must be a memory or percent value".into()));
    }

    #[test]
    fn a_share_of_the_machine_becomes_bytes() {
        let kind = Kind::MachineMemory;
        assert_eq!(shown(kind, "100mb"), Ok("104857600".into()));
        assert_eq!(shown(kind, "0%"), Ok("0".into()));
        let half: u64 = shown(kind, "50%").unwrap().parse().unwrap();
        assert_eq!(half, memory_limit::read().unwrap().bytes / 2);
        assert!(shown(kind, "101%").is_err() && shown(kind, "x%").is_err());
        assert_eq!(shown(kind, "auto"), Ok(memory_limit::maxmemory().to_string()));
    }

    #[test]
    fn a_hint_is_kept_within_what_makes_sense() {
        let kind = Kind::Clamped { max: 1000, low: 1, high: 500 };
        assert_eq!(shown(kind, "0"), Ok("1".into()));
        assert_eq!(shown(kind, "600"), Ok("500".into()));
        assert_eq!(
            shown(kind, "1001"),
            Err("argument must be between 0 and 1000 inclusive".into())
        );
    }

    #[test]
    fn modes_are_octal() {
        let kind = Kind::Octal { max: 0o777 };
        assert_eq!(shown(kind, "700"), Ok("700".into()));
        assert_eq!(shown(kind, "1000"), Err("argument must be between 0 and 777 inclusive".into()));
        assert_eq!(shown(kind, "8"), Err("argument couldn't be parsed as an octal number".into()));
    }

    #[test]
    fn choices_are_found_in_any_case() {
        let kind = Kind::Choice(&["no", "yes", "local"]);
        assert_eq!(shown(kind, "LOCAL"), Ok("local".into()));
        assert_eq!(
            shown(kind, "maybe"),
            Err("argument(s) must be one of the following: no, yes, local".into())
        );
    }
}
