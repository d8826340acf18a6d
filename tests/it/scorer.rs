//! The scorer must measure what is there, and must say no to everything that is not in sync.

use std::{f32::consts::TAU, f64::consts::TAU as TAU_F64};

use jamsync_examples::{
    score::{
        Anchor, Assertion, DisturbanceKind, Plan, Recording, Score, Side, Stamp, TrueRange, TrueTime,
        Verdict, score,
    },
    tones::Piece,
};
use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RATE: SampleRate = SampleRate::HZ_48000;
const SECONDS: u32 = 6;
const SEED: u64 = 7;

/// Left and right of the test's music, late and fast by as much as asked.
fn music(delay: f64, ppm: f64) -> Vec<[f32; 2]> {
    Piece::new(SEED, SECONDS).render(RATE, SECONDS, delay, ppm)
}

fn recording(frames: &[[f32; 2]]) -> Recording {
    let channel = |index: usize| frames.iter().map(|frame| frame[index]).collect();
    Recording::on_one_clock(RATE, vec![channel(0), channel(1)]).expect("frames in both channels")
}

fn scored(a: &[[f32; 2]], b: &[[f32; 2]]) -> Score {
    let (a, b) = (recording(a), recording(b));
    let mut plan = Plan::everything_in(&a, &b);
    // Away from the ends, where a side that is late has nothing to play yet.
    plan.span.from = plan.span.from + Span::from_millis(400);
    plan.span.until = plan.span.until - Span::from_millis(400);
    score(&a, &b, &plan).expect("long enough")
}

fn late_by(frames: usize, music: &[[f32; 2]]) -> Vec<[f32; 2]> {
    [vec![[0.0; 2]; frames], music.to_vec()].concat()
}

fn seconds(seconds: f64) -> TrueTime {
    TrueTime::default() + Span::from_secs_f64(seconds)
}

#[track_caller]
fn assert_skew(score: &Score, expected: f64, tolerance: f64) {
    let summary = score.summary.expect("something was scored");
    for skew in [summary.median, summary.p50, summary.max] {
        let expected = if skew == summary.median { expected } else { expected.abs() };
        let off = (skew.as_secs_f64() - expected) * 1e6;
        assert!(off.abs() < tolerance, "{off:+.3} µs off:\n{score}");
    }
}

#[track_caller]
fn assert_undisturbed(score: &Score) {
    assert_eq!((score.windows_failed, score.disturbances.len()), (0, 0), "\n{score}");
}

#[test]
fn equal_sound_has_no_skew_and_no_disturbance() {
    let score = scored(&music(0.0, 0.0), &music(0.0, 0.0));
    assert_skew(&score, 0.0, 0.001);
    assert_undisturbed(&score);
    assert!(score.is_in_sync(Span::from_millis(1)));
}

#[test]
fn a_shift_by_whole_frames_is_measured_to_a_microsecond() {
    for frames in [1, 7, 100] {
        let music = music(0.0, 0.0);
        let expected = RATE.span_of(Frames(u64::try_from(frames).expect("small"))).as_secs_f64();
        let late = scored(&music, &late_by(frames, &music));
        assert_skew(&late, expected, 1.0);
        assert_undisturbed(&late);
        let early = scored(&late_by(frames, &music), &music);
        assert_skew(&early, -expected, 1.0);
    }
}

#[test]
fn a_shift_by_a_hundred_frames_is_not_in_sync() {
    let music = music(0.0, 0.0);
    assert!(!scored(&music, &late_by(100, &music)).is_in_sync(Span::from_millis(1)));
}

#[test]
fn a_shift_by_a_fraction_of_a_frame_is_measured_to_a_microsecond() {
    for delay in [1e-6, 7.3e-6, 123.4e-6, 0.311_007] {
        let score = scored(&music(0.0, 0.0), &music(delay, 0.0));
        assert_skew(&score, delay, 1.0);
        assert_undisturbed(&score);
    }
}

#[test]
fn a_difference_of_rate_is_found_as_drift() {
    for ppm in [50.0, -50.0] {
        // Music that runs fast is ever earlier: the skew of the second side falls.
        let score = scored(&music(0.0, 0.0), &music(0.0, ppm));
        let drift = score.summary.expect("scored").drift;
        assert!((drift.0 + ppm).abs() < 0.5, "{drift:?} for {ppm}:\n{score}");
        assert_undisturbed(&score);
    }
}

#[test]
fn stamps_put_a_recording_on_true_time_whatever_its_clock() {
    // The second device began 0.4 s late and samples 60 ppm fast; its stamps say so.
    let began = 0.4;
    let rate = 1.0 + 60e-6;
    let frames = music(-began, -60.0 / rate);
    let channels = vec![frames.iter().map(|f| f[0]).collect(), frames.iter().map(|f| f[1]).collect()];
    let stamp = |frame: u32| Stamp {
        frame: Frames(u64::from(frame)),
        at: seconds(began + f64::from(frame) / 48_000.0 / rate),
    };
    let stamps = (0..500).map(|period| stamp(period * 480)).collect();
    let b = Recording::new(RATE, channels, stamps).expect("valid");
    let a = recording(&music(0.0, 0.0));
    let plan = Plan { span: TrueRange { from: seconds(0.5), until: seconds(5.0) }, ..Plan::default() };
    let score = score(&a, &b, &plan).expect("long enough");
    assert_undisturbed(&score);
    assert_skew(&score, 0.0, 1.0);
}

#[test]
fn volume_and_noise_do_not_move_the_peak() {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut noisy = |sample: f32| sample * 0.25 + random.random_range(-1e-3..1e-3);
    let quiet_and_noisy: Vec<[f32; 2]> =
        music(0.0, 0.0).into_iter().map(|[left, right]| [noisy(left), noisy(right)]).collect();
    assert_skew(&scored(&music(0.0, 0.0), &quiet_and_noisy), 0.0, 2.0);
}

#[test]
fn silence_is_a_failure_that_names_the_side() {
    let (music, silence) = (music(0.0, 0.0), vec![[0.0; 2]; 288_000]);
    let all = |score: &Score, verdict| score.windows.iter().all(|window| window.verdict == verdict);
    for (score, verdict) in [
        (scored(&music, &silence), Verdict::SecondSilent),
        (scored(&silence, &music), Verdict::FirstSilent),
        (scored(&silence, &silence), Verdict::BothSilent),
    ] {
        assert!(all(&score, verdict), "{verdict:?}:\n{score}");
        assert!(!score.is_in_sync(Span::from_secs(1)));
    }
}

#[test]
fn other_music_is_a_failure() {
    let other = Piece::new(SEED + 1, SECONDS).render(RATE, SECONDS, 0.0, 0.0);
    let score = scored(&music(0.0, 0.0), &other);
    assert_eq!(score.windows_failed, score.windows.len(), "\n{score}");
}

#[test]
fn tracks_in_another_order_are_a_failure() {
    let (one, two) = (music(0.0, 0.0), Piece::new(SEED + 1, SECONDS).render(RATE, SECONDS, 0.0, 0.0));
    let score = scored(&[one.clone(), two.clone()].concat(), &[two, one].concat());
    assert!(score.windows_scored == 0 && score.windows_failed > 40, "\n{score}");
}

#[test]
fn a_pure_tone_matches_at_many_lags_and_is_a_failure() {
    let period = (0..48_u16).map(|n| [(f32::from(n) / 48.0 * TAU).sin() * 0.5; 2]);
    let tone: Vec<[f32; 2]> = period.cycle().take(288_000).collect();
    let score = scored(&tone, &tone);
    assert_eq!(score.windows_scored, 0, "\n{score}");
}

#[test]
fn a_lost_or_repeated_frame_is_a_jump_at_its_time() {
    let music = music(0.0, 0.0);
    for at in [100_000, 150_007, 200_400] {
        let mut lost = music.clone();
        lost.remove(at);
        let mut repeated = music.clone();
        repeated.insert(at, repeated[at]);
        for (broken, by) in [(lost, -1.0), (repeated, 1.0)] {
            for (score, sign) in [(scored(&music, &broken), 1.0), (scored(&broken, &music), -1.0)] {
                let [one] = score.disturbances[..] else { panic!("one at {at} expected:\n{score}") };
                let off = (one.at - seconds(f64::from(u32::try_from(at).expect("small")) / 48_000.0)).abs();
                assert!(off < Span::from_millis(30), "{off} off:\n{score}");
                let DisturbanceKind::Jump { by: found } = one.kind else { panic!("{one} is no jump") };
                let frames = found.as_secs_f64() * 48_000.0 * sign;
                assert!((frames - by).abs() < 0.3, "{frames} frames for {by}");
            }
        }
    }
}

#[test]
fn a_gap_is_found_on_its_side_with_its_length() {
    let music = music(0.0, 0.0);
    let mut broken = music.clone();
    broken[120_000..120_480].fill([0.0; 2]);
    for (score, expected) in [(scored(&music, &broken), Side::Second), (scored(&broken, &music), Side::First)]
    {
        let gap = score.disturbances.iter().find_map(|found| {
            if let DisturbanceKind::Gap { side, length } = found.kind { Some((side, length)) } else { None }
        });
        let (side, length) = gap.unwrap_or_else(|| panic!("no gap:\n{score}"));
        assert_eq!(side, expected);
        assert!((length.as_secs_f64() - 0.01).abs() < 0.002, "{length}");
    }
}

#[test]
fn a_click_is_found_on_its_side() {
    let music = music(0.0, 0.0);
    let mut broken = music.clone();
    broken[170_000][0] += 0.05;
    for (score, expected) in [(scored(&music, &broken), Side::Second), (scored(&broken, &music), Side::First)]
    {
        let [one] = score.disturbances[..] else { panic!("one expected:\n{score}") };
        assert!((one.at - seconds(170_000.0 / 48_000.0)).abs() < Span::from_millis(2), "\n{score}");
        assert!(matches!(one.kind, DisturbanceKind::Click { side, .. } if side == expected), "\n{score}");
    }
}

/// A cymbal struck after 3 s: partials up to where resamplers give up, decaying within some 40 ms.
fn with_cymbal(mut music: Vec<[f32; 2]>, delay: f64) -> Vec<[f32; 2]> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let partials: Vec<(f64, f64)> =
        (0..40).map(|_| (random.random_range(12e3..22e3), random.random_range(0.0..TAU_F64))).collect();
    for (index, frame) in music.iter_mut().enumerate().skip(140_000).take(20_000) {
        let time = RATE.span_of(Frames(index as u64)).as_secs_f64() - delay - 3.0;
        if time > 0.0 {
            let sum: f64 = partials.iter().map(|(hertz, phase)| (TAU_F64 * hertz * time + phase).sin()).sum();
            #[expect(clippy::cast_possible_truncation, reason = "a sample has no more precision")]
            let sound = (0.02 * sum * (1.0 - (-time / 2e-4).exp()) * (-time / 0.02).exp()) as f32;
            *frame = frame.map(|side| side + sound);
        }
    }
    music
}

#[test]
fn a_cymbal_on_both_sides_is_no_click() {
    for delay in [5e-6, 9e-6, 14e-6] {
        let score = scored(&with_cymbal(music(0.0, 0.0), 0.0), &with_cymbal(music(delay, 0.0), delay));
        assert_undisturbed(&score);
    }
}

#[test]
fn a_pause_is_silent_on_both_sides_or_a_failure() {
    let mut paused = music(0.0, 0.0);
    paused[96_000..216_000].fill([0.0; 2]);
    let pause = TrueRange { from: seconds(2.0), until: seconds(4.5) };
    let anchor = |what: &str, at: TrueTime, sounds| Anchor {
        what: what.to_owned(),
        effect: TrueRange { from: at, until: at },
        sounds,
    };
    let scored = |a: &[[f32; 2]], b: &[[f32; 2]]| {
        let (a, b) = (recording(a), recording(b));
        let mut plan = Plan::everything_in(&a, &b);
        plan.anchors = vec![anchor("pause", pause.from, false), anchor("resume", pause.until, true)];
        plan.pauses = vec![pause];
        score(&a, &b, &plan).expect("long enough")
    };
    let kept = scored(&paused, &paused);
    assert_undisturbed(&kept);
    assert!(kept.windows_paused >= 5, "\n{kept}");
    assert!(kept.windows_left_out >= 6, "\n{kept}");
    let [start] = &kept.starts[..] else { panic!("one start expected:\n{kept}") };
    assert!(start.skew.is_some_and(|skew| skew.abs() < Span::from_micros(1)), "\n{kept}");

    let broken = scored(&paused, &music(0.0, 0.0));
    let loud = broken.windows.iter().filter(|window| window.verdict == Verdict::SoundInPause).count();
    assert_eq!(loud, kept.windows_paused, "\n{broken}");
}

#[test]
fn a_recording_that_ends_early_is_a_failure() {
    let (a, b) = (recording(&music(0.0, 0.0)), recording(&music(0.0, 0.0)[..192_000]));
    let plan = Plan { span: a.range(), ..Plan::default() };
    let score = score(&a, &b, &plan).expect("long enough");
    assert!(score.windows.iter().any(|window| window.verdict == Verdict::SecondSilent), "\n{score}");
}

#[test]
fn a_score_survives_its_json_and_answers_assertions() {
    let music = music(0.0, 0.0);
    let score = scored(&music, &late_by(7, &music));
    let json = serde_json::to_string(&score).expect("serialises");
    let back: Score = serde_json::from_str(&json).expect("parses");
    assert_eq!((back.summary, back.windows.len()), (score.summary, score.windows.len()));
    assert_eq!(back.to_string(), score.to_string());
    let holds = |text: &str| text.parse::<Assertion>().expect("valid").holds(&score);
    assert!(holds("p99_us<=146") && holds("discontinuities<=0") && holds("failures <= 0"));
    assert!(!holds("p99_us<=145") && !holds("median_us<=100"));
}
