//! Counts of samples as numbers to calculate with, and back.

/// A count of samples, exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "no recording has 2^53 samples")]
pub(super) const fn float(count: usize) -> f64 {
    count as f64
}

/// The whole part of a number of samples; zero below zero and for NaN.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, as documented")]
pub(super) const fn whole(samples: f64) -> usize {
    samples as usize
}

/// A sample value, rounded to what a recording holds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the precision of a recording is the purpose"
)]
pub(super) const fn sample(value: f64) -> f32 {
    value as f32
}
