//! The table of what was measured.

use std::fmt;
use std::time::Duration;

/// What the numbers of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Microseconds,
    /// Of processor time, in microseconds.
    Processor,
    Milliseconds,
    PerSecond,
    MegabytesPerSecond,
    Megabytes,
    Kibibytes,
    Share,
    Count,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Microseconds | Self::Processor => "µs",
            Self::Milliseconds => "ms",
            Self::PerSecond => "1/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Megabytes => "MB",
            Self::Kibibytes => "KiB",
            Self::Share => "×",
            Self::Count => "n",
        }
    }

    /// How a value compares with the first one: times are added, rates are shared.
    fn compared(self, value: f64, first: f64) -> Option<String> {
        match self {
            Self::Microseconds => Some(format!("{:+.0}", value - first)),
            Self::Milliseconds => Some(format!("{:+.2}", value - first)),
            Self::PerSecond | Self::MegabytesPerSecond => Some(format!("{:.2}×", value / first)),
            Self::Processor | Self::Megabytes | Self::Kibibytes | Self::Share | Self::Count => None,
        }
    }
}

/// One thing that was measured, for every peer that it was measured on.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) metric: String,
    unit: Unit,
    values: Vec<Option<f64>>,
}

impl Row {
    pub(crate) fn new(metric: impl Into<String>, unit: Unit, values: Vec<Option<f64>>) -> Self {
        Self { metric: metric.into(), unit, values }
    }

    fn cell(&self, index: usize) -> String {
        let Some(value) = self.values[index] else { return "–".to_owned() };
        let shown = if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        let first = self.values[0].filter(|_| index > 0);
        match first.and_then(|first| self.unit.compared(value, first)) {
            Some(compared) => format!("{shown} ({compared})"),
            None => shown,
        }
    }
}

/// Everything that was measured.
pub(crate) struct Report {
    peers: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(peers: impl Iterator<Item = &'static str>) -> Self {
        Self { peers: peers.collect(), rows: Vec::new() }
    }

    /// A value, where it was measured.
    pub(crate) fn value(&self, metric: &str, peer: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.metric == metric)?;
        let peer = self.peers.iter().position(|name| *name == peer)?;
        row.values[peer]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | {} |", self.peers.join(" | "))?;
        writeln!(f, "|---|{}", "--:|".repeat(self.peers.len()))?;
        for row in &self.rows {
            let cells: Vec<_> = (0..self.peers.len()).map(|index| row.cell(index)).collect();
            writeln!(f, "| {} ({}) | {} |", row.metric, row.unit.as_str(), cells.join(" | "))?;
        }
        Ok(())
    }
}

/// The time that this percentage of all stay within.
pub(crate) fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_compares_with_its_first_column() {
        let mut report = Report::new(["direct", "hoop"].into_iter());
        report.rows.push(Row::new("latency", Unit::Microseconds, vec![Some(30.0), Some(75.4)]));
        report.rows.push(Row::new("rate", Unit::PerSecond, vec![Some(2000.0), Some(1000.0)]));
        report.rows.push(Row::new("memory", Unit::Kibibytes, vec![None, Some(9.5)]));
        let expected = "| | direct | hoop |\n|---|--:|--:|\n| latency (µs) | 30 | 75 (+45) |\n\
            | rate (1/s) | 2000 | 1000 (0.50×) |\n| memory (KiB) | – | 9.50 |\n";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.value("rate", "hoop"), Some(1000.0));
    }

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_micros).collect();
        assert_eq!(quantile(&mut times, 50), Duration::from_micros(50));
        assert_eq!(quantile(&mut times, 99), Duration::from_micros(99));
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
