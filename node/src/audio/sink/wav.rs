//! A sink that writes a WAV file: what would have been played, nothing else.

use std::{fs::File, io::BufWriter, path::Path};

use hound::WavWriter;
use jamsync_protocol::media::SampleRate;

use super::{OnLost, Output, Running, Sink, null::Periods, paced::Paced};
use crate::audio::{AudioError, playout::Stereo};

/// Writes what it takes, paced by the system's clock: stereo, 32-bit float.
pub struct WavFile {
    rate: SampleRate,
    recording: Recording,
}

impl std::fmt::Debug for WavFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavFile").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl WavFile {
    /// A sink that writes `path`, over what is there.
    ///
    /// # Errors
    /// [`AudioError::Recording`] if the file cannot be written.
    pub fn create(path: &Path, rate: SampleRate) -> Result<Self, AudioError> {
        Ok(Self { rate, recording: Recording::create(path, rate)? })
    }
}

impl Sink for WavFile {
    fn rate(&self) -> SampleRate {
        self.rate
    }

    fn start(self: Box<Self>, mut output: Output, lost: OnLost) -> Result<Box<dyn Running>, AudioError> {
        let mut periods = Periods::new(self.rate);
        let mut recording = Some(self.recording);
        Ok(Box::new(Paced::start(move || {
            periods.next(&mut output, |sound| {
                if let Some(Err(error)) = recording.as_mut().map(|recording| recording.push(sound)) {
                    recording = None;
                    lost(error.to_string());
                }
            })
        })?))
    }
}

/// A WAV file that is readable at any moment to within a second, so that a killed process leaves a recording.
pub(super) struct Recording {
    writer: WavWriter<BufWriter<File>>,
    flush_every: u32,
    unflushed: u32,
}

impl Recording {
    pub(super) fn create(path: &Path, rate: SampleRate) -> Result<Self, AudioError> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate.hz(),
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let writer = WavWriter::create(path, spec)
            .map_err(|error| AudioError::Recording { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { writer, flush_every: rate.hz(), unflushed: 0 })
    }

    /// Appends frames; whether the file was brought up to date with them.
    pub(super) fn push(&mut self, sound: &[Stereo]) -> Result<bool, hound::Error> {
        for sample in sound.as_flattened() {
            self.writer.write_sample(*sample)?;
        }
        self.unflushed = self.unflushed.saturating_add(u32::try_from(sound.len()).unwrap_or(u32::MAX));
        let flush = self.unflushed >= self.flush_every;
        if flush {
            self.unflushed = 0;
            self.writer.flush()?;
        }
        Ok(flush)
    }
}
