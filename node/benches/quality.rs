//! What steering does to the sound: a sine through servo and resampler while they make good a late start, on a card
//! and a clock that run at rates of their own. It prints THD+N and the deviation of pitch, and fails where either
//! would be heard. Virtual time: the same figures on every machine.

mod tone;

use std::{f64::consts::TAU, process::ExitCode};

use jamsync_node::audio::{
    AudioError,
    playout::Stereo,
    resample::{CHUNK, Resampler},
};
use jamsync_protocol::{
    media::{Frames, SampleRate},
    servo::{Action, Servo, ServoConfig, feed_forward},
    time::{NodeTime, Ppm, Span},
};

/// Rates of the card and of the Jam clock against the node's.
const DAC: Ppm = Ppm(60.0);
const JAM: Ppm = Ppm(-30.0);
/// How late the sound begins: just short of a re-anchor, so that the servo bends as far as it ever does.
const LATE: Span = Span::from_micros(450);
/// Chunks of 10 ms from one step of the servo to the next, and in all: 20 s.
const CHUNKS_PER_STEP: usize = 10;
const CHUNKS: usize = 2_000;

/// Worse than this fails. A trained ear hears 3 cents; 16 bits carry noise at -98 dB.
const DECIBEL_MAX: f64 = -90.0;
const CENTS_MAX: f64 = 1.0;

fn main() -> ExitCode {
    println!("source Hz   tone Hz   THD+N dB   pitch off by at most (cents)   error left");
    let mut good = true;
    for source in [22_050, 44_100, 48_000, 96_000] {
        for hertz in [1_000.0, 10_000.0] {
            let Some((decibel, cents, left)) = measure(source, hertz) else { return ExitCode::from(2) };
            println!("{source:9}   {hertz:7}   {decibel:8.1}   {cents:28.3}   {left}");
            good &= decibel < DECIBEL_MAX && cents < CENTS_MAX;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// THD+N in decibel over all 20 s, the furthest pitch of any 100 ms in cents against the tone on the Jam clock, and
/// the error at the end.
fn measure(source: u32, hertz: f64) -> Option<(f64, f64, Span)> {
    let (source, device) = (SampleRate::new(source)?, SampleRate::HZ_48000);
    let turn = TAU * hertz / source.as_f64();
    let mut fed = 0.0_f64;
    let mut pull = |input: &mut [Stereo]| -> Result<(), AudioError> {
        for frame in input {
            #[expect(clippy::cast_possible_truncation, reason = "sound is f32")]
            let value = (0.5 * (turn * fed).sin()) as f32;
            *frame = [value; 2];
            fed += 1.0;
        }
        Ok(())
    };
    let forward = feed_forward(DAC, JAM);
    let mut resampler = Resampler::starting_at(source, device, 0.0, forward, &mut pull).ok()?;
    let start = resampler.next_position();
    let mut servo = Servo::new(ServoConfig::default());
    servo.handle_start(NodeTime::ZERO);
    let mut frames = Frames::ZERO;
    let (mut error, mut cents) = (LATE, 0.0_f64);
    let mut heard: Vec<(f64, f64)> = Vec::new();
    for chunk in 0..CHUNKS {
        // What is due by the Jam clock when the next frame of this card is heard, against what it will be.
        let node = device.span_of(frames).scaled(1.0 / DAC.as_factor());
        let due = LATE + node + node.gained_at(JAM);
        error = due - Span::from_secs_f64((resampler.next_position() - start) / source.as_f64());
        if chunk.is_multiple_of(CHUNKS_PER_STEP) {
            match servo.step(NodeTime::ZERO + node, error, forward) {
                Action::Rate(rate) => resampler.set_correction(rate),
                Action::Reanchor => return None,
            }
        }
        let mut out = [[0.0; 2]; CHUNK];
        resampler.process(&mut out, &mut pull).ok()?;
        let sound = resampler.positions().iter().zip(out);
        heard.extend(sound.map(|(position, [left, _])| (turn * position, f64::from(left))));
        frames = frames.plus(Frames(CHUNK as u64));
        if (chunk + 1).is_multiple_of(CHUNKS_PER_STEP) {
            cents = cents.max(off_by(heard.get(heard.len() - CHUNKS_PER_STEP * CHUNK..)?, hertz).abs());
        }
    }
    Some((20.0 * tone::residue(&heard).log10(), cents, error))
}

/// How far the pitch of a stretch of sound is from `hertz` on the Jam clock, in cents. It is measured on the samples
/// alone: by the turn of the tone's phase from the first half to the second.
fn off_by(sound: &[(f64, f64)], hertz: f64) -> f64 {
    let rate = SampleRate::HZ_48000.as_f64() * DAC.as_factor() / JAM.as_factor();
    let turn = TAU * hertz / rate;
    let phase = |first: usize, half: &[(f64, f64)]| {
        let (re, im) = half.iter().zip(first..).fold((0.0, 0.0), |(re, im), ((_, value), n)| {
            let angle = turn * Frames(n as u64).as_f64();
            (re + value * angle.sin(), im + value * angle.cos())
        });
        im.atan2(re)
    };
    let (first, second) = sound.split_at(sound.len() / 2);
    let mut turned = phase(first.len(), second) - phase(0, first);
    turned -= TAU * (turned / TAU).round();
    let apart = Frames(first.len() as u64).as_f64();
    1_200.0 * (1.0 + turned / (apart * turn)).log2()
}
