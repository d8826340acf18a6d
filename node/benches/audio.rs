//! What sound costs: the callback of a period of 10 ms, and 10 ms through the resampler.

use divan::{Bencher, black_box};
use jamsync_node::audio::{
    AudioError,
    playout::{Stereo, playout},
    resample::{CHUNK, Resampler},
};
use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

fn main() {
    divan::main();
}

#[divan::bench]
fn callback_of_10_ms(bencher: Bencher<'_, '_>) {
    let (mut writer, mut reader) = playout(SampleRate::HZ_48000);
    let mut sound = [0.0; 960];
    writer.write(Frames::ZERO, &[[0.5, -0.5]; 480]);
    bencher.bench_local(|| {
        reader.take(black_box(&mut sound), NodeTime::ZERO, Span::ZERO);
        let _ = black_box(writer.poll_stamp());
    });
}

#[divan::bench(args = [22_050, 44_100, 48_000, 96_000])]
fn resampling_of_10_ms_to_48_khz(bencher: Bencher<'_, '_>, hertz: u32) {
    let source = SampleRate::new(hertz).unwrap_or(SampleRate::HZ_48000);
    let mut noise = 1_u32;
    let mut pull = |input: &mut [Stereo]| -> Result<(), AudioError> {
        for frame in input {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *frame = [f32::from(noise.to_be_bytes()[0]) / 256.0; 2];
        }
        Ok(())
    };
    let started = Resampler::starting_at(source, SampleRate::HZ_48000, 0.0, Ppm(30.0), &mut pull);
    let Ok(mut resampler) = started else { return };
    let mut out = [[0.0; 2]; CHUNK];
    bencher.bench_local(|| {
        resampler.set_correction(black_box(Ppm(30.0)));
        let _ = resampler.process(black_box(&mut out), &mut pull);
    });
}
