//! A path that is poor for a while: both listeners are told what that costs, and again when it has passed.

use std::time::Duration;

use jamsync_examples::link::{Exponential, Jitter, LinkConfig, Loss, PathConfig, RandomLoss};
use jamsync_node::api::{Event, Precision};
use jamsync_protocol::time::Span;

use super::stage::Friends;

/// How long until something is told that was measured over half a minute, on a machine that is busy as well.
const LONG: Duration = Duration::from_secs(120);

const SEED: u64 = 4;

/// So uneven that the clocks are known to some milliseconds only, and that commands need a second or two.
fn uneven(mean_ms: i64) -> LinkConfig {
    let jitter = Jitter::Exponential(Exponential { mean: Span::from_millis(mean_ms) });
    LinkConfig { jitter, keeps_order: false, ..LinkConfig::default() }
}

fn tell(friends: &mut Friends, marks: [usize; 2], what: &str, fits: impl Fn(&Event) -> bool) {
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        let told = node.event_within(LONG, mark, what, |event| fits(event).then(|| event.clone()));
        eprintln!("{} is told: {told:?}", node.name);
    }
}

#[test]
fn what_a_poor_path_costs_is_told_to_both_and_so_is_its_end() {
    eprintln!("seed {SEED}");
    let (mut friends, path) = Friends::meet_over(&PathConfig::symmetric(uneven(250)), SEED);
    let music = friends.stage.music(1, 120);
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.begin_jam_with(&music);
    // More of the same would let the clocks be known better and better; this tells them next to nothing.
    let lost = Loss::Random(RandomLoss { share: 0.3 });
    path.change(PathConfig::symmetric(LinkConfig { loss: lost, ..uneven(500) }));
    tell(&mut friends, marks, "out of step, or in step within a range only", |event| {
        matches!(event, Event::Precision { precision: Precision::Range | Precision::Unknown, .. })
    });
    tell(&mut friends, marks, "slow controls", |event| {
        matches!(event, Event::SlowControls { slow: true, .. })
    });
    tell(
        &mut friends,
        marks,
        "late edits",
        |event| matches!(event, Event::LateEdits { late: true, loss, .. } if loss.as_u8() >= 10),
    );

    path.change(PathConfig::default());
    tell(&mut friends, marks, "in step again", |event| {
        matches!(event, Event::Precision { precision: Precision::Full, .. })
    });
    tell(&mut friends, marks, "quick controls", |event| {
        matches!(event, Event::SlowControls { slow: false, .. })
    });
    tell(&mut friends, marks, "prompt edits", |event| matches!(event, Event::LateEdits { late: false, .. }));
    for node in [&friends.ana, &friends.ben] {
        let sync = node.status().sync.expect("they are in step");
        assert!(sync.loss.is_some_and(|loss| loss.as_u8() <= 5), "{}: {sync:?}", node.name);
    }
    friends.assert_sound();
}
