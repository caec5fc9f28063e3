//! One metric, one row.

use super::page::{Moment, Samples};

/// A metric.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What its values count; empty when that is plain.
    pub(super) unit: &'static str,
    /// Names of its labels.
    pub(super) labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub(super) help: &'static str,
    pub(super) source: Source,
}

/// Metrics that belong together.
#[derive(Debug)]
pub(super) struct Section {
    /// Its heading in the reference.
    pub(super) title: &'static str,
    pub(super) rows: &'static [Row],
}

/// A type of the exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Summary,
    Histogram,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

/// Where the value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The field of INFO with this name: a number as it is, `ok` and `up` as 1, another word as 0.
    /// Without the field the metric is not shown.
    Info(&'static str),
    /// The same field, counting microseconds, in seconds.
    InfoMicros(&'static str),
    /// Whatever this gives.
    Samples(fn(&Moment, &mut Samples<'_>)),
}

impl Row {
    pub(super) const fn gauge(name: &'static str, help: &'static str, source: Source) -> Self {
        Self { name, kind: Kind::Gauge, unit: "", labels: &[], help, source }
    }

    pub(super) const fn counter(name: &'static str, help: &'static str, source: Source) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, help, source) }
    }

    pub(super) const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }
}
