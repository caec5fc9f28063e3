//! One parameter, one row.

use crate::config::settings::Settings;
use crate::config::value::{Canonical, Kind, Value};

/// When a parameter can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At any time.
    AtRunTime,
    /// At run time only when `enable-protected-configs` allows it.
    Protected,
    /// Only by the command line, the environment or the configuration file.
    AtStart,
    /// The same, but `CONFIG SET` of the value it has is not refused: tools and test suites that set
    /// every parameter they find know which of their own server's cannot be set, not which of
    /// Darter's, or of Redis's and Valkey's if the other one has it only.
    Fixed,
}

/// How CONFIG REWRITE writes a parameter. A line that the file has is replaced where it stands.
#[derive(Clone, Copy, Debug)]
pub enum Rewrite {
    /// The line; a new one only for a value that is not the default.
    Line,
    /// The line, whatever the value.
    Always,
    /// The line, unless the value is the default: then it is taken out of the file.
    UnlessDefault,
    /// Several lines, made of the value by this function, each compared with that of the default.
    Lines(fn(&[u8]) -> Vec<String>),
}

/// What setting a parameter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// What its summary says.
    Effective,
    /// Nothing: it is kept and shown.
    Accepted,
    /// Any value but the default is refused, for this reason.
    Refused(&'static str),
}

/// A parameter of the configuration.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "properties that have nothing to do with each other"
)]
pub struct Parameter {
    /// In lower case.
    pub name: &'static str,
    /// Other names of the same parameter, older ones mostly.
    pub aliases: &'static [&'static str],
    /// The values it takes.
    pub kind: Kind,
    /// The value it has unless told otherwise, as text.
    pub default: &'static str,
    /// What its numbers count; empty when that is plain.
    pub unit: &'static str,
    /// When it can be set.
    pub change: Change,
    /// Found by its exact name only, never by a pattern.
    pub hidden: bool,
    /// Never logged.
    pub secret: bool,
    /// Cannot be set while data are being loaded.
    pub waits_for_data: bool,
    /// Several lines of a configuration file add up instead of replacing each other.
    pub collects: bool,
    /// How CONFIG REWRITE writes it.
    pub rewrite: Rewrite,
    /// Why any value but the default is refused; `None`: none is.
    pub refused: Option<&'static str>,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Sets its field of the settings; `None`: accepted without effect.
    pub sets: Option<fn(&mut Settings, &Value)>,
}

impl Parameter {
    const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            default,
            unit: "",
            change: Change::AtRunTime,
            hidden: false,
            secret: false,
            waits_for_data: false,
            collects: false,
            rewrite: Rewrite::Line,
            refused: None,
            summary,
            sets: None,
        }
    }

    /// Also known by these names.
    #[must_use]
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Counts this.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Cannot be set while the server runs.
    #[must_use]
    pub const fn at_start(mut self) -> Self {
        self.change = Change::AtStart;
        self
    }

    /// Cannot be set while the server runs, but to what it is.
    #[must_use]
    pub const fn fixed(mut self) -> Self {
        self.change = Change::Fixed;
        self
    }

    /// Can be set while the server runs only when that is allowed.
    #[must_use]
    pub const fn protected(mut self) -> Self {
        self.change = Change::Protected;
        self
    }

    /// Not found by patterns.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Not to be logged.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Cannot be set while data are being loaded.
    #[must_use]
    pub const fn waits_for_data(mut self) -> Self {
        self.waits_for_data = true;
        self
    }

    /// Several lines add up.
    #[must_use]
    pub const fn collects(mut self) -> Self {
        self.collects = true;
        self
    }

    /// Written by CONFIG REWRITE in another way.
    #[must_use]
    pub const fn rewrite(mut self, rewrite: Rewrite) -> Self {
        self.rewrite = rewrite;
        self
    }

    /// Refuses any value but the default.
    #[must_use]
    pub const fn refused(mut self, reason: &'static str) -> Self {
        self.refused = Some(reason);
        self
    }

    /// Sets a field of the settings.
    #[must_use]
    pub const fn sets(mut self, set: fn(&mut Settings, &Value)) -> Self {
        self.sets = Some(set);
        self
    }

    /// Its name and every alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// What setting it does.
    pub fn support(&self) -> Support {
        match (self.refused, self.sets) {
            (Some(reason), _) => Support::Refused(reason),
            (None, Some(_)) => Support::Effective,
            (None, None) => Support::Accepted,
        }
    }

    /// The default as a value.
    ///
    /// # Panics
    /// When the default is none of the values; a test walks all rows.
    pub fn default_value(&self) -> Value {
        self.kind
            .parse(self.default.as_bytes(), None)
            .expect("a row's default is one of its values")
    }
}

/// The largest `int` of C: the bound of most of Redis's numbers.
pub(super) const INT: i128 = i32::MAX as i128;

/// The largest `long` of C.
pub(super) const LONG: i128 = i64::MAX as i128;

/// `yes` or `no`.
pub(super) const fn flag(
    name: &'static str,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Flag, default, summary)
}

/// A whole number.
pub(super) const fn number(
    name: &'static str,
    min: i128,
    max: i128,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Number { min, max }, default, summary)
}

/// Bytes, with an optional unit.
pub(super) const fn memory(
    name: &'static str,
    min: i128,
    max: i128,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Memory { min, max }, default, summary)
}

/// One of several words.
pub(super) const fn choice(
    name: &'static str,
    choices: &'static [&'static str],
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Choice(choices), default, summary)
}

/// Any text.
pub(super) const fn text(
    name: &'static str,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    #[expect(clippy::unnecessary_wraps, reason = "a check that never refuses")]
    const fn anything(_: &[u8]) -> Result<(), &'static str> {
        Ok(())
    }
    Parameter::new(name, Kind::Text(anything), default, summary).rewrite(rewrite_of_text(default))
}

/// A text that is empty by default stands for nothing: Redis leaves its line out then.
const fn rewrite_of_text(default: &str) -> Rewrite {
    if default.is_empty() { Rewrite::UnlessDefault } else { Rewrite::Line }
}

/// A text that must pass a check.
pub(super) const fn checked(
    name: &'static str,
    check: fn(&[u8]) -> Result<(), &'static str>,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Text(check), default, summary).rewrite(rewrite_of_text(default))
}

/// A text that is brought into another form.
pub(super) const fn formed(
    name: &'static str,
    canonical: Canonical,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Formed(canonical), default, summary)
}

/// Several words with a form of their own.
pub(super) const fn words(
    name: &'static str,
    canonical: Canonical,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, Kind::Words(canonical), default, summary)
}

/// Another kind.
pub(super) const fn of_kind(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::new(name, kind, default, summary)
}
