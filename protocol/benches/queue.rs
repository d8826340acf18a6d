//! How long one edit takes in a queue of 1,000 entries, on the side that orders it and on the side that rebases.

use divan::{Bencher, black_box};
use jamsync_protocol::{
    id::{Participant, TrackId},
    media::{Frames, SampleRate, Track},
    queue::{EntryId, Intent, Place, Replica, TO_COME_MAX},
    text::Text,
};

fn main() {
    divan::main();
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

/// A host whose queue has `count` entries, and the entry in the middle.
fn host(count: usize) -> (Replica, EntryId) {
    let tracks = (0..count).map(|_| track()).collect();
    let host = Replica::adopting(Participant::FIRST, 1, tracks).expect("within the limit");
    let middle = host.entries().nth(count / 2).expect("not empty").id;
    (host, middle)
}

/// A guest in step with such a host.
fn guest(host: &mut Replica) -> Replica {
    let me = Participant::new(1).expect("below the limit");
    let mut guest = Replica::new(me);
    guest.become_guest(Participant::FIRST);
    guest.handle_connected(Participant::FIRST);
    host.handle_connected(me);
    exchange(host, &mut guest);
    guest
}

/// Delivers all there is to say.
fn exchange(host: &mut Replica, guest: &mut Replica) {
    loop {
        let (from_host, from_guest) = (host.poll_transmit(), guest.poll_transmit());
        if from_host.is_none() && from_guest.is_none() {
            break;
        }
        if let Some(sent) = from_host {
            guest.handle_message(Participant::FIRST, sent.message).expect("honest");
        }
        if let Some(sent) = from_guest {
            host.handle_message(Participant::new(1).expect("below the limit"), sent.message).expect("honest");
        }
    }
}

#[divan::bench]
fn host_moves_an_entry(bencher: Bencher) {
    let (mut host, middle) = host(TO_COME_MAX);
    let mut places = [Place::Start, Place::End].into_iter().cycle();
    bencher.bench_local(|| {
        let place = places.next().expect("endless");
        black_box(host.edit(Intent::Move { entry: middle, place })).expect("there");
    });
}

#[divan::bench]
fn host_adds_and_takes_back(bencher: Bencher) {
    let (mut host, middle) = host(TO_COME_MAX - 1);
    bencher.bench_local(|| {
        host.edit(Intent::PlayNext { after: Some(middle), tracks: vec![track()] }).expect("room");
        black_box(host.edit(Intent::Undo)).expect("an addition");
    });
}

#[divan::bench]
fn host_shuffles_all(bencher: Bencher) {
    let (mut host, _) = host(TO_COME_MAX);
    let mut seed = 0;
    bencher.bench_local(|| {
        seed += 1;
        black_box(host.edit(Intent::Shuffle { seed })).expect("always");
    });
}

#[divan::bench]
fn guest_moves_and_host_orders(bencher: Bencher) {
    let (mut host, middle) = host(TO_COME_MAX);
    let mut guest = guest(&mut host);
    let mut places = [Place::Start, Place::End].into_iter().cycle();
    bencher.bench_local(|| {
        let place = places.next().expect("endless");
        guest.edit(Intent::Move { entry: middle, place }).expect("there");
        exchange(&mut host, &mut guest);
    });
}

#[divan::bench]
fn guest_rebases_over_an_edit_of_the_host(bencher: Bencher) {
    let (mut host, middle) = host(TO_COME_MAX);
    let mut guest = guest(&mut host);
    let mut places = [Place::Start, Place::End].into_iter().cycle();
    bencher.bench_local(|| {
        let place = places.next().expect("endless");
        host.edit(Intent::Move { entry: middle, place }).expect("there");
        guest.edit(Intent::Move { entry: middle, place: Place::Start }).expect("there");
        exchange(&mut host, &mut guest);
    });
}

#[divan::bench]
fn a_save_is_made(bencher: Bencher) {
    let (host, _) = host(TO_COME_MAX);
    bencher.bench_local(|| black_box(host.snapshot()));
}
