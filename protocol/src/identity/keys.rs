//! Device keys and signatures with a purpose.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeTuple};

use crate::id::DeviceKey;

/// The secret half of a [`DeviceKey`]. It is wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct DeviceSecret(SigningKey);

/// An Ed25519 signature over the hash of some bytes in a [`Domain`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// What a hash or a signature is for. The context is part of what is hashed (BLAKE3 key derivation mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Domain {
    /// An entry of a device log: its hash and its author's signature.
    LogEntry,
    /// A new device agrees to join an account.
    DeviceConsent,
    /// A coordinator permits a Jam.
    Grant,
    /// The accepter of a friend link knows its secret.
    LinkProof,
    /// A device that asks to join an account knows the secret of a device code.
    CodeProof,
    /// A device tells the others of its account whom it has taken as a contact.
    ContactVouch,
    /// The check digits of a code that people copy.
    CodeCheck,
    /// What a coordinator keeps of the secret in a join code.
    JoinSecret,
    /// The digits that two contacts compare.
    SafetyCode,
    /// The name of a conversation.
    Conversation,
    /// A renewal of a listening activity.
    ActivityBeat,
    /// Where the sealed cover of a listening activity is.
    ActivityCover,
}

/// A signature was not made by the expected key over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not signed by the key {expected:?}")]
pub struct BadSignature {
    /// The key that should have signed.
    pub expected: DeviceKey,
}

impl DeviceSecret {
    /// The secret made of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The random bytes this secret was made of, for keeping it on disk.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> DeviceKey {
        DeviceKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `bytes` for the purpose `domain`.
    #[must_use]
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&digest(domain, bytes)).to_bytes())
    }

    /// The secret as DER `PrivateKeyInfo` (PKCS #8 version 1, RFC 8410), as TLS libraries take it.
    #[must_use]
    pub fn to_pkcs8(&self) -> [u8; 48] {
        let mut der = [0; 48];
        let (prefix, seed) = der.split_at_mut(ED25519_PKCS8_PREFIX.len());
        prefix.copy_from_slice(&ED25519_PKCS8_PREFIX);
        seed.copy_from_slice(self.0.as_bytes());
        der
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret of {:?}", self.public())
    }
}

impl Signature {
    /// Checks that `key` signed `bytes` for the purpose `domain`. Weak keys and malleable signatures fail.
    ///
    /// # Errors
    /// [`BadSignature`] whatever the cause.
    pub fn verify(&self, key: DeviceKey, domain: Domain, bytes: &[u8]) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        VerifyingKey::from_bytes(&key.0)
            .and_then(|verifying| verifying.verify_strict(&digest(domain, bytes), &signature))
            .map_err(|_| BadSignature { expected: key })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        let (low, high) = self.0.split_at(32);
        tuple.serialize_element(&<[u8; 32]>::try_from(low).unwrap_or_default())?;
        tuple.serialize_element(&<[u8; 32]>::try_from(high).unwrap_or_default())?;
        tuple.end()
    }
}
impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let halves = <[[u8; 32]; 2]>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(halves.as_flattened()).for_each(|(to, from)| *to = *from);
        Ok(Self(bytes))
    }
}

impl Domain {
    /// The context string, unique in the world and never changed.
    #[must_use]
    pub const fn context(self) -> &'static str {
        match self {
            Self::LogEntry => "jamsync 2026 device log entry v1",
            Self::DeviceConsent => "jamsync 2026 device consent v1",
            Self::Grant => "jamsync 2026 grant v1",
            Self::LinkProof => "jamsync 2026 friend link proof v1",
            Self::CodeProof => "jamsync 2026 device code proof v1",
            Self::ContactVouch => "jamsync 2026 contact vouch v1",
            Self::CodeCheck => "jamsync 2026 code check v1",
            Self::JoinSecret => "jamsync 2026 join secret v1",
            Self::SafetyCode => "jamsync 2026 safety code v1",
            Self::Conversation => "jamsync 2026 conversation v1",
            Self::ActivityBeat => "jamsync 2026 activity beat v1",
            Self::ActivityCover => "jamsync 2026 activity cover v1",
        }
    }
}

/// The hash of `bytes` for the purpose `domain`.
#[must_use]
pub fn digest(domain: Domain, bytes: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new_derive_key(domain.context()).update(bytes).finalize().as_bytes()
}

/// What a version 1 Ed25519 `PrivateKeyInfo` has before its 32 bytes of seed (RFC 8410, section 7).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_signature_for_one_purpose_is_worthless_for_another() {
        let secret = DeviceSecret::from_seed(&[7; 32]);
        let signature = secret.sign(Domain::Grant, b"bytes");
        assert_eq!(signature.verify(secret.public(), Domain::Grant, b"bytes"), Ok(()));
        assert!(signature.verify(secret.public(), Domain::LogEntry, b"bytes").is_err());
        assert!(signature.verify(secret.public(), Domain::Grant, b"other").is_err());
        assert!(signature.verify(DeviceKey([0; 32]), Domain::Grant, b"bytes").is_err());
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = DeviceSecret::from_seed(&[0xab; 32]);
        assert!(!format!("{secret:?}").contains("abab"));
    }

    #[test]
    fn a_signature_is_64_bytes_on_the_wire_in_order() {
        let signature = Signature(core::array::from_fn(|at| u8::try_from(at).expect("below 64")));
        let bytes = postcard::to_allocvec(&signature).expect("encodes");
        assert_eq!(bytes, signature.0);
        assert_eq!(postcard::from_bytes::<Signature>(&bytes).expect("decodes"), signature);
    }
}
