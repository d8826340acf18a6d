//! A device as the server sees it: the wire over real QUIC on loopback, and nothing that a node does beside it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jamsync_protocol::{
    id::DeviceKey,
    identity::{DeviceLog, DeviceSecret, VerifiedLog},
    limits::COORD_FRAME_BYTES_MAX,
    text::Text,
    wire::{
        codec::{self, FrameReader},
        coord::{
            ALPN, ActivityCall, ActivityNews, CoordCall, CoordReply, CoordRequest, EventNumber, Fault,
            Features, IdempotencyKey, NumberedEvent,
        },
    },
};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream,
    crypto::rustls::QuicClientConfig,
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use serde::de::DeserializeOwned;

/// The longest that anything may take here; what is right takes a small part of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Where devices connect from if nothing else is said.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A connected device.
pub(super) struct Client {
    pub(super) secret: DeviceSecret,
    /// The log that it founded. A device that was added to another's has a log of its own all the same.
    pub(super) log: VerifiedLog,
    pub(super) connection: Connection,
    _endpoint: Endpoint,
}

/// The event stream of a device.
pub(super) struct Events {
    send: SendStream,
    receive: RecvStream,
    frames: FrameReader,
}

/// The stream on which a device is told of activities.
pub(super) struct News {
    send: SendStream,
    receive: RecvStream,
    frames: FrameReader,
}

impl News {
    /// What it is told next, or why the stream was closed.
    pub(super) async fn next(&mut self) -> Result<ActivityNews, Option<Fault>> {
        next(&mut self.receive, &mut self.frames).await
    }

    /// Ends the stream, and waits until the server has ended it too.
    pub(super) async fn end(mut self) {
        self.send.finish().expect("it is open");
        while self.next().await.is_ok() {}
    }
}

impl Client {
    /// Connects to the server at `address` as the device made of `seed`, and says hello.
    pub(super) async fn log_in(address: SocketAddr, seed: u8) -> Self {
        Self::log_in_from(HERE, address, seed).await
    }

    /// The same `from` another address of this machine.
    pub(super) async fn log_in_from(from: Ipv4Addr, address: SocketAddr, seed: u8) -> Self {
        let client = Self::connect_from(from, address, seed).await;
        let welcome = client.hello().await;
        assert!(matches!(welcome, CoordReply::Welcome { .. }), "{welcome:?}");
        client
    }

    /// Connects, and says nothing.
    pub(super) async fn connect(address: SocketAddr, seed: u8) -> Self {
        Self::connect_from(HERE, address, seed).await
    }

    async fn connect_from(from: Ipv4Addr, address: SocketAddr, seed: u8) -> Self {
        let secret = DeviceSecret::from_seed(&[seed; 32]);
        let log = DeviceLog::found(&secret, [seed; 16]);
        let endpoint = Endpoint::client((from, 0).into()).expect("a socket");
        let connecting = endpoint.connect_with(config(&secret), address, "jamsync.invalid").expect("dials");
        let connection =
            tokio::time::timeout(PATIENCE, connecting).await.expect("in time").expect("connects");
        Self { secret, log, connection, _endpoint: endpoint }
    }

    /// Says hello.
    pub(super) async fn hello(&self) -> CoordReply {
        let (features, program) = (Features::default(), Text::truncated("test"));
        self.ask(CoordRequest::Hello { features, program }).await
    }

    pub(super) fn key(&self) -> DeviceKey {
        self.secret.public()
    }

    /// One request under a key of its own, and its answer.
    pub(super) async fn ask(&self, request: CoordRequest) -> CoordReply {
        let (_send, mut receive) = self.send(request).await;
        let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
        next(&mut receive, &mut frames).await.expect("an answer")
    }

    /// Asks, and does not wait for the answer.
    pub(super) async fn send(&self, request: CoordRequest) -> (SendStream, RecvStream) {
        let (mut send, receive) = self.connection.open_bi().await.expect("a stream");
        let call = CoordCall { key: IdempotencyKey(rand::random()), request };
        let frame = codec::encode_frame(&call, COORD_FRAME_BYTES_MAX).expect("fits");
        send.write_all(&frame).await.expect("sends");
        (send, receive)
    }

    /// Opens the stream on which it is told of activities.
    pub(super) async fn watch(&self) -> News {
        let (send, receive) = self.send(CoordRequest::Activity(ActivityCall::Watch)).await;
        News { send, receive, frames: FrameReader::new(COORD_FRAME_BYTES_MAX) }
    }

    /// Opens the event stream.
    pub(super) async fn events(&self) -> Events {
        self.events_after(EventNumber(0)).await
    }

    /// Opens the event stream, having seen `after`.
    pub(super) async fn events_after(&self, after: EventNumber) -> Events {
        let (send, receive) = self.send(CoordRequest::Events { after }).await;
        Events { send, receive, frames: FrameReader::new(COORD_FRAME_BYTES_MAX) }
    }

    /// Why the server closed the connection, once it has.
    pub(super) async fn closed(&self) -> Option<Fault> {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await;
        let ConnectionError::ApplicationClosed(close) = closed.expect("it is closed in time") else {
            panic!("not closed by the server")
        };
        Fault::from_code(close.error_code.into_inner())
    }
}

impl Events {
    /// The next event, or why the stream was closed.
    pub(super) async fn next(&mut self) -> Result<NumberedEvent, Option<Fault>> {
        next(&mut self.receive, &mut self.frames).await
    }

    /// Says that all up to `upto` is dealt with.
    pub(super) async fn acknowledge(&mut self, upto: EventNumber) {
        let frame = codec::encode_frame(&upto, COORD_FRAME_BYTES_MAX).expect("fits");
        self.send.write_all(&frame).await.expect("sends");
    }

    /// Ends the stream, and waits until the server has ended it too.
    pub(super) async fn end(mut self) {
        self.send.finish().expect("it is open");
        while self.next().await.is_ok() {}
    }
}

/// The next frame, or why there is none.
async fn next<T: DeserializeOwned>(
    receive: &mut RecvStream,
    frames: &mut FrameReader,
) -> Result<T, Option<Fault>> {
    loop {
        if let Some(frame) = frames.poll_frame().expect("a frame") {
            return Ok(codec::decode(&frame).expect("it can be read"));
        }
        let read = tokio::time::timeout(PATIENCE, receive.read_chunk(COORD_FRAME_BYTES_MAX, true)).await;
        match read.expect("it comes in time") {
            Ok(Some(chunk)) => frames.handle_bytes(&chunk.bytes),
            Ok(None) => return Err(None),
            Err(ReadError::Reset(code)) => return Err(Fault::from_code(code.into_inner())),
            Err(error) => panic!("the connection is gone: {error}"),
        }
    }
}

fn config(secret: &DeviceSecret) -> ClientConfig {
    let pkcs8 = PrivatePkcs8KeyDer::from(secret.to_pkcs8().to_vec());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519).expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyServer(Arc::clone(&provider));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(pkcs8))
        .expect("a certificate of its own");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("QUIC")))
}

/// Goes on with whatever server answers: the test started it.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
