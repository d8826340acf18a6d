//! A device as the coordinator knows one: its wire over real QUIC, under a key of its own, and one server that it goes on
//! with. It judges nothing; what it is answered, the tests look at.

use std::{net::SocketAddr, sync::Arc};

use jamsync_protocol::{
    id::DeviceKey,
    identity::{DeviceLog, DeviceSecret, VerifiedLog, friend_link::LinkSecret, join_code::JoinSecret},
    limits::COORD_FRAME_BYTES_MAX,
    text::Text,
    wire::{
        codec::{self, FrameReader},
        coord::{
            ALPN, CoordCall, CoordReply, CoordRequest, EventNumber, Features, IdempotencyKey, NumberedEvent,
        },
    },
};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, crypto::rustls::QuicClientConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio::time::timeout;

use crate::served::PATIENCE;

/// A device that has said hello.
pub(crate) struct Device {
    connection: Connection,
    /// What it founds an account with.
    log: VerifiedLog,
    /// Whether the coordinator knew it when it came.
    pub(crate) is_known: bool,
    _endpoint: Endpoint,
}

/// The key of the device of this number.
pub(crate) fn secret(number: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[number; 32])
}

/// The log with which it founds an account.
pub(crate) fn log(number: u8) -> VerifiedLog {
    DeviceLog::found(&secret(number), [number; 16])
}

impl Device {
    /// Connects to the server at `address`, which must show `key`, and says hello.
    pub(crate) async fn log_in(number: u8, address: SocketAddr, key: DeviceKey) -> Self {
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
        // The name says nothing: the coordinator is known by its key.
        let dialled = endpoint.connect_with(config(&secret(number), key), address, "jamsync.invalid");
        let connection =
            timeout(PATIENCE, dialled.expect("dials")).await.expect("in time").expect("connects");
        let mut device = Self { connection, log: log(number), is_known: false, _endpoint: endpoint };
        let hello = CoordRequest::Hello { features: Features::default(), program: Text::truncated("test") };
        let reply = device.ask(hello).await;
        let CoordReply::Welcome { signed_up, .. } = reply else { panic!("not welcome: {reply:?}") };
        device.is_known = signed_up;
        device
    }

    /// What it is answered, under a key of its own.
    pub(crate) async fn ask(&self, request: CoordRequest) -> CoordReply {
        self.call(&CoordCall { key: IdempotencyKey(rand::random()), request }).await
    }

    /// What it is answered, under a key that was chosen before.
    pub(crate) async fn call(&self, call: &CoordCall) -> CoordReply {
        let answered = async {
            let (mut send, receive) = self.connection.open_bi().await.expect("a stream");
            let frame = codec::encode_frame(call, COORD_FRAME_BYTES_MAX).expect("fits");
            send.write_all(&frame).await.expect("sends");
            send.finish().expect("sends");
            Frames::of(receive).next().await
        };
        codec::decode(&timeout(PATIENCE, answered).await.expect("an answer in time")).expect("an answer")
    }

    /// Makes an account of its own.
    pub(crate) async fn sign_up(&self, secret: JoinSecret, name: &str, born: &str) {
        let reply = self.ask(CoordRequest::SignUp {
            secret,
            handle: name.parse().expect("a handle"),
            birth_date: born.parse().expect("a date"),
            market: "DE".parse().expect("a country"),
            log: self.log.as_log().clone(),
        });
        let reply = reply.await;
        assert!(matches!(reply, CoordReply::Me(_)), "cannot sign up: {reply:?}");
    }

    /// Becomes the contact of `friend` by a link.
    pub(crate) async fn befriend(&self, friend: &Self) {
        let CoordReply::FriendLink { token, .. } = friend.ask(CoordRequest::CreateFriendLink).await else {
            panic!("no friend link");
        };
        let proof = LinkSecret([1; 16]).prove(friend.log.account(), self.log.account());
        let reply = self.ask(CoordRequest::AcceptFriendLink { token, proof }).await;
        assert!(matches!(reply, CoordReply::Contact(_)), "no contact: {reply:?}");
    }

    /// Its first events after `after`, so many.
    pub(crate) async fn events(&self, after: EventNumber, count: usize) -> Vec<NumberedEvent> {
        let told = async {
            let (mut send, receive) = self.connection.open_bi().await.expect("a stream");
            let call = CoordCall { key: IdempotencyKey([0; 16]), request: CoordRequest::Events { after } };
            let frame = codec::encode_frame(&call, COORD_FRAME_BYTES_MAX).expect("fits");
            send.write_all(&frame).await.expect("sends");
            let (mut frames, mut events) = (Frames::of(receive), Vec::new());
            while events.len() < count {
                events.push(codec::decode(&frames.next().await).expect("an event"));
            }
            events
        };
        timeout(PATIENCE, told).await.expect("the events come in time")
    }
}

/// What arrives on a stream.
struct Frames {
    receive: RecvStream,
    frames: FrameReader,
}

impl Frames {
    fn of(receive: RecvStream) -> Self {
        Self { receive, frames: FrameReader::new(COORD_FRAME_BYTES_MAX) }
    }

    async fn next(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.frames.poll_frame().expect("a frame") {
                return frame;
            }
            let chunk = self.receive.read_chunk(COORD_FRAME_BYTES_MAX, true).await.expect("arrives");
            self.frames.handle_bytes(&chunk.expect("the stream goes on").bytes);
        }
    }
}

fn config(secret: &DeviceSecret, server: DeviceKey) -> ClientConfig {
    let der = PrivatePkcs8KeyDer::from(secret.to_pkcs8().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = OneServer { key: server, algorithms: provider.signature_verification_algorithms };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(der))
        .expect("an identity");
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("TLS for QUIC")))
}

/// Goes on with the holder of one key.
#[derive(Debug)]
struct OneServer {
    key: DeviceKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OneServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match DeviceKey::from_spki(&parsed.subject_public_key_info()) {
            Ok(key) if key == self.key => Ok(ServerCertVerified::assertion()),
            Ok(_) | Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
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
