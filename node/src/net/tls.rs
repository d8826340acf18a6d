//! TLS both ways with keys instead of authorities: each side shows a self-signed Ed25519 certificate, and the
//! other compares its public key with the one it expects. Signatures are always checked; names, dates and
//! issuers mean nothing. TLS 1.3 only, without server names, resumption or early data.

use std::{fmt, sync::Arc};

use jamsync_protocol::id::DeviceKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::identity::Identity;

/// Whether a client with this key is expected at the moment.
pub trait ExpectedKeys: fmt::Debug + Send + Sync {
    /// Whether a connection from `key` may go on.
    fn is_expected(&self, key: &DeviceKey) -> bool;
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The TLS library refuses the key or the cipher.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

/// A client that shows `identity` and goes on only with the server that holds `server`.
///
/// # Errors
/// [`TlsError`] for an identity that TLS does not take.
pub fn client(identity: &Identity, server: DeviceKey, alpn: &[u8]) -> Result<QuicClientConfig, TlsError> {
    let (chain, key) = identity.tls_pair();
    let provider = provider();
    let verifier = PinnedServer { key: server, algorithms: provider.signature_verification_algorithms };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| setup(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(|error| setup(&error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(|error| setup(&error))
}

/// A server that shows `identity` and goes on only with clients that are `expected`.
///
/// # Errors
/// [`TlsError`] for an identity that TLS does not take.
pub fn server(
    identity: &Identity,
    expected: Arc<dyn ExpectedKeys>,
    alpn: &[u8],
) -> Result<QuicServerConfig, TlsError> {
    let (chain, key) = identity.tls_pair();
    let provider = provider();
    let verifier = ExpectedClient { expected, algorithms: provider.signature_verification_algorithms };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| setup(&error))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(|error| setup(&error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(|error| setup(&error))
}

/// The key that the other side of `connection` has proven to hold.
#[must_use]
pub fn peer_key(connection: &quinn::Connection) -> Option<DeviceKey> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(identity.first()?).ok()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn setup(error: &dyn fmt::Display) -> TlsError {
    TlsError::Setup(error.to_string())
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<DeviceKey, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    DeviceKey::from_spki(&parsed.subject_public_key_info())
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Goes on with the holder of one key.
#[derive(Debug)]
struct PinnedServer {
    key: DeviceKey,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Goes on with the holders of expected keys.
#[derive(Debug)]
struct ExpectedClient {
    expected: Arc<dyn ExpectedKeys>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if key_of(end_entity)? == self.key {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for ExpectedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = key_of(end_entity)?;
        if self.expected.is_expected(&key) {
            Ok(ClientCertVerified::assertion())
        } else {
            tracing::warn!(?key, "refused a peer whose key is in no grant");
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
