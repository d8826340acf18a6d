//! What goes into and comes out of a session: commands of people, events for people, bytes for the peer.

use alloc::vec::Vec;

use super::{QUEUE_BURST, QUEUE_EVERY};
use crate::{
    id::{EntryId, Participant},
    media::Frames,
    queue::{Intent, QueueError, QueueEvent, Term},
    time::{Ppm, Span},
    timeline::TimelineError,
    wire::{
        codec::CodecError,
        peer::{Announcement, Availability, Refusal},
    },
};

/// What a person wants.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Play this entry from its start.
    Play(EntryId),
    /// Play on from where it stands; from the first playable entry where nothing was put on yet.
    Resume,
    /// Stop here, at once.
    Pause,
    /// As [`Pause`](Self::Pause), because a side is not ready. Whoever waits plays on with [`Resume`](Self::Resume).
    Wait,
    /// Move to this position of the current entry, in frames of its declared rate.
    Seek(Frames),
    /// Go on to the next entry that both sides can play.
    Skip,
    /// Edit the shared queue.
    Edit(Intent),
    /// Let guests play, pause, seek and skip, or not. The host's to say.
    GuestControls(bool),
    /// Set the other side's volume, in percent.
    PeerVolume(u8),
    /// Say farewell: the peer is told that this side leaves for good, if it is connected; else nothing is sent, and that is
    /// no error. This session stays in the Jam: drain, so that the farewell goes out, close the connection, and then call
    /// [`handle_peer_left`](super::Session::handle_peer_left) to go on alone, or drop the session.
    Leave,
    /// Make the guest the host, and stay as its guest. The host's to say.
    HandOver,
}

/// What happened, for people and for the shell.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The timeline changed: fetch it, and show who did it.
    Moved(Announcement),
    /// The queue changed or an edit was refused.
    Queue(QueueEvent),
    /// A wish of this side was not granted, or not answered in five seconds (`None`).
    WishFailed(Option<Refusal>),
    /// The host has switched guest controls on or off.
    GuestControls(bool),
    /// A side said whether it can play an entry.
    Availability {
        /// The entry.
        entry: EntryId,
        /// The side that spoke.
        of: Participant,
        /// What it said.
        availability: Availability,
    },
    /// The other side asks this one to set its volume.
    VolumeAsked {
        /// Percent of full volume, 0 to 100.
        percent: u8,
    },
    /// The guest knows where the Jam stands and plays along from now on.
    Joined,
    /// Another side gives the order from now on.
    HostChanged {
        /// The new host.
        host: Participant,
        /// How that came about.
        why: HostChange,
    },
    /// The other side has said that it leaves for good.
    PeerLeft,
    /// The other side's clock has jumped, or claims what cannot be: how well both are in step is less certain until
    /// it has been learnt anew, and the bound says by how much. Told at most once a minute.
    ClockDoubted,
}

/// Why the Jam has another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostChange {
    /// The host handed over, and both stay.
    Agreed,
    /// The host left for good: this side goes on alone.
    Left,
    /// The host was silent for ten seconds: this side takes over until the two meet.
    Silence,
    /// The host that was silent has been there all the time: its music counts, and this side's edits are sent to it.
    Returned,
    /// One side began anew: the other, who went on, is the host from now on.
    Restarted,
}

/// A stream or the datagrams of a peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Hello, timeline and roles; top priority.
    Control,
    /// Queue edits.
    Queue,
    /// Probes and reports, one message per datagram; late ones are worthless and may be dropped.
    Datagram,
}

/// Bytes to send: the body of a frame on a stream, or a whole datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// Where to.
    pub channel: Channel,
    /// What.
    pub bytes: Vec<u8>,
}

/// How well both sides are in step, as this side sees it. An opinion for display: a claim of being in sync is
/// made by measuring the sound itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncReport {
    /// The peer's clock minus this node's clock.
    pub offset: Span,
    /// How far the true offset may be from it, whatever the path does: guaranteed for the clock alone.
    pub bound: Span,
    /// How far it probably is, if the path is equally slow both ways.
    pub spread: Span,
    /// The least round trip measured.
    pub round_trip: Span,
    /// How fast the peer's clock runs against this node's.
    pub drift: Ppm,
    /// The part of the peer's packets that is lost on the way here, 0 to 1; none while too few came to tell; see
    /// [`PathReport::loss`](crate::clock::PathReport::loss).
    pub loss: Option<f64>,
}

/// Why a command was not carried out, or what the peer did that ends its connection.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The host keeps the controls to itself.
    #[error("the host has switched guest controls off; ask your friend to switch them on")]
    GuestControlsOff,
    /// The command is the host's.
    #[error("only the host can do that")]
    HostOnly,
    /// Nothing is on.
    #[error("nothing is playing; add a track first")]
    NothingOn,
    /// No later entry can be played on every side.
    #[error("no further track in the queue can be played")]
    NothingNext,
    /// The entry is not in the queue.
    #[error("that entry is not in the queue")]
    UnknownEntry,
    /// The entry cannot be played on one of the sides.
    #[error("that track cannot be played by everyone who listens")]
    Unplayable,
    /// A guest that does not know the host's clock yet.
    #[error("not in step with the host yet; try again in a second")]
    NotInStep,
    /// There is nobody else.
    #[error("nobody else is in the Jam")]
    Alone,
    /// The queue refused the edit, or the peer's message about it.
    #[error("{0}")]
    Queue(#[from] QueueError),
    /// The timeline refused an anchor.
    #[error("{0}")]
    Timeline(#[from] TimelineError),
    /// The peer sent bytes that are no message.
    #[error("malformed message on {channel:?}: {error}")]
    Codec {
        /// Where.
        channel: Channel,
        /// What was wrong.
        error: CodecError,
    },
    /// The peer asks for more answers than it takes.
    #[error("peer asks for more answers than it takes")]
    Flooded,
    /// The peer changes the queue, or asks for it, more often than any listener does.
    #[error(
        "peer sends more about the queue than a listener can: {QUEUE_BURST} messages at once, then one each {QUEUE_EVERY}"
    )]
    QueueFlooded,
    /// The peer claims to have been made the host, or to know an order, in a way that the rules cannot have led to.
    #[error("peer claims {claimed:?}, which was not given: {known:?} is known")]
    NotGiven {
        /// What was given last, as far as this side knows.
        known: Term,
        /// What the peer claims.
        claimed: Term,
    },
    /// The host spoke in another term than its own: a word replayed from an earlier one, or of somebody else.
    #[error("host spoke in {actual:?} instead of {expected:?}")]
    WrongTerm {
        /// The host's term.
        expected: Term,
        /// The term of what it said.
        actual: Term,
    },
    /// The host tells a Jam clock that runs as no clock does.
    #[error("host tells a Jam clock that is off by {rate_ppb} parts per billion")]
    BadClock {
        /// How much faster than the host's own clock it is said to run.
        rate_ppb: i32,
    },
    /// Both sides came back and neither knows the Jam.
    #[error("neither side knows this Jam any more; begin a new one")]
    NothingLeft,
    /// What was saved contradicts itself.
    #[error("the saved session contradicts itself: {0}")]
    BadSnapshot(&'static str),
    /// The peer sent what only the other role may send, or at the wrong moment.
    #[error("peer sent {0} out of turn")]
    OutOfTurn(&'static str),
}
