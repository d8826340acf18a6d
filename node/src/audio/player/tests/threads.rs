//! The player's thread over sinks that run in real time.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use jamsync_protocol::{media::SampleRate, servo::ServoConfig, time::Span, timeline::JamMap};

use super::sim::{Sim, anchor, entry, sine};
use crate::{
    audio::{
        player::{Plan, Player, PlayerConfig, PlayerEvent},
        sink::{DacConfig, Null, Sink, VirtualDac},
    },
    clock::NodeClock,
};

/// A player that has just begun to sound.
fn sounding(sink: Box<dyn Sink>, folder: &std::path::Path) -> Player {
    let clock = NodeClock::system();
    let (events, happened) = mpsc::channel();
    let config = PlayerConfig { sink, clock, remembered: None, servo: ServoConfig::default() };
    let player = Player::start(config, move |event| drop(events.send(event))).unwrap();
    let source = sine(folder, "a.wav", 44_100, 200.0, 0, 44_100 * 60);
    let map =
        JamMap { node: clock.now(), jam: Sim::jam_at(Span::ZERO), rate: jamsync_protocol::time::Ppm::ZERO };
    player.set_jam_map(Some(map));
    player.set_plan(Plan {
        anchors: vec![anchor(1, 1, 0, Span::from_millis(50), true)],
        sources: vec![(entry(1), source)],
    });
    let first = happened.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(first, PlayerEvent::Entered(entry(1)));
    player
}

#[test]
fn a_player_stops_soon_after_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let player = sounding(Box::new(Null::new(SampleRate::HZ_48000)), folder.path());
    let asked = Instant::now();
    drop(player);
    // 100 ms is the promise on a machine that has time; the music would have gone on for a minute.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[test]
fn a_recording_can_be_read_while_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("node");
    let config = DacConfig { record: Some(name), ..DacConfig::default() };
    let player = sounding(Box::new(VirtualDac::new(config).unwrap()), folder.path());
    let deadline = Instant::now() + Duration::from_secs(20);
    let stamps = loop {
        let stamps = std::fs::read_to_string(folder.path().join("node.stamps.csv")).unwrap();
        if stamps.lines().count() > 150 {
            break stamps;
        }
        assert!(Instant::now() < deadline, "no second of recording within 20 s");
        std::thread::park_timeout(Duration::from_millis(20));
    };
    // The player still runs, as when a process is killed.
    let mut recording = hound::WavReader::open(folder.path().join("node.wav")).unwrap();
    assert!(recording.duration() >= 48_000);
    let loudest = recording.samples::<f32>().map(|sample| sample.unwrap().abs()).fold(0.0, f32::max);
    assert!(loudest > 0.4, "{loudest}");
    let mut lines = stamps.lines();
    assert_eq!(lines.next(), Some("frame,true_ns"));
    let frames: Vec<u64> = lines.filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    assert!(frames.iter().zip((0..).step_by(480)).take(150).all(|(frame, due)| *frame == due));
    drop(player);
}
