//! Granted Jams: the grant, the introduction of the two devices, and the end.

use std::net::SocketAddr;

use jamsync_protocol::{
    id::{AccountId, DeviceKey, JamId, Participant},
    identity::{Grant, GrantParticipant, Quality, SignedGrant, Tier, grant::LIFETIME_MAX},
    text::List,
    wire::coord::{CANDIDATES_MAX, CoordEvent, CoordReply, Introduction, Refusal, Role},
};

use super::{Act, Outcome, named};
use crate::store::{Account, Jam, JamRequest, StoreError};

impl Act<'_> {
    /// Grants the Jam and introduces the two devices. Who accepted is the host.
    pub(super) fn grant(
        &mut self,
        request: &JamRequest,
        guest: &Account,
        host: &Account,
    ) -> Result<(), StoreError> {
        let (now, jam) = (self.context.now, JamId(self.new_id()));
        let (guest_device, host_device) = (request.from_device, self.context.device);
        let participants = vec![participant(host, host_device), participant(guest, guest_device)];
        let grant = Grant {
            jam,
            participants: List::new(participants).map_err(|_| StoreError::Corrupt("grant"))?,
            host: Participant::FIRST,
            issued: now,
            expires: now + LIFETIME_MAX,
        };
        let signed = grant.signed_by(&self.context.secret).map_err(|_| StoreError::Corrupt("grant"))?;
        let row = Jam {
            id: jam,
            participants: vec![(host.id, host_device), (guest.id, guest_device)],
            expires: grant.expires,
            ended: false,
        };
        self.tables.insert_jam(&row, &signed)?;
        self.introduce(request, &signed, guest_device, host_device)?;
        self.introduce(request, &signed, host_device, guest_device)
    }

    fn introduce(
        &mut self,
        request: &JamRequest,
        grant: &SignedGrant,
        to: DeviceKey,
        peer: DeviceKey,
    ) -> Result<(), StoreError> {
        let introduction = Introduction {
            peer,
            candidates: self.candidates_of(peer)?,
            // Nothing tells yet which of the two is likelier to move, so the keys decide.
            role: if to < peer { Role::Dialer } else { Role::Listener },
        };
        let event = CoordEvent::JamGranted { request: request.id, grant: grant.clone(), introduction };
        self.tables.push_event(to, &event)?;
        self.wake.push(to);
        Ok(())
    }

    /// Passes the addresses that this device told (the server has noted them) to the peers of its Jams.
    pub(super) fn trickle_candidates(&mut self) -> Outcome {
        self.me()?;
        let device = self.context.device;
        let candidates = self.candidates_of(device)?;
        let observed = candidates.first().copied().ok_or(Refusal::HelloFirst)?;
        for jam in self.tables.jams_of(device, self.context.now)? {
            for (_, peer) in jam.participants.iter().filter(|(_, other)| *other != device) {
                let event =
                    CoordEvent::PeerCandidates { jam: jam.id, peer: device, candidates: candidates.clone() };
                self.tables.push_event(*peer, &event)?;
                self.wake.push(*peer);
            }
        }
        Ok(CoordReply::Observed(observed))
    }

    pub(super) fn end_jam(&mut self, id: JamId) -> Outcome {
        let me = self.me()?;
        let jam = self
            .tables
            .jam(id)?
            .filter(|jam| jam.participants.iter().any(|(account, _)| *account == me.id))
            .ok_or(Refusal::UnknownJam)?;
        if !jam.ended {
            self.close_jam(&jam, me.id)?;
        }
        Ok(CoordReply::Done)
    }

    /// Ends a Jam that runs, because `by` is no part of it any more.
    pub(super) fn close_jam(&mut self, jam: &Jam, by: AccountId) -> Result<(), StoreError> {
        self.tables.end_jam(jam.id)?;
        for (account, _) in jam.participants.iter().filter(|(account, _)| *account != by) {
            let friend = named(&*self.tables, *account)?;
            self.tell(&friend, None, &CoordEvent::JamEnded { jam: jam.id, by })?;
        }
        Ok(())
    }

    fn candidates_of(
        &self,
        device: DeviceKey,
    ) -> Result<List<SocketAddr, { CANDIDATES_MAX + 1 }>, StoreError> {
        let mut addresses = self.context.whereabouts.addresses(device);
        addresses.truncate(CANDIDATES_MAX + 1);
        List::new(addresses).map_err(|_| StoreError::Corrupt("address"))
    }
}

fn participant(account: &Account, device: DeviceKey) -> GrantParticipant {
    GrantParticipant {
        account: account.id,
        device,
        handle: account.handle.clone(),
        tier: account.tier,
        quality: match account.tier {
            Tier::Free => Quality::Standard,
            Tier::Premium => Quality::Original,
        },
    }
}
