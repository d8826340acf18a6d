//! A real sound card, through cpal.

use cpal::{
    BufferSize, Device, ErrorKind, FromSample, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig,
    SupportedBufferSize,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};

use super::{OnLost, Output, Running, Sink};
use crate::audio::{AudioError, priority::prefer_this_thread};

/// A card that was found and can be started.
pub struct Card {
    device: Device,
    config: StreamConfig,
    format: SampleFormat,
    rate: SampleRate,
}

/// The names of the cards that can play. What ALSA's plugins add, which convert sound on its way to a card, is left out.
///
/// # Errors
/// [`AudioError::Device`] if the system's sound cannot be reached.
pub fn cards() -> Result<Vec<String>, AudioError> {
    let devices = cpal::default_host().output_devices().map_err(|error| refused(&error))?;
    let names = devices.filter_map(|device| device.id().ok()).map(|id| id.id().to_owned());
    Ok(names.filter(|name| !is_converter(name)).collect())
}

fn is_converter(name: &str) -> bool {
    let kind = name.split_once(':').map_or(name, |(kind, _)| kind);
    CONVERTERS.contains(&kind)
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Card").field("config", &self.config).field("format", &self.format).finish()
    }
}

impl Card {
    /// The card called `name`, or the system's default one.
    ///
    /// # Errors
    /// [`AudioError::NoDevice`] if there is none, [`AudioError::Device`] if it cannot be used.
    pub fn open(name: Option<&str>) -> Result<Self, AudioError> {
        let host = cpal::default_host();
        let device = match name {
            None => host.default_output_device(),
            Some(name) => host
                .output_devices()
                .map_err(|error| refused(&error))?
                .find(|device| device.id().is_ok_and(|id| id.id() == name)),
        };
        let device = device.ok_or_else(|| AudioError::NoDevice { name: name.map(str::to_owned) })?;
        // A card may refuse once while another program opens it.
        let wanted = device
            .default_output_config()
            .or_else(|_| device.default_output_config())
            .map_err(|error| refused(&error))?;
        let hertz = wanted.sample_rate();
        let rate = SampleRate::new(hertz)
            .ok_or_else(|| AudioError::Device { reason: format!("it runs at {hertz} Hz") })?;
        let buffer = u32::try_from(rate.frames_in(BUFFER).0).unwrap_or(2_400);
        let buffer = match *wanted.buffer_size() {
            SupportedBufferSize::Range { min, max } => buffer.clamp(min, max.max(min)),
            SupportedBufferSize::Unknown => buffer,
        };
        let config = StreamConfig { buffer_size: BufferSize::Fixed(buffer), ..wanted.config() };
        Ok(Self { device, config, format: wanted.sample_format(), rate })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every other format is refused alike")]
    fn build(&self, output: Output, lost: OnLost) -> Result<cpal::Stream, AudioError> {
        match self.format {
            SampleFormat::F32 => self.build_as::<f32>(output, lost),
            SampleFormat::I16 => self.build_as::<i16>(output, lost),
            SampleFormat::I32 => self.build_as::<i32>(output, lost),
            other => Err(AudioError::Device { reason: format!("it wants samples as {other}") }),
        }
    }

    fn build_as<T: SizedSample + FromSample<f32>>(
        &self,
        mut output: Output,
        lost: OnLost,
    ) -> Result<cpal::Stream, AudioError> {
        let channels = usize::from(self.config.channels).max(1);
        // Larger than any period, so that the callback never allocates.
        let mut sound = vec![0.0_f32; 2 * PERIOD_MAX];
        let rate = self.rate;
        let mut preferred = false;
        let fill = move |data: &mut [T], info: &OutputCallbackInfo| {
            if !std::mem::replace(&mut preferred, true) {
                prefer_this_thread();
            }
            let stamp = info.timestamp();
            let delay = stamp.playback.saturating_duration_since(stamp.callback);
            let mut delay = Span::from_secs_f64(delay.as_secs_f64());
            for part in data.chunks_mut(PERIOD_MAX * channels) {
                let frames = part.len() / channels;
                let Some(sound) = sound.get_mut(..2 * frames) else { continue };
                output.fill(sound, delay);
                spread(sound, part, channels);
                delay += rate.span_of(Frames(frames as u64));
            }
        };
        // After these the card goes on by itself, and the player sees the gap in the stamps.
        let harmless = |kind| matches!(kind, ErrorKind::Xrun | ErrorKind::RealtimeDenied);
        let mut told = false;
        let failed = move |error: cpal::Error| {
            if harmless(error.kind()) {
                return;
            }
            if std::mem::replace(&mut told, true) {
                // A card that is gone fails again at once, for ever.
                std::thread::sleep(FAILING_REST);
            } else {
                lost(error.to_string());
            }
        };
        self.device.build_output_stream(self.config, fill, failed, None).map_err(|error| refused(&error))
    }
}

impl Sink for Card {
    fn rate(&self) -> SampleRate {
        self.rate
    }

    fn start(self: Box<Self>, output: Output, lost: OnLost) -> Result<Box<dyn Running>, AudioError> {
        let stream = self.build(output, lost)?;
        stream.play().map_err(|error| refused(&error))?;
        Ok(Box::new(Playing { _stream: stream }))
    }
}

/// The stream; dropping it stops the card.
struct Playing {
    _stream: cpal::Stream,
}

impl std::fmt::Debug for Playing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Playing")
    }
}
impl Running for Playing {}

/// Stereo onto the card's channels: the first two of many, or both onto one.
fn spread<T: SizedSample + FromSample<f32>>(sound: &[f32], out: &mut [T], channels: usize) {
    for ([left, right], out) in sound.as_chunks::<2>().0.iter().zip(out.chunks_mut(channels)) {
        match out {
            [one] => *one = T::from_sample((left + right) * 0.5),
            [first, second, rest @ ..] => {
                *first = T::from_sample(*left);
                *second = T::from_sample(*right);
                rest.fill(T::EQUILIBRIUM);
            }
            [] => {}
        }
    }
}

fn refused(error: &cpal::Error) -> AudioError {
    AudioError::Device { reason: error.to_string() }
}

/// Length of the buffer that is asked for. On ALSA 50 ms give periods of 33 ms and a lead of 100 ms, which outlasts
/// the stalls of a busy machine. Milliseconds, 10 to 100, default 50: shorter stutters, longer makes a pause late.
const BUFFER: Span = Span::from_millis(50);

/// Rest after each further error of a card that has failed. Milliseconds, 10 to 1,000: shorter keeps a core busy,
/// longer delays the end of the program.
const FAILING_REST: std::time::Duration = std::time::Duration::from_millis(100);

/// Frames taken at once at most; longer periods are taken in parts.
const PERIOD_MAX: usize = 8_192;

/// ALSA's plugins that change the rate or the number of channels, as its packages install them.
const CONVERTERS: [&str; 6] = ["lavrate", "samplerate", "speex", "speexrate", "upmix", "vdownmix"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_converter_is_no_card() {
        assert!(["lavrate", "speexrate", "upmix:CARD=PCH"].into_iter().all(is_converter));
        assert!(
            !["default", "pulse", "sysdefault:CARD=PCH", "hw:CARD=PCH,DEV=0"].into_iter().any(is_converter)
        );
    }
}
