//! A claim about a report, such as `p99_us<=1000`: what a script or a CI job asks.

use std::{fmt, str::FromStr};

use super::Report;

/// One figure of a report, and the most it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    figure: String,
    limit: f64,
}

/// What is not a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FIGURE<=NUMBER, found {actual:?}")]
pub struct ClaimError {
    /// The text.
    pub actual: String,
}

impl Claim {
    /// Whether the report keeps the limit; none where it has no figure of that name. A figure that could not be
    /// measured keeps no limit.
    #[must_use]
    pub fn holds(&self, report: &Report) -> Option<bool> {
        let (_, value) = report.figures().into_iter().find(|(name, _)| *name == self.figure)?;
        Some(value.is_some_and(|value| value <= self.limit))
    }
}

impl FromStr for Claim {
    type Err = ClaimError;
    fn from_str(text: &str) -> Result<Self, ClaimError> {
        let wrong = || ClaimError { actual: text.to_owned() };
        let (figure, limit) = text.split_once("<=").ok_or_else(wrong)?;
        let limit: f64 = limit.trim().parse().map_err(|_| wrong())?;
        if !limit.is_finite() {
            return Err(wrong());
        }
        Ok(Self { figure: figure.trim().to_owned(), limit })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}<={}", self.figure, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Case;

    #[test]
    fn a_claim_about_what_was_not_measured_does_not_hold_and_an_unknown_figure_is_no_figure() {
        let report = Report::of(Case::built_in("lan").expect("known"), Vec::new());
        let holds = |text: &str| text.parse::<Claim>().expect("valid").holds(&report);
        assert_eq!(holds("p99_us<=1000"), Some(false));
        assert_eq!(holds("failures <= 0"), Some(true));
        assert_eq!(holds("p98_us<=1"), None);
        for wrong in ["", "p99_us", "p99_us<=", "p99_us<=nan", "p99_us>=1"] {
            assert!(wrong.parse::<Claim>().is_err(), "{wrong:?}");
        }
    }
}
