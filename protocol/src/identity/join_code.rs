//! The join code: what the operator of a coordinator gives to someone who may sign up. It says where the
//! coordinator is, which key it must show, and holds the secret that permits the sign-up.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    armour::{Kind, text_form},
    keys::{Domain, digest},
};
use crate::{
    id::DeviceKey,
    text::{List, Text},
};

/// The most addresses a join code names.
pub const ADDRESSES_MAX: usize = 8;

/// Where a coordinator listens: `host:port`, `1.2.3.4:port` or `[v6]:port`.
pub type CoordinatorAddress = Text<128>;

/// An invitation to sign up at a coordinator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinCode {
    /// Where the coordinator listens; any of them may work.
    pub addresses: List<CoordinatorAddress, ADDRESSES_MAX>,
    /// The key that the coordinator shows on every connection and signs grants with.
    pub coordinator: DeviceKey,
    /// What permits the sign-up.
    pub secret: JoinSecret,
}

/// The secret that permits a sign-up.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JoinSecret(pub [u8; 16]);

impl JoinSecret {
    /// What the coordinator keeps in place of the secret, so that its database does not permit a sign-up.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        digest(Domain::JoinSecret, &self.0)
    }
}

text_form!(JoinCode, KIND, shows: addresses, coordinator);
impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("join secret")
    }
}

const KIND: Kind = Kind { name: "join code", prefix: "jamsync-join:", bytes_max: 2_048 };

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::{super::armour::CodeError, *};

    fn code() -> JoinCode {
        let address = |text: &str| CoordinatorAddress::new(text).expect("fits");
        JoinCode {
            addresses: List::new(vec![address("[2001:db8::1]:4470"), address("192.0.2.1:4470")])
                .expect("fits"),
            coordinator: DeviceKey([0xab; 32]),
            secret: JoinSecret([0x5e; 16]),
        }
    }

    #[test]
    fn a_join_code_survives_its_text_form_on_one_line() {
        let text = code().to_string();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(text.parse(), Ok(code()));
    }

    #[test]
    fn a_typing_error_is_named() {
        let mut text = code().to_string();
        let last = if text.pop() == Some('0') { '8' } else { '0' };
        text.push(last);
        assert_eq!(text.parse::<JoinCode>(), Err(CodeError::Check { expected: "join code" }));
        let cut = &code().to_string()[..40];
        assert_eq!(cut.parse::<JoinCode>(), Err(CodeError::Check { expected: "join code" }));
    }

    #[test]
    fn a_join_code_does_not_print_its_secret() {
        assert!(!format!("{:?}", code()).contains("94"));
        assert!(!format!("{:?}", code()).contains("5e"));
    }
}
