//! Two sessions over a link in virtual time: what one does, the other hears at the same Jam time.

mod history;
mod hostile;
mod lasting;
mod partition;
mod takeover;

use alloc::{collections::BinaryHeap, string::ToString, vec, vec::Vec};
use core::cmp::Reverse;

use rand::{Rng, SeedableRng};

use super::*;
use crate::{
    clock::Probe,
    id::TrackId,
    media::{Frames, SampleRate, Track},
    queue::{Intent, QueueError, QueueMessage},
    text::{List, Text},
    time::{PeerTime, Ppm},
    wire::peer::{JamLine, Refusal, Welcome, Wish},
};

const HOST: Participant = Participant::FIRST;
const DELAY: Span = Span::from_millis(20);

fn guest_id() -> Participant {
    Participant::new(1).unwrap()
}

fn track(number: u8, secs: u64) -> Track {
    Track {
        id: TrackId([number; 32]),
        title: Text::truncated(&number.to_string()),
        artist: Text::default(),
        album: Text::default(),
        rate: SampleRate::HZ_44100,
        length: Frames(44_100 * secs),
    }
}

/// One side, with a clock of its own.
struct Side {
    session: Session,
    offset: Span,
    rate: Ppm,
    events: Vec<Event>,
}

/// When it arrives, a number that keeps the order, for which side, on which channel, what.
type Packet = Reverse<(i64, usize, usize, u8, Vec<u8>)>;

/// Two sides and what is under way between them, by true time in nanoseconds.
struct World {
    now: i64,
    sides: [Side; 2],
    under_way: BinaryHeap<Packet>,
    /// Every frame and datagram that either side has sent.
    wire: Vec<Vec<u8>>,
    connected: bool,
    /// What a full queue adds on the way to the host.
    queueing: Span,
    /// Until then nothing arrives, and then all of it.
    stalled: i64,
}

impl Side {
    fn time(&self, now: i64) -> NodeTime {
        let true_span = Span::from_nanos(now);
        NodeTime::ZERO + self.offset + true_span + true_span.gained_at(self.rate)
    }
}

impl World {
    /// A host with these tracks, playing, and a guest that has joined and settled for two seconds.
    fn with_tracks(tracks: Vec<Track>) -> Self {
        let mut world = Self::before_the_jam(tracks);
        world.connect();
        world.run(Span::from_secs(2));
        world
    }

    /// A host with these tracks, playing alone, and a guest that has not come yet.
    fn before_the_jam(tracks: Vec<Track>) -> Self {
        let host = Side {
            session: Session::alone(NodeTime::ZERO + Span::from_secs(3_600_000)),
            offset: Span::from_secs(3_600_000),
            rate: Ppm(30.0),
            events: vec![],
        };
        let guest = Side {
            session: Session::guest(guest_id(), HOST),
            offset: Span::from_secs(-70_000),
            rate: Ppm(-20.0),
            events: vec![],
        };
        let mut world = Self {
            now: 0,
            sides: [host, guest],
            under_way: BinaryHeap::new(),
            wire: vec![],
            connected: false,
            queueing: Span::ZERO,
            stalled: 0,
        };
        world.command(0, Command::Edit(Intent::Append(tracks))).unwrap();
        world.command(0, Command::Resume).unwrap();
        world
    }

    fn connect(&mut self) {
        self.connect_in([0, 1], 7);
    }

    /// Connects the sides in this order.
    fn connect_in(&mut self, order: [usize; 2], session_epoch: u32) {
        self.connected = true;
        for side in order {
            let (now, peer) = (self.sides[side].time(self.now), [guest_id(), HOST][side]);
            self.sides[side].session.handle_connected(peer, session_epoch, now);
            self.drain(side);
        }
    }

    fn cut(&mut self) {
        self.connected = false;
        self.under_way.clear();
        self.sides.iter_mut().for_each(|side| side.session.handle_disconnected());
    }

    fn command(&mut self, side: usize, command: Command) -> Result<(), SessionError> {
        let now = self.sides[side].time(self.now);
        let outcome = self.sides[side].session.handle_command(command, now);
        self.drain(side);
        outcome
    }

    fn drain(&mut self, side: usize) {
        let now = self.sides[side].time(self.now);
        while let Some(event) = self.sides[side].session.poll_event() {
            self.sides[side].events.push(event);
        }
        while let Some(transmit) = self.sides[side].session.poll_transmit(now) {
            if self.connected {
                let channel = match transmit.channel {
                    Channel::Control => 0,
                    Channel::Queue => 1,
                    Channel::Datagram => 2,
                };
                let queueing = if side == 1 { self.queueing } else { Span::ZERO };
                let arrives = (self.now + (DELAY + queueing).as_nanos()).max(self.stalled);
                self.wire.push(transmit.bytes.clone());
                self.under_way.push(Reverse((arrives, self.wire.len(), 1 - side, channel, transmit.bytes)));
            }
        }
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span.as_nanos();
        while self.now < end {
            self.now += 1_000_000;
            while self.under_way.peek().is_some_and(|Reverse(packet)| packet.0 <= self.now) {
                let Reverse((_, _, side, channel, bytes)) = self.under_way.pop().unwrap();
                let channel = [Channel::Control, Channel::Queue, Channel::Datagram][usize::from(channel)];
                let now = self.sides[side].time(self.now);
                self.sides[side].session.handle_bytes(channel, &bytes, now).unwrap();
                self.drain(side);
            }
            for side in 0..2 {
                let now = self.sides[side].time(self.now);
                if self.sides[side].session.poll_timeout(now).is_some_and(|due| due <= now) {
                    self.sides[side].session.handle_timeout(now).unwrap();
                    self.drain(side);
                }
            }
        }
    }

    fn heard(&self, side: usize) -> Option<Heard> {
        self.sides[side].session.heard_at(self.sides[side].time(self.now))
    }

    /// Both hear the same entry, no further apart than 0.1 ms.
    fn assert_together(&self) -> Heard {
        self.assert_within(5)
    }

    fn assert_within(&self, frames: u64) -> Heard {
        let (host, guest) = (self.heard(0).expect("host hears"), self.heard(1).expect("guest hears"));
        assert_eq!((host.entry, host.playing), (guest.entry, guest.playing));
        assert!(host.position.0.abs_diff(guest.position.0) <= frames, "{host:?} {guest:?}");
        host
    }

    fn entries(&self, side: usize) -> Vec<EntryId> {
        self.sides[side].session.queue().entries().map(|entry| entry.id).collect()
    }
}

#[test]
fn a_guest_that_joins_hears_what_the_host_hears() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    let heard = world.assert_together();
    assert!(heard.playing && heard.position > Frames(44_100));
    assert_eq!(world.entries(0), world.entries(1));
    world.run(Span::from_secs(20));
    world.assert_together();
}

#[test]
fn a_guests_pause_is_silent_at_once_and_at_the_guests_position_on_both_sides() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let before = world.heard(1).unwrap();
    world.command(1, Command::Pause).unwrap();
    let after = world.heard(1).unwrap();
    assert!(!after.playing && after.position.0.abs_diff(before.position.0) <= 1);
    world.run(DELAY + Span::from_millis(1));
    assert_eq!(world.heard(0).unwrap(), after, "the host stops on receipt, at the guest's position");
    world.run(Span::from_secs(1));
    assert_eq!(world.assert_together(), after);
    world.command(0, Command::Resume).unwrap();
    world.run(Span::from_secs(1));
    assert!(world.assert_together().playing);
}

#[test]
fn seek_and_skip_take_effect_at_one_instant_whoever_asks() {
    for side in [0, 1] {
        let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
        world.command(side, Command::Seek(Frames(44_100 * 30))).unwrap();
        let effect = world.sides[side].session.timeline().last().unwrap().at;
        world.run(Span::from_secs(1));
        assert!(world.assert_together().position > Frames(44_100 * 30));
        let agreed = world.sides[0].session.timeline().last().unwrap();
        assert_eq!(agreed.at, effect, "side {side} named the instant and it was kept");
        world.command(side, Command::Skip).unwrap();
        world.run(Span::from_secs(1));
        assert_eq!(world.assert_together().entry, world.entries(0)[1]);
        let moved = world.sides[1 - side].events.iter().rev().find_map(|event| {
            if let Event::Moved(announcement) = event { Some(announcement.by.index()) } else { None }
        });
        assert_eq!(moved, Some(side), "the other side is told who did it");
    }
}

#[test]
fn a_guests_pause_holds_until_its_resume_takes_effect_before_the_host_has_heard_of_either() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    world.command(1, Command::Pause).unwrap();
    world.command(1, Command::Resume).unwrap();
    let paused = world.heard(1).unwrap();
    assert!(!paused.playing);
    for _ in 0..4 {
        world.run(Span::from_millis(5));
        assert_eq!(world.heard(1), Some(paused));
    }
    world.run(Span::from_secs(1));
    assert!(world.assert_together().playing);
}

#[test]
fn commands_in_quick_succession_mean_what_was_asked_last() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    world.command(1, Command::Pause).unwrap();
    world.run(Span::from_millis(500));
    world.command(1, Command::Resume).unwrap();
    world.command(1, Command::Seek(Frames(44_100 * 20))).unwrap();
    world.run(Span::from_secs(1));
    let heard = world.assert_together();
    assert!(heard.playing && heard.position > Frames(44_100 * 20), "{heard:?}");
    world.command(0, Command::Skip).unwrap();
    world.command(0, Command::Seek(Frames(44_100 * 30))).unwrap();
    world.command(0, Command::Pause).unwrap();
    world.run(Span::from_secs(1));
    let heard = world.assert_together();
    assert_eq!(
        (heard.entry, heard.position, heard.playing),
        (world.entries(0)[1], Frames(44_100 * 30), false)
    );
}

#[test]
fn tracks_follow_each_other_to_the_nanosecond_and_the_last_one_ends_in_a_stand() {
    let mut world = World::with_tracks(vec![track(1, 4), track(2, 3)]);
    let start = world.sides[0].session.timeline().in_force(JamTime::from_nanos(1_500_000_000)).unwrap().at;
    world.run(Span::from_millis(1_800));
    let next = *world.sides[1].session.timeline().last().unwrap();
    assert_eq!(next.at, start + Span::from_secs(4));
    world.run(Span::from_secs(6));
    let heard = world.assert_together();
    assert_eq!((heard.entry, heard.playing), (world.entries(0)[1], false));
    world.command(1, Command::Edit(Intent::Append(vec![track(3, 9)]))).unwrap();
    world.run(Span::from_secs(1));
    world.command(1, Command::Resume).unwrap();
    world.run(Span::from_secs(1));
    let heard = world.assert_together();
    assert_eq!((heard.entry, heard.playing), (world.entries(0)[2], true), "what was added later follows");
}

#[test]
fn what_has_ended_plays_again_where_somebody_seeks() {
    let mut world = World::with_tracks(vec![track(1, 4)]);
    world.run(Span::from_secs(5));
    assert!(!world.assert_together().playing);
    assert_eq!(world.command(1, Command::Resume), Err(SessionError::NothingNext));
    world.command(1, Command::Seek(Frames::ZERO)).unwrap();
    world.run(Span::from_secs(1));
    let heard = world.assert_together();
    assert!(heard.playing && heard.position < Frames(44_100), "{heard:?}");
}

#[test]
fn a_track_that_one_side_lacks_is_passed_over_on_both() {
    let mut world = World::with_tracks(vec![track(1, 6), track(2, 6), track(3, 6)]);
    let entries = world.entries(0);
    let now = world.sides[1].time(world.now);
    world.sides[1].session.handle_availability(entries[1], Availability::Missing, now).unwrap();
    world.drain(1);
    world.run(Span::from_secs(5));
    assert_eq!(world.assert_together().entry, entries[2]);
    assert_eq!(world.sides[0].session.availability_there(entries[1]), Some(&Availability::Missing));
}

#[test]
fn a_track_that_fails_while_it_plays_is_left_on_both_sides() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    let entries = world.entries(0);
    let now = world.sides[1].time(world.now);
    let broken = Availability::Unplayable { reason: Text::truncated("file removed") };
    world.sides[1].session.handle_availability(entries[0], broken, now).unwrap();
    world.drain(1);
    world.run(Span::from_secs(1));
    assert_eq!(world.assert_together().entry, entries[1]);
}

#[test]
fn removing_what_plays_goes_on_to_the_next() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    let entries = world.entries(0);
    world.command(1, Command::Edit(Intent::Remove(vec![entries[0]]))).unwrap();
    world.run(Span::from_secs(1));
    assert_eq!(world.assert_together().entry, entries[1]);
}

#[test]
fn a_host_that_keeps_the_controls_is_obeyed() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    world.command(0, Command::GuestControls(false)).unwrap();
    world.run(Span::from_millis(100));
    assert_eq!(world.command(1, Command::Pause), Err(SessionError::GuestControlsOff));
    assert_eq!(world.command(1, Command::GuestControls(true)), Err(SessionError::HostOnly));
    // A guest that wishes all the same is refused by the host, and nothing moves.
    let entry = world.entries(0)[0];
    let wish =
        Wish { number: 9, verb: Verb::Pause, entry, position: Frames(1), at: JamTime::ZERO, playing: false };
    let bytes = codec::encode(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).unwrap();
    let now = world.sides[0].time(world.now);
    world.sides[0].session.handle_bytes(Channel::Control, &bytes, now).unwrap();
    world.drain(0);
    world.run(Span::from_millis(100));
    assert!(world.assert_together().playing);
}

#[test]
fn a_wish_out_of_bounds_is_refused_and_taken_back() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let entry = world.entries(0)[0];
    let jam_now = world.sides[0].session.jam_now(world.sides[0].time(world.now)).unwrap();
    for (position, at) in [(Frames(u64::MAX), jam_now), (Frames(0), jam_now + Span::from_secs(3600))] {
        let wish = Wish { number: 1, verb: Verb::Seek, entry, position, at, playing: true };
        let now = world.sides[0].time(world.now);
        let bytes = codec::encode(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).unwrap();
        world.sides[0].session.handle_bytes(Channel::Control, &bytes, now).unwrap();
        let refused = ControlMessage::WishRefused { number: 1, reason: Refusal::OutOfBounds };
        assert!(world.sides[0].session.transmits.contains(&refused));
    }
}

#[test]
fn a_wish_from_before_the_hosts_machine_slept_takes_effect_a_lead_from_now() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let entry = world.entries(0)[0];
    let now = world.sides[0].time(world.now);
    let host = &mut world.sides[0].session;
    let jam_now = host.jam_now(now).unwrap();
    for (ahead, soon) in [(Span::from_secs(3), false), (Span::from_secs(8), true)] {
        let (position, at) = (Frames(44_100), jam_now + ahead);
        let wish = Wish { number: 1, verb: Verb::Seek, entry, position, at, playing: true };
        let bytes = codec::encode(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).unwrap();
        host.handle_bytes(Channel::Control, &bytes, now).unwrap();
        let granted = host.timeline().last().unwrap().at;
        assert_eq!(granted, if soon { jam_now + host.lead_time() } else { at });
    }
}

#[test]
fn a_wish_that_overtakes_the_edit_it_builds_on_is_granted_when_the_edit_comes() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let now = world.sides[1].time(world.now);
    let guest = &mut world.sides[1].session;
    guest.handle_command(Command::Edit(Intent::Append(vec![track(2, 60)])), now).unwrap();
    let added = guest.queue().entries().last().unwrap().id;
    guest.handle_command(Command::Play(added), now).unwrap();
    world.drain(1);
    world.run(Span::from_secs(1));
    let heard = world.assert_together();
    assert!(heard.playing && heard.entry == added, "{heard:?}");
}

#[test]
fn a_wish_whose_edit_never_comes_is_refused_in_time() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let entry = EntryId { author: guest_id(), number: 77 };
    let wish =
        Wish { number: 1, verb: Verb::Play, entry, position: Frames(0), at: JamTime::ZERO, playing: true };
    let now = world.sides[0].time(world.now);
    let bytes = codec::encode(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).unwrap();
    let host = &mut world.sides[0].session;
    host.handle_bytes(Channel::Control, &bytes, now).unwrap();
    let refused = ControlMessage::WishRefused { number: 1, reason: Refusal::UnknownEntry };
    assert!(!host.transmits.contains(&refused));
    host.handle_timeout(now + Span::from_secs(3)).unwrap();
    assert!(host.transmits.contains(&refused));
}

#[test]
fn messages_out_of_turn_have_names_and_change_nothing() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let anchor = world.sides[0].session.announced[0];
    let now = world.sides[0].time(world.now);
    for message in [
        ControlMessage::Anchor(anchor),
        ControlMessage::GuestControls { allowed: false },
        ControlMessage::Welcome(Welcome {
            term: Term { epoch: 1, host: HOST },
            line: JamLine { origin: PeerTime::ZERO, jam: JamTime::ZERO, rate_ppb: 0 },
            guest_controls: true,
            anchors: List::empty(),
        }),
        ControlMessage::HandOver { epoch: 2 },
    ] {
        let bytes = codec::encode(&message, PEER_FRAME_BYTES_MAX).unwrap();
        let outcome = world.sides[0].session.handle_bytes(Channel::Control, &bytes, now);
        assert!(matches!(outcome, Err(SessionError::OutOfTurn(_))), "{message:?}");
    }
    for bytes in [&b"\xff"[..], b"", b"\x04\x00\x00\x00\x00\x00"] {
        let outcome = world.sides[0].session.handle_bytes(Channel::Control, bytes, now);
        assert!(matches!(outcome, Err(SessionError::Codec { channel: Channel::Control, .. })), "{outcome:?}");
    }
    assert!(world.assert_together().playing);
}

#[test]
fn a_cut_line_leaves_both_playing_and_a_new_one_brings_the_edits_across() {
    let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
    // The drift has to be known before it can be held over on.
    world.run(Span::from_secs(60));
    world.cut();
    world.command(0, Command::Edit(Intent::Append(vec![track(3, 10)]))).unwrap();
    world.command(1, Command::Edit(Intent::Append(vec![track(4, 10)]))).unwrap();
    world.run(Span::from_secs(30));
    assert!(world.assert_within(88).playing, "the guest holds over on the host's clock");
    world.connect();
    world.run(Span::from_secs(2));
    assert_eq!(world.entries(0), world.entries(1));
    assert_eq!(world.entries(0).len(), 4);
    world.assert_together();
}

#[test]
fn a_line_that_comes_back_behind_a_full_queue_does_not_move_the_clock() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    world.run(Span::from_secs(60));
    world.connected = false;
    world.sides.iter_mut().for_each(|side| side.session.handle_disconnected());
    world.queueing = Span::from_millis(200);
    world.run(Span::from_secs(2));
    world.connect();
    for _ in 0..20 {
        world.run(Span::from_secs(1));
        world.assert_together();
    }
}

#[test]
fn a_resume_from_both_sides_at_once_begins_the_music_once() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    world.command(0, Command::Pause).unwrap();
    world.run(Span::from_secs(1));
    world.command(0, Command::Resume).unwrap();
    let first = *world.sides[0].session.timeline().last().unwrap();
    world.run(Span::from_millis(9));
    world.command(1, Command::Resume).unwrap();
    world.run(Span::from_secs(1));
    let last = *world.sides[0].session.timeline().last().unwrap();
    assert_eq!((last.position, last.at), (first.position, first.at));
    assert_eq!(world.sides[1].session.timeline().last(), Some(&last));
    world.assert_together();
}

#[test]
fn leaving_ends_the_other_sides_jam_and_its_music_goes_on() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    world.command(1, Command::Leave).unwrap();
    world.run(Span::from_millis(100));
    assert!(world.sides[0].events.contains(&Event::PeerLeft));
    assert!(world.heard(0).unwrap().playing);
}

/// Twenty commands in a row, far quicker than the slow outputs' lead, by one side or by both in turn.
#[test]
fn the_last_of_many_rapid_commands_stands_on_both_sides() {
    for seed in 0u64..12 {
        let mut world = World::with_tracks((1..=40).map(|number| track(number, 60)).collect());
        let slow = PlayoutReport { output_latency: Span::from_millis(250), ..PlayoutReport::default() };
        world.sides.iter_mut().for_each(|side| side.session.handle_playout(slow));
        world.run(Span::from_secs(2));
        let entries = world.entries(0);
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut asked = 0;
        for step in 0..20 {
            asked = match seed % 3 {
                2 => step % 2,
                side => usize::try_from(side).unwrap(),
            };
            let position = Frames(44_100 * random.random_range(1..40));
            let command = match random.random_range(0..3) {
                0 => Command::Skip,
                1 => Command::Seek(position),
                _ => Command::Play(entries[random.random_range(0..20)]),
            };
            assert_eq!(world.command(asked, command), Ok(()), "seed {seed}, command {step}");
            world.run(Span::from_millis(random.random_range(0..40)));
        }
        // The other side's last wish is answered, so that this one is the last in every order.
        world.run(Span::from_millis(100));
        world.command(asked, Command::Seek(Frames(44_100 * 45))).unwrap();
        let meant = world.sides[asked].session.intended(world.sides[asked].time(world.now)).unwrap();
        world.run(Span::from_secs(2));
        let heard = world.assert_together();
        assert_eq!((heard.entry, heard.playing), (meant.entry, true), "seed {seed}");
        assert!(heard.position > Frames(44_100 * 45), "seed {seed}: {heard:?}");
        let failed = |event: &Event| matches!(event, Event::WishFailed(_));
        assert!(!world.sides.iter().any(|side| side.events.iter().any(failed)), "seed {seed}");
    }
}

#[test]
fn a_side_that_ended_the_jam_itself_is_not_told_that_the_other_left() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    world.command(0, Command::Leave).unwrap();
    let now = world.sides[0].time(world.now);
    world.sides[0].session.handle_peer_left(now);
    world.drain(0);
    assert!(!world.sides[0].events.contains(&Event::PeerLeft));
}

#[test]
fn a_flood_is_named() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let entry = EntryId { author: HOST, number: 999 };
    let now = world.sides[0].time(world.now);
    let outcome = (0..3_000).find_map(|number| {
        let wish =
            Wish { number, verb: Verb::Seek, entry, position: Frames(0), at: JamTime::ZERO, playing: true };
        let bytes = codec::encode(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).unwrap();
        world.sides[0].session.handle_bytes(Channel::Control, &bytes, now).err()
    });
    assert_eq!(outcome, Some(SessionError::Flooded));
}

#[test]
fn probes_fit_a_datagram() {
    assert!(size_of::<Probe>() < DATAGRAM_BYTES_MAX);
}
