//! What two machines can say of each other: the skew, and how far it may be off.

use std::fmt;

use jamsync_protocol::time::Span;
use serde::Serialize;

use super::{Progress, clocks::PeerClock};
use crate::score::{Score, Summary};

/// The result of `latency peer`. A positive skew means that this side is late.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerReport {
    /// Rises when a field changes its meaning or goes away.
    pub schema_version: u32,
    /// What is certain.
    pub finding: Finding,
    /// How late this side is by the median, if the path is equally fast both ways.
    pub median_us: f64,
    /// How far that may be off, whatever the path: at least half the least round trip.
    pub uncertainty_us: f64,
    /// The sides are certainly this far apart, by the median; zero where they may not be apart at all.
    pub apart_at_least_us: f64,
    /// The sides are never further apart than this in any window that was scored. Of those that could not be scored it
    /// says nothing: `score` counts them.
    pub apart_at_most_us: f64,
    /// The least round trip of the probes.
    pub least_round_trip_us: f64,
    /// How much faster the other machine's clock runs.
    pub clock_drift_ppm: f64,
    /// The other side's recording against this side's, on this machine's clock.
    pub score: Score,
}

/// What two machines without a common clock can be certain of. There is no "in sync" among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The skew is smaller than its uncertainty: the sides may be in step, or apart by as much.
    WithinUncertainty,
    /// The sides are apart.
    Apart,
}

/// The version of the JSON.
const SCHEMA_VERSION: u32 = 1;

impl PeerReport {
    pub(super) fn of(score: Score, summary: Summary, clocks: &PeerClock) -> Self {
        let uncertainty = clocks.uncertainty();
        let sure = summary.median.abs() - uncertainty;
        let finding = if sure > Span::ZERO { Finding::Apart } else { Finding::WithinUncertainty };
        Self {
            schema_version: SCHEMA_VERSION,
            finding,
            median_us: micros(summary.median),
            uncertainty_us: micros(uncertainty),
            apart_at_least_us: micros(sure.max(Span::ZERO)),
            apart_at_most_us: micros(summary.max + uncertainty),
            least_round_trip_us: micros(clocks.least_round_trip()),
            clock_drift_ppm: clocks.drift().0,
            score,
        }
    }
}

fn micros(span: Span) -> f64 {
    span.as_secs_f64() * 1e6
}

impl fmt::Display for PeerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |micros: f64| Span::from_secs_f64(micros.abs() / 1e6);
        let way = if self.median_us >= 0.0 { "behind" } else { "ahead of" };
        write!(f, "{}", self.score)?;
        writeln!(f, "this side          {} {way} the other by the median", span(self.median_us))?;
        writeln!(
            f,
            "uncertainty        {} either way; the least round trip was {}, the other clock runs {:+.2} ppm",
            span(self.uncertainty_us),
            span(self.least_round_trip_us),
            self.clock_drift_ppm
        )?;
        let most = span(self.apart_at_most_us);
        let at_most = match self.score.windows_failed {
            0 => format!("{most} at most"),
            failed => format!(
                "within {most} in the {} windows that were scored; {failed} could not be",
                self.score.windows_scored
            ),
        };
        match self.finding {
            Finding::Apart => {
                let least = span(self.apart_at_least_us);
                writeln!(f, "finding            apart: by {least} at least by the median, {at_most}")?;
            }
            Finding::WithinUncertainty => writeln!(
                f,
                "finding            not told: the skew is smaller than its uncertainty; apart {at_most}, and nothing \
                 here proves less"
            )?,
        }
        writeln!(f, "                   as far as the stamps of both recordings are right")
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { port, code } => write!(
                f,
                "listening; on the other machine: latency peer THIS-MACHINE:{port} RECORDING --code {code}"
            ),
            Self::Stranger => write!(f, "somebody came without the code and was sent away"),
            Self::Comparing { elapsed, lasts, uncertainty } => {
                let (elapsed, lasts) = (elapsed.as_secs_f64(), lasts.as_secs_f64());
                write!(f, "comparing clocks: {elapsed:.0} of {lasts:.0} s, ")?;
                match uncertainty {
                    Some(uncertainty) => write!(f, "known within {uncertainty}"),
                    None => write!(f, "no probe has come yet"),
                }
            }
            Self::Exchanging => write!(f, "exchanging the recordings"),
            Self::Scoring => write!(f, "scoring"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Case, judge::tests::record};

    #[test]
    fn of_windows_that_could_not_be_scored_nothing_is_claimed() {
        let case = Case::built_in("lan").expect("known");
        let report = |failed, finding| PeerReport {
            schema_version: SCHEMA_VERSION,
            finding,
            median_us: 10.0,
            uncertainty_us: 5.0,
            apart_at_least_us: 5.0,
            apart_at_most_us: 15.0,
            least_round_trip_us: 9.0,
            clock_drift_ppm: 0.0,
            score: record(&case, 1, 40, failed).score.expect("a score"),
        };
        for finding in [Finding::Apart, Finding::WithinUncertainty] {
            let whole = report(0, finding).to_string();
            assert!(whole.contains("15.000 µs at most"), "{whole}");
            let partly = report(12, finding).to_string();
            let (_, said) = partly.split_once("finding").expect("a finding");
            assert!(!said.contains("at most"), "{partly}");
            assert!(said.contains("in the 40 windows that were scored; 12 could not be"), "{partly}");
            assert!(said.contains("as far as the stamps"), "{partly}");
        }
    }
}
