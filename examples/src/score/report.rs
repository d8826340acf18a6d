//! The score: what the windows add up to, as JSON of a fixed schema and as a short table.

use std::fmt;

use jamsync_protocol::time::{Ppm, Span};
use serde::{Deserialize, Serialize};

use super::{
    Disturbance, Plan, ScoreError, TrueTime, Verdict, Window,
    line::Line,
    number::{float, whole},
};

/// The version of the JSON that [`Score`] becomes. It rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// How well two recordings agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The first instant that was scored; the times shown to people count from here.
    #[serde(rename = "from_ns")]
    pub from: TrueTime,
    /// How many windows were scored.
    pub windows_scored: usize,
    /// How many were left out, because an anchor took effect in them.
    pub windows_left_out: usize,
    /// How many were silent on both sides, as the pause wanted.
    pub windows_paused: usize,
    /// How many were failures.
    pub windows_failed: usize,
    /// The skew of the scored windows; none where no window could be scored.
    pub summary: Option<Summary>,
    /// The skew right after each anchor that started music.
    pub starts: Vec<StartError>,
    /// Where the two sides did not simply go on together.
    pub disturbances: Vec<Disturbance>,
    /// Every window, in order.
    pub windows: Vec<Window>,
}

/// The skew of all scored windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median of the skew with its sign: positive where the second side is late.
    #[serde(rename = "median_us", with = "micros")]
    pub median: Span,
    /// Half of the windows had a smaller skew, in size.
    #[serde(rename = "p50_us", with = "micros")]
    pub p50: Span,
    /// 95 % of the windows had at most this skew, in size.
    #[serde(rename = "p95_us", with = "micros")]
    pub p95: Span,
    /// 99 % of the windows had at most this skew, in size.
    #[serde(rename = "p99_us", with = "micros")]
    pub p99: Span,
    /// The largest skew, in size.
    #[serde(rename = "max_us", with = "micros")]
    pub max: Span,
    /// How fast the second side falls behind, by a straight line through all windows.
    #[serde(rename = "drift_ppm", with = "ppm")]
    pub drift: Ppm,
}

/// The skew of the first 100 ms after an anchor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartError {
    /// What the anchor was.
    pub what: String,
    /// When it had taken effect on both sides.
    #[serde(rename = "at_ns")]
    pub at: TrueTime,
    /// The skew, or none where no lag within 50 ms stands out.
    #[serde(rename = "skew_ns")]
    pub skew: Option<Span>,
}

impl Score {
    /// Adds up what was measured.
    pub(super) fn of(
        plan: &Plan,
        windows: Vec<Window>,
        starts: Vec<StartError>,
        disturbances: Vec<Disturbance>,
    ) -> Self {
        let count = |wanted: fn(Verdict) -> bool| windows.iter().filter(|w| wanted(w.verdict)).count();
        Self {
            schema_version: SCHEMA_VERSION,
            from: plan.span.from,
            windows_scored: count(|verdict| matches!(verdict, Verdict::Scored { .. })),
            windows_left_out: count(|verdict| verdict == Verdict::LeftOut),
            windows_paused: count(|verdict| verdict == Verdict::Paused),
            windows_failed: count(Verdict::is_failure),
            summary: Summary::of(&windows),
            starts,
            disturbances,
            windows,
        }
    }

    /// Whether both sides played the same music in step: something was scored, no window failed, nothing
    /// was disturbed, and 99 % of the windows were within `limit`.
    #[must_use]
    pub fn is_in_sync(&self, limit: Span) -> bool {
        self.windows_failed == 0
            && self.disturbances.is_empty()
            && self.summary.is_some_and(|summary| summary.p99 <= limit)
    }

    /// The skew, where the recordings were fit to tell one: at least half of the windows that should sound were scored.
    /// Music that is broken now and then is a score with failures; two recordings that meet by chance are none.
    ///
    /// # Errors
    /// [`ScoreError::Unscorable`] with what is wrong with most windows.
    pub fn judged(&self) -> Result<Summary, ScoreError> {
        let (failed, sounding) = (self.windows_failed, self.windows_failed + self.windows_scored);
        let reason = self.commonest_failure().map_or("no window should sound", Verdict::words);
        let summary = self.summary.filter(|_| failed <= self.windows_scored);
        summary.ok_or(ScoreError::Unscorable { failed, sounding, reason })
    }

    fn commonest_failure(&self) -> Option<Verdict> {
        let failures =
            || self.windows.iter().map(|window| window.verdict).filter(|verdict| verdict.is_failure());
        failures().max_by_key(|one| failures().filter(|other| other == one).count())
    }

    /// When something happened, counted from the first instant scored.
    #[must_use]
    pub fn seconds_in(&self, at: TrueTime) -> f64 {
        (at - self.from).as_secs_f64()
    }
}

impl Summary {
    fn of(windows: &[Window]) -> Option<Self> {
        let skews: Vec<(TrueTime, Span)> =
            windows.iter().filter_map(|window| Some((window.at, window.verdict.skew()?))).collect();
        let mut signed: Vec<Span> = skews.iter().map(|(_, skew)| *skew).collect();
        let mut sizes: Vec<Span> = signed.iter().map(|skew| skew.abs()).collect();
        signed.sort();
        sizes.sort();
        Some(Self {
            median: percentile(&signed, 0.5)?,
            p50: percentile(&sizes, 0.5)?,
            p95: percentile(&sizes, 0.95)?,
            p99: percentile(&sizes, 0.99)?,
            max: *sizes.last()?,
            drift: drift(&skews),
        })
    }
}

/// The smallest of the sorted values that `share` of them do not exceed.
pub(crate) fn percentile(sorted: &[Span], share: f64) -> Option<Span> {
    let rank = whole((share * float(sorted.len())).ceil()).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied()
}

/// The slope of a straight line through the skews.
fn drift(skews: &[(TrueTime, Span)]) -> Ppm {
    let Some(&(origin, _)) = skews.first() else { return Ppm::ZERO };
    let point = |&(at, skew): &(TrueTime, Span)| ((at - origin).as_secs_f64(), skew.as_secs_f64());
    let points: Vec<(f64, f64)> = skews.iter().map(point).collect();
    Line::through(&points).map_or(Ppm::ZERO, |line| Ppm(line.slope * 1e6))
}

/// The score in plain words, one screen at most unless much went wrong.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.windows.len();
        writeln!(
            f,
            "windows of 1 s     {total} ({} scored, {} left out at an anchor, {} silent in a pause, {} failed)",
            self.windows_scored, self.windows_left_out, self.windows_paused, self.windows_failed
        )?;
        match &self.summary {
            Some(summary) => writeln!(
                f,
                "skew               median {}, 50 % within {}, 95 % within {}, 99 % within {}, at most {}\n\
                 drift              {:+.3} ppm",
                summary.median, summary.p50, summary.p95, summary.p99, summary.max, summary.drift.0
            )?,
            None => writeln!(f, "skew               not measurable: no window could be scored")?,
        }
        for start in &self.starts {
            let skew = start.skew.map_or_else(|| "no clear peak".to_owned(), |skew| skew.to_string());
            let at = self.seconds_in(start.at);
            writeln!(f, "first 100 ms       {skew} after {} at {at:.2} s", start.what)?;
        }
        for disturbance in &self.disturbances {
            writeln!(f, "discontinuity      at {:.3} s: {disturbance}", self.seconds_in(disturbance.at))?;
        }
        if self.disturbances.is_empty() {
            writeln!(f, "discontinuities    none")?;
        }
        let failures = self.windows.iter().filter(|window| window.verdict.is_failure());
        for window in failures.clone().take(FAILURES_SHOWN) {
            writeln!(
                f,
                "failed window      at {:.2} s: {}",
                self.seconds_in(window.at),
                window.verdict.words()
            )?;
        }
        let more = failures.count().saturating_sub(FAILURES_SHOWN);
        if more > 0 {
            writeln!(f, "failed window      and {more} more")?;
        }
        Ok(())
    }
}

/// How many failed windows are listed one by one.
const FAILURES_SHOWN: usize = 12;

/// A span as a number of microseconds with three decimals, which is exact.
mod micros {
    use jamsync_protocol::time::Span;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(span.as_secs_f64() * 1e6)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        f64::deserialize(deserializer).map(|micros| Span::from_secs_f64(micros / 1e6))
    }
}

/// A rate as a number.
mod ppm {
    use jamsync_protocol::time::Ppm;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(rate: &Ppm, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(rate.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ppm, D::Error> {
        f64::deserialize(deserializer).map(Ppm)
    }
}
