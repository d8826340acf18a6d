//! The recovery code: the secret of a recovery key, printed once and kept on paper. Whoever holds it can add a device
//! to the account when every device of it is lost.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    armour::{CodeError, Kind},
    join_code::{ADDRESSES_MAX, CoordinatorAddress},
    keys::DeviceSecret,
};
use crate::{
    id::{AccountId, DeviceKey},
    text::List,
    wire::codec,
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

impl fmt::Display for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = codec::encode(&Versioned::V1(self.clone()), BYTES_MAX).map_err(|_| fmt::Error)?;
        f.write_str(&KIND.write(&bytes))
    }
}
impl FromStr for RecoveryCode {
    type Err = CodeError;
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let bytes = KIND.read(text)?;
        let Versioned::V1(code) =
            codec::decode(&bytes).map_err(|_| CodeError::Version { expected: KIND.name })?;
        Ok(code)
    }
}
impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCode")
            .field("account", &self.account)
            .field("coordinator", &self.coordinator)
            .finish_non_exhaustive()
    }
}

/// Append-only: the place of a variant is its number in the code.
#[derive(Serialize, Deserialize)]
enum Versioned {
    V1(RecoveryCode),
}

const KIND: Kind = Kind { name: "recovery code", prefix: "jamsync-recovery:" };
const BYTES_MAX: usize = 2_048;

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
