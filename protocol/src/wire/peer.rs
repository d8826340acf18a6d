//! What two nodes of a Jam say to each other on the control stream and in datagrams.
//!
//! The queue stream carries [`QueueMessage`](crate::queue::QueueMessage)s. Enums are append-only.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Probe,
    id::{EntryId, JamId, Participant},
    media::Frames,
    queue::Term,
    readiness::PlayoutState,
    text::{List, Text},
    time::{JamTime, PeerTime, Ppm, Span},
    timeline::Anchor,
};

/// The application protocol that two nodes agree on in the TLS handshake; a breaking change counts it up.
pub const PEER_ALPN: &[u8] = b"jamsync-peer/1";

/// A message on the control stream. The first one each way is [`Hello`](Self::Hello).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ControlMessage {
    /// Who I am and by what right I am here.
    Hello(Hello),
    /// Host to guest, once after each exchange of [`Standing`](Self::Standing)s and after a
    /// [`HandOver`](Self::HandOver): where the Jam stands.
    Welcome(Welcome),
    /// Host to guest: a fact of the timeline.
    Anchor(Announcement),
    /// Guest to host: please make this so. The guest has made it so for itself already.
    Wish(Wish),
    /// Host to guest: the wish was not granted; take it back.
    WishRefused {
        /// The wish's number.
        number: u32,
        /// Why.
        reason: Refusal,
    },
    /// Which entries the sender can play and which it cannot; only what changed since the last such message.
    Availability(List<(EntryId, Availability), 256>),
    /// Host to guest: whether guests may play, pause, seek and skip.
    GuestControls {
        /// Whether they may.
        allowed: bool,
    },
    /// An anchor came this long after it should have taken effect.
    AnchorLate {
        /// By how much.
        by: Span,
    },
    /// Please set your own volume.
    Volume {
        /// Percent of full volume, 0 to 100.
        percent: u8,
    },
    /// The sender leaves the Jam for good. The last message on the stream.
    Leaving,
    /// What the sender is in this Jam. First on each connection, and again from a guest that took over in a silence
    /// that the connection outlived; then the other side answers with its own.
    Standing(Standing),
    /// Host to guest: you are the host from here on, in this epoch, and I am your guest.
    HandOver {
        /// The host's epoch and one.
        epoch: u32,
    },
}

/// The first message each way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Bits for what the sender understands beyond version 1; unknown bits are ignored.
    pub features: u64,
    /// The Jam this connection is for.
    pub jam: JamId,
    /// Chosen at random when the sender's process started: tells a peer that came back from one that began anew.
    /// The exclusive or of both sides' numbers is the session epoch of their probes.
    pub run: u32,
    /// The signed grant, byte for byte as the coordinator gave it.
    pub grant: List<u8, 4096>,
}

/// What a side is in a Jam when the two meet. From both standings both sides come to the same host: see
/// `docs/host.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// By what right it would be the host.
    pub claim: Claim,
    /// The newest term it knows of; its own where it gives the order.
    pub term: Term,
}

/// By what right a side would be the host, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Claim {
    /// None: it knows nothing of the Jam.
    Nothing,
    /// It was in the Jam, its process has begun anew, and it gives no order.
    Restored,
    /// As [`Restored`](Self::Restored), and it took over since.
    Revived,
    /// It has been a guest all the time.
    Guest,
    /// It has been there all the time, and took over after silence.
    Provisional,
    /// It has been the host all the time.
    Host,
}

/// The Jam clock as a line over its host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JamLine {
    /// A reading of the host's clock, on the clock that its probes carry.
    pub origin: PeerTime,
    /// The Jam time at that reading.
    pub jam: JamTime,
    /// How much faster the Jam clock runs than the host's clock, in parts per billion: 0 under the first host.
    pub rate_ppb: i32,
}

/// Where the Jam stands, from the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// In which term the host gives the order; the anchors' revisions are of this term.
    pub term: Term,
    /// The Jam clock.
    pub line: JamLine,
    /// Whether guests may play, pause, seek and skip.
    pub guest_controls: bool,
    /// The anchors in force and to come, in order.
    pub anchors: List<Announcement, 8>,
}

/// An anchor, and how it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The fact.
    pub anchor: Anchor,
    /// Who brought it about.
    pub by: Participant,
    /// By doing what.
    pub verb: Verb,
    /// The number of the guest's wish that it grants.
    pub answers: Option<u32>,
}

/// What a guest wants the timeline to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Counts the wishes of this guest.
    pub number: u32,
    /// What the guest did.
    pub verb: Verb,
    /// The entry to play or to stand at.
    pub entry: EntryId,
    /// Its position at `at`.
    pub position: Frames,
    /// When; the guest acts at this time whatever happens, so a feasible time is kept.
    pub at: JamTime,
    /// Whether it plays on from there.
    pub playing: bool,
}

/// What changed the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// The Jam began or the first music was put on.
    Start,
    /// A particular entry was chosen.
    Play,
    /// Playing was resumed.
    Resume,
    /// Playing was paused.
    Pause,
    /// The position was moved.
    Seek,
    /// The rest of the entry was skipped.
    Skip,
    /// The entry came to its end.
    TrackEnd,
    /// The entry cannot be played on one of the sides, so it was passed over.
    Unplayable,
    /// The playing entry was taken out of the queue.
    Removed,
    /// A side is not ready for what was to begin, and the host's listener lets it wait.
    Wait,
}

/// Why a wish was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The host keeps the controls to itself.
    #[error("the host has switched guest controls off")]
    GuestControlsOff,
    /// The entry is not in the queue.
    #[error("that entry is not in the queue any more")]
    UnknownEntry,
    /// The entry cannot be played on one of the sides.
    #[error("that entry cannot be played on both sides")]
    Unplayable,
    /// The position or the time is out of bounds.
    #[error("the position lies outside the track, or the time too far off")]
    OutOfBounds,
}

/// Whether a side can play an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    /// It has the track.
    Ready,
    /// It lacks the track.
    Missing,
    /// It has the file but cannot play it.
    Unplayable {
        /// Why, in words.
        reason: Text<200>,
    },
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Datagram {
    /// A time probe.
    Probe(Probe),
    /// How the sender's sound is doing, about once a second.
    Report(PlayoutReport),
}

/// How a side's sound is doing: what the other side shows, and what the lead is reckoned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlayoutReport {
    /// From the callback to the ear, as far as the device tells.
    pub output_latency: Span,
    /// When the sound is heard minus when it should be; `None` while nothing plays.
    pub error: Option<Span>,
    /// How far the servo bends the rate, in parts per billion.
    pub correction_ppb: i32,
    /// Frames that came too late for the device since the Jam's start.
    pub missed_frames: u64,
    /// Whether the sound is there.
    pub state: PlayoutState,
}

impl PlayoutReport {
    /// The same report of a servo that bends the rate by `correction`, rounded towards zero to a part per billion.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates and turns NaN into zero")]
    pub fn with_correction(self, correction: Ppm) -> Self {
        Self { correction_ppb: (correction.0 * 1e3) as i32, ..self }
    }

    /// How far the servo bends the rate.
    #[must_use]
    pub fn correction(&self) -> Ppm {
        Ppm(f64::from(self.correction_ppb) * 1e-3)
    }
}
