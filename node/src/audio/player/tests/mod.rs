//! The engine in virtual time: what is heard, when, and without a click.

mod sim;
mod threads;

use jamsync_protocol::{
    time::{Ppm, Span},
    timeline::JamMap,
};
use sim::{Sim, anchor, entry, sine};

use super::{Plan, PlayerEvent};

/// The bend of a 0.5 sine of 200 Hz at 48 kHz is 0.0003, a fade adds as much again; a click of a tenth of
/// the level is 0.05.
const NO_CLICK: f32 = 0.002;

/// A track begins as it is: the sine leaves silence with its own slope, which bends by 0.013.
const TRACK_BEGINS: f32 = 0.02;

fn secs(secs: f64) -> Span {
    Span::from_secs_f64(secs)
}

/// A player that plays a 200 Hz sine of 44.1 kHz from true time 1 s on.
fn playing(folder: &std::path::Path, dac: Ppm, node_rate: Ppm) -> Sim {
    let mut sim = Sim::new(dac, node_rate);
    let source = sine(folder, "a.wav", 44_100, 200.0, 0, 44_100 * 60);
    sim.engine.handle_jam_map(Some(sim.map()));
    sim.run_until(secs(0.5));
    sim.set_plan(Plan { anchors: vec![anchor(1, 1, 0, secs(1.0), true)], sources: vec![(entry(1), source)] });
    sim
}

fn source(plan: &Sim) -> Vec<(jamsync_protocol::id::EntryId, super::Source)> {
    plan.engine.plan().sources.clone()
}

#[test]
fn a_sound_starts_on_time_and_stays_there_whatever_clock_and_card_do() {
    let folder = tempfile::tempdir().unwrap();
    for (dac, node) in [(0.0, 0.0), (200.0, 30.0), (-200.0, -30.0), (60.0, -100.0)] {
        let mut sim = playing(folder.path(), Ppm(dac), Ppm(node));
        sim.run_until(secs(20.0));
        assert!(sim.loudest(Span::ZERO, secs(0.9999)) < 1e-3, "silence before the start");
        let first = sim.lateness(200.0, secs(1.0), secs(1.01));
        assert!(first.abs() < Span::from_micros(250), "dac {dac} node {node}: starts {first} late");
        let worst =
            (0..30).map(|n| sim.lateness(200.0, secs(1.0), secs(12.0 + 0.25 * f64::from(n))).abs()).max();
        println!("dac {dac} node {node}: start {first}, later at most {worst:?}");
        assert!(worst < Some(Span::from_micros(20)), "dac {dac} node {node}: {worst:?} off");
        assert!(sim.sharpest(secs(1.001), secs(19.9)) < NO_CLICK);
        let start = sim.sharpest(secs(0.9), secs(1.01));
        assert!(start < TRACK_BEGINS, "a bend of {start} at the start");
        assert_eq!(sim.events, [(sim.events[0].0, PlayerEvent::Entered(entry(1)))]);
    }
}

/// The furthest that the sound is off within its first three seconds, on a card 150 ppm fast of which `remembered` is
/// known and that has just been opened.
fn worst_of_the_first_seconds(remembered: Option<Ppm>) -> Span {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = Sim::remembering(remembered, Ppm(150.0), Ppm(-30.0));
    let source = sine(folder.path(), "a.wav", 44_100, 200.0, 0, 44_100 * 20);
    sim.engine.handle_jam_map(Some(sim.map()));
    let plan = Plan { anchors: vec![anchor(1, 1, 0, secs(0.1), true)], sources: vec![(entry(1), source)] };
    sim.set_plan(plan);
    sim.run_until(secs(4.0));
    let off = (0..60).map(|n| sim.lateness(200.0, secs(0.1), secs(0.12 + 0.05 * f64::from(n))).abs());
    off.max().unwrap()
}

#[test]
fn a_card_whose_rate_is_remembered_is_in_step_from_the_start_and_a_wrong_memory_costs_little() {
    // Against the node's clock, which is 30 ppm slow, the card is faster still.
    let without = worst_of_the_first_seconds(None);
    let with = worst_of_the_first_seconds(Some(Ppm(180.0)));
    let wrong = worst_of_the_first_seconds(Some(Ppm(-60.0)));
    println!("off by {without} without, {with} with, {wrong} with another card's rate");
    assert!(with < without.scaled(0.5), "{with} with a memory, {without} without");
    assert!(wrong < Span::from_millis(1), "{wrong} with the rate of a card 240 ppm slower");
}

#[test]
fn a_pause_is_heard_at_once_and_without_a_click() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm(50.0), Ppm(30.0));
    sim.run_until(secs(5.0));
    let given = sim.now;
    let sources = source(&sim);
    sim.set_plan(Plan { anchors: vec![anchor(2, 1, 176_400, given, false)], sources });
    sim.run_until(secs(6.0));
    let silent = given + sim.latency + Span::from_millis(20);
    assert!(sim.loudest(given + sim.latency - Span::from_millis(10), given + sim.latency) > 0.4);
    assert!(sim.loudest(silent, secs(5.9)) < 1e-6, "silent 20 ms and the output latency later");
    assert!(sim.sharpest(secs(4.5), secs(5.9)) < NO_CLICK);

    // It goes on from where it stood, when the resume says.
    let resume = vec![anchor(2, 1, 176_400, given, false), anchor(3, 1, 176_400, secs(6.3), true)];
    let sources = source(&sim);
    sim.set_plan(Plan { anchors: resume, sources });
    sim.run_until(secs(8.0));
    assert!(sim.loudest(silent, secs(6.299)) < 1e-6);
    let late = sim.lateness(200.0, secs(2.3), secs(6.32));
    assert!(late.abs() < Span::from_micros(30), "resumed {late} late");
    assert!(sim.sharpest(secs(5.9), secs(7.9)) < NO_CLICK);
}

#[test]
fn a_seek_and_a_skip_are_on_time_and_without_a_click() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm(-40.0), Ppm(10.0));
    let other = sine(folder.path(), "b.wav", 22_050, 150.0, 0, 22_050 * 20);
    sim.run_until(secs(5.0));
    let mut sources = source(&sim);
    sources.push((entry(2), other));
    // To 20 s, in 80 ms: less than is written ahead.
    let seek = anchor(2, 1, 882_000, secs(5.08), true);
    sim.set_plan(Plan { anchors: vec![anchor(1, 1, 0, secs(1.0), true), seek], sources: sources.clone() });
    sim.run_until(secs(7.0));
    let late = sim.lateness(200.0, secs(5.08), secs(5.09));
    assert!(late.abs() < Span::from_micros(30), "{late} after the seek");
    // Another file of another rate, from its start.
    let skip = anchor(3, 2, 0, secs(7.1), true);
    sim.set_plan(Plan { anchors: vec![seek, skip], sources });
    sim.run_until(secs(9.0));
    let late = sim.lateness(150.0, secs(7.1), secs(7.11));
    assert!(late.abs() < Span::from_micros(30), "{late} after the skip");
    assert!(sim.sharpest(secs(1.001), secs(7.09)) < NO_CLICK, "{}", sim.sharpest(secs(1.001), secs(7.09)));
    assert!(
        sim.sharpest(secs(7.09), secs(8.9)) < TRACK_BEGINS,
        "a track begins as it is: {}",
        sim.sharpest(secs(7.09), secs(8.9))
    );
    assert!(sim.events.iter().any(|(_, event)| *event == PlayerEvent::Entered(entry(2))));
}

#[test]
fn an_anchor_that_overrules_another_by_little_is_followed_at_once_and_as_often_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm(50.0), Ppm(30.0));
    let mut begins = secs(1.0);
    for round in 1..=4_u32 {
        sim.run_until(secs(3.0 + f64::from(round)));
        begins += Span::from_millis(if round % 2 == 0 { -15 } else { 6 });
        let sources = source(&sim);
        sim.set_plan(Plan { anchors: vec![anchor(1 + u64::from(round), 1, 0, begins, true)], sources });
        let heard = sim.now + sim.latency + Span::from_millis(100);
        sim.run_until(secs(3.5 + f64::from(round)));
        let late = sim.lateness(200.0, begins, heard);
        assert!(late.abs() < Span::from_micros(30), "{late} after the move number {round}");
    }
    assert!(sim.sharpest(secs(1.001), secs(7.4)) < NO_CLICK, "{}", sim.sharpest(secs(1.001), secs(7.4)));
    let jumps =
        sim.events.iter().filter(|(_, event)| matches!(event, PlayerEvent::Reanchored { .. })).count();
    assert_eq!(jumps, 0, "what a listener wants is no correction: {:?}", sim.events);
}

/// Two files that are one sine, joined; `known` is when the player learns of the second.
fn joined(known: Span) -> Sim {
    let folder = tempfile::tempdir().unwrap();
    let first = sine(folder.path(), "1.wav", 44_100, 200.0, 0, 131_077);
    let second = sine(folder.path(), "2.wav", 44_100, 200.0, 131_077, 200_000);
    let mut sim = Sim::new(Ppm(70.0), Ppm(-20.0));
    sim.engine.handle_jam_map(Some(sim.map()));
    sim.run_until(secs(0.5));
    let start = anchor(1, 1, 0, secs(1.0), true);
    let next = anchor(2, 2, 0, secs(1.0) + first.rate.span_of(first.length), true);
    sim.set_plan(Plan { anchors: vec![start], sources: vec![(entry(1), first.clone())] });
    sim.run_until(known);
    sim.set_plan(Plan { anchors: vec![start, next], sources: vec![(entry(1), first), (entry(2), second)] });
    sim.run_until(secs(7.0));
    sim
}

#[test]
fn the_next_track_joins_without_a_gap() {
    // The first ends at 3.972 s; 100 ms before, silence is on the tape already.
    for known in [0.6, 3.6, 3.75, 3.87, 3.9] {
        let sim = joined(secs(known));
        let bend = sim.sharpest(secs(1.001), secs(6.9));
        assert!(bend < 0.0005, "known at {known}: a bend of {bend} at the join");
        for at in [3.9, 3.95, 3.96, 4.0] {
            let late = sim.lateness(200.0, secs(1.0), secs(at));
            assert!(late.abs() < Span::from_micros(30), "known at {known}: {late} off at {at}");
        }
        let entered = sim.events.iter().filter(|(_, event)| matches!(event, PlayerEvent::Entered(_)));
        assert_eq!(entered.count(), 2, "{:?}", sim.events);
        assert_eq!(sim.events.len(), 2, "{:?}", sim.events);
    }
}

#[test]
fn a_next_track_that_is_taken_back_is_not_heard() {
    let folder = tempfile::tempdir().unwrap();
    let first = sine(folder.path(), "1.wav", 44_100, 200.0, 0, 132_300);
    let second = sine(folder.path(), "2.wav", 44_100, 150.0, 0, 200_000);
    let mut sim = Sim::new(Ppm::ZERO, Ppm::ZERO);
    sim.engine.handle_jam_map(Some(sim.map()));
    sim.run_until(secs(0.5));
    let start = anchor(1, 1, 0, secs(1.0), true);
    let next = anchor(2, 2, 0, secs(4.0), true);
    let sources = vec![(entry(1), first), (entry(2), second)];
    sim.set_plan(Plan { anchors: vec![start, next], sources: sources.clone() });
    sim.run_until(secs(3.9));
    sim.set_plan(Plan { anchors: vec![start], sources });
    sim.run_until(secs(5.0));
    assert!(sim.loudest(secs(3.9), secs(3.999)) > 0.4);
    assert!(sim.loudest(secs(4.002), secs(4.9)) < 1e-4);
}

#[test]
fn a_sound_that_is_far_off_jumps_once_and_is_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm(30.0), Ppm(30.0));
    sim.run_until(secs(15.0));
    let map = sim.map();
    sim.engine.handle_jam_map(Some(JamMap { jam: map.jam - Span::from_millis(8), ..map }));
    sim.run_until(secs(20.0));
    let by: Vec<_> = sim
        .events
        .iter()
        .filter_map(|(_, event)| if let PlayerEvent::Reanchored { by } = event { Some(*by) } else { None })
        .collect();
    assert_eq!(by.len(), 1, "{:?}", sim.events);
    assert!((by[0] + Span::from_millis(8)).abs() < Span::from_micros(100), "{by:?}");
    let late = sim.lateness(200.0, secs(1.008), secs(19.0));
    assert!(late.abs() < Span::from_micros(20), "{late}");
    assert!(sim.sharpest(secs(14.0), secs(19.9)) < NO_CLICK);
}

#[test]
fn who_learns_late_enters_on_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = Sim::new(Ppm(-30.0), Ppm(5.0));
    let source = sine(folder.path(), "a.wav", 96_000, 200.0, 0, 96_000 * 10);
    sim.engine.handle_jam_map(Some(sim.map()));
    sim.run_until(secs(4.0));
    sim.set_plan(Plan { anchors: vec![anchor(1, 1, 0, secs(1.0), true)], sources: vec![(entry(1), source)] });
    sim.run_until(secs(12.0));
    assert!(sim.loudest(secs(4.0) + sim.latency + Span::from_millis(40), secs(4.1)) > 0.4);
    let late = sim.lateness(200.0, secs(1.0), secs(4.1));
    assert!(late.abs() < Span::from_micros(30), "{late}");
    assert!(sim.sharpest(secs(3.0), secs(10.9)) < NO_CLICK);
    assert!(sim.loudest(secs(11.002), secs(11.9)) < 1e-4, "past the end is silence");
}

#[test]
fn a_player_that_was_held_up_says_so_and_is_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm(30.0), Ppm(30.0));
    sim.run_until(secs(5.0));
    sim.frozen = true;
    sim.run_until(secs(6.0));
    sim.frozen = false;
    sim.run_until(secs(8.0));
    let events: Vec<_> = sim.events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(events, [PlayerEvent::Entered(entry(1)), PlayerEvent::Stalled, PlayerEvent::Recovered]);
    let late = sim.lateness(200.0, secs(1.0), secs(6.1));
    assert!(late.abs() < Span::from_micros(30), "{late}");
    assert!(sim.engine.report().missed_frames.0 > 10_000);
}

#[test]
fn a_file_that_cannot_be_played_is_named_and_silent() {
    let folder = tempfile::tempdir().unwrap();
    let good = sine(folder.path(), "good.wav", 44_100, 200.0, 0, 44_100);
    let mut gone = good.clone();
    gone.path = folder.path().join("gone.wav");
    let mut other = good.clone();
    other.length = jamsync_protocol::media::Frames(44_000);
    for bad in [gone, other] {
        let mut sim = Sim::new(Ppm::ZERO, Ppm::ZERO);
        sim.engine.handle_jam_map(Some(sim.map()));
        sim.run_until(secs(0.5));
        let anchors = vec![anchor(1, 1, 0, secs(1.0), true), anchor(2, 2, 0, secs(2.0), true)];
        let sources = vec![(entry(1), bad.clone()), (entry(2), good.clone())];
        sim.set_plan(Plan { anchors, sources });
        sim.run_until(secs(4.0));
        let said = sim.events.iter().find_map(|(_, event)| {
            if let PlayerEvent::Unplayable { entry, reason } = event {
                Some((*entry, reason.clone()))
            } else {
                None
            }
        });
        let (who, reason) = said.expect("it says so");
        assert_eq!(who, entry(1));
        let name = bad.path.file_name().and_then(|name| name.to_str()).unwrap();
        assert!(reason.starts_with(name), "the name, and not the folder: {reason}");
        assert!(sim.loudest(secs(1.0), secs(1.99)) < 1e-6);
        assert!(sim.loudest(secs(2.0), secs(2.9)) > 0.4, "the Jam goes on");
    }
}

#[test]
fn without_a_jam_clock_nothing_sounds() {
    let folder = tempfile::tempdir().unwrap();
    let mut sim = playing(folder.path(), Ppm::ZERO, Ppm::ZERO);
    sim.run_until(secs(3.0));
    sim.engine.handle_jam_map(None);
    sim.wake();
    sim.run_until(secs(4.0));
    assert!(sim.loudest(secs(3.1), secs(3.9)) < 1e-6);
}

#[test]
fn a_file_damaged_in_the_middle_is_named_once_and_plays_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = sine(folder.path(), "whole.wav", 44_100, 200.0, 0, 44_100 * 12);
    let flac = folder.path().join("hurt.flac");
    let plain = folder.path().join("plain.wav");
    as_pcm(&whole.path, &plain);
    let encoder = std::process::Command::new("flac").args(["--silent", "-o"]).args([&flac, &plain]).status();
    let Ok(status) = encoder else {
        eprintln!("skipped: `flac` is not installed");
        return;
    };
    assert!(status.success(), "flac fails");
    let mut bytes = std::fs::read(&flac).unwrap();
    for third in 1..3 {
        let middle = bytes.len() * third / 3;
        bytes[middle..middle + 300].fill(0x55);
    }
    std::fs::write(&flac, &bytes).unwrap();
    let mut sim = Sim::new(Ppm::ZERO, Ppm::ZERO);
    sim.engine.handle_jam_map(Some(sim.map()));
    sim.run_until(secs(0.5));
    let source = super::Source { path: flac, ..whole };
    sim.set_plan(Plan { anchors: vec![anchor(1, 1, 0, secs(1.0), true)], sources: vec![(entry(1), source)] });
    sim.run_until(secs(12.0));
    let told: Vec<_> =
        sim.events.iter().filter(|(_, event)| *event != PlayerEvent::Entered(entry(1))).collect();
    let [(at, PlayerEvent::Damaged { reason })] = told[..] else { panic!("{told:?}") };
    assert!(reason.contains("hurt.flac is damaged at "), "{reason}");
    assert!((secs(3.0)..secs(6.0)).contains(at), "told when it is reached, not at {at}");
    let late = sim.lateness(200.0, secs(1.0), secs(11.0));
    assert!(late.abs() < Span::from_micros(30), "what follows stays in time: {late}");
}

/// A WAV of floats as one of 16 bits.
fn as_pcm(from: &std::path::Path, to: &std::path::Path) {
    let mut reader = hound::WavReader::open(from).unwrap();
    let spec =
        hound::WavSpec { bits_per_sample: 16, sample_format: hound::SampleFormat::Int, ..reader.spec() };
    let mut writer = hound::WavWriter::create(to, spec).unwrap();
    for sample in reader.samples::<f32>() {
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        writer.write_sample((sample.unwrap() * 32_767.0).round() as i16).unwrap();
    }
    writer.finalize().unwrap();
}
