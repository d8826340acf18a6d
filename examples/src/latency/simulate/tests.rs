//! Simulated runs: repeated to the sample, in step, obedient, and in step again after what happens to a machine.

use super::*;
use crate::latency::{ClockStep, Report, Sleep};

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
    let record = run(&case, 1, folder.path(), Machine::default(), "test").expect("runs");
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
    let again = || run(&case, 1, folder.path(), Machine::default(), "test").expect("runs");
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
fn a_thousand_random_edits_are_seen_in_the_time_of_the_path_and_leave_equal_queues() {
    let case = case("edits150");
    let folder = tempfile::tempdir().expect("a folder");
    let music = Music::of(&case, folder.path()).expect("music");
    let mut world = World::new(&case, 1, &music, Machine::default()).expect("a world");
    world.run().expect("runs");
    let record = world.editor.as_ref().map(|editor| editor.record(&world.sides)).expect("edits");
    let report = Report::of(case.clone(), vec![world.into_record(1, "test")]);
    println!("{report}, {} entries", record.entries);
    let edits = report.edits.expect("edits");
    assert!(edits.count > 990, "{edits:?}");
    assert_eq!(edits.unseen, 0);
    assert!(edits.p99_ms <= edits.allowed_ms);
    assert!(edits.equal_after_ms.is_some_and(|ms| ms <= 1_000.0));
}
