//! One field of INFO, one row.

use super::snapshot::Snapshot;
use std::fmt;

/// A field: its name, what it means, and where its value comes from.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) value: fn(&Snapshot) -> Shown,
}

/// Some fields under a heading.
#[derive(Debug)]
pub(super) struct Section {
    /// Its heading, and in any case its name.
    pub(super) title: &'static str,
    /// When it is shown.
    pub(super) shown: When,
    pub(super) content: Content,
}

/// When a section is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// When none is asked for, too.
    ByDefault,
    /// When all are asked for, or this one.
    AllAre,
    /// When this one is asked for.
    Named,
}

/// What stands under a heading.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// One line for each.
    Fields(&'static [Field]),
    /// As many lines as there are things to tell of.
    Lines(fn(&Snapshot, &mut String) -> fmt::Result),
}

/// A row.
pub(super) const fn field(name: &'static str, value: fn(&Snapshot) -> Shown) -> Field {
    Field { name, value }
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    /// Not shown at all: there is nothing it could be about.
    Absent,
    /// A text that never changes.
    Word(&'static str),
    Text(String),
    /// Whole lines, each with a name that begins with the field's.
    Lines(String),
    Count(u64),
    Signed(i64),
    /// With two digits behind the point.
    Ratio(f64),
    /// Of a hundred, with two digits behind the point.
    Percent(f64),
    /// Seconds with six digits behind the point.
    Micros(u64),
    /// Bytes for people: `1.50M`.
    Human(u64),
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Word(word) => formatter.write_str(word),
            Self::Text(text) | Self::Lines(text) => formatter.write_str(text),
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Signed(number) => write!(formatter, "{number}"),
            Self::Ratio(ratio) => write!(formatter, "{ratio:.2}"),
            Self::Percent(percent) => write!(formatter, "{percent:.2}%"),
            Self::Micros(micros) => {
                write!(formatter, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
            }
            Self::Human(bytes) => write_human(formatter, *bytes),
        }
    }
}

fn write_human(formatter: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return write!(formatter, "{bytes}B");
    }
    let mut unit = 0;
    let mut scaled = as_f64(bytes) / 1024.0;
    while scaled >= 1024.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    write!(formatter, "{scaled:.2}{}", UNITS[unit])
}

/// For ratios: beyond 2^53 the last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub(crate) const fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_redis_shows_them() {
        let shown = |bytes| Shown::Human(bytes).to_string();
        assert_eq!(shown(0), "0B");
        assert_eq!(shown(1023), "1023B");
        assert_eq!(shown(1024), "1.00K");
        assert_eq!(shown(941_184), "919.12K");
        assert_eq!(shown(25_276_502_016), "23.54G");
        assert_eq!(Shown::Micros(2_662).to_string(), "0.002662");
        assert_eq!(Shown::Percent(100.186).to_string(), "100.19%");
    }
}
