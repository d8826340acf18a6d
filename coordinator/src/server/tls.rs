//! TLS of the coordinator: its self-signed certificate, and client certificates of any device. The key in a
//! certificate is the identity; names, dates and issuers in it mean nothing.

use std::sync::Arc;

use jamsync_protocol::{id::DeviceKey, identity::DeviceSecret, wire::coord::ALPN};
use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime},
    server::{
        NoServerSessionStorage, ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::ServeError;

/// The TLS side of the endpoint: TLS 1.3 only, no resumption, no 0-RTT.
pub(super) fn server_config(secret: &DeviceSecret) -> Result<rustls::ServerConfig, ServeError> {
    let fail = |error: &dyn std::fmt::Display| ServeError::Certificate(error.to_string());
    let key_der = PrivatePkcs8KeyDer::from(secret.to_pkcs8().to_vec());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key_der, &rcgen::PKCS_ED25519)
        .map_err(|error| fail(&error))?;
    let certificate = rcgen::CertificateParams::default().self_signed(&key).map_err(|error| fail(&error))?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyDevice { provider: Arc::clone(&provider) };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| fail(&error))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key_der))
        .map_err(|error| fail(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The device behind a connection: the key that signed its handshake.
pub(super) fn device_of(connection: &quinn::Connection) -> Option<DeviceKey> {
    let identity = connection.peer_identity()?;
    let certificates = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    key_of(certificates.first()?).ok()
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<DeviceKey, rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    DeviceKey::from_spki(&parsed.subject_public_key_info())
        .map_err(|_| rustls::CertificateError::ApplicationVerificationFailure.into())
}

/// Takes any Ed25519 certificate, and checks that its key really signed the handshake.
#[derive(Debug)]
struct AnyDevice {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyDevice {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        key_of(end_entity).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;

    fn of_seed(seed: u8) -> (DeviceKey, CertificateDer<'static>) {
        let secret = DeviceSecret::from_seed(&[seed; 32]);
        let der = PrivatePkcs8KeyDer::from(secret.to_pkcs8().to_vec());
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        (secret.public(), certificate.der().clone())
    }

    #[test]
    fn a_certificate_is_known_by_its_key_and_none_of_another_kind_is_taken() {
        let (key, certificate) = of_seed(3);
        assert_eq!(key_of(&certificate), Ok(key));
        let other_kind = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let other_kind = rcgen::CertificateParams::default().self_signed(&other_kind).expect("a certificate");
        assert!(key_of(other_kind.der()).is_err());
        let bytes = certificate.to_vec();
        for end in 0..bytes.len() {
            assert!(key_of(&CertificateDer::from(bytes[..end].to_vec())).is_err(), "{end} bytes of one");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn random_bytes_are_no_certificate(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(key_of(&CertificateDer::from(bytes)).is_err());
        }

        /// Nothing but the key counts, so damage elsewhere may go unnoticed; the handshake shows whether the key is held.
        #[test]
        fn a_damaged_certificate_has_a_key_or_none(
            changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..3), 1..6),
        ) {
            let mut bytes = of_seed(3).1.to_vec();
            for (at, byte, how) in changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            let shown = bytes.windows(32);
            if let Ok(key) = key_of(&CertificateDer::from(bytes.clone())) {
                prop_assert!(shown.into_iter().any(|part| part == key.0), "a key that is not in it");
            }
        }
    }
}
