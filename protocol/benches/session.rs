//! What a session costs its node: frames and probes made and read, a probe taken in, and an edit of a queue of
//! 1,000 entries on its way from one side to the other.

use divan::{Bencher, black_box};
use jamsync_protocol::{
    id::{EntryId, Participant, TrackId},
    limits::{DATAGRAM_BYTES_MAX, PEER_FRAME_BYTES_MAX, TRACKS_PER_EDIT_MAX},
    media::{Frames, SampleRate, Track},
    queue::{Intent, Place, QueueMessage, TO_COME_MAX},
    session::{Channel, Command, Session},
    text::Text,
    time::{JamTime, NodeTime, Span},
    timeline::{Anchor, Revision},
    wire::{
        codec,
        peer::{Announcement, ControlMessage, Datagram, Verb},
    },
};
use serde::{Deserialize, Serialize};

fn main() {
    divan::main();
}

const HOST: Participant = Participant::FIRST;

/// A host and a guest 1 ms apart, both reading one clock.
struct Pair {
    sessions: [Session; 2],
    now: NodeTime,
}

impl Pair {
    /// In step for ten seconds, with `count` entries in the queue.
    fn with_entries(count: usize) -> Self {
        let guest = Participant::new(1).expect("below the limit");
        let now = NodeTime::ZERO;
        let mut sessions = [Session::alone(now), Session::guest(guest, HOST)];
        for first in (0..count).step_by(TRACKS_PER_EDIT_MAX) {
            let tracks = vec![track(); TRACKS_PER_EDIT_MAX.min(count - first)];
            sessions[0].handle_command(Command::Edit(Intent::Append(tracks)), now).expect("room");
        }
        sessions[0].handle_connected(guest, 1, now);
        sessions[1].handle_connected(HOST, 1, now);
        let mut pair = Self { sessions, now };
        while pair.now < NodeTime::ZERO + Span::from_secs(10) {
            pair.exchange();
            let wakes = pair.sessions.iter().filter_map(|session| session.poll_timeout(pair.now));
            pair.now = wakes.min().map_or(pair.now, |due| due.max(pair.now));
        }
        pair
    }

    /// Delivers all there is to say.
    fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            for from in [0, 1] {
                while let Some(transmit) = self.sessions[from].poll_transmit(self.now) {
                    self.now += Span::from_millis(1);
                    let to = &mut self.sessions[1 - from];
                    to.handle_bytes(transmit.channel, &transmit.bytes, self.now).expect("honest");
                    quiet = false;
                }
                while self.sessions[from].poll_event().is_some() {}
            }
            if quiet {
                return;
            }
        }
    }

    /// The next probe of the guest, when one is due.
    fn probe(&mut self) -> Vec<u8> {
        loop {
            while let Some(transmit) = self.sessions[1].poll_transmit(self.now) {
                if transmit.channel == Channel::Datagram
                    && matches!(codec::decode(&transmit.bytes), Ok(Datagram::Probe(_)))
                {
                    return transmit.bytes;
                }
            }
            self.now = self.sessions[1].poll_timeout(self.now).expect("probes are due").max(self.now);
        }
    }
}

/// A track with texts of ordinary length.
fn track() -> Track {
    Track {
        id: TrackId([7; 32]),
        title: Text::truncated("A title of ordinary length"),
        artist: Text::truncated("An artist"),
        album: Text::truncated("An album of ordinary length"),
        rate: SampleRate::HZ_44100,
        length: Frames(10_000_000),
    }
}

fn control() -> ControlMessage {
    let anchor = Anchor {
        revision: Revision { epoch: 1, host: HOST, counter: 1_000 },
        entry: Some(EntryId { author: HOST, number: 1_000 }),
        position: Frames(5_000_000),
        at: JamTime::from_nanos(3_600_000_000_000),
        playing: true,
    };
    ControlMessage::Anchor(Announcement { anchor, by: HOST, verb: Verb::Seek, answers: Some(7) })
}

/// The queue message that carries `count` new tracks.
fn queue(count: usize) -> QueueMessage {
    let mut pair = Pair::with_entries(1);
    let (now, host) = (pair.now, &mut pair.sessions[0]);
    host.handle_command(Command::Edit(Intent::Append(vec![track(); count])), now).expect("room");
    let mut sent = std::iter::from_fn(|| host.poll_transmit(now));
    let edit = sent.find(|transmit| transmit.channel == Channel::Queue).expect("an edit to tell of");
    codec::decode(&edit.bytes).expect("our own message")
}

fn datagram() -> Datagram {
    codec::decode(&Pair::with_entries(1).probe()).expect("our own datagram")
}

fn encodes<T: Serialize + Sync>(bencher: Bencher<'_, '_>, message: &T, limit: usize) {
    bencher.bench_local(|| codec::encode_frame(black_box(message), limit));
}

fn decodes<T: Serialize + for<'de> Deserialize<'de>>(bencher: Bencher<'_, '_>, message: &T, limit: usize) {
    let bytes = codec::encode(message, limit).expect("within the limit");
    bencher.bench_local(|| codec::decode::<T>(black_box(&bytes)));
}

#[divan::bench]
fn encode_an_anchor(bencher: Bencher<'_, '_>) {
    encodes(bencher, &control(), PEER_FRAME_BYTES_MAX);
}

#[divan::bench]
fn decode_an_anchor(bencher: Bencher<'_, '_>) {
    decodes(bencher, &control(), PEER_FRAME_BYTES_MAX);
}

#[divan::bench(args = [1, TRACKS_PER_EDIT_MAX])]
fn encode_new_tracks(bencher: Bencher<'_, '_>, count: usize) {
    encodes(bencher, &queue(count), PEER_FRAME_BYTES_MAX);
}

#[divan::bench(args = [1, TRACKS_PER_EDIT_MAX])]
fn decode_new_tracks(bencher: Bencher<'_, '_>, count: usize) {
    decodes(bencher, &queue(count), PEER_FRAME_BYTES_MAX);
}

#[divan::bench]
fn encode_a_probe(bencher: Bencher<'_, '_>) {
    encodes(bencher, &datagram(), DATAGRAM_BYTES_MAX);
}

#[divan::bench]
fn decode_a_probe(bencher: Bencher<'_, '_>) {
    decodes(bencher, &datagram(), DATAGRAM_BYTES_MAX);
}

/// Every probe is a new one: a session does little for one that it knows.
#[divan::bench(sample_size = 1)]
fn host_takes_a_probe_and_drains(bencher: Bencher<'_, '_>) {
    let pair = std::cell::RefCell::new(Pair::with_entries(10));
    bencher.with_inputs(|| pair.borrow_mut().probe()).bench_local_values(|bytes| {
        let pair = &mut *pair.borrow_mut();
        pair.now += Span::from_millis(1);
        let host = &mut pair.sessions[0];
        let taken = host.handle_bytes(Channel::Datagram, black_box(&bytes), pair.now);
        while let Some(transmit) = host.poll_transmit(pair.now) {
            drop(black_box(transmit));
        }
        taken
    });
}

#[divan::bench]
fn guest_moves_an_entry_and_both_agree(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::with_entries(TO_COME_MAX);
    let entry = pair.sessions[0].queue().entries().nth(TO_COME_MAX / 2).expect("not empty").id;
    let mut places = [Place::Start, Place::End].into_iter().cycle();
    bencher.bench_local(|| {
        let place = places.next().expect("endless");
        let intent = Intent::Move { entry, place };
        let now = pair.now;
        pair.sessions[1].handle_command(Command::Edit(intent), now).expect("there");
        pair.exchange();
    });
}

#[divan::bench]
fn what_is_heard(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::with_entries(10);
    let now = pair.now;
    pair.sessions[0].handle_command(Command::Resume, now).expect("music is on");
    pair.exchange();
    bencher.bench_local(|| black_box(&pair.sessions[1]).heard_at(black_box(pair.now)));
}
