//! Identities: who, which device, which Jam, which track. Each is a type of its own, and each has the text
//! form that commands and logs show.

use core::{fmt, str::FromStr};

use alloc::string::String;
use serde::{Deserialize, Deserializer, Serialize};

/// An Ed25519 public key: the identity of one device, or of a coordinator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceKey(pub [u8; 32]);

/// An account: the BLAKE3 hash of the first entry of its device log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub [u8; 32]);

/// A Jam, chosen at random by the coordinator that grants it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JamId(pub [u8; 16]);

/// A track by content: the BLAKE3 hash of its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub [u8; 32]);

/// One participant of a Jam: the place of its device in the grant, counted from 0. At most 32 take part.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Participant(u8);

/// An entry of the shared queue: who added it, and a number that this participant never uses twice in a Jam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// Who added the entry.
    pub author: Participant,
    /// Counted from 1 by the author, upwards, with gaps.
    pub number: u32,
}

/// An edit of the shared queue: who made it, and a number that this participant never uses twice in a Jam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EditId {
    /// Who made the edit.
    pub author: Participant,
    /// Counted from 1 by the author, upwards, with gaps.
    pub number: u32,
}

/// The name under which an account is known to its coordinator: 2 to 32 of `a-z 0-9 _ - .`, case-folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Handle(String);

/// A text that is not the identity it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not the right number of hexadecimal digits.
    #[error("expected {expected} hexadecimal digits")]
    Hex {
        /// How many digits the identity has.
        expected: usize,
    },
    /// Not a handle.
    #[error("a handle has 2 to 32 characters, each a letter a-z, a digit, or one of _ - .")]
    Handle,
    /// Not the public key of an Ed25519 certificate.
    #[error("not an Ed25519 public key (SPKI of {actual} bytes)")]
    NotEd25519 {
        /// The length that was found.
        actual: usize,
    },
}

/// What an Ed25519 `SubjectPublicKeyInfo` has before its 32 bytes of key (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl DeviceKey {
    /// The key inside a DER `SubjectPublicKeyInfo`, as a TLS certificate carries it.
    ///
    /// # Errors
    /// [`IdError::NotEd25519`] for any other kind of key.
    pub fn from_spki(der: &[u8]) -> Result<Self, IdError> {
        der.strip_prefix(&ED25519_SPKI_PREFIX)
            .and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or(IdError::NotEd25519 { actual: der.len() })
    }
}

impl Participant {
    /// How many may take part in a Jam.
    pub const LIMIT: u8 = 32;

    /// The participant at `index` of the grant, or `None` at [`LIMIT`](Self::LIMIT) and above.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < Self::LIMIT { Some(Self(index)) } else { None }
    }

    /// The first participant of the grant.
    pub const FIRST: Self = Self(0);

    /// The place in the grant.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<'de> Deserialize<'de> for Participant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("participant outside 0 to 31"))
    }
}
impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {:?}.{}", self.author, self.number)
    }
}
impl fmt::Debug for EditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "edit {:?}.{}", self.author, self.number)
    }
}

impl Handle {
    /// The handle as it is kept: lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let folded = text.trim().to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
        if (2..=32).contains(&folded.len()) && folded.bytes().all(allowed) {
            Ok(Self(folded))
        } else {
            Err(IdError::Handle)
        }
    }
}
impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::Text::<32>::deserialize(deserializer)?;
        let handle = Self::from_str(text.as_str()).map_err(serde::de::Error::custom)?;
        // What is signed or compared has one spelling only.
        if handle.0 == text.as_str() {
            Ok(handle)
        } else {
            Err(serde::de::Error::custom("handle not in lower case"))
        }
    }
}
impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! hex_identity {
    ($($name:ident: $bytes:literal),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        /// The first eight digits: enough for a log to tell two apart.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                from_hex(text).map(Self)
            }
        }
    )*};
}
hex_identity!(DeviceKey: 32, AccountId: 32, JamId: 16, TrackId: 32);

/// Exactly `N` bytes from `2 N` hexadecimal digits.
fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let wrong = IdError::Hex { expected: N * 2 };
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(wrong);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let [high, low] = *pair else { return Err(wrong) };
        *byte = digit(high).ok_or(wrong)? << 4 | digit(low).ok_or(wrong)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn identities_survive_their_text_form() {
        let id = JamId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a5".parse::<JamId>(), Err(IdError::Hex { expected: 32 }));
        assert_eq!("zz".repeat(16).parse::<JamId>(), Err(IdError::Hex { expected: 32 }));
    }

    #[test]
    fn handles_are_folded_and_bounded() {
        assert_eq!("Ana.B".parse::<Handle>().expect("valid").as_str(), "ana.b");
        for wrong in ["a", "", "añ", "a b", "\u{1b}[2J", &"x".repeat(33)] {
            assert_eq!(wrong.parse::<Handle>(), Err(IdError::Handle), "{wrong:?}");
        }
    }
}
