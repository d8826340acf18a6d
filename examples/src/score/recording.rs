//! A recording: sound, and when each of its frames was audible by the true clock.
//!
//! It comes from a node's virtual sound card (`NAME.wav` with `NAME.stamps.csv`), or from one device that
//! recorded both sides by its own clock.

use std::path::Path;

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};

use super::{ScoreError, TrueRange, TrueTime};

/// Sound with its times.
#[derive(Clone, Debug)]
pub struct Recording {
    rate: SampleRate,
    channels: Vec<Vec<f32>>,
    stamps: Vec<Stamp>,
}

/// When one frame was audible. Between two stamps, frames are evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The frame, counted from the start of the recording.
    pub frame: Frames,
    /// When it was audible.
    pub at: TrueTime,
}

impl Recording {
    /// A recording of `channels`, each frame of which was audible when `stamps` say.
    ///
    /// # Errors
    /// [`ScoreError::Frames`] unless there are at least two frames, equally many in each channel;
    /// [`ScoreError::Stamps`] unless there are at least two, ascending in frames and in time.
    pub fn new(rate: SampleRate, channels: Vec<Vec<f32>>, stamps: Vec<Stamp>) -> Result<Self, ScoreError> {
        let expected = channels.iter().map(Vec::len).max().unwrap_or(0).max(2);
        let actual = channels.iter().map(Vec::len).min().unwrap_or(0);
        if actual != expected {
            return Err(ScoreError::Frames { expected, actual });
        }
        let ascend = |pair: &[Stamp]| matches!(pair, [x, y] if x.frame < y.frame && x.at < y.at);
        if let Some(index) = stamps.windows(2).position(|pair| !ascend(pair)) {
            return Err(ScoreError::Stamps { index: index + 1 });
        }
        if stamps.len() < 2 {
            return Err(ScoreError::Stamps { index: stamps.len() });
        }
        Ok(Self { rate, channels, stamps })
    }

    /// A recording whose own clock is the true one.
    ///
    /// # Errors
    /// As [`Recording::new`].
    pub fn on_one_clock(rate: SampleRate, channels: Vec<Vec<f32>>) -> Result<Self, ScoreError> {
        let frames = channels.first().map_or(0, Vec::len).max(1);
        let end = Frames(u64::try_from(frames).unwrap_or(u64::MAX));
        let stamps = vec![
            Stamp { frame: Frames::ZERO, at: TrueTime::default() },
            Stamp { frame: end, at: TrueTime::default() + rate.span_of(end) },
        ];
        Self::new(rate, channels, stamps)
    }

    /// The recording `NAME.wav` with its `NAME.stamps.csv`, where `prefix` is the path up to `NAME`; a path
    /// that ends in `.wav` is taken for the same.
    ///
    /// # Errors
    /// [`ScoreError::File`] for what cannot be read, and the errors of [`Recording::new`].
    pub fn read(prefix: &Path) -> Result<Self, ScoreError> {
        let prefix = prefix.to_string_lossy();
        let prefix = prefix.strip_suffix(".wav").unwrap_or(&prefix);
        let (rate, channels) = read_wav(Path::new(&format!("{prefix}.wav")))?;
        let stamps = read_stamps(Path::new(&format!("{prefix}.stamps.csv")))?;
        Self::new(rate, channels, stamps)
    }

    /// Several recordings of the same sound card, one after the other, with silence between them.
    ///
    /// # Errors
    /// [`ScoreError::Stamps`] where they do not follow each other in time, [`ScoreError::Frames`] where they differ in
    /// rate or channels, and the errors of [`Recording::new`].
    pub fn joined(parts: Vec<Self>) -> Result<Self, ScoreError> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().ok_or(ScoreError::Frames { expected: 2, actual: 0 })?;
        for part in parts {
            if part.rate != whole.rate || part.channels.len() != whole.channels.len() {
                return Err(ScoreError::Frames {
                    expected: whole.channels.len(),
                    actual: part.channels.len(),
                });
            }
            whole.append(&part);
        }
        Self::new(whole.rate, whole.channels, whole.stamps)
    }

    fn append(&mut self, part: &Self) {
        let count = |frames: usize| u64::try_from(frames).unwrap_or(u64::MAX);
        let held = self.channels.first().map_or(0, Vec::len);
        let end = Stamp { frame: Frames(count(held)), at: self.range().until };
        let gap = self.rate.frames_in((part.range().from - end.at).max(Span::ZERO));
        // What was recorded before its first stamp has no time.
        let untimed = part.stamps.first().map_or(Frames::ZERO, |stamp| stamp.frame);
        let skipped = usize::try_from(untimed.0).unwrap_or(usize::MAX);
        let from = held.saturating_add(usize::try_from(gap.0).unwrap_or(usize::MAX));
        for (whole, part) in self.channels.iter_mut().zip(&part.channels) {
            whole.resize(from, 0.0);
            whole.extend(part.iter().skip(skipped));
        }
        if self.stamps.last().is_some_and(|last| last.frame < end.frame) {
            self.stamps.push(end);
        }
        let moved =
            |stamp: &Stamp| Stamp { frame: Frames(count(from) + stamp.frame.0 - untimed.0), ..*stamp };
        self.stamps.extend(part.stamps.iter().map(moved));
    }

    /// The two sides of one recording: channels 1 and 2 against 3 and 4, or left against right.
    ///
    /// # Errors
    /// [`ScoreError::File`] for what cannot be read or has neither two nor four channels.
    pub fn read_both_sides(path: &Path) -> Result<(Self, Self), ScoreError> {
        let (rate, mut first) = read_wav(path)?;
        if !matches!(first.len(), 2 | 4) {
            let reason = format!("{} channels where two or four are expected", first.len());
            return Err(file_error(path, reason));
        }
        let second = first.split_off(first.len() / 2);
        Ok((Self::on_one_clock(rate, first)?, Self::on_one_clock(rate, second)?))
    }

    /// From the first stamp to the last frame.
    #[must_use]
    pub fn range(&self) -> TrueRange {
        let from = self.stamps.first().map_or(TrueTime::default(), |stamp| stamp.at);
        let until = self.stamps.last().map_or(from, |last| {
            let frames = self.channels.first().map_or(0, Vec::len);
            let after = Frames(u64::try_from(frames).unwrap_or(u64::MAX)).minus(last.frame);
            last.at + self.rate.span_of(after)
        });
        TrueRange { from, until }
    }

    /// The frame that was audible at an instant; none outside of the recording.
    #[must_use]
    pub fn frame_at(&self, at: TrueTime) -> Option<Frames> {
        let index = self.stamps.partition_point(|stamp| stamp.at <= at).checked_sub(1)?;
        let before = self.stamps.get(index)?;
        let frame = Frames(before.frame.0 + self.rate.frames_in(at - before.at).0);
        let held = u64::try_from(self.channels.first().map_or(0, Vec::len)).unwrap_or(u64::MAX);
        (frame.0 < held).then_some(frame)
    }

    /// When a frame was audible; none before the first stamp.
    #[must_use]
    pub fn time_of(&self, frame: Frames) -> Option<TrueTime> {
        let index = self.stamps.partition_point(|stamp| stamp.frame <= frame).checked_sub(1)?;
        let before = self.stamps.get(index)?;
        Some(before.at + self.rate.span_of(frame.minus(before.frame)))
    }

    /// The rate at which it was sampled.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// The sound, a list of samples for each channel.
    #[must_use]
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// When its frames were audible.
    #[must_use]
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }
}

/// The rate of a WAV file and the samples of each of its channels.
fn read_wav(path: &Path) -> Result<(SampleRate, Vec<Vec<f32>>), ScoreError> {
    let failed = |error: hound::Error| file_error(path, error.to_string());
    let mut reader = hound::WavReader::open(path).map_err(failed)?;
    let spec = reader.spec();
    let rate = SampleRate::new(spec.sample_rate).ok_or(ScoreError::Rate { actual: spec.sample_rate })?;
    let count = usize::from(spec.channels.max(1));
    let mut channels = vec![Vec::new(); count];
    let mut put = |index: usize, value: f32| {
        if let Some(channel) = channels.get_mut(index % count) {
            channel.push(value);
        }
    };
    match spec.sample_format {
        hound::SampleFormat::Float => {
            for (index, value) in reader.samples::<f32>().enumerate() {
                put(index, value.map_err(failed)?);
            }
        }
        hound::SampleFormat::Int => {
            let full = f64::from(1u32 << u32::from(spec.bits_per_sample.clamp(1, 32) - 1));
            for (index, value) in reader.samples::<i32>().enumerate() {
                put(index, super::number::sample(f64::from(value.map_err(failed)?) / full));
            }
        }
    }
    Ok((rate, channels))
}

/// The stamps of a CSV file of `frame,true_ns`, with or without that heading.
fn read_stamps(path: &Path) -> Result<Vec<Stamp>, ScoreError> {
    let text = std::fs::read_to_string(path).map_err(|error| file_error(path, error.to_string()))?;
    // A recorder that was killed leaves half a line at the end.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let numbered = whole.lines().enumerate().filter(|(index, line)| *index > 0 || !line.starts_with("frame"));
    numbered
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            parse_stamp(line)
                .ok_or_else(|| file_error(path, format!("line {}: expected frame,true_ns", index + 1)))
        })
        .collect()
}

/// One line of a stamps file.
fn parse_stamp(line: &str) -> Option<Stamp> {
    let (frame, at) = line.split_once(',')?;
    let at = TrueTime::from_nanos(at.trim().parse().ok()?);
    Some(Stamp { frame: Frames(frame.trim().parse().ok()?), at })
}

fn file_error(path: &Path, reason: String) -> ScoreError {
    ScoreError::File { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recordings_of_two_lives_keep_their_times_with_silence_between_them() {
        let rate = SampleRate::HZ_48000;
        let at = |ms: i64| TrueTime::from_nanos(ms * 1_000_000);
        let stamp = |frame, ms| Stamp { frame: Frames(frame), at: at(ms) };
        let life = |level, stamps: [(u64, i64); 2]| {
            let stamps = stamps.map(|(frame, ms)| stamp(frame, ms)).to_vec();
            Recording::new(rate, vec![vec![level; 48_000]], stamps).expect("valid")
        };
        let both = [life(0.5, [(0, 1_000), (47_520, 1_990)]), life(0.25, [(480, 5_000), (48_000, 5_990)])];
        let whole = Recording::joined(both.to_vec()).expect("they follow each other");
        assert_eq!(whole.range().length(), Span::from_millis(4_990));
        let level = |ms| {
            let frame = whole.frame_at(at(ms)).and_then(|frame| usize::try_from(frame.0).ok());
            frame.and_then(|frame| whole.channels().first()?.get(frame).copied())
        };
        let levels = [1_500, 1_999, 2_001, 4_999, 5_001, 5_980].map(level);
        assert_eq!(levels, [Some(0.5), Some(0.5), Some(0.0), Some(0.0), Some(0.25), Some(0.25)]);
        let [first, second] = both;
        assert!(matches!(Recording::joined(vec![second, first]), Err(ScoreError::Stamps { .. })));
    }
}
