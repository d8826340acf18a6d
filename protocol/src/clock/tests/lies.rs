//! What a peer may send: anything.

use alloc::{format, vec::Vec};

use proptest::prelude::*;

use crate::{
    clock::{Clock, ClockConfig, ClockError, Echo, Probe},
    time::{NodeTime, Span},
};

const SESSION: u32 = 7;

fn at(millis: i64) -> NodeTime {
    NodeTime::ZERO + Span::from_millis(millis)
}

fn clock() -> Clock {
    Clock::new(ClockConfig::default(), SESSION, at(0))
}

fn probe(seq: u32, t_tx: NodeTime, echo: Option<Echo>) -> Probe {
    Probe { session_epoch: SESSION, clock_epoch: 1, path_epoch: 0, seq, pair: seq / 2, index: 0, t_tx, echo }
}

#[test]
fn each_lie_has_a_name_and_changes_nothing() {
    let mut clock = clock();
    let sent = clock.poll_probe(at(0)).expect("a probe is due at once");
    let honest = probe(5, at(1_050), Some(Echo { seq: sent.seq, rx: at(1_040) }));
    clock.handle_probe(&honest, at(60)).expect("an honest probe");
    let next = clock.poll_probe(at(60)).expect("a probe is due");
    let before = clock.estimate(at(60));
    let good = probe(6, at(1_080), None);
    let echo = |seq, millis| Some(Echo { seq, rx: at(millis) });
    let lies = [
        Probe { session_epoch: 8, ..good },
        Probe { clock_epoch: 0, ..good },
        Probe { index: 2, ..good },
        Probe { seq: 5, ..good },
        Probe { t_tx: NodeTime::from_nanos(i64::MIN), ..good },
        Probe { echo: echo(next.seq + 1, 1_070), ..good },
        Probe { echo: echo(sent.seq, 1_070), ..good },
        Probe { echo: echo(next.seq, 1_090), ..good },
        Probe { echo: echo(next.seq, 900), ..good },
    ];
    let names: Vec<ClockError> =
        lies.iter().map(|lie| clock.handle_probe(lie, at(90)).expect_err("a lie")).collect();
    assert!(matches!(
        names.as_slice(),
        [
            ClockError::SessionEpoch { expected: SESSION, actual: 8 },
            ClockError::ClockEpoch { expected: 1, actual: 0 },
            ClockError::PairIndex { actual: 2 },
            ClockError::Repeated { seq: 5, .. },
            ClockError::Range { .. },
            ClockError::EchoNeverSent { .. },
            ClockError::EchoRepeated { .. },
            ClockError::EchoAhead { .. },
            ClockError::EchoHeld { .. },
        ]
    ));
    assert_eq!(clock.estimate(at(60)), before);
    assert_eq!(clock.path_report(at(90)).refused, 9);
    clock.handle_probe(&good, at(90)).expect("an honest probe after all the lies");
}

#[test]
fn probes_of_the_path_left_behind_are_refused() {
    let mut clock = clock();
    clock.handle_path_change(at(10));
    let refusal = clock.handle_probe(&probe(0, at(0), None), at(20));
    assert_eq!(refusal, Err(ClockError::PathEpoch { expected: 1, actual: 0 }));
}

#[test]
fn a_stall_is_not_made_up_for() {
    let mut clock = clock();
    let mut sent = 0;
    while clock.poll_probe(at(60_000)).is_some() {
        sent += 1;
    }
    assert_eq!(sent, 1);
    assert!(clock.poll_timeout() > at(60_000));
}

#[test]
fn a_silent_peer_is_asked_once_a_second() {
    let mut clock = clock();
    let count = (0..30_000).filter(|&millis| clock.poll_probe(at(millis)).is_some()).count();
    assert!((70..=100).contains(&count), "a burst of 32 and a pair a second, not {count}");
}

#[test]
fn a_peer_cannot_make_this_node_flood_the_path() {
    let mut clock = clock();
    let mut sent = 0;
    for millis in 0..10_000 {
        let forged = Probe { path_epoch: u32::try_from(millis).expect("small"), ..probe(0, at(0), None) };
        let _ = clock.handle_probe(&Probe { seq: forged.path_epoch, ..forged }, at(millis));
        sent += u32::from(clock.poll_probe(at(millis)).is_some());
    }
    assert!(sent < 350, "{sent} probes in 10 s");
}

/// A step of a peer that sends whatever it likes.
#[derive(Clone, Debug)]
enum Step {
    Probe { skip: u32, jitter: i64, echo: Option<(u32, i64)>, epochs: (u32, u32), index: u8 },
    Poll,
    Path,
    Suspend,
    Wild { seq: u32, t_tx: i64, echo: Option<(u32, i64)> },
}

fn step() -> impl Strategy<Value = Step> {
    let echo = || proptest::option::of((0..200_u32, -1_000_000_000..1_000_000_000_i64));
    let wild = (any::<u32>(), any::<i64>(), proptest::option::of((any::<u32>(), any::<i64>())));
    prop_oneof![
        20 => (0..3_u32, -50_000_000..50_000_000_i64, echo(), (0..2_u32, 0..2_u32), 0..3_u8)
            .prop_map(|(skip, jitter, echo, epochs, index)| Step::Probe { skip, jitter, echo, epochs, index }),
        20 => Just(Step::Poll),
        1 => Just(Step::Path),
        1 => Just(Step::Suspend),
        1 => wild.prop_map(|(seq, t_tx, echo)| Step::Wild { seq, t_tx, echo }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_arrives_nothing_panics_and_the_drift_stays_within_its_limit(
        steps in proptest::collection::vec((step(), 0..200_i64), 1..400)
    ) {
        let mut clock = clock();
        let (mut now, mut seq) = (0, 0);
        for (step, wait) in steps {
            now += wait;
            match step {
                Step::Probe { skip, jitter, echo, epochs, index } => {
                    seq += skip;
                    let t_tx = at(now) + Span::from_nanos(jitter);
                    let echo = echo.map(|(seq, ago)| Echo { seq, rx: t_tx - Span::from_nanos(ago) });
                    let (clock_epoch, path_epoch) = epochs;
                    let probe = Probe { clock_epoch, path_epoch, index, ..probe(seq, t_tx, echo) };
                    let _ = clock.handle_probe(&probe, at(now));
                }
                Step::Wild { seq, t_tx, echo } => {
                    let echo = echo.map(|(seq, rx)| Echo { seq, rx: NodeTime::from_nanos(rx) });
                    let _ = clock.handle_probe(&probe(seq, NodeTime::from_nanos(t_tx), echo), at(now));
                }
                Step::Poll => while clock.poll_probe(at(now)).is_some() {},
                Step::Path => clock.handle_path_change(at(now)),
                Step::Suspend => clock.handle_suspend(at(now)),
            }
            if let Some(estimate) = clock.estimate(at(now)) {
                prop_assert!(estimate.drift.0.abs() <= 500.0);
                prop_assert!(estimate.bound >= Span::ZERO);
            }
            prop_assert!(clock.path_report(at(now)).one_way_p95 >= Span::ZERO);
        }
    }
}

#[test]
fn a_flood_of_probes_does_not_grow_the_clock() {
    let mut clock = clock();
    let mut sizes = Vec::new();
    for seq in 0..60_000 {
        let now = at(i64::from(seq) * 20);
        let echo = clock.poll_probe(now).map(|sent| Echo { seq: sent.seq, rx: now });
        let _ = clock.handle_probe(&probe(seq, now, echo), now + Span::from_millis(1));
        if seq % 20_000 == 19_999 {
            sizes.push(format!("{clock:?}").len());
        }
    }
    assert!(sizes[2] < sizes[1] + sizes[1] / 4, "the clock written out grows: {sizes:?}");
}
