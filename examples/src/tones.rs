//! Music made by rule, for tests and for a demo on a machine without music files.
//!
//! Notes with overtones, drum strokes and glides, all from one seed. Being a sum of formulas, it can be read
//! at any instant, also between samples, so that a test can shift or slow it exactly. It never repeats
//! itself, so that only one lag matches.

use std::{f64::consts::TAU, path::Path};

use jamsync_protocol::media::SampleRate;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A piece of music of some length.
#[derive(Debug)]
pub struct Piece {
    /// The notes that begin in each [`BEAT`], by index.
    beats: Vec<Vec<Partial>>,
}

/// A decaying sine, perhaps gliding.
#[derive(Debug)]
struct Partial {
    start: f64,
    hertz: f64,
    /// Change of pitch, in hertz a second.
    glide: f64,
    /// Time in which it falls to 1/e, in seconds.
    decay: f64,
    left: f64,
    right: f64,
}

/// Seconds between two beats.
const BEAT: f64 = 0.2;
/// Beats for which a partial is heard: 1.2 s.
const BEATS_HEARD: usize = 6;
/// Semitones of the scale above its root.
const SCALE: [i32; 7] = [0, 2, 3, 5, 7, 9, 10];

impl Piece {
    /// A piece of at least `seconds`, the same for the same seed.
    #[must_use]
    pub fn new(seed: u64, seconds: u32) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut start = 0.0;
        let mut beats = Vec::new();
        while start < f64::from(seconds) {
            beats.push(beat(&mut random, start));
            start += BEAT;
        }
        Self { beats }
    }

    /// Left and right at an instant, in seconds from the start; silence outside of the piece.
    #[must_use]
    pub fn at(&self, seconds: f64) -> [f64; 2] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates at zero")]
        let now = (seconds / BEAT) as usize;
        let heard = self.beats.iter().take(now + 1).skip(now.saturating_sub(BEATS_HEARD - 1)).flatten();
        let mut sum = [0.0; 2];
        for partial in heard {
            let age = seconds - partial.start;
            if age < 0.0 || age > DECAYS_HEARD * partial.decay {
                continue;
            }
            let attack = (age / ATTACK).min(1.0);
            let fade = (-age / partial.decay).exp() * attack;
            let value = (TAU * (partial.hertz + partial.glide * age / 2.0) * age).sin() * fade;
            sum[0] += value * partial.left;
            sum[1] += value * partial.right;
        }
        sum
    }

    /// Writes the first `seconds` to a WAV file of 32-bit floats.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path, rate: SampleRate, seconds: u32) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate.hz(),
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut file = hound::WavWriter::create(path, spec)?;
        for sample in self.render(rate, seconds, 0.0, 0.0).as_flattened() {
            file.write_sample(*sample)?;
        }
        file.finalize()
    }

    /// The whole piece as stereo, read `ppm` parts per million too fast and `delay` seconds
    /// late.
    #[must_use]
    pub fn render(&self, rate: SampleRate, seconds: u32, delay: f64, ppm: f64) -> Vec<[f32; 2]> {
        let frames = u64::from(seconds) * u64::from(rate.hz());
        let place = |frame: u64| {
            jamsync_protocol::media::Frames(frame).as_f64() / rate.as_f64() * (1.0 + ppm * 1e-6) - delay
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounded to the precision of a sound file")]
        let narrow = |[left, right]: [f64; 2]| [left as f32, right as f32];
        (0..frames).map(|frame| narrow(self.at(place(frame)))).collect()
    }
}

/// After so many times its decay, a partial is under -90 dB.
const DECAYS_HEARD: f64 = 8.0;
/// Seconds in which a partial rises, so that none begins with a click.
const ATTACK: f64 = 0.002;

/// What begins on one beat: two notes, a stroke of the drum, and now and then a glide.
fn beat(random: &mut ChaCha8Rng, start: f64) -> Vec<Partial> {
    let mut partials = Vec::new();
    for _ in 0..2 {
        let start = start + random.random_range(0.0..0.04);
        let degree = SCALE[random.random_range(0..SCALE.len())];
        let octave = 12 * random.random_range(0..4);
        let root =
            110.0 * 2.0_f64.powf(f64::from(degree + octave) / 12.0) * random.random_range(0.997..1.003);
        let pan = random.random_range(0.2..0.8);
        for overtone in 1..=6_u32 {
            let level = 0.12 / f64::from(overtone);
            partials.push(Partial {
                start,
                hertz: root * f64::from(overtone),
                glide: 0.0,
                decay: random.random_range(0.08..0.25),
                left: level * pan,
                right: level * (1.0 - pan),
            });
        }
    }
    let drum = start + random.random_range(0.0..0.03);
    for _ in 0..12 {
        partials.push(Partial {
            start: drum,
            hertz: random.random_range(150.0..12_000.0),
            glide: 0.0,
            decay: random.random_range(0.01..0.04),
            left: random.random_range(0.0..0.03),
            right: random.random_range(0.0..0.03),
        });
    }
    if random.random_bool(0.2) {
        partials.push(Partial {
            start,
            hertz: random.random_range(300.0..900.0),
            glide: random.random_range(500.0..3_000.0),
            decay: 0.2,
            left: 0.05,
            right: 0.05,
        });
    }
    partials
}
