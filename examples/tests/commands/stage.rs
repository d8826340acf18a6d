//! What the tests share: recordings, and the programs.

use std::{
    path::Path,
    process::{Command, Output},
};

use jamsync_examples::tones::Piece;
use jamsync_protocol::media::SampleRate;

pub(crate) const RATE: SampleRate = SampleRate::HZ_48000;

/// Mono music of a seed.
pub(crate) fn music(seed: u64, seconds: u32) -> Vec<f32> {
    Piece::new(seed, seconds).render(RATE, seconds, 0.0, 0.0).into_iter().map(|frame| frame[0]).collect()
}

/// Writes a WAV file of as many channels.
pub(crate) fn write_wav(path: &Path, channels: &[&[f32]]) {
    let spec = hound::WavSpec {
        channels: u16::try_from(channels.len()).unwrap(),
        sample_rate: RATE.hz(),
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    for frame in 0..channels.iter().map(|channel| channel.len()).min().unwrap() {
        for channel in channels {
            wav.write_sample(channel[frame]).unwrap();
        }
    }
    wav.finalize().unwrap();
}

pub(crate) fn latency() -> Command {
    Command::new(env!("CARGO_BIN_EXE_latency"))
}

/// Its exit status, what it printed, and what it complained of.
pub(crate) fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
