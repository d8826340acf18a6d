//! What `watch` shows: things that happen, each told once, at the moment it takes effect.

use jamsync_protocol::{
    chat::Reaction,
    id::{DeviceKey, Handle},
    text::Text,
    time::{JamTime, NodeTime, Span},
};
use serde::{Deserialize, Serialize};

use super::{
    activity::FriendActivity,
    argument::{EntryKey, Percent},
    chat::Message,
    conversation::{ConversationMessage, MessageProgress},
    jam::{Readiness, Role},
    snapshot::{Direction, Precision, Side, Snapshot, Who},
    unit,
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The state as a watch begins, and again after [`Missed`](Self::Missed).
    Snapshot(Box<Snapshot>),
    /// The watcher was too slow: this many events are lost.
    Missed {
        /// How many.
        count: u64,
    },
    /// A Jam request arrived or was sent.
    RequestOpened {
        /// The other one.
        with: Handle,
        /// Whose answer is awaited.
        direction: Direction,
        /// How long it stays open.
        #[serde(rename = "expires_in_s", with = "unit::secs")]
        expires_in: Span,
    },
    /// A Jam request is no longer open.
    RequestClosed {
        /// The other one.
        with: Handle,
        /// Whose answer was awaited.
        direction: Direction,
        /// How it ended.
        outcome: RequestOutcome,
    },
    /// A contact, or this account on whichever device, has said something in a conversation. Told again of what this device
    /// says when the coordinator has it.
    Message(ConversationMessage),
    /// What a contact shows of what it plays is otherwise now.
    Activity(Box<FriendActivity>),
    /// The cover of what a contact shows is there.
    ActivityCover {
        /// The contact.
        with: Handle,
        /// The file with it, a JPEG.
        cover: String,
    },
    /// A contact reacts to what plays here. It is kept by nobody.
    ActivityReaction {
        /// Who.
        with: Handle,
        /// How.
        #[serde(with = "unit::reaction")]
        reaction: Reaction,
    },
    /// Somebody has reacted to a message, or has taken that back.
    MessageReaction {
        /// The contact whose conversation it is.
        with: Handle,
        /// Whether this account did, on whichever device; else the contact.
        mine: bool,
        /// The message's name.
        id: String,
        /// How; none where it was taken back.
        #[serde(with = "unit::reaction_or_none")]
        reaction: Option<Reaction>,
    },
    /// What this account said has come further with a contact.
    MessageProgress {
        /// The contact.
        with: Handle,
        /// The name of the newest message that has; all before it have too.
        up_to: String,
        /// How far.
        progress: MessageProgress,
    },
    /// A contact was made.
    ContactAdded {
        /// The friend.
        with: Handle,
    },
    /// A contact is none any more, by the doing of either side.
    ContactRemoved {
        /// Who it was.
        with: Handle,
    },
    /// The account has one device more.
    DeviceAdded {
        /// Its key.
        #[serde(with = "unit::hex")]
        key: DeviceKey,
    },
    /// A device speaks for the account no more.
    DeviceRevoked {
        /// Its key.
        #[serde(with = "unit::hex")]
        key: DeviceKey,
    },
    /// A Jam began.
    JamStarted {
        /// The friend.
        with: Handle,
        /// This node's role.
        role: Role,
    },
    /// A Jam is over for this node.
    JamEnded {
        /// The friend.
        with: Handle,
        /// Why.
        reason: JamEnd,
        /// Whether the Jam's music goes on here, and this listener's own waits until the next `leave`.
        own_music_waits: bool,
    },
    /// The listener's own music is back, paused where it was.
    OwnMusicBack,
    /// This node's role changed.
    RoleChanged {
        /// What it is now.
        role: Role,
        /// Why.
        why: RoleWhy,
    },
    /// The connection to the friend is lost, and the nodes look for each other.
    PeerLost {
        /// The friend.
        with: Handle,
        /// Why, as far as this node knows.
        reason: String,
        /// Whether the music waits here until the friend is back; otherwise it goes on.
        waits: bool,
    },
    /// The connection to the friend is back.
    PeerBack {
        /// The friend.
        with: Handle,
    },
    /// Playback follows a new anchor from now on. Sent when the anchor takes effect, not when it is agreed.
    Anchor {
        /// The anchor's revision, as text that grows with it.
        revision: String,
        /// The entry that plays; none where the queue is empty.
        entry: Option<EntryKey>,
        /// Its title.
        title: Text<256>,
        /// Where in it.
        #[serde(rename = "position_ms", with = "unit::ms")]
        position: Span,
        /// Playing or paused.
        playing: bool,
        /// Who did it.
        by: Who,
        /// What was done.
        cause: AnchorCause,
        /// When it takes effect, on the clock both share.
        jam_time_ns: JamTime,
        /// The same moment on this node's clock.
        node_time_ns: NodeTime,
    },
    /// Playback jumped to catch up: the one discontinuity that nobody asked for.
    Reanchored {
        /// How far it was off.
        #[serde(rename = "error_us", with = "unit::us")]
        error: Span,
        /// When, on this node's clock.
        node_time_ns: NodeTime,
    },
    /// The queue changed.
    QueueEdited {
        /// Who did it.
        by: Who,
        /// What was done.
        edit: QueueEdit,
    },
    /// A side lacks a track: both skip it.
    TrackMissing {
        /// Which entry.
        entry: EntryKey,
        /// Its title.
        title: Text<256>,
        /// Which side.
        side: Side,
    },
    /// A side cannot play a track: both skip it.
    TrackUnplayable {
        /// Which entry; none for a file that never came into the queue.
        entry: Option<EntryKey>,
        /// Its title, or its path.
        title: Text<256>,
        /// Which side.
        side: Side,
        /// Why.
        reason: Text<256>,
    },
    /// The guest-controls switch was turned.
    GuestControls {
        /// Whether the guest may control.
        allowed: bool,
    },
    /// The loudness of this node's output changed.
    Volume {
        /// What it is now.
        percent: Percent,
        /// Who did it.
        by: Who,
    },
    /// A side has become ready, or is no longer so. Told once it has lasted.
    Readiness {
        /// The friend.
        with: Handle,
        /// Which side.
        side: Side,
        /// What it is now.
        is: Readiness,
    },
    /// The path to the friend lets more or less be said of being in step. Told once it has lasted.
    Precision {
        /// The friend.
        with: Handle,
        /// What may be said from now on.
        precision: Precision,
        /// How far both sounds are probably apart.
        #[serde(rename = "off_us", with = "unit::us")]
        off: Span,
    },
    /// Play, seek and skip take effect noticeably late from now on, or no longer. Told once it has lasted.
    SlowControls {
        /// The friend.
        with: Handle,
        /// Whether they do.
        slow: bool,
        /// How much later than asked.
        #[serde(rename = "lead_ms", with = "unit::ms")]
        lead: Span,
    },
    /// Edits and commands may arrive late from now on, because much of what is sent is lost, or no longer. Told once it
    /// has lasted.
    LateEdits {
        /// The friend.
        with: Handle,
        /// Whether they may.
        late: bool,
        /// The part of the friend's packets that is lost on the way here.
        #[serde(rename = "loss_percent")]
        loss: Percent,
    },
    /// Something was said, by either.
    Said(Message),
    /// The friend's node has this listener's messages up to one of them.
    Delivered {
        /// The friend.
        with: Handle,
        /// The number of the last of them, as [`Message::number`].
        up_to: u64,
        /// How many have arrived since the last such event.
        count: u32,
        /// How long the first of these has waited.
        #[serde(rename = "waited_ms", with = "unit::ms")]
        waited: Span,
    },
    /// Someone reacted to what is heard now. Nobody keeps it.
    Reacted {
        /// Who.
        by: Who,
        /// How.
        #[serde(with = "unit::reaction")]
        reaction: Reaction,
    },
    /// The link to the coordinator came or went.
    Coordinator {
        /// Whether it answers.
        connected: bool,
        /// Why not; empty where it does.
        reason: String,
    },
    /// Something the listener should know.
    Warning {
        /// What happened, why, and what to do next.
        message: String,
    },
}

/// How a Jam request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// A Jam begins.
    Accepted,
    /// The one asked said no.
    Declined,
    /// The one who asked took it back.
    Cancelled,
    /// Nobody answered in time.
    Expired,
}

/// Why a Jam is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum JamEnd {
    /// The listener left.
    YouLeft,
    /// The friend left.
    PeerLeft,
    /// The friend could not be reached in time.
    Unreachable,
    /// The friend broke a rule of the protocol, or the grant is not valid.
    Refused {
        /// Which rule.
        reason: String,
    },
}

/// Why host and guest have changed their parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleWhy {
    /// The host handed over.
    Agreed,
    /// The host is silent: the guest has taken over until the two meet again.
    Silence,
    /// The host that was silent has been there all the time, and is the host again.
    Returned,
    /// One of the nodes was restarted: the other is the host.
    Restarted,
}

/// What an anchor came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnchorCause {
    /// The Jam or the solo queue began.
    Start,
    /// Play or resume.
    Resume,
    /// Pause.
    Pause,
    /// A pause until both sides are ready.
    Wait,
    /// Seek.
    Seek,
    /// Skip.
    Skip,
    /// The track before it ended.
    TrackEnd,
    /// The track before it cannot be played on both sides.
    Unplayable,
    /// This node came into a timeline that was already running.
    Rejoin,
}

/// What was done to the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum QueueEdit {
    /// Added entries at the end.
    Added {
        /// How many.
        count: u32,
        /// The title of the first.
        title: Text<256>,
    },
    /// Added or moved an entry to be the next.
    PlayNext {
        /// Its title.
        title: Text<256>,
    },
    /// Moved an entry.
    Moved {
        /// Its title.
        title: Text<256>,
    },
    /// Removed entries.
    Removed {
        /// How many.
        count: u32,
    },
    /// Removed all that comes next.
    Cleared {
        /// How many entries.
        count: u32,
    },
    /// Put what comes next into another order.
    Shuffled,
    /// Took back an edit.
    Undone,
}
