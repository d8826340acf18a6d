//! This device's identity: an Ed25519 key, made at the first start and kept in the state folder, and the
//! self-signed certificate that carries its public half into TLS.
//!
//! The certificate is made anew at each start, because others pin the key and never the certificate.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jamsync_protocol::{id::DeviceKey, identity::DeviceSecret};
use rand::TryRngCore as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The device's key pair and certificate.
pub struct Identity {
    secret: DeviceSecret,
    certificate: CertificateDer<'static>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key file cannot be read or written.
    #[error("cannot keep the device key in {path}: {error}; check that this folder is yours and writable")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The key file holds something else.
    #[error(
        "{path} holds {actual} bytes where a device key has 32; restore it from a backup, or move it away to become a new device"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        actual: usize,
    },
    /// The system gives no random numbers, or the key cannot be put into a certificate.
    #[error("cannot make a device key: {0}")]
    Make(String),
}

impl Identity {
    /// The identity kept in `folder`, made there at the first start.
    ///
    /// # Errors
    /// [`IdentityError`]; an existing key is never overwritten.
    pub fn load_or_create(folder: &Path) -> Result<Self, IdentityError> {
        let path = folder.join("device.key");
        let failed = |error| IdentityError::File { path: path.clone(), error };
        match fs::read(&path) {
            Ok(bytes) => {
                let seed = <[u8; 32]>::try_from(bytes.as_slice())
                    .map_err(|_| IdentityError::Damaged { path: path.clone(), actual: bytes.len() })?;
                Self::from_seed(&seed)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut seed = [0; 32];
                let random = rand::rngs::OsRng.try_fill_bytes(&mut seed);
                random.map_err(|error| IdentityError::Make(error.to_string()))?;
                store(&path, &seed).map_err(failed)?;
                Self::from_seed(&seed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The identity of the secret `seed`.
    ///
    /// # Errors
    /// [`IdentityError::Make`] where no certificate can be made of it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, IdentityError> {
        let make = |error: &dyn std::fmt::Display| IdentityError::Make(error.to_string());
        let secret = DeviceSecret::from_seed(seed);
        let document = secret.to_pkcs8();
        let der = PrivatePkcs8KeyDer::from(document.as_slice());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)
            .map_err(|error| make(&error))?;
        // The name is the same for everyone: it tells an observer nothing and nobody checks it.
        let parameters =
            rcgen::CertificateParams::new(vec![TLS_NAME.to_owned()]).map_err(|error| make(&error))?;
        let certificate = parameters.self_signed(&pair).map_err(|error| make(&error))?;
        Ok(Self { secret, certificate: certificate.der().clone() })
    }

    /// The public key: what others know this device by.
    #[must_use]
    pub fn key(&self) -> DeviceKey {
        self.secret.public()
    }

    /// The secret half, for what only this device may sign.
    #[must_use]
    pub const fn secret(&self) -> &DeviceSecret {
        &self.secret
    }

    /// The certificate and the secret key in the form that TLS takes.
    #[must_use]
    pub fn tls_pair(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.secret.to_pkcs8().to_vec());
        (vec![self.certificate.clone()], key.into())
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// The name in every certificate and every handshake: keys decide, names do not.
pub const TLS_NAME: &str = "jamsync.invalid";

/// Writes the seed so that a crash leaves either no file or a whole one.
fn store(path: &Path, seed: &[u8; 32]) -> io::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension("key.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(seed)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_same_folder_gives_the_same_key_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(folder.path()).unwrap();
        let second = Identity::load_or_create(folder.path()).unwrap();
        assert_eq!(first.key(), second.key());
        let mode = fs::metadata(folder.path().join("device.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("device.key"), b"short").unwrap();
        let error = Identity::load_or_create(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { actual: 5, .. }), "{error}");
        assert_eq!(fs::read(folder.path().join("device.key")).unwrap(), b"short");
    }
}
