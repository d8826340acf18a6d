//! An assertion about a score, such as `p99_us<=1000`: what a script or a CI job asks.

use std::{fmt, str::FromStr};

use super::{Score, Summary, number::float};

/// One figure of a score, and the most it may be.
#[derive(Clone, Copy, Debug)]
pub struct Assertion {
    figure: &'static Figure,
    limit: f64,
}

/// A figure that can be asserted, and how it is read; none where no window could be scored.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    read: fn(&Score) -> Option<f64>,
}

/// What is not an assertion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FIGURE<=NUMBER with FIGURE one of {}, found {actual:?}", names())]
pub struct AssertionError {
    /// The text.
    pub actual: String,
}

static FIGURES: [Figure; 8] = [
    Figure { name: "p50_us", read: |score| micros(score, |s| s.p50.as_secs_f64()) },
    Figure { name: "p95_us", read: |score| micros(score, |s| s.p95.as_secs_f64()) },
    Figure { name: "p99_us", read: |score| micros(score, |s| s.p99.as_secs_f64()) },
    Figure { name: "max_us", read: |score| micros(score, |s| s.max.as_secs_f64()) },
    Figure { name: "median_us", read: |score| micros(score, |s| s.median.abs().as_secs_f64()) },
    Figure { name: "drift_ppm", read: |score| score.summary.map(|s| s.drift.0.abs()) },
    Figure { name: "discontinuities", read: |score| Some(float(score.disturbances.len())) },
    Figure { name: "failures", read: |score| Some(float(score.windows_failed)) },
];

impl Assertion {
    /// Whether the score keeps the limit, signs aside. A figure that could not be measured does not.
    #[must_use]
    pub fn holds(&self, score: &Score) -> bool {
        (self.figure.read)(score).is_some_and(|value| value <= self.limit)
    }
}

impl FromStr for Assertion {
    type Err = AssertionError;
    fn from_str(text: &str) -> Result<Self, AssertionError> {
        let wrong = || AssertionError { actual: text.to_owned() };
        let (name, limit) = text.split_once("<=").ok_or_else(wrong)?;
        let figure = FIGURES.iter().find(|figure| figure.name == name.trim()).ok_or_else(wrong)?;
        let limit: f64 = limit.trim().parse().map_err(|_| wrong())?;
        if limit.is_finite() { Ok(Self { figure, limit }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}<={}", self.figure.name, self.limit)
    }
}

fn micros(score: &Score, read: fn(&Summary) -> f64) -> Option<f64> {
    score.summary.as_ref().map(|summary| read(summary) * 1e6)
}

fn names() -> String {
    FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_names_a_known_figure_and_a_finite_number() {
        assert_eq!("p99_us <= 1000".parse::<Assertion>().expect("valid").to_string(), "p99_us<=1000");
        for wrong in ["", "p99_us", "p98_us<=1", "p99_us<=", "p99_us<=nan", "p99_us>=1", "p99_us<=inf"] {
            assert!(wrong.parse::<Assertion>().is_err(), "{wrong:?}");
        }
    }
}
