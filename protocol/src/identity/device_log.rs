//! The device log: the list of keys that speak for an account, kept so that nobody but the account's own
//! devices can change it, the coordinator that stores it included.
//!
//! Each entry names the hash of the one before it and is signed by a device that is active at that point. The
//! first entry founds the account: it is signed by the device it names, and its hash is the account's id. A
//! recovery key, which its owner keeps on paper, may write into the log as a device may and nothing else: it stands
//! in no grant.
//!
//! A [`DeviceLog`] is what travels and proves nothing; a [`VerifiedLog`] is what came out of its
//! [`verify`](DeviceLog::verify). Whoever saw a log before pins its length and newest hash and refuses any log
//! that does not contain them, so a log can grow but never be rolled back or forked unseen.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::keys::{DeviceSecret, Domain, Signature, digest};
use crate::{
    id::{AccountId, DeviceKey},
    text::List,
    wire::codec,
};

mod error;

pub use error::LogError;

/// The most entries a log may have: 32 devices added and revoked in an account's life. It keeps the largest
/// log inside one frame of the coordinator's wire.
pub const ENTRIES_MAX: usize = 64;
/// The most bytes of one entry; the largest kind has 162.
pub const ENTRY_BYTES_MAX: usize = 176;

/// A device log as it travels, not yet verified. The default one is empty, which never verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceLog(List<SignedEntry, ENTRIES_MAX>);

/// One entry as it was signed: the exact bytes, and its author's signature over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedEntry {
    bytes: List<u8, ENTRY_BYTES_MAX>,
    signature: Signature,
}

/// A device log whose every hash and signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedLog {
    log: DeviceLog,
    hashes: Vec<[u8; 32]>,
    account: AccountId,
    active: Vec<DeviceKey>,
    recovery: Vec<DeviceKey>,
    revoked: Vec<DeviceKey>,
}

/// What a contact remembers of a log: it refuses any later log that does not contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPin {
    /// Whose log it is.
    pub account: AccountId,
    /// How many entries it had.
    pub length: u16,
    /// The hash of its newest entry.
    pub head: [u8; 32],
}

impl DeviceLog {
    /// The log that founds an account for one device. `nonce` (random) makes the id new even for a key that
    /// founded an account before.
    #[must_use]
    pub fn found(device: &DeviceSecret, nonce: [u8; 16]) -> VerifiedLog {
        let entry = Entry {
            previous: FIRST_PREVIOUS,
            author: device.public(),
            action: Action::Found { device: device.public(), nonce },
        };
        let signed = entry.signed_by(device);
        let hash = digest(Domain::LogEntry, &signed.bytes);
        VerifiedLog {
            log: Self(List::new(alloc::vec![signed]).unwrap_or_default()),
            hashes: alloc::vec![hash],
            account: AccountId(hash),
            active: alloc::vec![device.public()],
            recovery: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Checks every hash, signature and rule of the log.
    ///
    /// # Errors
    /// The first [`LogError`] in the order of the entries.
    pub fn verify(&self) -> Result<VerifiedLog, LogError> {
        let mut verified = VerifiedLog {
            log: Self(List::empty()),
            hashes: Vec::new(),
            account: AccountId(FIRST_PREVIOUS),
            active: Vec::new(),
            recovery: Vec::new(),
            revoked: Vec::new(),
        };
        for signed in self.0.iter() {
            verified.append(signed.clone())?;
        }
        if verified.hashes.is_empty() { Err(LogError::Empty) } else { Ok(verified) }
    }
}

impl VerifiedLog {
    /// Whose log it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The devices that may speak for the account now.
    #[must_use]
    pub fn devices(&self) -> &[DeviceKey] {
        &self.active
    }

    /// Whether `device` may speak for the account now.
    #[must_use]
    pub fn is_active(&self, device: DeviceKey) -> bool {
        self.active.contains(&device)
    }

    /// The keys that may write into the log and do nothing else.
    #[must_use]
    pub fn recovery_keys(&self) -> &[DeviceKey] {
        &self.recovery
    }

    /// Whether `device` spoke for the account once and never will again.
    #[must_use]
    pub fn is_revoked(&self, device: DeviceKey) -> bool {
        self.revoked.contains(&device)
    }

    /// The newest entry: what whoever has the log up to the one before needs.
    #[must_use]
    pub fn newest(&self) -> Option<&SignedEntry> {
        self.log.0.last()
    }

    /// Whether `entry` is part of the log already.
    #[must_use]
    pub fn holds(&self, entry: &SignedEntry) -> bool {
        self.log.0.contains(entry)
    }

    /// The entries behind the first `length`: what whoever has seen those is missing.
    #[must_use]
    pub fn entries_after(&self, length: u16) -> &[SignedEntry] {
        self.log.0.get(usize::from(length)..).unwrap_or_default()
    }

    /// The log as it travels.
    #[must_use]
    pub fn as_log(&self) -> &DeviceLog {
        &self.log
    }

    /// What to remember of this log.
    #[must_use]
    pub fn pin(&self) -> LogPin {
        LogPin {
            account: self.account,
            length: u16::try_from(self.hashes.len()).unwrap_or(u16::MAX),
            head: self.head(),
        }
    }

    /// Checks that the log contains all that was seen when `pin` was taken.
    ///
    /// # Errors
    /// [`LogError::OtherAccount`], [`LogError::RolledBack`] or [`LogError::Forked`].
    pub fn extends(&self, pin: &LogPin) -> Result<(), LogError> {
        if self.account != pin.account {
            return Err(LogError::OtherAccount { expected: pin.account, actual: self.account });
        }
        let index = usize::from(pin.length).saturating_sub(1);
        match self.hashes.get(index) {
            None => Err(LogError::RolledBack { pinned: pin.length, actual: self.hashes.len() }),
            Some(hash) if *hash == pin.head => Ok(()),
            Some(_) => Err(LogError::Forked { index }),
        }
    }

    /// What a new device signs to agree that it joins this account as the next entry.
    #[must_use]
    pub fn consent(&self, device: &DeviceSecret) -> Signature {
        device.sign(Domain::DeviceConsent, &self.consent_bytes())
    }

    /// Adds `device`, which gave its [`consent`](Self::consent), in the name of `author`.
    ///
    /// # Errors
    /// Any [`LogError`] that [`verify`](DeviceLog::verify) would find; the log is then unchanged.
    pub fn add(
        &mut self,
        author: &DeviceSecret,
        device: DeviceKey,
        consent: Signature,
    ) -> Result<(), LogError> {
        self.write(author, Action::Add { device, consent })
    }

    /// Adds the key of a recovery code in the name of `author`.
    ///
    /// # Errors
    /// Any [`LogError`] that [`verify`](DeviceLog::verify) would find; the log is then unchanged.
    pub fn add_recovery(&mut self, author: &DeviceSecret, recovery: &DeviceSecret) -> Result<(), LogError> {
        let consent = self.consent(recovery);
        self.write(author, Action::AddRecovery { key: recovery.public(), consent })
    }

    /// Revokes `device`, or a recovery key, for ever in the name of `author`.
    ///
    /// # Errors
    /// Any [`LogError`] that [`verify`](DeviceLog::verify) would find; the log is then unchanged.
    pub fn revoke(&mut self, author: &DeviceSecret, device: DeviceKey) -> Result<(), LogError> {
        self.write(author, Action::Revoke { device })
    }

    /// Makes an entry that somebody else has written part of the log.
    ///
    /// # Errors
    /// Any [`LogError`] that [`verify`](DeviceLog::verify) would find; the log is then unchanged.
    pub fn extend(&mut self, entry: SignedEntry) -> Result<(), LogError> {
        self.append(entry)
    }

    fn write(&mut self, author: &DeviceSecret, action: Action) -> Result<(), LogError> {
        let entry = Entry { previous: self.head(), author: author.public(), action };
        self.append(entry.signed_by(author))
    }

    /// The one place where an entry becomes part of a verified log. Changes nothing when it fails.
    fn append(&mut self, signed: SignedEntry) -> Result<(), LogError> {
        let index = self.hashes.len();
        let entry: Entry = codec::decode(&signed.bytes).map_err(|_| LogError::Undecodable { index })?;
        if entry.previous != self.head() {
            return Err(LogError::Broken { index });
        }
        let founds = matches!(entry.action, Action::Found { device, .. } if device == entry.author);
        if founds != (index == 0) {
            return Err(LogError::Misplaced { index });
        }
        if index > 0 && !self.may_write(entry.author) {
            return Err(LogError::NotActive { index, author: entry.author });
        }
        signed
            .signature
            .verify(entry.author, Domain::LogEntry, &signed.bytes)
            .map_err(|bad| LogError::BadSignature { index, expected: bad.expected })?;
        self.check_action(index, &entry.action)?;

        let hash = digest(Domain::LogEntry, &signed.bytes);
        let mut entries = core::mem::take(&mut self.log.0).into_vec();
        if entries.len() == ENTRIES_MAX {
            self.log.0 = List::new(entries).unwrap_or_default();
            return Err(LogError::Full);
        }
        entries.push(signed);
        self.log.0 = List::new(entries).unwrap_or_default();
        self.hashes.push(hash);
        match entry.action {
            Action::Found { device, .. } => {
                self.account = AccountId(hash);
                self.active.push(device);
            }
            Action::Add { device, .. } => self.active.push(device),
            Action::AddRecovery { key, .. } => self.recovery.push(key),
            Action::Revoke { device } => {
                self.active.retain(|active| *active != device);
                self.recovery.retain(|key| *key != device);
                self.revoked.push(device);
            }
        }
        Ok(())
    }

    fn check_action(&self, index: usize, action: &Action) -> Result<(), LogError> {
        match action {
            Action::Found { .. } => Ok(()),
            Action::Add { device, consent } | Action::AddRecovery { key: device, consent } => {
                if self.may_write(*device) || self.is_revoked(*device) {
                    return Err(LogError::Repeated { index, device: *device });
                }
                let agreed = consent.verify(*device, Domain::DeviceConsent, &self.consent_bytes());
                agreed.map_err(|bad| LogError::BadSignature { index, expected: bad.expected })
            }
            Action::Revoke { device } if !self.may_write(*device) => {
                Err(LogError::NothingToRevoke { index, device: *device })
            }
            Action::Revoke { device } if self.active[..] == [*device] => Err(LogError::LastDevice { index }),
            Action::Revoke { .. } => Ok(()),
        }
    }

    fn may_write(&self, author: DeviceKey) -> bool {
        self.is_active(author) || self.recovery.contains(&author)
    }

    /// Account and newest hash: a consent holds for one place in one log.
    fn consent_bytes(&self) -> Vec<u8> {
        [self.account.0, self.head()].concat()
    }

    fn head(&self) -> [u8; 32] {
        self.hashes.last().copied().unwrap_or(FIRST_PREVIOUS)
    }
}

/// What is signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    previous: [u8; 32],
    author: DeviceKey,
    action: Action,
}

/// What an entry does. Append-only: the place of a variant is its number on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Action {
    Found { device: DeviceKey, nonce: [u8; 16] },
    Add { device: DeviceKey, consent: Signature },
    Revoke { device: DeviceKey },
    AddRecovery { key: DeviceKey, consent: Signature },
}

impl Entry {
    fn signed_by(&self, author: &DeviceSecret) -> SignedEntry {
        // Every entry fits (a test holds the largest against the limit); were one not to, the empty bytes
        // left in its place would be refused by `append` like any that do not decode.
        let bytes = codec::encode(self, ENTRY_BYTES_MAX).unwrap_or_default();
        let signature = author.sign(Domain::LogEntry, &bytes);
        SignedEntry { bytes: List::new(bytes).unwrap_or_default(), signature }
    }
}

/// What the first entry names as the one before it.
const FIRST_PREVIOUS: [u8; 32] = [0; 32];

#[cfg(test)]
mod tests;
