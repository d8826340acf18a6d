//! An assertion about a score, such as `p99_us<=1000`: what a script or a CI job asks.

use std::{fmt, str::FromStr};

use super::{
    Score,
    number::{float, whole},
};

/// One figure of a score, and the most it may be.
#[derive(Clone, Copy, Debug)]
pub struct Assertion {
    figure: &'static Figure,
    limit: f64,
}

/// A figure that can be asserted, and how it is read; none where no window could be scored. A window that failed counts
/// as infinitely far off: who falls silent is not in step.
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
    Figure { name: "p50_us", read: |score| size(score, 0.5) },
    Figure { name: "p95_us", read: |score| size(score, 0.95) },
    Figure { name: "p99_us", read: |score| size(score, 0.99) },
    Figure { name: "max_us", read: |score| size(score, 1.0) },
    Figure { name: "median_us", read: median },
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

/// The size of the skew that `share` of the windows do not exceed.
fn size(score: &Score, share: f64) -> Option<f64> {
    score.summary?;
    quantile(skews(score, f64::INFINITY).map(f64::abs).collect(), share)
}

/// The size of the median, on whichever side the windows that failed would lie.
fn median(score: &Score) -> Option<f64> {
    score.summary?;
    let of = |failed| Some(quantile(skews(score, failed).collect(), 0.5)?.abs());
    Some(of(f64::INFINITY)?.max(of(f64::NEG_INFINITY)?))
}

/// The skew of every window in microseconds, `failed` for one that failed.
fn skews(score: &Score, failed: f64) -> impl Iterator<Item = f64> {
    score.windows.iter().filter_map(move |window| {
        let skew = window.verdict.skew().map(|skew| skew.as_secs_f64() * 1e6);
        skew.or_else(|| window.verdict.is_failure().then_some(failed))
    })
}

/// The smallest of the values that `share` of them do not exceed.
fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = whole((share * float(values.len())).ceil()).clamp(1, values.len().max(1));
    values.get(rank - 1).copied()
}

fn names() -> String {
    FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    use super::*;
    use crate::score::{Plan, TrueTime, Verdict, Window};

    #[test]
    fn an_assertion_names_a_known_figure_and_a_finite_number() {
        assert_eq!("p99_us <= 1000".parse::<Assertion>().expect("valid").to_string(), "p99_us<=1000");
        for wrong in ["", "p99_us", "p98_us<=1", "p99_us<=", "p99_us<=nan", "p99_us>=1", "p99_us<=inf"] {
            assert!(wrong.parse::<Assertion>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn windows_that_failed_keep_a_limit_from_holding_by_their_share() {
        let score = |scored: usize, failed: usize| {
            let skew = Verdict::Scored { skew: Span::from_micros(-10), likeness: 1.0 };
            let verdicts = [vec![skew; scored], vec![Verdict::SecondSilent; failed]].concat();
            let window = |verdict| Window { at: TrueTime::default(), verdict };
            let windows = verdicts.into_iter().map(window).collect();
            Score::of(&Plan::default(), windows, Vec::new(), Vec::new())
        };
        let holds = |claim: &str, score: &Score| claim.parse::<Assertion>().expect("valid").holds(score);
        let silent = score(60, 40);
        for claim in ["p95_us<=100", "p99_us<=100", "max_us<=100"] {
            assert!(!holds(claim, &silent) && holds(claim, &score(60, 0)), "{claim}");
        }
        for claim in ["p50_us<=10", "median_us<=10"] {
            assert!(holds(claim, &silent) && !holds(claim, &score(40, 60)), "{claim}");
        }
        let one = score(1_999, 1);
        assert!(holds("p99_us<=10", &one) && !holds("max_us<=10", &one));
        assert!(!holds("p50_us<=10", &score(0, 4)) && !holds("p50_us<=10", &score(0, 0)));
    }
}
