//! Sealing of activities: the state once with a key of its own, and that key for each viewer, bound to who shows it from which
//! device, to the conversation, its epoch and the number of the state. A viewer cannot make another's key fit another state, for
//! the hash of the sealed state is sealed with it. A cover is sealed once with a key of its own, which the state names.

use jamsync_protocol::{
    activity::{
        Activity, ActivityNumber, Block, Cover, CoverAddress, CoverKey, ReactionNote, Thumbnail,
        ThumbnailError,
    },
    conversation::{ConversationId, Epoch},
    id::{AccountId, DeviceKey},
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec,
        coord::{SealedActivity, SealedCover, SealedKey, SealedReaction},
    },
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, types::AeadType};
use serde::Serialize;

use crate::conversation::ActivityKeys;

/// Seals and opens.
#[derive(Debug, Default)]
pub(crate) struct Sealer(RustCrypto);

/// Whose state, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Origin {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceKey,
    pub(crate) number: ActivityNumber,
}

/// A sealed state with what opens it.
pub(crate) struct Wrapped {
    pub(crate) sealed: SealedActivity,
    key: [u8; 32],
}

/// Why the cover of what a contact shows is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CoverError {
    /// It is not the one that the contact names.
    #[error("it is another than the one at {expected:?}: that at {actual:?}")]
    Address {
        /// That of the cover which was asked for.
        expected: CoverAddress,
        /// That of what came.
        actual: CoverAddress,
    },
    /// It does not open with the key that the contact names.
    #[error("its key does not open it")]
    Key,
    /// What is in it is not to be shown.
    #[error(transparent)]
    Thumbnail(#[from] ThumbnailError),
}

/// What a key to a state is bound to.
#[derive(Serialize)]
struct KeyBinding(Origin, ConversationId, Epoch);

/// What a reaction is bound to: by whom, and where.
#[derive(Serialize)]
struct ReactionBinding(AccountId, ConversationId, Epoch);

impl Sealer {
    /// Seals a state; none where the system gives no random bytes.
    pub(crate) fn wrap(&self, origin: Origin, activity: &Activity) -> Option<Wrapped> {
        let key: [u8; 32] = rand::random();
        let sealed = self.seal(&key, &activity.encode().ok()?, &bound("activity", &origin)?)?;
        Some(Wrapped { sealed: Block::new(sealed).ok()?, key })
    }

    /// The key to a state, for one viewer.
    pub(crate) fn key_for(
        &self,
        origin: Origin,
        wrapped: &Wrapped,
        keys: &ActivityKeys,
    ) -> Option<SealedKey> {
        let plain = [&wrapped.key[..], blake3::hash(&wrapped.sealed).as_bytes()].concat();
        let binding = bound("key", &KeyBinding(origin, keys.conversation, keys.epoch))?;
        Block::new(self.seal(&keys.own, &plain, &binding)?).ok()
    }

    /// Opens what a contact shows; none where anything of it does not fit.
    pub(crate) fn open_activity(
        &self,
        origin: Origin,
        (key, sealed): (&SealedKey, &SealedActivity),
        keys: &ActivityKeys,
    ) -> Option<Activity> {
        let binding = bound("key", &KeyBinding(origin, keys.conversation, keys.epoch))?;
        let opened = self.open(&keys.theirs, key, &binding)?;
        let (key, hash) = opened.split_at_checked(32)?;
        if hash != blake3::hash(sealed).as_bytes() {
            return None;
        }
        Activity::decode(&self.open(key, sealed, &bound("activity", &origin)?)?).ok()
    }

    /// Seals a thumbnail of this account, under a key that nothing else has.
    pub(crate) fn seal_cover(&self, by: AccountId, thumbnail: &Thumbnail) -> Option<(Cover, SealedCover)> {
        let key: [u8; 32] = rand::random();
        let sealed = self.seal(&key, &thumbnail.encode().ok()?, &bound("cover", &by)?)?;
        let sealed = Block::new(sealed).ok()?;
        Some((Cover { address: CoverAddress::of(&sealed), key: CoverKey(key) }, sealed))
    }

    /// Opens the cover that a contact names.
    ///
    /// # Errors
    /// [`CoverError`].
    pub(crate) fn open_cover(
        &self,
        of: AccountId,
        cover: Cover,
        sealed: &SealedCover,
    ) -> Result<Thumbnail, CoverError> {
        let (expected, actual) = (cover.address, CoverAddress::of(sealed));
        if actual != expected {
            return Err(CoverError::Address { expected, actual });
        }
        let opened = bound("cover", &of).and_then(|binding| self.open(&cover.key.0, sealed, &binding));
        Ok(Thumbnail::decode(&opened.ok_or(CoverError::Key)?)?)
    }

    /// Seals a reaction of this account.
    pub(crate) fn seal_reaction(
        &self,
        by: AccountId,
        note: &ReactionNote,
        keys: &ActivityKeys,
    ) -> Option<SealedReaction> {
        let binding = bound("reaction", &ReactionBinding(by, keys.conversation, keys.epoch))?;
        Block::new(self.seal(&keys.own, &note.encode().ok()?, &binding)?).ok()
    }

    /// Opens a reaction of a contact.
    pub(crate) fn open_reaction(
        &self,
        by: AccountId,
        sealed: &SealedReaction,
        keys: &ActivityKeys,
    ) -> Option<ReactionNote> {
        let binding = bound("reaction", &ReactionBinding(by, keys.conversation, keys.epoch))?;
        ReactionNote::decode(&self.open(&keys.theirs, sealed, &binding)?).ok()
    }

    /// A random nonce, then what is sealed, then the tag.
    fn seal(&self, key: &[u8], plain: &[u8], binding: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = self.0.aead_encrypt(AEAD, key, plain, &nonce, binding).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    fn open(&self, key: &[u8], sealed: &[u8], binding: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        self.0.aead_decrypt(AEAD, key, sealed, nonce, binding).ok()
    }
}

/// The bytes of a binding for one purpose.
fn bound<T: Serialize>(purpose: &str, binding: &T) -> Option<Vec<u8>> {
    let mut bytes = format!("jamsync 2026 {purpose} v1").into_bytes();
    bytes.extend(codec::encode(binding, COORD_FRAME_BYTES_MAX).ok()?);
    Some(bytes)
}

impl std::fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sealed.fmt(f)
    }
}

const AEAD: AeadType = AeadType::ChaCha20Poly1305;
const NONCE_BYTES: usize = 12;

#[cfg(test)]
mod tests;
