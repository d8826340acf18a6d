//! The grant: a coordinator's signed permission for a Jam.
//!
//! It names the participants by account and device, the host, and what each tier allows. A node acts on one
//! only if both device keys stand in device logs that the node has verified and pinned, so a coordinator can
//! refuse a Jam but cannot put itself into one.
//!
//! What is verified is the exact bytes that arrived: a [`SignedGrant`] is kept and passed on as it came.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{
    device_log::VerifiedLog,
    keys::{DeviceSecret, Domain, Signature},
};
use crate::{
    id::{AccountId, DeviceKey, Handle, JamId, Participant},
    text::List,
    time::{Span, UtcTime},
    wire::codec::{self, CodecError},
};

/// How long a grant admits: 12 hours, for the first meeting of the two nodes only.
pub const LIFETIME_MAX: Span = Span::from_secs(12 * 3600);
/// How far the coordinator's calendar may run ahead of the node's: 10 minutes. Computers without a time daemon
/// drift that far; a grant from further in the future was not issued for now.
pub const CALENDAR_SKEW_MAX: Span = Span::from_secs(600);
/// The most bytes of a grant: 32 participants need under 3,700.
pub const GRANT_BYTES_MAX: usize = 4 * 1024;

/// What an account may do, set by the operator of its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// May join a Jam when invited.
    Free,
    /// May also request a Jam.
    Premium,
}

/// The best quality in which a participant may be sent a track it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quality {
    /// Encoded anew at a modest bit rate.
    Standard,
    /// The file itself.
    Original,
}

/// The permission for one Jam, as its coordinator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The Jam.
    pub jam: JamId,
    /// Who takes part; a [`Participant`] is a place in this list. A coordinator puts the host first, so that
    /// the entries of a queue which the host made alone, as participant 0, stay the host's in the Jam.
    pub participants: List<GrantParticipant, { Participant::LIMIT as usize }>,
    /// Who leads: the one who accepted.
    pub host: Participant,
    /// When the coordinator signed it.
    pub issued: UtcTime,
    /// When it no longer admits.
    pub expires: UtcTime,
}

/// One participant of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantParticipant {
    /// The account.
    pub account: AccountId,
    /// The one device of the account that takes part.
    pub device: DeviceKey,
    /// How the coordinator calls the account.
    pub handle: Handle,
    /// The tier it had when the grant was signed.
    pub tier: Tier,
    /// What that tier allows it to receive.
    pub quality: Quality,
}

/// A grant as it travels: the exact bytes and the coordinator's signature over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGrant {
    bytes: List<u8, GRANT_BYTES_MAX>,
    signature: Signature,
}

/// Why a grant is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Not signed by the coordinator, or changed since.
    #[error("the grant is not signed by the coordinator {expected:?}")]
    BadSignature {
        /// The key that should have signed.
        expected: DeviceKey,
    },
    /// Signed, but not a grant that this version reads.
    #[error("the grant does not decode: {0}")]
    Undecodable(CodecError),
    /// Fewer than two take part, or the host is none of them.
    #[error("the grant names {participants} participants and the host {host:?}")]
    Incomplete {
        /// How many it names.
        participants: usize,
        /// The host it names.
        host: Participant,
    },
    /// An account or a device stands in it twice.
    #[error("the grant names {device:?} or its account twice")]
    Repeated {
        /// The device of the second mention.
        device: DeviceKey,
    },
    /// It was issued in the future, by more than [`CALENDAR_SKEW_MAX`].
    #[error("the grant was issued {ahead} in the future; check this computer's date and time")]
    NotYetValid {
        /// How far ahead of this node's calendar.
        ahead: Span,
    },
    /// Its time is over.
    #[error("the grant expired {ago} ago")]
    Expired {
        /// How long ago.
        ago: Span,
    },
    /// It claims to live longer than any grant may.
    #[error("the grant claims to live for {actual}, at most {LIFETIME_MAX} are allowed")]
    LivesTooLong {
        /// The life it claims.
        actual: Span,
    },
    /// It names an account whose device log this node has not pinned.
    #[error("the grant names the account {account:?}, which is no contact")]
    UnknownAccount {
        /// The account.
        account: AccountId,
    },
    /// It names a device that is not active in its account's log.
    #[error("the grant names the device {device:?}, which is not in the device log of {account:?}")]
    UnknownDevice {
        /// The account.
        account: AccountId,
        /// The device.
        device: DeviceKey,
    },
}

impl Grant {
    /// The grant as its coordinator passes it on.
    ///
    /// # Errors
    /// [`CodecError`] if it does not fit its limit.
    pub fn signed_by(&self, coordinator: &DeviceSecret) -> Result<SignedGrant, CodecError> {
        let bytes = codec::encode(self, GRANT_BYTES_MAX)?;
        let signature = coordinator.sign(Domain::Grant, &bytes);
        let bytes = List::new(bytes)
            .map_err(|long| CodecError::TooLong { actual: long.actual, limit: long.limit })?;
        Ok(SignedGrant { bytes, signature })
    }

    /// The place of the participant that uses `device`.
    #[must_use]
    pub fn participant_of(&self, device: DeviceKey) -> Option<Participant> {
        let place = self.participants.iter().position(|participant| participant.device == device)?;
        Participant::new(u8::try_from(place).ok()?)
    }

    /// The participant at `place`.
    #[must_use]
    pub fn participant(&self, place: Participant) -> Option<&GrantParticipant> {
        self.participants.get(place.index())
    }
}

impl SignedGrant {
    /// The grant, if it is `coordinator`'s, of this time, and names only devices that stand in `logs` (the
    /// node's own and its contacts', verified and pinned). An expired grant is refused here; whoever was
    /// admitted before that goes on by the rules of the session, without asking again.
    ///
    /// # Errors
    /// The first [`GrantError`], in the order of the variants.
    pub fn verify(
        &self,
        coordinator: DeviceKey,
        now: UtcTime,
        logs: &[&VerifiedLog],
    ) -> Result<Grant, GrantError> {
        self.signature
            .verify(coordinator, Domain::Grant, &self.bytes)
            .map_err(|bad| GrantError::BadSignature { expected: bad.expected })?;
        let grant: Grant = codec::decode(&self.bytes).map_err(GrantError::Undecodable)?;
        check_participants(&grant)?;
        check_times(&grant, now)?;
        for participant in grant.participants.iter() {
            let (account, device) = (participant.account, participant.device);
            let log = logs
                .iter()
                .find(|log| log.account() == account)
                .ok_or(GrantError::UnknownAccount { account })?;
            if !log.is_active(device) {
                return Err(GrantError::UnknownDevice { account, device });
            }
        }
        Ok(grant)
    }
}

fn check_participants(grant: &Grant) -> Result<(), GrantError> {
    let participants = grant.participants.len();
    if participants < 2 || grant.host.index() >= participants {
        return Err(GrantError::Incomplete { participants, host: grant.host });
    }
    let mut seen: Vec<&GrantParticipant> = Vec::with_capacity(participants);
    for next in grant.participants.iter() {
        if seen.iter().any(|before| before.account == next.account || before.device == next.device) {
            return Err(GrantError::Repeated { device: next.device });
        }
        seen.push(next);
    }
    Ok(())
}

fn check_times(grant: &Grant, now: UtcTime) -> Result<(), GrantError> {
    let ahead = grant.issued - now;
    if ahead > CALENDAR_SKEW_MAX {
        return Err(GrantError::NotYetValid { ahead });
    }
    if now >= grant.expires {
        return Err(GrantError::Expired { ago: now - grant.expires });
    }
    let actual = grant.expires - grant.issued;
    if actual > LIFETIME_MAX { Err(GrantError::LivesTooLong { actual }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::{super::device_log::DeviceLog, *};

    const NOW: UtcTime = UtcTime::from_nanos(1_800_000_000_000_000_000);

    fn secret(seed: u8) -> DeviceSecret {
        DeviceSecret::from_seed(&[seed; 32])
    }
    fn log(seed: u8) -> VerifiedLog {
        DeviceLog::found(&secret(seed), [seed; 16])
    }
    fn participant(seed: u8, handle: &str) -> GrantParticipant {
        GrantParticipant {
            account: log(seed).account(),
            device: secret(seed).public(),
            handle: handle.parse().expect("a handle"),
            tier: Tier::Premium,
            quality: Quality::Original,
        }
    }
    fn grant() -> Grant {
        Grant {
            jam: JamId([5; 16]),
            participants: List::new(vec![participant(1, "ana"), participant(2, "ben")]).expect("fits"),
            host: Participant::new(1).expect("in range"),
            issued: NOW,
            expires: NOW + LIFETIME_MAX,
        }
    }
    fn verify_at(grant: &Grant, now: UtcTime) -> Result<Grant, GrantError> {
        let signed = grant.signed_by(&secret(9)).expect("fits");
        signed.verify(secret(9).public(), now, &[&log(1), &log(2)])
    }
    fn verify(change: impl FnOnce(&mut Grant)) -> Result<Grant, GrantError> {
        let mut grant = grant();
        change(&mut grant);
        verify_at(&grant, NOW)
    }

    #[test]
    fn a_grant_of_the_pinned_coordinator_for_pinned_devices_verifies() {
        let verified = verify(|_| {}).expect("valid");
        assert_eq!(verified, grant());
        assert_eq!(verified.participant_of(secret(2).public()), Some(verified.host));
        assert_eq!(verified.participant_of(secret(3).public()), None);
    }

    #[test]
    fn a_grant_with_any_changed_byte_is_refused() {
        let signed = grant().signed_by(&secret(9)).expect("fits");
        for at in 0..signed.bytes.len() {
            let mut bytes = signed.bytes.clone().into_vec();
            bytes[at] ^= 1;
            let tampered =
                SignedGrant { bytes: List::new(bytes).expect("fits"), signature: signed.signature };
            assert_eq!(
                tampered.verify(secret(9).public(), NOW, &[&log(1), &log(2)]),
                Err(GrantError::BadSignature { expected: secret(9).public() }),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_grant_of_another_coordinator_is_refused() {
        let signed = grant().signed_by(&secret(8)).expect("fits");
        let outcome = signed.verify(secret(9).public(), NOW, &[&log(1), &log(2)]);
        assert_eq!(outcome, Err(GrantError::BadSignature { expected: secret(9).public() }));
    }

    #[test]
    fn signed_nonsense_is_refused() {
        let bytes = vec![0xff; 40];
        let signature = secret(9).sign(Domain::Grant, &bytes);
        let signed = SignedGrant { bytes: List::new(bytes).expect("fits"), signature };
        assert!(matches!(signed.verify(secret(9).public(), NOW, &[]), Err(GrantError::Undecodable(_))));
    }

    #[test]
    fn a_grant_counts_only_in_its_time() {
        let grant = grant();
        assert!(verify_at(&grant, NOW - CALENDAR_SKEW_MAX).is_ok());
        let early = NOW - CALENDAR_SKEW_MAX - Span::from_secs(1);
        assert!(matches!(verify_at(&grant, early), Err(GrantError::NotYetValid { .. })));
        assert!(verify_at(&grant, grant.expires - Span::from_nanos(1)).is_ok());
        assert_eq!(verify_at(&grant, grant.expires), Err(GrantError::Expired { ago: Span::ZERO }));
        let long = verify(|grant| grant.expires += Span::from_secs(1));
        assert_eq!(long, Err(GrantError::LivesTooLong { actual: LIFETIME_MAX + Span::from_secs(1) }));
    }

    #[test]
    fn a_coordinator_cannot_insert_itself_or_a_device() {
        let stranger = participant(3, "eve");
        let inserted = verify(|grant| {
            let mut all = grant.participants.clone().into_vec();
            all.push(stranger.clone());
            grant.participants = List::new(all).expect("fits");
        });
        assert_eq!(inserted, Err(GrantError::UnknownAccount { account: stranger.account }));

        let device = secret(3).public();
        let swapped = verify(|grant| {
            let mut all = grant.participants.clone().into_vec();
            all[1].device = device;
            grant.participants = List::new(all).expect("fits");
        });
        assert_eq!(swapped, Err(GrantError::UnknownDevice { account: log(2).account(), device }));
    }

    #[test]
    fn a_revoked_device_is_no_longer_admitted() {
        let mut bens = log(2);
        let consent = bens.consent(&secret(4));
        bens.add(&secret(2), secret(4).public(), consent).expect("adds");
        bens.revoke(&secret(4), secret(2).public()).expect("revokes");
        let signed = grant().signed_by(&secret(9)).expect("fits");
        assert_eq!(
            signed.verify(secret(9).public(), NOW, &[&log(1), &bens]),
            Err(GrantError::UnknownDevice { account: bens.account(), device: secret(2).public() })
        );
    }

    #[test]
    fn a_grant_needs_two_different_participants_and_a_host_among_them() {
        let alone = verify(|grant| {
            grant.participants = List::new(vec![participant(1, "ana")]).expect("fits");
        });
        assert!(matches!(alone, Err(GrantError::Incomplete { participants: 1, .. })));
        let hostless = verify(|grant| grant.host = Participant::new(2).expect("in range"));
        assert!(matches!(hostless, Err(GrantError::Incomplete { participants: 2, .. })));
        let twice = verify(|grant| {
            grant.participants = List::new(vec![participant(1, "ana"), participant(1, "ana")]).expect("fits");
        });
        assert_eq!(twice, Err(GrantError::Repeated { device: secret(1).public() }));
    }

    #[test]
    fn the_largest_grant_fits() {
        let crowd = (1..=32).map(|seed| participant(seed, &"x".repeat(32))).collect();
        let grant = Grant { participants: List::new(crowd).expect("fits"), ..grant() };
        assert!(grant.signed_by(&secret(9)).is_ok());
    }
}
