//! Single stamps, and any stamps.

use proptest::prelude::*;

use super::*;

#[test]
fn one_stamp_is_enough_and_time_runs_at_the_declared_rate() {
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    assert_eq!(line.audible_at(Frames(0)), None);
    let start = NodeTime::from_nanos(3_600_000_000_000_007);
    let event = line.handle_stamp(Frames(9_600), start);
    assert_eq!(event, LineEvent::Fine);
    assert_eq!(line.audible_at(Frames(57_600)), Some(start + Span::from_secs(1)));
    assert_eq!(line.audible_at(Frames(0)), Some(start - Span::from_millis(200)));
}

#[test]
fn a_late_stamp_is_ignored_and_a_lasting_shift_restarts_the_line() {
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let at = |n: u64, late: i64| {
        (
            Frames(480 * n),
            NodeTime::ZERO + Span::from_micros(10_000 * i64::try_from(n).expect("small") + late),
        )
    };
    for n in 0..200 {
        let (frame, audible) = at(n, if n == 150 { 4_000 } else { 0 });
        let expected = if n == 150 { LineEvent::Ignored } else { LineEvent::Fine };
        assert_eq!(line.handle_stamp(frame, audible), expected);
    }
    let mut restarted = 0;
    for n in 200..230 {
        let (frame, audible) = at(n, 10_000);
        restarted += u32::from(line.handle_stamp(frame, audible) == LineEvent::Restarted);
    }
    assert_eq!(restarted, 1);
    let (frame, audible) = at(300, 10_000);
    assert!((line.audible_at(frame).expect("stamps were given") - audible).abs() < Span::from_micros(1));
}

proptest! {
    #[test]
    fn no_stamp_breaks_the_line(
        stamps in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<bool>()), 0..300),
        hz in SampleRate::MIN..SampleRate::MAX,
        remembered in proptest::option::of(any::<f64>()),
    ) {
        let rate = SampleRate::new(hz).expect("within the limits");
        let mut line = AudibleLine::new(rate, remembered.map(Ppm));
        let mut frame = 0_u64;
        for (wild, time, sane) in stamps {
            frame = if sane { frame.saturating_add(wild % 100_000) } else { wild };
            let time = if sane { rate.span_of(Frames(frame)).as_nanos() } else { time };
            let _ = line.handle_stamp(Frames(frame), NodeTime::from_nanos(time));
            prop_assert!(line.dac().0.is_finite() && line.dac().0.abs() < 2_100.0);
            prop_assert!(line.spread() >= Span::ZERO);
            prop_assert!(line.audible_at(Frames(wild)).is_some());
            let position = line.frame_at(NodeTime::from_nanos(time)).expect("a stamp was given");
            prop_assert!(position.0.is_finite());
            prop_assert!(line.window.is_bounded());
        }
    }

    #[test]
    fn position_and_time_are_inverse_after_a_thousand_hours(
        late in 0_i64..1_000_000,
        ahead in 0_u64..480_000,
        fraction in 0.0..1.0,
    ) {
        let hours = 3_600_000_000_000_000 + late;
        let first = 48_000 * 3_600_000;
        let mut line = AudibleLine::new(SampleRate::HZ_48000, Some(Ppm(150.0)));
        for n in 0..100_u64 {
            let at = hours + i64::try_from(n * 9_998_500).expect("small");
            let _ = line.handle_stamp(Frames(first + 480 * n), NodeTime::from_nanos(at));
        }
        let position = FramePosition(Frames(first + ahead).as_f64() + fraction);
        let audible = line.audible_at_position(position).expect("stamps were given");
        let back = line.frame_at(audible).expect("stamps were given");
        // A nanosecond is 0.000048 frames; an f64 of this size steps by 0.00003.
        prop_assert!((back.0 - position.0).abs() < 0.000_2, "{back:?} for {position:?}");
        prop_assert!((line.dac().0 - 150.0).abs() < 0.1);
    }
}
