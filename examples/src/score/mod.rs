//! The scorer: how far apart two recordings of the same Jam are, judged from the sound alone.
//!
//! It takes two recordings and, for each, when its frames were audible by one true clock; puts both on one
//! axis; and measures the skew of every window of one second by correlation. A positive skew means that the
//! second recording is late. It never asks a node for its opinion, subtracts nothing, and leaves out only
//! the windows that hold an anchor taking effect, which the [`Plan`] names: every other window that is
//! silent, or in which no lag stands out, counts as a failure.
//!
//! ```
//! use jamsync_examples::score::{Plan, Recording, score};
//! use jamsync_protocol::media::SampleRate;
//!
//! let music: Vec<f32> = (0..150_000u32).map(|n| (f64::from(n).powf(1.4) * 0.01).sin() as f32 * 0.5).collect();
//! let a = Recording::on_one_clock(SampleRate::HZ_48000, vec![music.clone()])?;
//! let late = [vec![0.0; 7], music].concat();
//! let b = Recording::on_one_clock(SampleRate::HZ_48000, vec![late])?;
//! let score = score(&a, &b, &Plan::everything_in(&a, &b))?;
//! let late_by = score.summary.as_ref().expect("windows were scored").median;
//! assert_eq!(late_by.as_micros(), 145); // 7 frames of 48,000 in a second
//! # Ok::<(), jamsync_examples::score::ScoreError>(())
//! ```

mod assertion;
mod correlate;
mod detect;
mod disturbance;
pub(crate) mod follow;
mod line;
mod number;
mod plan;
mod recording;
mod report;
mod resample;
mod time;
mod windows;

pub use assertion::{Assertion, AssertionError};
pub use disturbance::{Disturbance, DisturbanceKind, Side};
pub use plan::{Anchor, Plan};
pub use recording::{Recording, Stamp};
pub(crate) use report::percentile;
pub use report::{SCHEMA_VERSION, Score, StartError, Summary};
pub use time::{TrueRange, TrueTime};
pub use windows::{Verdict, Window};

use jamsync_protocol::time::Span;

/// Why two recordings could not be scored at all. Music that is out of sync is no error: it is a score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// A file could not be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system or the decoder said.
        reason: String,
    },
    /// A recording holds no sound, or its channels differ in length.
    #[error("a recording needs at least one channel and {expected} frames in each, found {actual}")]
    Frames {
        /// The least number of frames.
        expected: usize,
        /// The number found in the shortest channel.
        actual: usize,
    },
    /// The stamps do not tell when a frame was audible.
    #[error("stamp {index} does not come after the one before it, in frames and in time")]
    Stamps {
        /// Counted from 0.
        index: usize,
    },
    /// A recording sampled at a rate that no device has.
    #[error("a sample rate of {actual} Hz is outside 4,000 to 768,000 Hz")]
    Rate {
        /// The rate found.
        actual: u32,
    },
    /// The recordings do not hold the same music on both sides, so that a skew would mean nothing.
    #[error("refused: {failed} of {sounding} windows of 1 s could not be scored, most because {reason}")]
    Unscorable {
        /// Windows that failed.
        failed: usize,
        /// Windows that should sound.
        sounding: usize,
        /// What became of most of them.
        reason: &'static str,
    },
    /// Too little to score.
    #[error("{actual} to score is too short: at least {expected} of both recordings are needed")]
    TooShort {
        /// The least that can be scored.
        expected: Span,
        /// What the plan covers.
        actual: Span,
    },
    /// Too much to score in one go.
    #[error("{actual} to score is too long: at most {expected} fits in memory")]
    TooLong {
        /// The most that can be scored.
        expected: Span,
        /// What the plan covers.
        actual: Span,
    },
}

/// How far `b` is behind `a` throughout the span of `plan`.
///
/// # Errors
/// [`ScoreError::TooShort`] and [`ScoreError::TooLong`] for a plan that spans less than a window or more
/// than [`Plan::SPAN_MAX`].
pub fn score(a: &Recording, b: &Recording, plan: &Plan) -> Result<Score, ScoreError> {
    plan.check()?;
    let both = resample::Both::render(a, b, plan.span);
    let windows = windows::measure(b, &both, plan);
    let starts = windows::start_errors(&both, plan);
    let disturbances = detect::find(a, b, &both, &windows, plan);
    Ok(Score::of(plan, windows, starts, disturbances))
}
