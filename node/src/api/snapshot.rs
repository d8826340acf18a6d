//! All that `status` shows: one consistent picture of the node, taken by the engine between two of its steps.

use std::net::SocketAddr;

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle, TrackId},
    media::SampleRate,
    text::Text,
    time::{Ppm, Span},
};
use serde::{Deserialize, Serialize};

use super::{
    argument::{EntryKey, Percent},
    jam::Jam,
    unit,
};

/// The node at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of the program that answers.
    pub program: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Who the listener is.
    pub me: Me,
    /// The link to the coordinator.
    pub coordinator: Coordinator,
    /// The Jam, or none.
    pub jam: Option<Jam>,
    /// How well both sides agree on the time; none outside a Jam and before the first probes.
    pub sync: Option<Sync>,
    /// What plays, or none where the queue is empty.
    pub now: Option<NowPlaying>,
    /// What comes next, in order; what plays is not among them.
    pub queue: Vec<QueueEntry>,
    /// Whether the listener's own music waits: for the end of the Jam, or after it for a `leave`.
    pub own_music_waits: bool,
    /// Jam requests that wait for an answer.
    pub requests: Vec<JamRequest>,
    /// Loudness of this node's own output.
    pub volume_percent: Percent,
    /// Where the sound goes.
    pub output: Output,
    /// What the listener should know and has not been able to read yet, such as a mistake in the configuration.
    pub warnings: Vec<String>,
}

/// Who the listener is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The name at the coordinator; none before `init` has signed up.
    pub handle: Option<Handle>,
    /// The account; none before `init` has signed up.
    #[serde(with = "optional_account")]
    pub account: Option<AccountId>,
    /// This device's key.
    #[serde(with = "unit::hex")]
    pub device: DeviceKey,
    /// The UDP address this node listens on.
    pub listen: SocketAddr,
}

/// The link to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Coordinator {
    /// None was named: solo play only.
    Unset,
    /// On the way.
    Connecting {
        /// Where it is.
        address: String,
    },
    /// Signed in.
    Connected {
        /// Where it is.
        address: String,
    },
    /// It does not answer; the node tries again by itself.
    Offline {
        /// Where it should be.
        address: String,
        /// Why not.
        reason: String,
    },
}

/// How well both sides agree, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// The friend's clock minus this node's.
    #[serde(rename = "offset_ns", with = "unit::ns")]
    pub offset: Span,
    /// The offset is off by no more than this: guaranteed.
    #[serde(rename = "bound_us", with = "unit::us")]
    pub bound: Span,
    /// The offset is likely off by about this, if the path is symmetric.
    #[serde(rename = "spread_us", with = "unit::us")]
    pub spread: Span,
    /// The least recent round trip.
    #[serde(rename = "round_trip_us", with = "unit::us")]
    pub round_trip: Span,
    /// What may be said of being in step.
    pub precision: Precision,
    /// How much later than asked play, seek and skip take effect, so that both are ready.
    #[serde(rename = "lead_ms", with = "unit::ms")]
    pub lead: Span,
    /// The part of the friend's packets that is lost on the way here; none while too few came to tell.
    #[serde(rename = "loss_percent")]
    pub loss: Option<Percent>,
    /// How much faster the friend's clock runs.
    #[serde(rename = "drift_ppm", with = "unit::ppm")]
    pub drift: Ppm,
    /// How far the playback rate is from the nominal one at present.
    #[serde(rename = "rate_ppm", with = "unit::ppm")]
    pub rate: Ppm,
    /// When the next frame will be audible minus when it should be, as the servo sees it.
    #[serde(rename = "servo_error_us", with = "unit::us")]
    pub servo_error: Span,
    /// How often playback jumped to catch up since the Jam began; starts, seeks and skips are not counted.
    pub reanchors: u32,
}

/// What may be said of being in step, as far as the path lets the clocks be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// In step, as far as anybody hears.
    Full,
    /// In step within a range that is worth naming.
    Range,
    /// Out of step, or nobody knows: the path is too uneven, or a sound is not where it should be.
    Unknown,
}

/// What plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NowPlaying {
    /// Which entry of the queue.
    pub entry: EntryKey,
    /// Which file, by content.
    #[serde(with = "unit::hex")]
    pub track: TrackId,
    /// Title.
    pub title: Text<256>,
    /// Artist; empty where unknown.
    pub artist: Text<256>,
    /// How far it has come.
    #[serde(rename = "position_ms", with = "unit::ms")]
    pub position: Span,
    /// How long it is.
    #[serde(rename = "length_ms", with = "unit::ms")]
    pub length: Span,
    /// Playing or paused.
    pub playing: bool,
    /// Who brought about the present state.
    pub by: Who,
    /// Who added the entry.
    pub added_by: Who,
    /// Whether both sides can play it.
    pub state: EntryState,
}

/// One entry that comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// Its id: what edits name.
    pub entry: EntryKey,
    /// Which file, by content.
    #[serde(with = "unit::hex")]
    pub track: TrackId,
    /// Title.
    pub title: Text<256>,
    /// Artist; empty where unknown.
    pub artist: Text<256>,
    /// How long it is.
    #[serde(rename = "length_ms", with = "unit::ms")]
    pub length: Span,
    /// Who added it.
    pub added_by: Who,
    /// Whether both sides can play it.
    pub state: EntryState,
}

/// Whether both sides can play an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum EntryState {
    /// Every listener has it.
    Ready,
    /// A side has not said yet.
    Checking,
    /// A side does not have the file: both skip it.
    Missing {
        /// Which side.
        side: Side,
    },
    /// A side has the file and cannot play it: both skip it.
    Unplayable {
        /// Which side.
        side: Side,
        /// Why.
        reason: Text<256>,
    },
}

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// This node.
    Here,
    /// The friend's node.
    Peer,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The listener at this node.
    You,
    /// The friend.
    Peer(Handle),
    /// Nobody: the program, as at the end of a track.
    Program,
}

/// A Jam request that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JamRequest {
    /// The other one.
    pub with: Handle,
    /// Whose answer is awaited.
    pub direction: Direction,
    /// How long it stays open.
    #[serde(rename = "expires_in_s", with = "unit::secs")]
    pub expires_in: Span,
}

/// Which way a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To this listener, who may accept or decline.
    Incoming,
    /// From this listener, who may cancel.
    Outgoing,
}

/// Where the sound goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// `cpal`, `virtual`, `wav` or `null`.
    pub sink: String,
    /// The device's name; empty where the sink has none.
    pub device: String,
    /// Frames per second of the device; none before it was opened.
    #[serde(rename = "rate_hz")]
    pub rate: Option<SampleRate>,
    /// From a frame handed over to its being audible, as the device reports it.
    #[serde(rename = "latency_us", with = "unit::us")]
    pub latency: Span,
    /// How often the device asked and nothing was ready.
    pub underruns: u64,
}

/// `Option` needs its own pair of functions, because `with` replaces the whole field.
mod optional_account {
    use jamsync_protocol::id::AccountId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &Option<AccountId>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<AccountId>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}
