//! The vouch: how one device of an account tells the others whom it has taken as a contact, past a coordinator that
//! might name somebody else.
//!
//! The device that made or opened the friend link has checked it; the other devices never saw its secret. They believe
//! the signature of a device that stands in the log of their own account. With the contact it signs how much of the
//! contact's log it has seen, so that a coordinator cannot show a new device an older log than the account knows.

use serde::{Deserialize, Serialize};

use super::{
    device_log::{LogPin, VerifiedLog},
    keys::{BadSignature, DeviceSecret, Domain, Signature},
};
use crate::{
    id::{AccountId, DeviceKey, Handle},
    wire::codec,
};

/// A device's word, to the other devices of its account, that somebody is a contact of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouch {
    /// Which device says so.
    pub by: DeviceKey,
    /// The name under which the account knows the contact.
    pub name: Handle,
    /// The contact's account, and what was seen of its log.
    pub pin: LogPin,
    /// By that device, over the account that it speaks for, the name and the pin.
    pub signature: Signature,
}

/// Why a vouch is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VouchError {
    /// Its author is no device of this account (any more).
    #[error("{author:?}, which vouches for the contact, is no device of this account")]
    NotActive {
        /// The key that signed.
        author: DeviceKey,
    },
    /// The signature does not verify.
    #[error("the vouch for the contact is not signed by {expected:?}")]
    BadSignature {
        /// The key that should have signed.
        expected: DeviceKey,
    },
}

impl Vouch {
    /// The word of `device`, which speaks for `account`.
    #[must_use]
    pub fn signed_by(device: &DeviceSecret, account: AccountId, name: Handle, pin: LogPin) -> Self {
        let signature = device.sign(Domain::ContactVouch, &signed_bytes(account, &name, &pin));
        Self { by: device.public(), name, pin, signature }
    }

    /// Checks the signature and that its author speaks for the account of `own`.
    ///
    /// # Errors
    /// [`VouchError`].
    pub fn verify(&self, own: &VerifiedLog) -> Result<(), VouchError> {
        if !own.is_active(self.by) {
            return Err(VouchError::NotActive { author: self.by });
        }
        let bytes = signed_bytes(own.account(), &self.name, &self.pin);
        let signed = self.signature.verify(self.by, Domain::ContactVouch, &bytes);
        signed.map_err(|BadSignature { expected }| VouchError::BadSignature { expected })
    }
}

fn signed_bytes(account: AccountId, name: &Handle, pin: &LogPin) -> alloc::vec::Vec<u8> {
    // A handle and a pin are far below the limit, so nothing is ever left out.
    codec::encode(&(account, name, pin), SIGNED_BYTES_MAX).unwrap_or_default()
}

/// More than the account, the longest name and the pin take.
const SIGNED_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::{super::device_log::DeviceLog, *};

    fn secret(seed: u8) -> DeviceSecret {
        DeviceSecret::from_seed(&[seed; 32])
    }

    #[test]
    fn a_vouch_counts_only_as_a_device_of_this_account_signed_it() {
        let own = DeviceLog::found(&secret(1), [1; 16]);
        let pin = DeviceLog::found(&secret(5), [5; 16]).pin();
        let ben: Handle = "ben".parse().expect("a handle");
        let vouch = Vouch::signed_by(&secret(1), own.account(), ben.clone(), pin);
        assert_eq!(vouch.verify(&own), Ok(()));

        let bad = VouchError::BadSignature { expected: secret(1).public() };
        let renamed = Vouch { name: "eve".parse().expect("a handle"), ..vouch.clone() };
        assert_eq!(renamed.verify(&own), Err(bad));
        let shorter = Vouch { pin: LogPin { length: 0, ..pin }, ..vouch.clone() };
        assert_eq!(shorter.verify(&own), Err(bad));
        // Another account of the same device, and another device.
        let elsewhere = DeviceLog::found(&secret(1), [2; 16]);
        assert_eq!(vouch.verify(&elsewhere), Err(bad));
        let stranger = Vouch::signed_by(&secret(3), own.account(), ben.clone(), pin);
        assert_eq!(stranger.verify(&own), Err(VouchError::NotActive { author: secret(3).public() }));
    }

    #[test]
    fn a_revoked_device_vouches_for_nobody() {
        let mut own = DeviceLog::found(&secret(1), [1; 16]);
        let consent = own.consent(&secret(2));
        own.add(&secret(1), secret(2).public(), consent).expect("adds");
        let pin = DeviceLog::found(&secret(5), [5; 16]).pin();
        let ben: Handle = "ben".parse().expect("a handle");
        let vouch = Vouch::signed_by(&secret(2), own.account(), ben, pin);
        assert_eq!(vouch.verify(&own), Ok(()));
        own.revoke(&secret(1), secret(2).public()).expect("revokes");
        assert_eq!(vouch.verify(&own), Err(VouchError::NotActive { author: secret(2).public() }));
    }
}
