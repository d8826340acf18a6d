//! Clients that mean no good, at a coordinator of its own process: what they are answered, that its memory stays within the
//! bound which `coordinator/README.md` states, and that others are served meanwhile.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jamsync_examples::load::{Device, Dialer, Persona, Server};
use jamsync_protocol::{
    identity::join_code::JoinSecret,
    limits::COORD_FRAME_BYTES_MAX,
    time::Span,
    wire::{
        codec,
        coord::{CoordCall, CoordReply, CoordRequest, EventNumber, Fault, IdempotencyKey, Refusal},
    },
};
use quinn::{Connection, RecvStream, SendStream, TransportConfig};

use super::jam::process::{PATIENCE, binary};

/// What one connection can make the coordinator keep at most, and what the connection itself needs.
const KEPT_KIB_MAX: f64 = 384.0 + 96.0;
/// Streams that one client may have open.
const STREAMS: usize = 8;

struct Stage {
    server: Server,
    dialer: Arc<Dialer>,
    secret: JoinSecret,
    key: jamsync_protocol::id::DeviceKey,
    before_kib: f64,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let binaries: PathBuf = binary("jamsync-coordinator").parent().expect("a folder").to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&binaries, folder.path(), "127.0.0.1:0", &[]).expect("serves");
        let code = Server::join_code(&binaries, folder.path(), 100).expect("a code");
        let dialer = Arc::new(Dialer::new(server.address, code.coordinator, 2).expect("sockets"));
        let before_kib = server.counts().expect("counts").memory_kib();
        Self { server, dialer, secret: code.secret, key: code.coordinator, before_kib, _folder: folder }
    }

    /// A dialer whose clients never let the coordinator send on a stream.
    fn deaf(&self) -> Dialer {
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(0u8.into()).receive_window(0u8.into());
        let mut dialer = Dialer::new(self.server.address, self.key, 2).expect("sockets");
        dialer.set_transport(transport);
        dialer
    }

    /// Somebody who asks now and then as all this goes on, and must be answered every time.
    async fn bystander(&self) -> Bystander {
        let who = Arc::new(Persona::new(9, 0).expect("a person"));
        let device = self.dialer.log_in(&who).await.expect("logs in");
        device.sign_up(&who, self.secret).await.expect("signs up");
        let (dialer, stop) = (Arc::clone(&self.dialer), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut times, mut turn) = (Vec::new(), 0u32);
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                // A login, a read and a write in turn; a link now and then only, as the rules want it.
                let reply = match turn % 40 {
                    0 => device.ask(CoordRequest::CreateFriendLink).await.expect("a reply"),
                    turn if turn % 8 == 7 => {
                        let visitor = Persona::new(9, 1).expect("a person");
                        let visitor = dialer.log_in(&visitor).await.expect("logs in");
                        visitor.connection.close(0u8.into(), b"");
                        CoordReply::Done
                    }
                    _ => device.ask(CoordRequest::WhoAmI).await.expect("a reply"),
                };
                assert!(!matches!(reply, CoordReply::Refused(_)), "{reply:?}");
                times.push(begun.elapsed());
                turn += 1;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            times.sort();
            times
        });
        Bystander { task, stop }
    }

    /// Memory that came on top since the stage was set.
    fn grown_kib(&self) -> f64 {
        self.server.counts().expect("counts").memory_kib() - self.before_kib
    }
}

struct Bystander {
    task: tokio::task::JoinHandle<Vec<Duration>>,
    stop: Arc<AtomicBool>,
}

impl Bystander {
    /// Ends it; every request of it was answered, and none took long.
    async fn check(self, while_what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let times = tokio::time::timeout(PATIENCE, self.task).await.expect("ends").expect("was served");
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{while_what}: {} requests of others, median {median:?}, worst {worst:?}", times.len());
        assert!(worst < Duration::from_secs(2), "{worst:?}");
    }
}

fn frame(request: CoordRequest) -> Vec<u8> {
    let call = CoordCall { key: IdempotencyKey(rand::random()), request };
    codec::encode_frame(&call, COORD_FRAME_BYTES_MAX).expect("fits")
}

/// How the coordinator closes a stream on which nobody reads.
async fn stopped(stream: &SendStream) -> Option<Fault> {
    let code = tokio::time::timeout(PATIENCE, stream.stopped()).await.expect("is closed in time");
    Fault::from_code(code.expect("the connection lives")?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_are_let_go_within_the_bound() {
    const CLIENTS: u32 = 40;
    let stage = Stage::set();
    let bystander = stage.bystander().await;
    let deaf = stage.deaf();
    let mut clients: Vec<(Connection, Vec<(SendStream, RecvStream)>)> = Vec::new();
    for number in 0..CLIENTS {
        let who = Persona::new(1, number).expect("a person");
        let client = deaf.connect(&who).await.expect("connects").connection;
        let mut streams = Vec::new();
        for stream in 0..STREAMS {
            let (mut send, receive) = client.open_bi().await.expect("opens");
            send.write_all(&frame(CoordRequest::WhoAmI)).await.expect("sends");
            if stream % 2 == 0 {
                // As much more as the coordinator lets it send, and not one byte of it is wanted.
                drop(send.write(&[0; 64 * 1024]).await);
            }
            streams.push((send, receive));
        }
        clients.push((client, streams));
    }
    let grown = stage.grown_kib();
    println!("{CLIENTS} clients that never read: {:.0} KiB each", grown / f64::from(CLIENTS));
    assert!(grown < KEPT_KIB_MAX * f64::from(CLIENTS), "{grown} KiB");
    for (client, streams) in &clients {
        for (stream, _) in streams {
            let fault = stopped(stream).await;
            assert!(matches!(fault, Some(Fault::TooSlow | Fault::OutOfPlace)), "{fault:?}");
        }
        assert_eq!(client.close_reason(), None);
    }
    bystander.check("clients that never read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_one_byte_a_second_are_let_go_within_the_bound() {
    const CLIENTS: u32 = 40;
    let stage = Stage::set();
    let bystander = stage.bystander().await;
    let mut streams = Vec::new();
    for number in 0..CLIENTS {
        let who = Persona::new(1, number).expect("a person");
        let client = stage.dialer.connect(&who).await.expect("connects").connection;
        for _ in 0..STREAMS {
            let (send, receive) = client.open_bi().await.expect("opens");
            streams.push((client.clone(), send, receive));
        }
    }
    // A frame of the greatest length, of which the last bytes never come.
    let mut bytes = u32::try_from(COORD_FRAME_BYTES_MAX).expect("short").to_be_bytes().to_vec();
    bytes.resize(COORD_FRAME_BYTES_MAX - 100, 0);
    for (_, send, _) in &mut streams {
        send.write_all(&bytes).await.expect("sends");
    }
    let mut grown = 0.0_f64;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        for (_, send, _) in &mut streams {
            send.write_all(&[0]).await.expect("sends");
        }
        grown = grown.max(stage.grown_kib());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("{CLIENTS} clients that send a byte a second: {:.0} KiB each", grown / f64::from(CLIENTS));
    assert!(grown < KEPT_KIB_MAX * f64::from(CLIENTS), "{grown} KiB");
    for (client, send, _) in &streams {
        assert_eq!(stopped(send).await, Some(Fault::TooSlow));
        assert_eq!(client.close_reason(), None);
    }
    bystander.check("clients that send a byte a second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_very_many_streams_is_told_to_wait() {
    let stage = Stage::set();
    let bystander = stage.bystander().await;
    let who = Persona::new(1, 0).expect("a person");
    let greedy = Arc::new(stage.dialer.log_in(&who).await.expect("logs in"));
    let (mut streams, mut limited, begun) = (tokio::task::JoinSet::new(), 0, Instant::now());
    for _ in 0..10_000 {
        let greedy = Arc::clone(&greedy);
        streams.spawn(async move { greedy.ask(CoordRequest::WhoAmI).await });
    }
    while begun.elapsed() < Duration::from_secs(3) {
        let reply = streams.join_next().await.expect("more").expect("a task").expect("a reply");
        if let CoordReply::Refused(Refusal::TooMany { retry_after }) = reply {
            assert!(retry_after > Span::ZERO, "{retry_after:?}");
            limited += 1;
        } else {
            assert_eq!(reply, CoordReply::Refused(Refusal::NotSignedUp));
        }
    }
    let counts = stage.server.counts().expect("counts");
    let served = counts.of("jamsync_requests_total{kind=\"read\",outcome=\"refused\"}");
    println!(
        "10,000 streams: {served} served and {limited} told to wait in 3 s, {:.0} KiB",
        stage.grown_kib()
    );
    assert!(limited > 10, "{limited}");
    assert!(served < 120.0 + 20.0 * begun.elapsed().as_secs_f64() + 40.0, "{served}");
    assert!(stage.grown_kib() < 4_096.0, "{}", stage.grown_kib());
    bystander.check("very many streams").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_repeats_all_it_ever_sent_changes_nothing() {
    let stage = Stage::set();
    let bystander = stage.bystander().await;
    let [ana, ben] = [1, 2].map(|run| Persona::new(run, 0).expect("a person"));
    let (ana_online, ben_online) = (log_in(&stage, &ana).await, log_in(&stage, &ben).await);
    let mut calls = Vec::new();
    let mut done = async |device: &Device, request: CoordRequest| {
        let call = CoordCall { key: IdempotencyKey(rand::random()), request };
        let reply = device.call(&call).await.expect("a reply");
        calls.push((device.clone(), call, reply.clone()));
        reply
    };
    let CoordReply::FriendLink { token, .. } = done(&ana_online, CoordRequest::CreateFriendLink).await else {
        panic!("no link")
    };
    let secret = jamsync_protocol::identity::friend_link::LinkSecret([1; 16]);
    let proof = secret.prove(ana.log.account(), ben.log.account());
    done(&ben_online, CoordRequest::AcceptFriendLink { token, proof }).await;
    let asked = done(&ana_online, CoordRequest::RequestJam { to: ben.handle.clone() }).await;
    let CoordReply::Requested { request, .. } = asked else { panic!("not asked: {asked:?}") };
    done(&ana_online, CoordRequest::CancelRequest { request }).await;

    let (mut answered, mut limited) = (0, 0);
    for _ in 0..60 {
        for (device, call, reply) in &calls {
            let again = device.call(call).await.expect("a reply");
            if matches!(again, CoordReply::Refused(Refusal::TooMany { .. })) {
                limited += 1;
            } else {
                assert_eq!(again, *reply);
                answered += 1;
            }
        }
    }
    println!("repeated calls: {answered} answered as before, {limited} told to wait");
    assert!(answered > 60 && limited > 0);
    // Ben heard of one request and its end, once.
    let mut events = ben_online.events(EventNumber(0)).await.expect("events");
    for number in 1..=2 {
        assert_eq!(events.next().await.expect("an event").number, EventNumber(number));
    }
    let third = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
    assert!(third.is_err(), "{third:?}");
    assert!(stage.grown_kib() < 4_096.0, "{}", stage.grown_kib());
    bystander.check("repeated calls").await;
}

async fn log_in(stage: &Stage, who: &Persona) -> Device {
    let device = stage.dialer.log_in(who).await.expect("logs in");
    device.sign_up(who, stage.secret).await.expect("signs up");
    device
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_that_nobody_goes_on_with_stays_within_bounds() {
    const FIRST_PACKETS: usize = 3_000;
    let stage = Stage::set();
    let packets = first_packets(&stage, FIRST_PACKETS).await;
    let bystander = stage.bystander().await;
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let (mut handshakes, mut grown) = (0.0_f64, 0.0_f64);
    for (at, packet) in packets.iter().enumerate() {
        sockets[at % sockets.len()].send_to(packet, stage.server.address).expect("sends");
        // As fast as a socket's buffer takes them.
        if at % 50 == 49 {
            let counts = stage.server.counts().expect("counts");
            handshakes = handshakes.max(counts.of("jamsync_handshakes"));
            grown = grown.max(stage.grown_kib());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
    let counts = stage.server.counts().expect("counts");
    let retried = counts.of("jamsync_arrivals_total{outcome=\"retried\"}");
    println!(
        "{FIRST_PACKETS} first packets: {handshakes} handshakes at once, {retried} to prove themselves, {grown:.0} KiB"
    );
    assert!(retried > 1_500.0, "{retried}");
    assert!(handshakes <= 256.0 + 8.0, "{handshakes}");
    assert!(grown < 64.0 * 1024.0, "{grown} KiB");
    bystander.check("a flood of handshakes").await;
}

/// The first packets of as many clients, which never hear an answer.
async fn first_packets(stage: &Stage, count: usize) -> Vec<Vec<u8>> {
    let nowhere = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let dialer = Dialer::new(nowhere.local_addr().expect("bound"), stage.key, 1).expect("sockets");
    let who = Persona::new(3, 0).expect("a person");
    let (mut packets, mut seen, mut buffer) = (Vec::new(), BTreeSet::new(), [0; 2_048]);
    while packets.len() < count {
        let dialling = dialer.connect(&who);
        tokio::pin!(dialling);
        let length = tokio::select! {
            connected = &mut dialling => unreachable!("nobody answers: {connected:?}"),
            length = nowhere.recv(&mut buffer) => length.expect("a packet"),
        };
        // The client's id for the server follows the version and its length. One that gives up says so under the same.
        let packet = &buffer[..length];
        if seen.insert(packet[6..14].to_vec()) {
            packets.push(packet.to_vec());
        }
    }
    packets
}
