//! Two reports side by side.

use std::fmt;

use super::Report;

/// What changed between two reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    lines: Vec<(&'static str, Option<f64>, Option<f64>)>,
}

impl Comparison {
    /// From `before` to `after`.
    #[must_use]
    pub fn of(before: &Report, after: &Report) -> Self {
        let pairs = before.figures().into_iter().zip(after.figures());
        Self { lines: pairs.map(|((name, before), (_, after))| (name, before, after)).collect() }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>12}{:>12}{:>12}", "", "before", "after", "change")?;
        for (name, before, after) in &self.lines {
            let show =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
            let change = before.zip(*after).map(|(before, after)| after - before);
            let change = change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.1}"));
            writeln!(f, "{name:<24}{:>12}{:>12}{change:>12}", show(*before), show(*after))?;
        }
        Ok(())
    }
}
