//! The load generator as a user runs it, with few devices: it measures everything it says it does.

use std::time::Duration;

use jamsync_examples::load::{ABUSERS, Load, abuse, measure};

use super::jam::process::binary;

#[tokio::test(flavor = "multi_thread")]
async fn the_load_generator_measures_every_figure_beside_its_goal() {
    let binaries = binary("jamsync-coordinator").parent().expect("a folder").to_owned();
    let time = Duration::from_millis(300);
    let load = Load {
        binaries,
        devices: 24,
        login_time: time,
        pairs: 8,
        conversations: 2,
        activity_time: Duration::from_secs(2),
    };
    let report = measure(&load).await.expect("measures");
    assert_eq!((report.signed_up.count, report.idle.connections, report.restart.devices), (24, 24, 24));
    assert!(report.logins.cost.count > 0 && report.logins.cost.per_core_second > 0.0);
    for writes in report.writes {
        assert_eq!(writes.cost.count, 24 * 9);
        assert!(writes.cost.commits >= 1.0 && writes.latency.p50_ms <= writes.latency.p99_ms);
    }
    assert_eq!((report.events.live.count, report.events.replayed.count), (8 * 10, 8 * 10 * 5));
    // Every account, the contact of each in a pair, and what each was told five times.
    assert_eq!((report.restart.acknowledged, report.restart.lost), (24 + 8 * 2 + 8 * 10, 0));
    for (mix, devices) in report.messages.0.iter().zip([2, 2, 6]) {
        assert_eq!((mix.devices, mix.cost.count), (devices, 2 * 2 * 50));
        // Each writer's arrive at all others; what it says itself it need not fetch unless something came between.
        let others = u64::from(2 * devices - 1);
        let sent = u64::from(mix.cost.count);
        assert!((sent * others..=sent * (others + 1)).contains(&mix.deliveries), "{mix:?}");
        assert!(mix.placed.p50_ms <= mix.placed.p99_ms && mix.delivered.p50_ms > 0.0);
    }
    for (mix, fan_out) in report.activities.0.iter().zip([1, 10, 200]) {
        assert_eq!((mix.fan_out, mix.missing), (fan_out, 0), "{mix:?}");
        assert!(mix.told >= 2 * mix.publishers && mix.cost.per_core_second > 0.0, "{mix:?}");
        // What was superseded before it was told is left out, and nothing else.
        let told = u64::try_from(mix.told * fan_out).expect("few");
        assert!(u64::from(mix.cost.count) <= told && mix.changes.p50_ms > 0.0, "{mix:?}");
    }
    let page = report.to_string();
    for goal in [
        "| 2,000 |",
        "| 40 KiB |",
        "| 10,000/s, p99 25 ms |",
        "| 40,000 |",
        "40,000 per core-second",
        "| 30 s, 0 lost |",
    ] {
        assert!(page.contains(goal), "{goal} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_generator_serves_others_beside_every_abuser_and_compares_them_with_a_quiet_coordinator() {
    let binaries = binary("jamsync-coordinator").parent().expect("a folder").to_owned();
    let (login_time, activity_time) = (Duration::ZERO, Duration::ZERO);
    let load = Load { binaries, devices: 2, login_time, pairs: 1, conversations: 1, activity_time };
    let abused = abuse(&load, Duration::from_millis(300)).await.expect("others are served");
    let named: Vec<_> = abused.beside.iter().map(|beside| beside.abuser).collect();
    assert_eq!(named, ABUSERS);
    assert!(abused.beside.iter().all(|beside| beside.latency.p99_ms > 0.0 && beside.p99_ratio > 0.0));
    let page = abused.to_string();
    assert_eq!(page.lines().count(), 3 + ABUSERS.len(), "{page}");
}
