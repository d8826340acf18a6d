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
