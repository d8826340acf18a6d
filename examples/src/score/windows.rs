//! The windows of one second, and what becomes of each: scored, left out, silent by intent, or a failure.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Plan, StartError, TrueRange, TrueTime,
    correlate::{Correlator, emphasised, loudest, millis, rms},
    number::float,
    resample::{AXIS_HZ, Both, span_of},
};

/// One window of the scored span.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The middle of the window.
    #[serde(rename = "at_ns")]
    pub at: TrueTime,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The same music on both sides.
    Scored {
        /// How late the second side is; negative where it is early.
        #[serde(rename = "skew_ns")]
        skew: Span,
        /// How alike both sides are at that skew, 1 for equal but for the volume.
        likeness: f64,
    },
    /// An anchor takes effect within the window.
    LeftOut,
    /// The Jam is paused throughout, and both sides are silent.
    Paused,
    /// A failure: the Jam is paused throughout, yet a side plays.
    SoundInPause,
    /// A failure: both sides should play, and both are silent.
    BothSilent,
    /// A failure: both sides should play, and the first is silent.
    FirstSilent,
    /// A failure: both sides should play, and the second is silent.
    SecondSilent,
    /// A failure: both sides play, and there is no lag within half a second at which they match.
    NoClearPeak,
}

impl Verdict {
    /// Whether the window counts against the run.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Scored { .. } | Self::LeftOut | Self::Paused)
    }

    /// The skew, where one was measured.
    #[must_use]
    pub const fn skew(self) -> Option<Span> {
        if let Self::Scored { skew, .. } = self { Some(skew) } else { None }
    }

    /// The verdict in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Scored { .. } => "scored",
            Self::LeftOut => "left out, an anchor takes effect",
            Self::Paused => "paused, both silent",
            Self::SoundInPause => "a side plays during the pause",
            Self::BothSilent => "both sides are silent",
            Self::FirstSilent => "the first side is silent",
            Self::SecondSilent => "the second side is silent",
            Self::NoClearPeak => "no shift within half a second makes the two sides match",
        }
    }
}

/// Length of a window.
const WINDOW: usize = AXIS_HZ;
/// From one window to the next.
const HOP: usize = AXIS_HZ / 4;
/// The largest skew that is searched.
const REACH: usize = AXIS_HZ / 2;
/// Below this root of the mean square, -70 dB of full scale, a window is silent.
pub(super) const SILENCE_RMS: f64 = 3.2e-4;
/// Above this, -60 dB of full scale, a sample in a pause is heard.
const SILENCE_PEAK: f32 = 1e-3;
/// Length of the stretch after an anchor that is scored apart.
const START: usize = millis(100);
/// The largest start error that is searched.
const START_REACH: usize = millis(50);

/// Every window of the scored span.
pub(super) fn measure(both: &Both, plan: &Plan) -> Vec<Window> {
    let correlator = Correlator::new(WINDOW, REACH);
    let (a, b) = (emphasised(&both.a), emphasised(&both.b));
    let starts = (0..).map(|n| super::resample::MARGIN + n * HOP);
    let last = super::resample::MARGIN + both.samples - WINDOW.min(both.samples);
    let judge = |start| {
        let range = TrueRange { from: both.time_of(start), until: both.time_of(start + WINDOW) };
        let silent = |side| rms(side, start, WINDOW) < SILENCE_RMS;
        let verdict = if plan.has_anchor_in(range) {
            Verdict::LeftOut
        } else if plan.is_paused_in(range) {
            let quiet = |side| loudest(side, start, WINDOW) < SILENCE_PEAK;
            if quiet(&both.a) && quiet(&both.b) { Verdict::Paused } else { Verdict::SoundInPause }
        } else {
            match (silent(&both.a), silent(&both.b)) {
                (true, true) => Verdict::BothSilent,
                (true, false) => Verdict::FirstSilent,
                (false, true) => Verdict::SecondSilent,
                (false, false) => skew(&correlator, &a, &b, start),
            }
        };
        Window { at: both.time_of(start + WINDOW / 2), verdict }
    };
    starts.take_while(|start| *start <= last).map(judge).collect()
}

/// The skew of a window in which both sides play.
fn skew(correlator: &Correlator, a: &[Vec<f32>], b: &[Vec<f32>], start: usize) -> Verdict {
    match correlator.measure(a, b, start) {
        Some(peak) if peak.is_clear() => {
            Verdict::Scored { skew: lag_span(peak.lag), likeness: peak.likeness }
        }
        _ => Verdict::NoClearPeak,
    }
}

/// The first 100 ms after every anchor that starts music.
pub(super) fn start_errors(both: &Both, plan: &Plan) -> Vec<StartError> {
    let correlator = Correlator::new(START, START_REACH);
    let (a, b) = (emphasised(&both.a), emphasised(&both.b));
    let measure = |at| {
        let start = both.sample_at(at)?;
        let peak = correlator.measure(&a, &b, start)?;
        peak.is_clear().then(|| lag_span(peak.lag))
    };
    let sounding = plan.anchors.iter().filter(|anchor| anchor.sounds);
    sounding
        .map(|anchor| {
            let at = anchor.effect.until.max(plan.span.from);
            StartError { what: anchor.what.clone(), at, skew: measure(at) }
        })
        .collect()
}

fn lag_span(samples: f64) -> Span {
    Span::from_secs_f64(samples / float(AXIS_HZ))
}

/// The runs of scored windows that follow each other without a break, as ranges of indices.
pub(super) fn scored_runs(windows: &[Window]) -> Vec<std::ops::Range<usize>> {
    let scored = |window: &Window| window.verdict.skew().is_some();
    let mut runs = Vec::new();
    let mut from = 0;
    for group in windows.chunk_by(|x, y| scored(x) == scored(y)) {
        if group.first().is_some_and(scored) {
            runs.push(from..from + group.len());
        }
        from += group.len();
    }
    runs
}

/// What a run of windows covers: half a window to either side of the middles.
pub(super) fn covered(run: &[Window]) -> Option<TrueRange> {
    let half = span_of(WINDOW / 2);
    Some(TrueRange { from: run.first()?.at - half, until: run.last()?.at + half })
}
