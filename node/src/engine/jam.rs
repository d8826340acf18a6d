//! The Jam this node takes part in: its grant, the other participant, and the connection to it.

use std::{net::SocketAddr, time::Duration};

use jamsync_protocol::{
    degrade::DegradeWatch,
    id::{DeviceKey, Handle, JamId, Participant},
    identity::{
        device_log::VerifiedLog,
        grant::{Grant, GrantError, GrantParticipant, Quality, SignedGrant},
    },
    limits::PEER_FRAME_BYTES_MAX,
    text::List,
    time::{NodeTime, Span, UtcTime},
    wire::{
        codec::{self, CodecError},
        peer::Hello,
    },
};

use super::{chat::Talk, readiness::Watches};
use crate::net::peer::{Dialling, PeerLink, PeerTarget};

/// A Jam that was granted.
#[derive(Debug)]
pub(super) struct ActiveJam {
    pub(super) id: JamId,
    pub(super) me: Participant,
    pub(super) host: Participant,
    pub(super) peer_place: Participant,
    pub(super) peer: GrantParticipant,
    /// What the grant lets this side be sent; the peer's own stands with the peer.
    pub(super) quality: Quality,
    pub(super) hello: Hello,
    /// Whether the introduction lets this side dial; where both dial at once, its connection is the one that is kept.
    pub(super) dials: bool,
    /// Where the peer may be, as far as is known.
    pub(super) candidates: Vec<SocketAddr>,
    /// Where it was when its last connection was lost.
    pub(super) last_address: Option<SocketAddr>,
    pub(super) link: Option<PeerLink>,
    /// Since when the connection is in use.
    pub(super) linked: NodeTime,
    /// When anything came from the peer last.
    pub(super) heard: NodeTime,
    /// Whether a second connection is being made, because the one in use is silent.
    pub(super) renewing: bool,
    /// The number of the peer's process, from its hello.
    pub(super) peer_run: Option<u32>,
    pub(super) granted: NodeTime,
    /// When the coordinator granted it.
    pub(super) issued: UtcTime,
    /// When the grant no longer admits.
    pub(super) expires: UtcTime,
    /// When the first connection stood; later ones resume, for a day, without asking for the grant's age.
    pub(super) met: Option<UtcTime>,
    pub(super) lost_since: Option<NodeTime>,
    /// Whether this node was cut short in the Jam and is on its way back.
    pub(super) returning: bool,
    /// Whether the music waits for the peer.
    pub(super) waiting: bool,
    /// Whether the listener was told that the meeting takes long.
    pub(super) told_waiting: bool,
    pub(super) reanchors: u32,
    pub(super) talk: Talk,
    pub(super) readiness: Watches,
    /// Until when what was to begin waits for a side that is not ready.
    pub(super) held_until: Option<NodeTime>,
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
    /// The two met too long ago to meet again without a new grant.
    #[error("the Jam began more than a day ago, so that it needs a new request")]
    TooOld,
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
        let (mine, peer, place) = if me == Participant::FIRST {
            (first, second, Participant::new(1))
        } else {
            (second, first, Participant::new(0))
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
            quality: mine.quality,
            hello,
            dials,
            candidates: Vec::new(),
            last_address: None,
            link: None,
            linked: now,
            heard: now,
            renewing: false,
            peer_run: None,
            granted: now,
            issued: grant.issued,
            expires: grant.expires,
            met: None,
            lost_since: None,
            returning: false,
            waiting: false,
            told_waiting: false,
            reanchors: 0,
            talk: Talk::new(me, place),
            readiness: Watches::new(now),
            held_until: None,
            path: DegradeWatch::new(now),
        })
    }

    /// Judges what a peer said first. The age of its grant counts for the first meeting only; later ones have a day.
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
        if self.is_too_old(trust.now) {
            return Err(AdmissionError::TooOld);
        }
        self.judge(hello, trust)
    }

    /// Judges the grant in a hello by everything but its age, once the two have met: a device may have been revoked
    /// since.
    pub(super) fn judge(&self, hello: &Hello, trust: Trust<'_>) -> Result<(), AdmissionError> {
        let signed: SignedGrant = codec::decode(&hello.grant).map_err(AdmissionError::Undecodable)?;
        let trust = Trust { now: self.met.unwrap_or(trust.now), ..trust };
        match trust.verify(&signed) {
            Ok(grant) if grant.jam != self.id => Err(AdmissionError::OtherJam),
            Ok(grant) if grant.participant_of(self.peer.device) != Some(self.peer_place) => {
                Err(AdmissionError::NotForMe)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Until when either side could enter it, and its end has to be remembered.
    pub(super) fn enterable_until(&self) -> UtcTime {
        self.met.map_or(self.expires, |met| self.expires.max(met + RESUME_LIFE))
    }

    /// Whether the two met so long ago that they may not meet again.
    pub(super) fn is_too_old(&self, now: UtcTime) -> bool {
        self.met.is_some_and(|met| now - met > RESUME_LIFE)
    }

    /// How to look for the peer. Until the two have met the introduction alone says who dials, afterwards the other
    /// side dials too where it has to; a node that was restarted dials at once, because its friend may not have noticed.
    pub(super) fn target(&self) -> PeerTarget {
        let dialling = match (self.dials || self.returning, self.met) {
            (true, _) => Dialling::AtOnce,
            (false, Some(_)) => Dialling::After(HEAD_START),
            (false, None) => Dialling::Never,
        };
        let last = self.link.as_ref().map(PeerLink::address).or(self.last_address);
        let mut candidates = self.candidates.clone();
        candidates.retain(|address| Some(*address) != last);
        candidates.splice(..0, last);
        PeerTarget { key: self.peer.device, hello: self.hello.clone(), dialling, candidates }
    }

    /// Whether another connection than the one in use, which `dialled` tells the side of, is the one to keep. Where both
    /// sides dialled at the same time, both keep the connection of the side that should dial.
    pub(super) fn prefers(&self, dialled: bool, run: u32, now: NodeTime) -> bool {
        let Some(link) = &self.link else { return true };
        let began_anew = self.peer_run != Some(run);
        let at_the_same_time = now - self.linked < SAME_TIME && !self.is_silent(now);
        began_anew || !at_the_same_time || supersedes(self.dials, dialled, link.dialled())
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self, now: NodeTime) {
        // A peer that moved while it was connected is where it moved to.
        self.last_address = self.link.take().map(|link| link.address());
        (self.lost_since, self.renewing) = (Some(now), false);
    }

    /// Whether nothing has come from the peer for so long that a second connection is worth trying.
    pub(super) fn is_silent(&self, now: NodeTime) -> bool {
        self.link.is_some() && now - self.heard > SILENCE
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

/// Of two connections dialled at the same time, whether the newer is the one to keep, for a side that should dial or
/// not: it does not matter in which order the two come.
const fn supersedes(should_dial: bool, newer_dialled: bool, older_dialled: bool) -> bool {
    newer_dialled == should_dial || older_dialled != should_dial
}

/// How long two that have met may meet again without a new grant.
pub(super) const RESUME_LIFE: Span = Span::from_secs(86_400);

/// After how much silence a second connection is made beside the first. Range 1.5 to 8 s, default 2 s: both sides say
/// something every second, so less takes a hiccup for a loss, more leaves both without each other for longer.
const SILENCE: Span = Span::from_secs(2);

/// How much earlier the side that should dial begins, so that mostly one connection is made.
const HEAD_START: Duration = Duration::from_millis(1_000);

/// Two connections that begin no further apart may have been dialled without knowing of each other.
const SAME_TIME: Span = SILENCE;

#[cfg(test)]
pub(super) mod tests;
