//! What a coordinator tells unasked.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    CANDIDATES_MAX, Contact, ConversationEntry, DeviceName, EventNumber, OpenRequest, RequestEnd, RequestId,
};
use crate::{
    conversation::ConversationId,
    id::{AccountId, DeviceKey, JamId},
    identity::{
        device_code::{CodeProof, CodeToken},
        device_log::SignedEntry,
        grant::SignedGrant,
        keys::Signature,
    },
    text::List,
};

/// An event behind its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedEvent {
    /// One more than the event before it; a gap means that old events were dropped, and the node asks
    /// `CoordRequest::WhoAmI` and `CoordRequest::Contacts` anew. Zero where it is told in passing: see
    /// [`CoordEvent::is_passing`].
    pub number: EventNumber,
    /// What happened.
    pub event: CoordEvent,
}

/// What a coordinator tells unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordEvent {
    /// Somebody became a contact.
    ContactAdded(Contact),
    /// A contact asks for a Jam.
    JamRequested(OpenRequest),
    /// Who asked took it back.
    RequestCancelled {
        /// Which.
        request: RequestId,
    },
    /// Who was asked said no.
    RequestDeclined {
        /// Which.
        request: RequestId,
    },
    /// Nobody answered in time.
    RequestExpired {
        /// Which.
        request: RequestId,
    },
    /// It was answered or taken back on another device of this account, or accepted by a friend whom another device
    /// of this account had asked.
    RequestAnswered {
        /// Which.
        request: RequestId,
        /// How it ended.
        end: RequestEnd,
    },
    /// A Jam may begin.
    JamGranted {
        /// The request that was accepted.
        request: RequestId,
        /// The permission; verify it before anything else.
        grant: SignedGrant,
        /// How to meet the peer.
        introduction: Introduction,
    },
    /// More ways to reach a peer of a granted Jam.
    PeerCandidates {
        /// The Jam.
        jam: JamId,
        /// The peer.
        peer: DeviceKey,
        /// All addresses known now, observed one first.
        candidates: List<SocketAddr, { CANDIDATES_MAX + 1 }>,
    },
    /// The other account left the Jam.
    JamEnded {
        /// The Jam.
        jam: JamId,
        /// Who left.
        by: AccountId,
    },
    /// A device that was given a code of this device asks to be added.
    DeviceAsks {
        /// Which code.
        token: CodeToken,
        /// The device.
        device: DeviceKey,
        /// It agrees to be the next entry of the log as it was then.
        consent: Signature,
        /// To be checked with the code's secret before anything else.
        code_proof: CodeProof,
        /// What it is to be called.
        name: DeviceName,
    },
    /// The device log of this account or of a contact has one entry more.
    DeviceLogGrew {
        /// Whose log.
        account: AccountId,
        /// The entry behind those that were there before.
        entry: SignedEntry,
    },
    /// Something about a contact is otherwise now; this is how it stands.
    ContactChanged(Contact),
    /// A contact is none any more, by the doing of either side.
    ContactRemoved {
        /// Which.
        account: AccountId,
    },
    /// A conversation's log has grown. Told in passing.
    ConversationGrew {
        /// Which.
        conversation: ConversationId,
    },
    /// A conversation's log has grown by this. Told in passing.
    ConversationWritten {
        /// Which.
        conversation: ConversationId,
        /// The entry, which may not be the next that this device has to read.
        entry: ConversationEntry,
    },
}

impl CoordEvent {
    /// Whether it may be told in passing: to whoever is connected, with zero for a number, neither kept nor acknowledged,
    /// because a device that was away finds the same in `CoordRequest::Conversations`.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::ConversationGrew { .. } | Self::ConversationWritten { .. })
    }
}

/// How to meet the peer of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The key that the peer shows; it stands in the grant too.
    pub peer: DeviceKey,
    /// Where the peer may be reached, the address that the coordinator sees first.
    pub candidates: List<SocketAddr, { CANDIDATES_MAX + 1 }>,
    /// What this device does. Dialling from both sides would make two connections.
    pub role: Role,
}

/// One side of a peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Connects, as TLS client.
    Dialer,
    /// Waits, as TLS server.
    Listener,
}
