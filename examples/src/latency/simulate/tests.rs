//! Simulated runs: repeated to the sample, in step, obedient, and in step again after what happens to a machine.

use jamsync_protocol::{media::Frames, time::Span};

use super::*;
use crate::{
    latency::{Action, ClockStep, Deed, Report, Sleep, case::Who, tables},
    link::Outage,
    score::{Plan, Recording, TrueRange, TrueTime, score},
};

fn action(at_s: f64, by: Who, deed: Deed) -> Action {
    Action { at_s, by, deed, by_s: 5, every_s: None }
}

/// A case that is built in, with pieces of music that are made soon.
fn case(name: &str) -> Case {
    Case { piece_s: 20, ..Case::built_in(name).expect("known") }
}

/// The report of one run of `case`, in step from its first window to its last.
fn in_step(case: Case) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let record = run(&case, 1, folder.path(), Machine::default(), "test", &Played::default()).expect("runs");
    let report = Report::of(case, vec![record]);
    println!("{report}");
    assert_eq!(report.troubles, [""; 0]);
    assert_eq!((report.failures, report.bound_broken), (0, 0));
    assert!(report.raw.is_some_and(|figures| figures.max_us < 1_000.0));
    report
}

#[test]
fn a_seed_gives_the_same_sound_again() {
    let case = case("wan50").lasting(Some(4));
    let folder = tempfile::tempdir().expect("a folder");
    let again =
        || run(&case, 1, folder.path(), Machine::default(), "test", &Played::default()).expect("runs");
    assert_eq!(again(), again());
}

#[test]
fn commands_are_heard_on_both_sides_in_the_time_that_is_allowed() {
    let mut case = case("wan50").lasting(Some(14));
    case.actions = vec![
        action(3.0, Who::A, Deed::Pause),
        action(5.0, Who::B, Deed::Resume),
        action(8.0, Who::B, Deed::Seek),
        action(11.0, Who::A, Deed::Skip),
    ];
    let report = in_step(case);
    assert_eq!(report.commands.len(), 4);
    for (name, figures) in &report.commands {
        assert_eq!(figures.unseen, 0, "{name}");
        assert!(figures.own_over_ms < 0.0 && figures.other_over_ms < 0.0, "{name}: {figures:?}");
    }
}

#[test]
fn after_a_clock_has_jumped_and_a_machine_has_slept_both_are_in_step_again() {
    let mut case = case("wan50").lasting(Some(28));
    case.clock_steps = vec![ClockStep { at_s: 5.0, of: Who::A, by_s: 0.7 }];
    case.sleeps = vec![Sleep { at_s: 15.0, of: Who::B, for_s: 2.0 }];
    let report = in_step(case);
    assert_eq!(report.discontinuities, 0);
    let [run] = &report.runs[..] else { panic!("one run") };
    let blind = run.observations.iter().filter(|seen| seen.breaks_bound()).count();
    assert!(blind > 0, "the jump has happened, and nobody can know of it at once");
    assert_eq!(run.happenings.len(), 2);
    assert_eq!(report.start_errors_us.len(), 3, "the entry, the jump and the sleep");
}

#[test]
fn a_piece_in_another_encoding_is_named_and_passed_over_on_both_sides() {
    let report = in_step(case("two-encodings").lasting(Some(24)));
    assert_eq!(report.discontinuities, 0);
    assert!(report.runs[0].named_missing.iter().all(|count| *count > 0));
}

#[test]
fn through_a_thousand_random_edits_the_music_plays_and_each_is_seen_in_the_time_of_the_path() {
    let case = case("edits150");
    let folder = tempfile::tempdir().expect("a folder");
    let music = Music::of(&case, folder.path()).expect("music");
    let mut world = World::new(&case, 1, &music, Machine::default()).expect("a world");
    world.run(&Played::default()).expect("runs");
    let entered = TrueTime::default() + world.entered.expect("both play");
    let [a, b] = world.sides.each_mut().map(|side| side.recording().expect("sound"));
    for recording in [&a, &b] {
        let silent = silent_seconds(recording, entered);
        assert!(silent.is_empty(), "after the entry, at {silent:?} s");
    }
    let until = entered + Span::from_secs(i64::from(case.seconds));
    let span = TrueRange { from: until - Span::from_secs(25), until };
    let heard = score(&a, &b, &Plan { span, ..Plan::default() }).expect("a score");
    assert_eq!(heard.windows_failed, 0);
    let report = Report::of(case.clone(), vec![world.into_record(1, "test")]);
    println!("{report}");
    let edits = report.edits.expect("edits");
    assert_eq!((edits.count, edits.unseen), (1_000, 0));
    assert!(edits.p99_ms <= edits.allowed_ms);
    assert!(edits.equal_after_ms.is_some_and(|ms| ms <= 1_000.0));
}

/// The seconds after the entry in which nothing is heard, but for the first.
fn silent_seconds(recording: &Recording, entered: TrueTime) -> Vec<usize> {
    let second = usize::try_from(recording.rate().hz()).expect("a rate");
    let sound = recording.channels().first().expect("a channel");
    let is_silent = |(_, stretch): &(usize, &[f32])| stretch.iter().all(|sample| sample.abs() < 1e-3);
    let is_after = |(index, _): &(usize, &[f32])| {
        let frame = Frames(u64::try_from(index * second).expect("a frame"));
        recording.time_of(frame).is_some_and(|at| at > entered + Span::from_secs(1))
    };
    let stretches = sound.chunks_exact(second).enumerate().filter(is_after);
    // What is under way to the ear after the end is recorded, too, and ends with the recording.
    stretches.filter(is_silent).map(|(index, _)| index).collect()
}

#[test]
fn after_the_path_was_cut_both_are_in_step_at_once_and_the_music_has_not_stopped() {
    // One piece long: where one ends, what follows is no longer what the sound before it leads to expect.
    let mut case = Case { piece_s: 40, ..case("wan50").lasting(Some(26)) };
    for way in [&mut case.path.a_to_b, &mut case.path.b_to_a] {
        way.outages = vec![Outage { from: Span::from_secs(6), lasts: Span::from_secs(12) }];
    }
    let report = in_step(case);
    let outages = report.after_outages.expect("one");
    assert_eq!((outages.count, outages.disturbed), (1, 0));
    assert!(outages.slowest_ms.is_some_and(|ms| ms <= 5_000.0), "{outages:?}");
    assert!(report.to_string().contains("after: outage"), "{report}");
    assert!(tables(&[report]).contains("| wan50 | outage | 1 |"));
}

#[test]
fn what_a_short_run_in_virtual_time_does_not_measure_is_not_printed() {
    let report = in_step(case("lan").lasting(Some(4)));
    let texts = [report.to_string(), tables(&[report])];
    for text in texts {
        assert!(!text.contains("NaN") && !text.contains("scheduler"), "{text}");
    }
}
