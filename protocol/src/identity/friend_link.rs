//! The friend link: how two people who know each other become contacts without having to trust the coordinator
//! that stands between them.
//!
//! The link names its creator's account, so the accepter knows whom it must get. It holds a secret that the
//! coordinator never sees; the accepter proves with it that the link was in its hands, over both account ids,
//! so the coordinator can neither replace the creator nor insert an account of its own as the accepter.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    armour::{Kind, text_form},
    keys::{Domain, digest},
};
use crate::id::{AccountId, DeviceKey};

/// A link that its creator gives to a friend over any channel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FriendLink {
    /// Under which the coordinator finds the link.
    pub token: LinkToken,
    /// What the coordinator never sees.
    pub secret: LinkSecret,
    /// Who made the link.
    pub creator: AccountId,
    /// The coordinator at which it was made; both have to be signed up there.
    pub coordinator: DeviceKey,
}

/// The public name of a friend link at its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkToken(pub [u8; 16]);

/// The secret part of a friend link.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkSecret(pub [u8; 16]);

/// Proof that its maker had the link in hand, bound to both accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkProof([u8; 32]);

/// The proof was not made with the secret of this link for these two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account {accepter:?} did not prove that it was given this friend link")]
pub struct WrongProof {
    /// The account that claims to have accepted.
    pub accepter: AccountId,
}

impl LinkSecret {
    /// The proof that `accepter` makes for the link of `creator`.
    #[must_use]
    pub fn prove(&self, creator: AccountId, accepter: AccountId) -> LinkProof {
        LinkProof(*self.keyed(creator, accepter).as_bytes())
    }

    /// Checks what arrived as the proof of `accepter`, in constant time.
    ///
    /// # Errors
    /// [`WrongProof`].
    pub fn check(&self, proof: LinkProof, creator: AccountId, accepter: AccountId) -> Result<(), WrongProof> {
        if self.keyed(creator, accepter) == proof.0 { Ok(()) } else { Err(WrongProof { accepter }) }
    }

    fn keyed(&self, creator: AccountId, accepter: AccountId) -> blake3::Hash {
        let key = digest(Domain::LinkProof, &self.0);
        blake3::keyed_hash(&key, &[creator.0, accepter.0].concat())
    }
}

text_form!(FriendLink, KIND, shows: token, creator, coordinator);
impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("link secret")
    }
}

const KIND: Kind = Kind { name: "friend link", prefix: "jamsync:", bytes_max: 256 };

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{super::armour::CodeError, *};

    const CREATOR: AccountId = AccountId([1; 32]);
    const ACCEPTER: AccountId = AccountId([2; 32]);
    const EVE: AccountId = AccountId([3; 32]);

    #[test]
    fn a_friend_link_survives_its_text_form_on_one_line() {
        let link = FriendLink {
            token: LinkToken([7; 16]),
            secret: LinkSecret([8; 16]),
            creator: CREATOR,
            coordinator: DeviceKey([9; 32]),
        };
        let text = link.to_string();
        assert!(text.starts_with("jamsync:") && text.lines().count() == 1);
        assert_eq!(text.parse(), Ok(link));
    }

    #[test]
    fn a_join_code_is_no_friend_link() {
        let wrong = "jamsync-join:0123".parse::<FriendLink>().expect_err("another kind");
        assert_eq!(wrong, CodeError::NotThisKind { expected: "friend link", prefix: "jamsync:" });
    }

    #[test]
    fn a_proof_holds_for_this_secret_and_these_two_accounts_only() {
        let secret = LinkSecret([8; 16]);
        let proof = secret.prove(CREATOR, ACCEPTER);
        assert_eq!(secret.check(proof, CREATOR, ACCEPTER), Ok(()));
        assert_eq!(secret.check(proof, CREATOR, EVE), Err(WrongProof { accepter: EVE }));
        assert_eq!(secret.check(proof, ACCEPTER, CREATOR), Err(WrongProof { accepter: CREATOR }));
        let other = LinkSecret([4; 16]);
        assert_eq!(other.check(proof, CREATOR, ACCEPTER), Err(WrongProof { accepter: ACCEPTER }));
    }
}
