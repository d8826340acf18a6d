//! The windows of one second, and what becomes of each: scored, left out, silent by intent, or a failure.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Plan, Recording, StartError, TrueRange, TrueTime,
    correlate::{Correlator, Peak, emphasised, loudest, millis, rms},
    number::float,
    resample::{AXIS_HZ, Both, aligned, span_of},
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
/// How fast the skew may change within a window, in parts per million: a player that corrects itself changes its rate
/// by up to 300. Over a second, 100 of them already smear what is above 5 kHz, so that no one lag fits all of it.
const RATES_PPM: [f64; 10] = [-75.0, 75.0, -150.0, 150.0, -225.0, 225.0, -300.0, 300.0, -375.0, 375.0];
/// The least likeness at one lag that makes other rates worth a try: two pieces of music have less.
const RATES_TRIED_ABOVE: f64 = 0.3;
/// Below this root of the mean square, -70 dB of full scale, a window is silent.
pub(super) const SILENCE_RMS: f64 = 3.2e-4;
/// Above this, -60 dB of full scale, a sample in a pause is heard.
const SILENCE_PEAK: f32 = 1e-3;
/// Length of the stretch after an anchor that is scored apart.
const START: usize = millis(100);
/// The largest start error that is searched.
const START_REACH: usize = millis(50);

/// Every window of the scored span.
pub(super) fn measure(second: &Recording, both: &Both, plan: &Plan) -> Vec<Window> {
    let matcher = Matcher {
        correlator: Correlator::new(WINDOW, REACH),
        second,
        both,
        a: emphasised(&both.a),
        b: emphasised(&both.b),
    };
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
                (false, false) => matcher.skew(start),
            }
        };
        Window { at: both.time_of(start + WINDOW / 2), verdict }
    };
    starts.take_while(|start| *start <= last).map(judge).collect()
}

/// Finds the skew of windows in which both sides play.
struct Matcher<'a> {
    correlator: Correlator,
    second: &'a Recording,
    both: &'a Both,
    a: Vec<Vec<f32>>,
    b: Vec<Vec<f32>>,
}

impl Matcher<'_> {
    /// The skew in the middle of the window that begins at `start`.
    fn skew(&self, start: usize) -> Verdict {
        let Some(still) = self.correlator.measure(&self.a, &self.b, start) else {
            return Verdict::NoClearPeak;
        };
        let mut best = still;
        if !still.is_clear() && still.likeness >= RATES_TRIED_ABOVE {
            let moving = RATES_PPM.iter().filter_map(|rate| self.moving(start, rate * 1e-6));
            best = moving.fold(still, |best, peak| if peak.likeness > best.likeness { peak } else { best });
        }
        if best.is_clear() {
            Verdict::Scored { skew: lag_span(best.lag), likeness: best.likeness }
        } else {
            Verdict::NoClearPeak
        }
    }

    /// The best match where the second side falls behind by `rate` seconds in a second.
    fn moving(&self, start: usize, rate: f64) -> Option<Peak> {
        let first = start.checked_sub(REACH)?;
        let (origin, length) = (self.both.time_of(first), WINDOW + 2 * REACH);
        let middle = self.both.time_of(start + WINDOW / 2);
        let b = aligned(self.second, origin, length, |at| rate * (at - middle).as_secs_f64());
        let a: Option<Vec<Vec<f32>>> =
            self.a.iter().map(|channel| Some(channel.get(first..first + length)?.to_vec())).collect();
        self.correlator.measure(&a?, &emphasised(&b), REACH)
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

#[cfg(test)]
mod tests {
    use jamsync_protocol::media::SampleRate;

    use super::*;
    use crate::tones::Piece;

    #[test]
    fn the_skew_of_a_player_that_corrects_itself_is_found_and_other_music_is_none() {
        let rate = SampleRate::HZ_48000;
        let recording = |seed, ppm| {
            let sound = Piece::new(seed, 6).render(rate, 6, 0.0, ppm);
            let channels = [0, 1].map(|side| sound.iter().map(|frame| frame[side]).collect());
            Recording::on_one_clock(rate, channels.into()).expect("valid")
        };
        let from = TrueTime::from_nanos(1_500_000_000);
        let plan = Plan { span: TrueRange { from, until: from + Span::from_secs(3) }, ..Plan::default() };
        let measured = |first: &Recording, second: &Recording| {
            measure(second, &Both::render(first, second, plan.span), &plan)
        };
        let still = recording(1, 0.0);
        for ppm in [0.0, 110.0, -190.0, 300.0] {
            let windows = measured(&still, &recording(1, ppm));
            assert_eq!(windows.len(), 9);
            for window in windows {
                // Who plays faster is ahead by more and more.
                let ahead = (window.at - TrueTime::default()).scaled(-ppm * 1e-6);
                let skew = window.verdict.skew().map(|skew| (skew - ahead).abs());
                assert!(
                    skew.is_some_and(|off| off < Span::from_micros(15)),
                    "{ppm} ppm, {skew:?}: {window:?}"
                );
            }
        }
        let other = measured(&still, &recording(2, 0.0));
        assert!(other.iter().all(|window| window.verdict == Verdict::NoClearPeak), "{other:?}");
    }
}
