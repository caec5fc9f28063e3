//! The page: every row's samples in the text format of Prometheus, version 0.0.4.

use super::row::{Row, Source};
use super::rows::SECTIONS;
use crate::commands::info::{self, ShardTotals, Shown, Snapshot};
use std::fmt::{self, Write as _};

/// The moment a page shows.
#[derive(Debug)]
pub(super) struct Moment {
    /// What INFO would show.
    pub(super) info: Snapshot,
    /// By shard.
    pub(super) shards: Vec<ShardTotals>,
}

/// Where a row puts its samples.
pub(super) struct Samples<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Samples<'_> {
    /// A sample without labels.
    pub(super) fn put(&mut self, value: impl fmt::Display) {
        self.put_with("", &[], value);
    }

    /// A sample with these labels.
    pub(super) fn put_labelled(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.put_with("", labels, value);
    }

    /// A sample of a part of a summary or histogram (`_sum`, `_count`, `_bucket`).
    pub(super) fn put_with(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl fmt::Display,
    ) {
        write_sample(self.text, self.name, suffix, labels, value)
            .expect("writing to a string does not fail");
    }
}

fn write_sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&str, &str)],
    value: impl fmt::Display,
) -> fmt::Result {
    write!(text, "{name}{suffix}")?;
    for (index, (label, content)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(text, "{before}{label}=\"{}\"", Escaped(content))?;
    }
    let end = if labels.is_empty() { "" } else { "}" };
    writeln!(text, "{end} {value}")
}

/// A label's content: quotes, backslashes and line breaks may come from a configuration.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => formatter.write_str("\\\\")?,
                '"' => formatter.write_str("\\\"")?,
                '\n' => formatter.write_str("\\n")?,
                letter => formatter.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// The whole page.
pub(super) fn render(moment: &Moment) -> String {
    let mut text = String::with_capacity(32 * 1024);
    for row in SECTIONS.iter().flat_map(|section| section.rows) {
        let begin = text.len();
        writeln!(text, "# HELP {} {}\n# TYPE {} {}", row.name, row.help, row.name, row.kind.name())
            .expect("writing to a string does not fail");
        let head_end = text.len();
        write_samples(row, moment, &mut text);
        if text.len() == head_end {
            // Nothing to tell of.
            text.truncate(begin);
        }
    }
    text
}

fn write_samples(row: &Row, moment: &Moment, text: &mut String) {
    let mut samples = Samples { name: row.name, text };
    match row.source {
        Source::Samples(give) => give(moment, &mut samples),
        Source::Info(field) => match info::value(&moment.info, field) {
            Some(Shown::Count(count)) => samples.put(count),
            Some(Shown::Signed(number)) => samples.put(number),
            Some(Shown::Ratio(ratio) | Shown::Percent(ratio)) => samples.put(ratio),
            Some(Shown::Micros(micros)) => samples.put(seconds(micros)),
            Some(Shown::Word(word)) => samples.put(is_good(word)),
            Some(Shown::Text(text)) => samples.put(is_good(&text)),
            Some(Shown::Human(_) | Shown::Lines(_) | Shown::Absent) | None => {}
        },
        Source::InfoMicros(field) => {
            if let Some(Shown::Count(micros)) = info::value(&moment.info, field) {
                samples.put(seconds(micros));
            }
        }
    }
}

fn is_good(word: &str) -> u8 {
    u8::from(matches!(word, "ok" | "up" | "yes"))
}

/// Microseconds as seconds.
pub(super) fn seconds(micros: u64) -> f64 {
    info::as_f64(micros) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut text = String::new();
        let mut samples = Samples { name: "redis_x", text: &mut text };
        samples.put(3);
        samples.put_labelled(&[("cmd", "client|list"), ("a", "\"\\\n")], 0.5);
        samples.put_with("_sum", &[], seconds(1));
        assert_eq!(
            text,
            "redis_x 3\nredis_x{cmd=\"client|list\",a=\"\\\"\\\\\\n\"} 0.5\nredis_x_sum 0.000001\n"
        );
    }
}
