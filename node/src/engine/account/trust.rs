//! What this node believes of its own account's devices and of its contacts: only what signatures, the proofs of
//! friend links, and what was pinned before bear out, whatever the coordinator says.

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle},
    identity::{
        device_code::{CodeProof, CodeSecret, CodeToken},
        device_log::{DeviceLog, LogPin, SignedEntry, VerifiedLog},
        vouch::Vouch,
    },
    time::UtcTime,
    wire::coord::Contact,
};

use super::{Account, AccountError, KnownContact, KnownDevice};

/// What became of the coordinator's word about a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Nothing new.
    Known,
    /// More of the contact's log is known, or the listener has marked it on another device.
    Changed,
    /// A contact that was none before.
    New,
}

/// What became of an entry that a log has grown by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grown {
    /// It was known already, or is of an account that this node does not know.
    Nothing,
    /// Entries before it are missing: the whole log has to be asked for.
    Missed,
    /// A contact has other devices now.
    Contact,
    /// This account has: the device that is new, or else the one that is gone.
    Own { added: Option<DeviceKey>, gone: Option<DeviceKey> },
}

impl Account {
    /// Takes a contact that opened one of this account's links, whose link this account opened (`invited`
    /// names the account that the link promised), or for whom another device of this account vouches. A contact that
    /// is known may only continue its log, and keeps the name under which the listener knows it.
    pub(crate) fn admit(
        &mut self,
        contact: &Contact,
        invited: Option<AccountId>,
    ) -> Result<Admitted, AccountError> {
        let vouch = self.believed_vouch(contact);
        let handle = vouch.map_or_else(|| contact.handle.clone(), |vouch| vouch.name.clone());
        let untrusted = |error| AccountError::Log { handle: handle.clone(), error };
        if let Some(known) = self.contacts.iter_mut().find(|known| known.account == contact.account) {
            // What was said here and not told yet comes first.
            let same = known.untold || (known.blocked, known.muted) == (contact.blocked, contact.muted);
            if known.log == contact.log && same {
                return Ok(Admitted::Known);
            }
            let pinned = known.log.verify().map_err(untrusted)?;
            contact.log.verify().map_err(untrusted)?.extends(&pinned.pin()).map_err(untrusted)?;
            known.log = contact.log.clone();
            if !same {
                (known.blocked, known.muted) = (contact.blocked, contact.muted);
            }
            return Ok(Admitted::Changed);
        }
        let offered = contact.log.verify().map_err(untrusted)?;
        let name_taken = self.contacts.iter().any(|known| known.handle == handle);
        if name_taken || offered.account() != contact.account {
            return Err(AccountError::Replaced { handle });
        }
        if let Some(vouch) = vouch {
            // Another device has seen this much of the log.
            offered.extends(&vouch.pin).map_err(untrusted)?;
        } else if invited != Some(contact.account) && !self.proves_link(contact) {
            return Err(AccountError::NotInvited { handle });
        }
        if let Some(accepted) = contact.accepted {
            self.links.retain(|link| link.token != accepted.token);
        }
        let log = contact.log.clone();
        let (account, blocked, muted) = (contact.account, contact.blocked, contact.muted);
        let (untold, online) = (false, Some(contact.online));
        self.contacts.push(KnownContact { handle, account, log, blocked, muted, untold, online });
        Ok(Admitted::New)
    }

    /// Notes what the coordinator told of all contacts at once, and gives those that are none any more: of `known` before it
    /// was asked, those that it leaves out.
    pub(crate) fn note_told(
        &mut self,
        told: &[Contact],
        known: &[AccountId],
        now: UtcTime,
    ) -> Vec<AccountId> {
        self.told_at = Some(now);
        let mut gone = Vec::new();
        for contact in &mut self.contacts {
            let found = told.iter().find(|told| told.account == contact.account);
            if let Some(told) = found {
                contact.online = Some(told.online);
            } else if known.contains(&contact.account) {
                contact.online = Some(false);
                gone.push(contact.account);
            }
        }
        gone
    }

    /// Notes a device that the log has grown by, until the coordinator tells of it.
    pub(crate) fn note_device(&mut self, key: DeviceKey, now: UtcTime) {
        // What is no longer in the log is of no use, and so there are no more than the log has.
        let log = self.log.verify();
        self.devices.retain(|known| log.as_ref().is_ok_and(|log| log.is_active(known.key)));
        if !self.devices.iter().any(|known| known.key == key) {
            self.devices.push(KnownDevice { key, name: String::new(), added: now, online: None });
        }
    }

    /// The name and the pin to vouch for, where the contact is known here and no device of this account has said so of
    /// all that is known.
    pub(crate) fn lacks_vouch(&self, contact: &Contact) -> Option<(Handle, LogPin)> {
        let known = self.contacts.iter().find(|known| known.account == contact.account)?;
        let pin = known.log.verify().ok()?.pin();
        let vouched = self.believed_vouch(contact).is_some_and(|vouch| vouch.pin.length >= pin.length);
        (!vouched).then(|| (known.handle.clone(), pin))
    }

    /// Whether other devices speak for this account too, and may know contacts that this one cannot check yet.
    pub(crate) fn has_other_devices(&self) -> bool {
        self.log.verify().is_ok_and(|log| log.devices().len() > 1)
    }

    /// Takes this account's log as the coordinator shows it. It may only continue the one that is known.
    pub(crate) fn take_own_log(&mut self, log: &DeviceLog) -> Result<Grown, AccountError> {
        if self.log == *log {
            return Ok(Grown::Nothing);
        }
        let untrusted = |error| AccountError::Log { handle: self.handle.clone(), error };
        let known = self.log.verify().map_err(untrusted)?;
        let shown = log.verify().map_err(untrusted)?;
        shown.extends(&known.pin()).map_err(untrusted)?;
        self.log = log.clone();
        Ok(own(&known, &shown))
    }

    /// What a coordinator that shows `shown` as this account's log has forgotten: it came back from a backup, or acts
    /// as if. Nothing where that log is no beginning of the known one.
    pub(crate) fn forgotten(&self, shown: &DeviceLog) -> Vec<SignedEntry> {
        let logs = self.log.verify().ok().zip(shown.verify().ok());
        let prefix = logs.filter(|(known, shown)| known.extends(&shown.pin()).is_ok());
        prefix.map_or_else(Vec::new, |(known, shown)| known.entries_after(shown.pin().length).to_vec())
    }

    /// Lets the log of this account or of a contact grow by an entry.
    pub(crate) fn grow(&mut self, account: AccountId, entry: &SignedEntry) -> Result<Grown, AccountError> {
        let is_own = self.id() == Some(account);
        let contact = self.contacts.iter_mut().find(|known| known.account == account);
        let (handle, log) = match contact {
            _ if is_own => (&self.handle, &mut self.log),
            Some(known) => (&known.handle, &mut known.log),
            None => return Ok(Grown::Nothing),
        };
        let untrusted = |error| AccountError::Log { handle: handle.clone(), error };
        let before = log.verify().map_err(untrusted)?;
        if before.holds(entry) {
            return Ok(Grown::Nothing);
        }
        let mut after = before.clone();
        match after.extend(entry.clone()) {
            Ok(()) => {}
            Err(jamsync_protocol::identity::LogError::Broken { .. }) => return Ok(Grown::Missed),
            Err(error) => return Err(untrusted(error)),
        }
        *log = after.as_log().clone();
        Ok(if is_own { own(&before, &after) } else { Grown::Contact })
    }

    /// Whether `device` was given a device code that was made here and still admits.
    pub(crate) fn check_code(
        &self,
        token: CodeToken,
        device: DeviceKey,
        proof: CodeProof,
        now: UtcTime,
    ) -> Result<(), AccountError> {
        let made = self.codes.iter().find(|code| code.token == token && now < code.expires);
        let given = |secret: CodeSecret, id| secret.check(proof, id, device).is_ok();
        match (made, self.id()) {
            (Some(code), Some(id)) if given(code.secret, id) => Ok(()),
            _ => Err(AccountError::NotGiven),
        }
    }

    fn believed_vouch<'a>(&self, contact: &'a Contact) -> Option<&'a Vouch> {
        let vouch = contact.vouch.as_deref().filter(|vouch| vouch.pin.account == contact.account)?;
        self.log.verify().is_ok_and(|own| vouch.verify(&own).is_ok()).then_some(vouch)
    }

    fn proves_link(&self, contact: &Contact) -> bool {
        let Some((accepted, me)) = contact.accepted.zip(self.id()) else { return false };
        let link = self.links.iter().find(|link| link.token == accepted.token);
        link.is_some_and(|link| link.secret.check(accepted.proof, me, contact.account).is_ok())
    }
}

/// What has changed between two states of this account's log.
fn own(before: &VerifiedLog, after: &VerifiedLog) -> Grown {
    let only_in = |one: &VerifiedLog, other: &VerifiedLog| {
        one.devices().iter().copied().find(|device| !other.is_active(*device))
    };
    Grown::Own { added: only_in(after, before), gone: only_in(before, after) }
}
