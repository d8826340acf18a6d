//! The Jam this node takes part in: its grant, the other participant, and the connection to it.

use std::net::SocketAddr;

use jamsync_protocol::{
    degrade::DegradeWatch,
    id::{DeviceKey, Handle, JamId, Participant},
    identity::{
        device_log::VerifiedLog,
        grant::{Grant, GrantError, GrantParticipant, SignedGrant},
    },
    limits::PEER_FRAME_BYTES_MAX,
    text::List,
    time::{NodeTime, UtcTime},
    wire::{
        codec::{self, CodecError},
        peer::Hello,
    },
};

use super::{chat::Talk, readiness::Watches};
use crate::net::peer::{PeerLink, PeerTarget};

/// A Jam that was granted.
#[derive(Debug)]
pub(super) struct ActiveJam {
    pub(super) id: JamId,
    pub(super) me: Participant,
    pub(super) host: Participant,
    pub(super) peer_place: Participant,
    pub(super) peer: GrantParticipant,
    pub(super) hello: Hello,
    /// Whether this side dials; dialling from both would make two connections.
    pub(super) dials: bool,
    /// Where the peer may be, as far as is known.
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) link: Option<PeerLink>,
    pub(super) granted: NodeTime,
    /// When the coordinator granted it.
    pub(super) issued: UtcTime,
    /// When the grant no longer admits.
    pub(super) expires: UtcTime,
    /// When the first connection stood; later ones resume without asking for the grant's age.
    pub(super) met: Option<NodeTime>,
    pub(super) lost_since: Option<NodeTime>,
    /// Whether the listener was told that the meeting takes long.
    pub(super) told_waiting: bool,
    pub(super) reanchors: u32,
    pub(super) talk: Talk,
    pub(super) readiness: Watches,
    pub(super) path: DegradeWatch,
}

/// Why a grant or a hello is not accepted. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum AdmissionError {
    /// The grant does not verify.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The grant does not name this device.
    #[error("the grant does not name this device")]
    NotForMe,
    /// The grant is for more than two, or its host does not stand first.
    #[error(
        "the grant names {participants} participants and the host in place {host:?}; this version takes two, the host first"
    )]
    Shape { participants: usize, host: Participant },
    /// The hello is for another Jam.
    #[error("the peer speaks of another Jam")]
    OtherJam,
    /// The hello comes from a key that is not the other participant's.
    #[error("the peer's key {actual:?} is not the one in the grant, {expected:?}")]
    OtherKey { expected: DeviceKey, actual: DeviceKey },
    /// The grant in the hello is no grant at all.
    #[error("the peer's grant: {0}")]
    Undecodable(CodecError),
}

/// Against what grants are held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust<'a> {
    pub(super) coordinator: DeviceKey,
    pub(super) logs: &'a [VerifiedLog],
    pub(super) now: UtcTime,
}

impl Trust<'_> {
    fn verify(&self, signed: &SignedGrant) -> Result<Grant, GrantError> {
        let logs: Vec<&VerifiedLog> = self.logs.iter().collect();
        signed.verify(self.coordinator, self.now, &logs)
    }
}

impl ActiveJam {
    /// The Jam of a grant that verifies and names this device.
    pub(super) fn granted(
        signed: &SignedGrant,
        device: DeviceKey,
        dials: bool,
        run: u32,
        trust: Trust<'_>,
        now: NodeTime,
    ) -> Result<Self, AdmissionError> {
        let grant = trust.verify(signed)?;
        let me = grant.participant_of(device).ok_or(AdmissionError::NotForMe)?;
        let shape = AdmissionError::Shape { participants: grant.participants.len(), host: grant.host };
        let [first, second] = &grant.participants[..] else { return Err(shape) };
        if grant.host != Participant::FIRST {
            return Err(shape);
        }
        let (peer, place) = if me == Participant::FIRST {
            (second, Participant::new(1))
        } else {
            (first, Participant::new(0))
        };
        let place = place.ok_or(shape)?;
        let bytes = codec::encode(signed, PEER_FRAME_BYTES_MAX).map_err(AdmissionError::Undecodable)?;
        let hello = Hello { features: 0, jam: grant.jam, run, grant: List::new(bytes).unwrap_or_default() };
        Ok(Self {
            id: grant.jam,
            me,
            host: grant.host,
            peer_place: place,
            peer: peer.clone(),
            hello,
            dials,
            candidates: Vec::new(),
            link: None,
            granted: now,
            issued: grant.issued,
            expires: grant.expires,
            met: None,
            lost_since: None,
            told_waiting: false,
            reanchors: 0,
            talk: Talk::new(me, place),
            readiness: Watches::new(now),
            path: DegradeWatch::new(now),
        })
    }

    /// Judges what a peer said first. The age of its grant counts for the first meeting only.
    pub(super) fn admit(
        &self,
        key: DeviceKey,
        hello: &Hello,
        trust: Trust<'_>,
    ) -> Result<(), AdmissionError> {
        if key != self.peer.device {
            return Err(AdmissionError::OtherKey { expected: self.peer.device, actual: key });
        }
        if hello.jam != self.id {
            return Err(AdmissionError::OtherJam);
        }
        let signed: SignedGrant = codec::decode(&hello.grant).map_err(AdmissionError::Undecodable)?;
        match trust.verify(&signed) {
            Ok(grant) if grant.jam != self.id => Err(AdmissionError::OtherJam),
            Ok(grant) if grant.participant_of(key) != Some(self.peer_place) => Err(AdmissionError::NotForMe),
            Err(GrantError::Expired { .. }) if self.met.is_some() => Ok(()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How to look for the peer.
    pub(super) fn target(&self) -> PeerTarget {
        PeerTarget {
            key: self.peer.device,
            hello: self.hello.clone(),
            dials: self.dials,
            candidates: self.candidates.clone(),
        }
    }

    pub(super) fn is_host(&self) -> bool {
        self.me == self.host
    }

    pub(super) fn with(&self) -> &Handle {
        &self.peer.handle
    }

    /// Whether a number names the connection that is in use.
    pub(super) fn uses(&self, link: u64) -> bool {
        self.link.as_ref().is_some_and(|used| used.id() == link)
    }
}
