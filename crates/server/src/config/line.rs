//! A line of configuration, and where it stands.

use darter_base::split_args::{append_quoted, split_args};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    File { path: Arc<Path>, number: usize },
    /// A line of standard input, counted from 1.
    StandardInput { number: usize },
    /// A variable of the environment.
    Variable(String),
    /// An option.
    CommandLine,
}

impl Place {
    /// Whether a parameter that does not exist is worth a warning only here. A file or an
    /// environment may have been made for another server too; an option was made for this one.
    pub fn forgives_unknown_names(&self) -> bool {
        !matches!(self, Self::CommandLine)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, number } => {
                write!(formatter, "the configuration file, at line {number} of {}", path.display())
            }
            Self::StandardInput { number } => {
                write!(formatter, "the configuration file, at line {number} of standard input")
            }
            Self::Variable(name) => write!(formatter, "the environment variable {name}"),
            Self::CommandLine => formatter.write_str("the command line"),
        }
    }
}

/// A name and the words of its value, not yet split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without white space around it; neither empty nor a comment.
    pub text: Vec<u8>,
    /// Where it stands.
    pub place: Place,
}

impl Line {
    /// The lines of a text that say something; `place` makes a place of a number, counted from 1.
    pub fn all_of(text: &[u8], place: impl Fn(usize) -> Place) -> Vec<Self> {
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        lines
            .map(|(index, line)| (index, line.trim_ascii()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
            .map(|(index, line)| Self { text: line.to_vec(), place: place(index + 1) })
            .collect()
    }

    /// The name in lower case and the words behind it; `None` when a quote is left open.
    pub fn split(&self) -> Option<(String, Vec<Vec<u8>>)> {
        let mut words = split_args(&self.text).ok()?.into_iter();
        let name = words.next().unwrap_or_default();
        Some((String::from_utf8_lossy(&name).to_ascii_lowercase(), words.collect()))
    }
}

/// A line that sets `name` to one word, whatever is in it.
pub(super) fn quoted(name: &str, word: &[u8]) -> Vec<u8> {
    let mut text = format!("{name} ").into_bytes();
    append_quoted(&mut text, word);
    text
}

/// Why the server does not start with its configuration. Shown in the form that scripts and the
/// Tcl suites know from Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A file that cannot be read.
    File { path: PathBuf, reason: String },
    /// A line that cannot be carried out.
    Line { line: Line, reason: String },
}

impl LoadError {
    pub(super) fn of(line: &Line, reason: impl Into<String>) -> Self {
        Self::Line { line: line.clone(), reason: reason.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::File { path, reason } => write!(
                formatter,
                "Fatal error, can't open config file '{}': {reason}",
                path.display()
            ),
            Self::Line { line, reason } => write!(
                formatter,
                "\n*** FATAL CONFIG FILE ERROR (Darter {version}) ***\nReading {}\n>>> \
                 '{}'\n{reason}",
                line.place,
                String::from_utf8_lossy(&line.text)
            ),
        }
    }
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(number: usize) -> Place {
        Place::File { path: Path::new("a.conf").into(), number }
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        let text =
            b"# comment\n\n  PORT 7000\r\nbind 127.0.0.1 -::1\nsave \"\"\nrequirepass 'a b'\n";
        let shown: Vec<String> = Line::all_of(text, in_file)
            .iter()
            .map(|line| {
                let (name, words) = line.split().unwrap();
                let words: Vec<_> =
                    words.iter().map(|word| String::from_utf8_lossy(word)).collect();
                format!("{}: {name} {words:?}", line.place)
            })
            .collect();
        let at = "the configuration file, at line";
        assert_eq!(
            shown,
            [
                format!(r#"{at} 3 of a.conf: port ["7000"]"#),
                format!(r#"{at} 4 of a.conf: bind ["127.0.0.1", "-::1"]"#),
                format!(r#"{at} 5 of a.conf: save [""]"#),
                format!(r#"{at} 6 of a.conf: requirepass ["a b"]"#),
            ]
        );
        assert_eq!(Line::all_of(b"y \"z", in_file)[0].split(), None);
    }

    #[test]
    fn an_error_shows_the_line_as_redis_does() {
        let line = Line { text: b"port x".to_vec(), place: in_file(7) };
        let shown = LoadError::of(&line, "no number").to_string();
        assert!(shown.contains("*** FATAL CONFIG FILE ERROR (Darter "), "{shown}");
        assert!(shown.ends_with(
            "Reading the configuration file, at line 7 of a.conf\n>>> 'port x'\nno number"
        ));
    }
}
