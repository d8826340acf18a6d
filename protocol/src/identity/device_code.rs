//! The device code: how a person's further device joins the account without anybody having to trust the coordinator
//! that stands between the two devices.
//!
//! A device that is in makes the code and shows it; the person carries it to the new device. It names the account, so
//! the new device knows whose log it must get, and holds a secret that the coordinator never sees: the new device
//! proves with it, over the account and its own key, that this very key was given the code.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    armour::{Kind, text_form},
    join_code::{ADDRESSES_MAX, CoordinatorAddress},
    keys::{Domain, digest},
};
use crate::{
    id::{AccountId, DeviceKey},
    text::List,
};

/// What admits one further device to an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCode {
    /// Where the coordinator listens; any of them may work.
    pub addresses: List<CoordinatorAddress, ADDRESSES_MAX>,
    /// The key that the coordinator shows.
    pub coordinator: DeviceKey,
    /// The account to join.
    pub account: AccountId,
    /// Under which the coordinator finds the device that made the code.
    pub token: CodeToken,
    /// What the coordinator never sees.
    pub secret: CodeSecret,
}

/// The public name of a device code at its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeToken(pub [u8; 16]);

/// The secret part of a device code.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeSecret(pub [u8; 16]);

/// Proof that a device was given the code, bound to its key and to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeProof([u8; 32]);

/// The proof was not made with the secret of this code for this account and this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device {device:?} did not prove that it was given this device code")]
pub struct NotGiven {
    /// The device that asks.
    pub device: DeviceKey,
}

impl CodeSecret {
    /// The proof that `device` makes to join `account`.
    #[must_use]
    pub fn prove(&self, account: AccountId, device: DeviceKey) -> CodeProof {
        CodeProof(*self.keyed(account, device).as_bytes())
    }

    /// Checks what arrived as the proof of `device`, in constant time.
    ///
    /// # Errors
    /// [`NotGiven`].
    pub fn check(&self, proof: CodeProof, account: AccountId, device: DeviceKey) -> Result<(), NotGiven> {
        if self.keyed(account, device) == proof.0 { Ok(()) } else { Err(NotGiven { device }) }
    }

    fn keyed(&self, account: AccountId, device: DeviceKey) -> blake3::Hash {
        let key = digest(Domain::CodeProof, &self.0);
        blake3::keyed_hash(&key, &[account.0, device.0].concat())
    }
}

text_form!(DeviceCode, KIND, shows: account, token, coordinator);
impl fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("device code secret")
    }
}

const KIND: Kind = Kind { name: "device code", prefix: "jamsync-device:", bytes_max: 2_048 };

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;
    use crate::text::Text;

    const ACCOUNT: AccountId = AccountId([1; 32]);

    #[test]
    fn a_device_code_survives_its_text_form_and_never_prints_its_secret() {
        let code = DeviceCode {
            addresses: List::new(vec![Text::truncated("jam.example:4470"); ADDRESSES_MAX]).expect("fits"),
            coordinator: DeviceKey([9; 32]),
            account: ACCOUNT,
            token: CodeToken([7; 16]),
            secret: CodeSecret([0xab; 16]),
        };
        let text = code.to_string();
        assert!(text.starts_with("jamsync-device:") && text.lines().count() == 1);
        assert!(!format!("{code:?}").contains("abab"));
        assert_eq!(text.parse(), Ok(code));
        assert!("jamsync:0123".parse::<DeviceCode>().is_err());
    }

    #[test]
    fn a_proof_holds_for_this_secret_this_account_and_this_device_only() {
        let (secret, device) = (CodeSecret([8; 16]), DeviceKey([3; 32]));
        let proof = secret.prove(ACCOUNT, device);
        assert_eq!(secret.check(proof, ACCOUNT, device), Ok(()));
        let other = DeviceKey([4; 32]);
        assert_eq!(secret.check(proof, ACCOUNT, other), Err(NotGiven { device: other }));
        assert_eq!(secret.check(proof, AccountId([2; 32]), device), Err(NotGiven { device }));
        assert_eq!(CodeSecret([9; 16]).check(proof, ACCOUNT, device), Err(NotGiven { device }));
    }
}
