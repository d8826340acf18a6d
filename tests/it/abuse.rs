//! Clients that mean no good, at a coordinator of its own process: what they are answered, that its memory stays within the
//! bound which `coordinator/README.md` states, and that others are served meanwhile.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jamsync_examples::load::{Counts, Device, Dialer, Persona, Server};
use jamsync_protocol::{
    identity::join_code::JoinSecret,
    limits::COORD_FRAME_BYTES_MAX,
    time::Span,
    wire::{
        codec,
        coord::{
            CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber, Fault, IdempotencyKey,
            NumberedEvent, OpenRequest, Refusal, RequestId,
        },
    },
};
use quinn::{Connection, RecvStream, SendStream, TransportConfig, WriteError};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

use super::jam::process::{PATIENCE, binary};

mod mutated;

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
        let dialer = Arc::clone(&self.dialer);
        let (answers, answered) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            // No faster than a connection's requests are taken, however late the one before was answered.
            let mut turns = tokio::time::interval(Duration::from_millis(60));
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for turn in 0u32.. {
                turns.tick().await;
                let begun = Instant::now();
                let answer = tokio::time::timeout(PATIENCE, ask_in_turn(&device, &dialer, turn));
                answer.await.expect("is answered in time");
                answers.send_modify(|times| times.push(begun.elapsed()));
            }
        });
        Bystander { task, answered }
    }

    /// Memory that came on top since the stage was set.
    fn grown_kib(&self) -> f64 {
        self.counts().memory_kib() - self.before_kib
    }

    fn counts(&self) -> Counts {
        self.server.counts().expect("counts")
    }
}

/// A login, a read and a write in turn; a link now and then only, as the rules want it.
async fn ask_in_turn(device: &Device, dialer: &Dialer, turn: u32) {
    let request = match turn % 40 {
        0 => CoordRequest::CreateFriendLink,
        turn if turn % 8 == 7 => {
            let visitor = Persona::new(9, 1).expect("a person");
            let visitor = dialer.log_in(&visitor).await.expect("logs in");
            visitor.connection.close(0u8.into(), b"");
            return;
        }
        _ => CoordRequest::WhoAmI,
    };
    let reply = device.ask(request).await.expect("a reply");
    assert!(!matches!(reply, CoordReply::Refused(_)), "{reply:?}");
}

struct Bystander {
    task: JoinHandle<()>,
    /// How long each answer took.
    answered: watch::Receiver<Vec<Duration>>,
}

impl Bystander {
    /// Ends it when it has asked for everything at least once; every request of it was answered.
    async fn check(mut self, while_what: &str) {
        let all = self.answered.wait_for(|times| times.len() >= 8);
        let mut times = all.await.expect("every request was answered").clone();
        self.task.abort();
        let ended = self.task.await.expect_err("it asks for ever");
        assert!(ended.is_cancelled(), "{ended}");
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{while_what}: {} requests of others, median {median:?}, worst {worst:?}", times.len());
    }
}

fn frame(request: CoordRequest) -> Vec<u8> {
    let call = CoordCall { key: IdempotencyKey(rand::random()), request };
    codec::encode_frame(&call, COORD_FRAME_BYTES_MAX).expect("fits")
}

/// Sends on a stream, unless the coordinator has closed it.
async fn goes_on(stream: &mut SendStream, bytes: &[u8]) -> bool {
    let written =
        tokio::time::timeout(PATIENCE, stream.write_all(bytes)).await.expect("is read or closed in time");
    assert!(matches!(written, Ok(()) | Err(WriteError::Stopped(_))), "{written:?}");
    written.is_ok()
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
        goes_on(send, &bytes).await;
    }
    // This is the attack: a byte a second, until the coordinator has had enough of each.
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let (mut grown, mut open) = (0.0_f64, true);
    while open {
        seconds.tick().await;
        open = false;
        for (_, send, _) in &mut streams {
            open |= goes_on(send, &[0]).await;
        }
        grown = grown.max(stage.grown_kib());
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
    while limited < 30 {
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
        "10,000 streams: {served} served and {limited} told to wait in {:?}, {:.0} KiB",
        begun.elapsed(),
        stage.grown_kib()
    );
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
    assert!(answered > 60, "{answered}");
    // Ben heard of one request and its end, once: what comes next is the next request.
    let second = asked_again(&ana_online, &ben).await;
    let mut events = ben_online.events(EventNumber(0)).await.expect("events");
    for (number, of) in [(1, request), (2, request), (3, second)] {
        let NumberedEvent { number: heard, event } = events.next().await.expect("an event");
        let (CoordEvent::JamRequested(OpenRequest { request: about, .. })
        | CoordEvent::RequestCancelled { request: about }) = event
        else {
            panic!("{event:?}")
        };
        assert_eq!((heard, about), (EventNumber(number), of));
    }
    assert!(stage.grown_kib() < 4_096.0, "{}", stage.grown_kib());
    bystander.check("repeated calls").await;
}

/// Asks for another Jam, once the device may ask again at all.
async fn asked_again(device: &Device, friend: &Persona) -> RequestId {
    let patience = Instant::now() + PATIENCE;
    loop {
        let request = CoordRequest::RequestJam { to: friend.handle.clone() };
        let reply = device.ask(request).await.expect("a reply");
        if let CoordReply::Requested { request, .. } = reply {
            return request;
        }
        let is_to_wait = matches!(reply, CoordReply::Refused(Refusal::TooMany { .. }));
        assert!(is_to_wait && Instant::now() < patience, "{reply:?}");
    }
}

async fn log_in(stage: &Stage, who: &Persona) -> Device {
    let device = stage.dialer.log_in(who).await.expect("logs in");
    device.sign_up(who, stage.secret).await.expect("signs up");
    device
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_that_nobody_goes_on_with_stays_within_bounds() {
    const FIRST_PACKETS: usize = 3_000;
    const BURST: usize = 25;
    /// As many as need no proof, and those of the bystander.
    const HANDSHAKES: f64 = 256.0 + 8.0;
    let stage = Stage::set();
    let packets = first_packets(&stage, FIRST_PACKETS).await;
    let bystander = stage.bystander().await;
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let (mut sent, mut handshakes, mut grown, begun) = (0.0_f64, 0.0_f64, 0.0_f64, Instant::now());
    for burst in packets.chunks(BURST) {
        for (packet, socket) in burst.iter().zip(sockets.iter().cycle()) {
            socket.send_to(packet, stage.server.address).expect("sends");
            sent += 1.0;
        }
        // As fast as the coordinator takes them, and never more than its socket holds: what is lost is no attack.
        until(|| {
            let counts = stage.counts();
            handshakes = handshakes.max(counts.of("jamsync_handshakes"));
            grown = grown.max(counts.memory_kib() - stage.before_kib);
            knocks(&counts) >= sent
        })
        .await;
    }
    let retried = stage.counts().of("jamsync_arrivals_total{outcome=\"retried\"}");
    println!(
        "{FIRST_PACKETS} first packets: {handshakes} handshakes at once, {retried} to prove themselves, {grown:.0} KiB"
    );
    assert!(handshakes <= HANDSHAKES, "{handshakes}");
    // A handshake is given up after 10 s, and leaves its place to another.
    let let_in = HANDSHAKES * (1.0 + begun.elapsed().as_secs_f64() / 10.0);
    assert!(retried >= sent - let_in, "{retried}");
    assert!(grown < 64.0 * 1024.0, "{grown} KiB");
    bystander.check("a flood of handshakes").await;
}

/// How many first packets the coordinator has seen, whatever became of them: of the flood, and the few of a bystander.
fn knocks(counts: &Counts) -> f64 {
    let arrived = |outcome| counts.of(&format!("jamsync_arrivals_total{{outcome=\"{outcome}\"}}"));
    counts.of("jamsync_handshakes") + arrived("failed") + arrived("retried")
}

/// Looks until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < patience, "it is not so in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The first packets of as many clients, which never hear an answer.
async fn first_packets(stage: &Stage, count: usize) -> Vec<Vec<u8>> {
    let nowhere = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let dialer = Dialer::new(nowhere.local_addr().expect("bound"), stage.key, 1).expect("sockets");
    let who = Persona::new(3, 0).expect("a person");
    let (mut packets, mut seen, mut buffer) = (Vec::new(), BTreeSet::new(), [0; 2_048]);
    while packets.len() < count {
        // Until its packet has come: one that gives up before it has said anything says that it gives up, and no more.
        let dialling = dialer.connect(&who);
        tokio::pin!(dialling);
        loop {
            let length = tokio::select! {
                connected = &mut dialling => unreachable!("nobody answers: {connected:?}"),
                length = nowhere.recv(&mut buffer) => length.expect("a packet"),
            };
            // The client's id for the server follows the version and its length. What came under it before is a
            // farewell.
            let packet = &buffer[..length];
            if seen.insert(packet[6..14].to_vec()) {
                packets.push(packet.to_vec());
                break;
            }
        }
    }
    packets
}
