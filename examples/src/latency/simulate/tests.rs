//! A simulated run: repeated to the sample, in step, and obedient.

use super::*;
use crate::latency::Report;

#[test]
fn a_seed_gives_the_same_sound_again_in_step_and_obeys_commands() {
    let action = |at_s, by, deed| Action { at_s, by, deed, by_s: 0 };
    let mut case = Case::built_in("wan50").expect("known").lasting(Some(10));
    case.actions = vec![action(4.0, Who::A, Deed::Pause), action(6.0, Who::B, Deed::Resume)];
    let folder = tempfile::tempdir().expect("a folder");
    let again = || run(&case, 1, folder.path(), Machine::default(), "test").expect("runs");
    let first = again();
    assert_eq!(first.troubles, [""; 0]);
    assert_eq!(first, again());

    let [pause, resume] = [&first.commands[0], &first.commands[1]];
    println!("{pause:?} {resume:?}");
    assert!(pause.until_a_ms.is_some_and(|ms| ms <= 20.0 + 60.0));
    assert!(pause.until_b_ms.is_some_and(|ms| ms <= 20.0 + 90.0 + 25.0 + 20.0));
    let apart = resume.until_a_ms.zip(resume.until_b_ms).map(|(a, b)| (a - b).abs());
    assert!(apart.is_some_and(|ms| ms < 2.0), "{apart:?}");

    let report = Report::of(case, vec![first]);
    println!("{report}");
    assert!(report.raw.is_some_and(|figures| figures.p99_us < 1_000.0));
    assert_eq!(report.bound_broken, 0);
}
