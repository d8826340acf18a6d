//! The recovery code: the secret of a recovery key, printed once and kept on paper. Whoever holds it can add a device
//! to the account when every device of it is lost.

use serde::{Deserialize, Serialize};

use super::{
    armour::{Kind, text_form},
    join_code::{ADDRESSES_MAX, CoordinatorAddress},
    keys::DeviceSecret,
};
use crate::{
    id::{AccountId, DeviceKey},
    text::List,
};

/// What brings a device into an account without any device that is in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCode {
    /// Where the coordinator listens; any of them may work.
    pub addresses: List<CoordinatorAddress, ADDRESSES_MAX>,
    /// The key that the coordinator shows.
    pub coordinator: DeviceKey,
    /// The account.
    pub account: AccountId,
    /// Of which the recovery key is made.
    pub seed: [u8; 32],
}

impl RecoveryCode {
    /// The key that stands in the account's device log.
    #[must_use]
    pub fn secret(&self) -> DeviceSecret {
        DeviceSecret::from_seed(&self.seed)
    }
}

text_form!(RecoveryCode, KIND, shows: account, coordinator);

const KIND: Kind = Kind { name: "recovery code", prefix: "jamsync-recovery:", bytes_max: 2_048 };

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    #[test]
    fn a_recovery_code_survives_its_text_form_and_never_prints_its_seed() {
        let code = RecoveryCode {
            addresses: List::empty(),
            coordinator: DeviceKey([9; 32]),
            account: AccountId([1; 32]),
            seed: [0xab; 32],
        };
        let text = code.to_string();
        assert!(text.starts_with("jamsync-recovery:"));
        assert!(!format!("{code:?}").contains("abab"));
        assert_eq!(text.parse(), Ok(code));
    }
}
