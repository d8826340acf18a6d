//! This device's key as openmls uses it: the very key that its account's log names, so that a place in a conversation is
//! checked by comparing keys. What MLS signs begins with a label of its own, so no such signature is of use elsewhere.

use ed25519_dalek::{Signer as _, SigningKey};
use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    identity::DeviceSecret,
    wire::coord::KeyPackage as PackageBytes,
};
use openmls::prelude::{
    BasicCredential, Ciphersuite, Credential, CredentialWithKey, KeyPackage, KeyPackageIn, LeafNode,
    OpenMlsProvider, ProtocolVersion,
    tls_codec::{Deserialize as _, Serialize as _},
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use rusqlite::Connection;

use super::{Trouble, storage::Shelf};

/// What every conversation is sealed with. Another one would be another wire.
pub(super) const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// This device, as it signs and is named in conversations.
pub(super) struct Keys {
    secret: SigningKey,
    pub(super) device: DeviceKey,
    pub(super) account: AccountId,
    crypto: RustCrypto,
}

/// What openmls works with, inside a transaction.
pub(super) struct Provider<'a> {
    crypto: &'a RustCrypto,
    shelf: Shelf<'a>,
}

impl Keys {
    pub(super) fn new(secret: &DeviceSecret, account: AccountId) -> Self {
        let key = SigningKey::from_bytes(&secret.seed());
        Self { secret: key, device: secret.public(), account, crypto: RustCrypto::default() }
    }

    pub(super) const fn provider<'a>(&'a self, database: &'a Connection) -> Provider<'a> {
        Provider { crypto: &self.crypto, shelf: Shelf(database) }
    }

    pub(super) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.account.0.to_vec()).into(),
            signature_key: self.device.0.to_vec().into(),
        }
    }

    /// Makes a key package, whose secrets are kept until somebody has used it.
    pub(super) fn make_package(
        &self,
        database: &Connection,
        last_resort: bool,
    ) -> Result<PackageBytes, Trouble> {
        let mut builder = KeyPackage::builder();
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let made = builder.build(CIPHERSUITE, &self.provider(database), self, self.credential());
        let bytes =
            made.map_err(Trouble::mls)?.key_package().tls_serialize_detached().map_err(Trouble::mls)?;
        PackageBytes::new(bytes).map_err(Trouble::mls)
    }

    /// A key package that somebody has made, with the device and the account that it names; none where it does not verify.
    pub(super) fn read_package(&self, mut bytes: &[u8]) -> Option<(KeyPackage, DeviceKey, AccountId)> {
        let package = KeyPackageIn::tls_deserialize(&mut bytes).ok().filter(|_| bytes.is_empty())?;
        let package = package.validate(&self.crypto, ProtocolVersion::Mls10).ok()?;
        let (device, account) = named_in(package.leaf_node())?;
        (package.ciphersuite() == CIPHERSUITE).then_some((package, device, account))
    }
}

/// The device and the account that a leaf names.
fn named_in(leaf: &LeafNode) -> Option<(DeviceKey, AccountId)> {
    let device = DeviceKey(leaf.signature_key().as_slice().try_into().ok()?);
    Some((device, account_in(leaf.credential())?))
}

/// The account that a credential names.
pub(super) fn account_in(credential: &Credential) -> Option<AccountId> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    basic.identity().try_into().ok().map(AccountId)
}

impl Signer for Keys {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.secret.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Shelf<'a>;

    fn storage(&self) -> &Shelf<'a> {
        &self.shelf
    }

    fn crypto(&self) -> &RustCrypto {
        self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        self.crypto
    }
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("device", &self.device).finish_non_exhaustive()
    }
}
