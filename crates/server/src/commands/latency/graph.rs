//! A series of events as a picture made of letters.

use crate::watch::latency::Series;
use darter_base::UnixMillis;
use std::fmt::Write as _;

/// Columns of the picture: the latest events that fit.
const COLUMNS: usize = 80;

/// Lines of the picture.
const ROWS: u64 = 4;

/// Draws a series: a column for each sample, as high as it was long compared with the others, and under
/// it how long ago it was, read downwards.
pub(super) fn draw(event: &str, series: &Series, now: UnixMillis) -> String {
    let summary = series.summary(now);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{event} - high {} ms, low {} ms (all time high {} ms)\n{}",
        summary.max,
        summary.min,
        series.max_millis,
        "-".repeat(COLUMNS)
    );
    let hidden = series.samples.len().saturating_sub(COLUMNS);
    let samples: Vec<_> = series.samples.iter().skip(hidden).collect();
    let heights: Vec<u64> =
        samples.iter().map(|sample| height(sample.millis, summary.min, summary.max)).collect();
    for row in (0..ROWS).rev() {
        push_line(&mut text, heights.iter().map(|height| letter(*height, row)));
    }
    text.push('\n');
    let labels: Vec<Vec<char>> = samples
        .iter()
        .map(|sample| ago(now.0 / 1000 - sample.at_seconds).chars().collect())
        .collect();
    let longest = labels.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..longest {
        push_line(&mut text, labels.iter().map(|label| label.get(line).copied().unwrap_or(' ')));
    }
    text
}

fn push_line(text: &mut String, letters: impl Iterator<Item = char>) {
    let line: String = letters.collect();
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Steps of a third of a row, of which the lowest sample has none.
fn height(millis: u64, min: u64, max: u64) -> u64 {
    let steps = ROWS * 3 - 1;
    ((millis - min) * steps).checked_div(max - min).unwrap_or(0)
}

/// What a column of a height shows in a row, counted from below.
fn letter(height: u64, row: u64) -> char {
    match (height / 3).cmp(&row) {
        std::cmp::Ordering::Less => ' ',
        std::cmp::Ordering::Equal => ['_', 'o', '#'][usize::try_from(height % 3).unwrap_or(0)],
        std::cmp::Ordering::Greater => '|',
    }
}

/// How long ago, in the largest unit that fits.
fn ago(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{}s", seconds.max(0)),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::latency::{COMMAND, LatencyEvents};
    use std::time::Duration;

    #[test]
    fn columns_are_as_high_as_events_were_long() {
        let events = LatencyEvents::default();
        for (second, millis) in [(1, 100), (2, 200), (3, 320), (70, 430), (100, 100)] {
            events.add(COMMAND, Duration::from_millis(millis), UnixMillis(second * 1000));
        }
        let (event, series) = events.of(b"command").unwrap();
        let graph = draw(event, &series, UnixMillis(101_000));
        let expected = [
            "command - high 430 ms, low 100 ms (all time high 430 ms)",
            &"-".repeat(80),
            "   #",
            "  o|",
            " _||",
            "_|||_",
            "",
            "11131",
            "mmm1s",
            "   s",
            "",
        ];
        assert_eq!(graph, expected.join("\n"));
    }

    #[test]
    fn equal_events_are_low_and_old_ones_fall_out() {
        let events = LatencyEvents::default();
        for second in 0..200 {
            events.add(COMMAND, Duration::from_millis(7), UnixMillis(second * 1000));
        }
        let (event, series) = events.of(b"command").unwrap();
        let graph = draw(event, &series, UnixMillis(200_000));
        assert_eq!(graph.lines().nth(5), Some("_".repeat(80).as_str()));
    }
}
