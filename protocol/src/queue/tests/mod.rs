//! Tests of the queue.

extern crate std;

use alloc::{format, string::String, vec::Vec};

use super::{limits::PIECE_EFFECTS, *};
use crate::{
    id::{Participant, TrackId},
    media::{Frames, SampleRate, Track},
    text::{List, Text},
};

mod hostile;
mod limits;
mod rules;
mod settled;
mod world;

/// The participant at `index`.
fn who(index: u8) -> Participant {
    Participant::new(index).expect("below the limit")
}

/// A track called `title`.
fn track(title: &str) -> Track {
    let mut id = [0; 32];
    for (byte, letter) in id.iter_mut().zip(title.bytes()) {
        *byte = letter;
    }
    Track {
        id: TrackId(id),
        title: Text::truncated(title),
        artist: Text::default(),
        album: Text::default(),
        rate: SampleRate::HZ_44100,
        length: Frames(44_100),
    }
}

/// A track for each letter of `titles`.
fn tracks(titles: &str) -> Vec<Track> {
    titles.chars().map(|title| track(&format!("{title}"))).collect()
}

/// The titles in order, one letter each.
fn titles(queue: &Queue) -> String {
    queue.entries().map(|entry| entry.track.title.as_str()).collect()
}

/// The entry called `title`, removed or not.
fn named(queue: &Queue, title: &str) -> EntryId {
    let slot = queue.slots.iter().find(|slot| slot.entry.track.title.as_str() == title);
    slot.expect("an entry of that title").id
}

/// A host with `queue` and a guest, connected and in step.
fn pair(queue: &str) -> (Replica, Replica) {
    let mut host = Replica::adopting(who(0), 1, tracks(queue)).expect("within the limit");
    let mut guest = Replica::new(who(1));
    guest.become_guest(who(0));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    (host, guest)
}

/// Delivers all messages between two until there are none.
fn settle(a: &mut Replica, b: &mut Replica) {
    loop {
        let (from_a, from_b) = (a.poll_transmit(), b.poll_transmit());
        if from_a.is_none() && from_b.is_none() {
            return;
        }
        if let Some(sent) = from_a {
            b.handle_message(who(0), sent.message).expect("taken");
        }
        if let Some(sent) = from_b {
            a.handle_message(who(1), sent.message).expect("taken");
        }
    }
}
