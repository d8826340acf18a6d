//! Media: sample rates, frame counts and what a queue says of a track.
//!
//! A *frame* is one sample of each channel. A position in a track is a count of frames at the track's own
//! declared rate, never at the rate of the device that plays it.

use core::{fmt, num::NonZeroU32};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{id::TrackId, text::Text, time::Span};

/// Frames per second, between [`SampleRate::MIN`] and [`SampleRate::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SampleRate(NonZeroU32);

/// A number of frames, or a position counted in frames from the start of a track. Arithmetic saturates.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frames(pub u64);

/// What both sides of a Jam know of a track: its identity, what to call it, and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Identity by content.
    pub id: TrackId,
    /// Title, or the file's name where the file has no tags.
    pub title: Text<256>,
    /// Artist; empty where unknown.
    pub artist: Text<256>,
    /// Album; empty where unknown.
    pub album: Text<256>,
    /// Declared rate: the unit of every position in this track.
    pub rate: SampleRate,
    /// Exact length, encoder delay and padding taken off.
    pub length: Frames,
}

impl SampleRate {
    /// The lowest rate accepted, 4 kHz: below it nothing is music.
    pub const MIN: u32 = 4_000;
    /// The highest rate accepted, 768 kHz: above it no converter exists.
    pub const MAX: u32 = 768_000;
    /// The rate of compact discs.
    pub const HZ_44100: Self = Self(NonZeroU32::new(44_100).unwrap());
    /// The rate of most devices.
    pub const HZ_48000: Self = Self(NonZeroU32::new(48_000).unwrap());

    /// `hz` frames per second, or `None` outside [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    #[must_use]
    pub fn new(hz: u32) -> Option<Self> {
        if (Self::MIN..=Self::MAX).contains(&hz) { NonZeroU32::new(hz).map(Self) } else { None }
    }

    /// Frames per second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// Frames per second, for arithmetic.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0.get())
    }

    /// How long `frames` last, rounded down to a nanosecond; saturates at 292 years.
    #[must_use]
    pub fn span_of(self, frames: Frames) -> Span {
        let nanos = u128::from(frames.0) * 1_000_000_000 / u128::from(self.0.get());
        Span::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// How many frames begin within `span`, rounded to the nearest; zero for a negative span.
    #[must_use]
    pub fn frames_in(self, span: Span) -> Frames {
        let nanos = u128::from(u64::try_from(span.as_nanos()).unwrap_or(0));
        let frames = (nanos * u128::from(self.0.get()) + 500_000_000) / 1_000_000_000;
        Frames(u64::try_from(frames).unwrap_or(u64::MAX))
    }

    /// How many frames `span` lasts, with the fraction and the sign.
    #[must_use]
    pub fn frames_f64(self, span: Span) -> f64 {
        span.as_secs_f64() * self.as_f64()
    }
}

impl Frames {
    /// No frames, or the start of a track.
    pub const ZERO: Self = Self(0);

    /// `self + more`, saturating.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// `self - less`, or zero where `less` is more.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }

    /// The count for arithmetic; exact below 2^53 frames, which is 5,900 years at 48 kHz.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 frames, as documented")]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl Track {
    /// How long the track lasts.
    #[must_use]
    pub fn duration(&self) -> Span {
        self.rate.span_of(self.length)
    }
}

impl<'de> Deserialize<'de> for SampleRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hz = u32::deserialize(deserializer)?;
        Self::new(hz).ok_or_else(|| serde::de::Error::custom("sample rate outside 4,000 to 768,000 Hz"))
    }
}
impl fmt::Debug for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}
impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_its_rate_in_frames_and_back() {
        for hz in [8_000, 22_050, 44_100, 48_000, 96_000] {
            let rate = SampleRate::new(hz).expect("a common rate");
            assert_eq!(rate.span_of(Frames(u64::from(hz))), Span::from_secs(1));
            assert_eq!(rate.frames_in(Span::from_secs(1)), Frames(u64::from(hz)));
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for hz in [0, 3_999, 768_001, u32::MAX] {
            assert_eq!(SampleRate::new(hz), None);
        }
    }

    #[test]
    fn absurd_lengths_saturate() {
        assert_eq!(SampleRate::HZ_44100.span_of(Frames(u64::MAX)), Span::MAX);
        assert_eq!(SampleRate::HZ_44100.frames_in(Span::from_secs(-1)), Frames::ZERO);
    }
}
