//! The coordinator over real QUIC on loopback, driven by the node's own client. Time is the test's.

use std::{
    future::Future,
    net::{Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use jamsync_coordinator::{
    data::DataFolder,
    env::{Env, NoRandomness, SystemEnv},
    rules::Settings,
    server::Server,
    store::{JoinPermit, SqliteStore, Store},
};
use jamsync_examples::ports;
use jamsync_node::{
    clock::NodeClock,
    identity::Identity,
    net::{
        coordinator::{CoordinatorLink, LinkConfig, LinkError, LinkEvent},
        socket::endpoint,
    },
};
use jamsync_protocol::{
    id::{Handle, Participant},
    identity::{
        DeviceLog, DeviceSecret, LinkToken, SignedGrant, Tier, VerifiedLog, friend_link::LinkSecret,
        grant::LIFETIME_MAX, join_code::JoinSecret,
    },
    limits::COORD_FRAME_BYTES_MAX,
    text::{List, Text},
    time::{NodeTime, Span, UtcTime},
    wire::codec,
    wire::coord::{
        ALPN, Answer, Contact, CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber, Fault,
        IdempotencyKey, Introduction, Refusal, RequestEnd, RequestId, Role,
    },
};
use tokio::sync::{mpsc, watch};

mod covers;
mod devices;
mod resume;
mod rights;
mod standing;

/// A calendar that moves when the test says so.
#[derive(Debug)]
struct ManualEnv(watch::Sender<UtcTime>);

impl ManualEnv {
    fn advance(&self, span: Span) {
        self.0.send_modify(|now| *now += span);
    }
}

impl Env for ManualEnv {
    fn now(&self) -> UtcTime {
        *self.0.borrow()
    }
    /// As if the machine had started in 1970.
    fn uptime(&self) -> NodeTime {
        NodeTime::from_nanos(self.now().as_nanos())
    }
    fn entropy(&self) -> Result<[u8; 32], NoRandomness> {
        SystemEnv.entropy()
    }
    fn sleep_until(&self, time: NodeTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut now = self.0.subscribe();
        Box::pin(async move { drop(now.wait_for(|now| now.as_nanos() >= time.as_nanos()).await) })
    }
}

/// 2026-11-21.
const NOW: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);
const SECRET: JoinSecret = JoinSecret([0x5e; 16]);

struct World {
    folder: tempfile::TempDir,
    env: Arc<ManualEnv>,
    server: Server,
    store: SqliteStore,
}

impl World {
    async fn start() -> Self {
        let env = Arc::new(ManualEnv(watch::Sender::new(NOW)));
        let folder = tempfile::tempdir().expect("a folder");
        let listen = (Ipv6Addr::LOCALHOST, ports::lasting().expect("a port")).into();
        let (server, store) = serve(&folder, &env, listen, Settings::default());
        let permit = JoinPermit {
            fingerprint: SECRET.fingerprint(),
            uses_left: 100,
            expires: NOW + Span::from_secs(86_400),
        };
        store.write(move |tables| tables.put_join_permit(permit)).await.expect("writes");
        Self { folder, env, server, store }
    }

    /// The same data folder served by a new server at the same address.
    async fn restart(self) -> Self {
        self.restart_with(Settings::default()).await
    }

    /// The same, with other rules.
    async fn restart_with(self, settings: Settings) -> Self {
        let Self { folder, env, server, store } = self;
        let address = server.address();
        server.shut_down().await;
        drop(store);
        let (server, store) = serve(&folder, &env, address, settings);
        Self { folder, env, server, store }
    }

    async fn person(&self, seed: u8) -> Person {
        let identity = Identity::from_seed(&[seed; 32]).expect("an identity");
        let (endpoint, _raw) = endpoint(Some("[::1]:0".parse().expect("an address"))).expect("a socket");
        let address = endpoint.local_addr().expect("bound");
        let config = LinkConfig {
            addresses: vec![self.server.address().to_string()],
            coordinator: self.server.key(),
            program: Text::truncated("test"),
            clock: NodeClock::system(),
        };
        let (sender, events) = mpsc::channel(8);
        let link = CoordinatorLink::spawn(endpoint, config, &identity, sender).expect("a link");
        let secret = DeviceSecret::from_seed(&[seed; 32]);
        let log = DeviceLog::found(&secret, [seed; 16]);
        let mut person = Person { link, events, secret, log, address };
        let connected = person.next().await;
        assert!(matches!(connected, LinkEvent::Connected { observed, .. } if observed == address));
        person
    }

    async fn signed_up(&self, seed: u8, name: &str) -> Person {
        let person = self.person(seed).await;
        person.sign_up(name, "2000-01-01").await.expect("signs up");
        person
    }

    async fn set_tier(&self, person: &Person, tier: Tier) {
        let id = person.log.account();
        self.store.write(move |tables| tables.set_tier(id, tier)).await.expect("writes");
    }
}

fn serve(
    folder: &tempfile::TempDir,
    env: &Arc<ManualEnv>,
    listen: SocketAddr,
    settings: Settings,
) -> (Server, SqliteStore) {
    let data = DataFolder::open(folder.path(), env.as_ref()).expect("opens");
    let store = data.store.clone();
    let server = Server::start(listen, data.secret, settings, data.store, Arc::clone(env) as Arc<dyn Env>);
    (server.expect("serves"), store)
}

struct Person {
    link: CoordinatorLink,
    events: mpsc::Receiver<LinkEvent>,
    secret: DeviceSecret,
    log: VerifiedLog,
    address: SocketAddr,
}

impl Person {
    async fn next(&mut self) -> LinkEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        event.expect("an event in time").expect("the link lives")
    }

    /// The next event of the coordinator; what concerns the connection alone is passed over.
    async fn event(&mut self) -> CoordEvent {
        loop {
            if let LinkEvent::Event(numbered) = self.next().await {
                self.link.acknowledge(numbered.number);
                return numbered.event;
            }
        }
    }

    async fn ask(&self, request: CoordRequest) -> Result<CoordReply, LinkError> {
        self.link.request(request).await
    }

    async fn sign_up(&self, name: &str, born: &str) -> Result<CoordReply, LinkError> {
        self.ask(CoordRequest::SignUp {
            secret: SECRET,
            handle: handle(name),
            birth_date: born.parse().expect("a date"),
            market: "DE".parse().expect("a country"),
            log: self.log.as_log().clone(),
        })
        .await
    }

    async fn link_token(&self) -> LinkToken {
        match self.ask(CoordRequest::CreateFriendLink).await {
            Ok(CoordReply::FriendLink { token, .. }) => token,
            other => panic!("no friend link: {other:?}"),
        }
    }

    async fn request_jam(&self, to: &str) -> Result<RequestId, Refusal> {
        match self.ask(CoordRequest::RequestJam { to: handle(to) }).await {
            Ok(CoordReply::Requested { request, .. }) => Ok(request),
            Err(LinkError::Refused(refusal)) => Err(refusal),
            other => panic!("neither asked nor refused: {other:?}"),
        }
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<CoordReply, LinkError> {
        self.ask(CoordRequest::AnswerRequest { request, answer }).await
    }

    async fn contacts(&self) -> Vec<Contact> {
        match self.ask(CoordRequest::Contacts { after: None }).await {
            Ok(CoordReply::Contacts { contacts, more: false }) => contacts.into_vec(),
            other => panic!("no contacts: {other:?}"),
        }
    }

    async fn granted(&mut self) -> (SignedGrant, Introduction) {
        let CoordEvent::JamGranted { grant, introduction, .. } = self.event().await else {
            panic!("no grant")
        };
        (grant, introduction)
    }
}

fn handle(name: &str) -> Handle {
    name.parse().expect("a handle")
}

fn refusal(outcome: Result<CoordReply, LinkError>) -> Refusal {
    match outcome {
        Err(LinkError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Makes two people contacts by a friend link, each checking the other as a node does.
async fn befriend(creator: &mut Person, accepter: &mut Person) {
    let secret = LinkSecret([0x77; 16]);
    let token = creator.link_token().await;
    let (creator_id, accepter_id) = (creator.log.account(), accepter.log.account());
    let proof = secret.prove(creator_id, accepter_id);
    let accepted = accepter.ask(CoordRequest::AcceptFriendLink { token, proof }).await;
    let Ok(CoordReply::Contact(contact)) = accepted else { panic!("not accepted: {accepted:?}") };
    assert_eq!(contact.account, creator_id);
    assert_eq!(contact.log.verify().expect("a log").account(), creator_id);
    assert!(contact.online);
    let CoordEvent::ContactAdded(contact) = creator.event().await else { panic!("no contact") };
    let link = contact.accepted.expect("the creator gets the proof");
    assert_eq!(link.token, token);
    assert_eq!(contact.log.verify().expect("a log").account(), accepter_id);
    secret.check(link.proof, creator_id, contact.account).expect("the accepter had the link");
}

async fn friends(world: &World) -> (Person, Person) {
    let mut ana = world.signed_up(1, "ana").await;
    let mut ben = world.signed_up(2, "ben").await;
    befriend(&mut ana, &mut ben).await;
    (ana, ben)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_meet_and_are_granted_a_jam() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let telling = CoordRequest::Candidates {
        addresses: List::new(vec!["192.0.2.7:4471".parse().expect("an address")]).expect("fits"),
    };
    assert_eq!(ana.ask(telling).await, Ok(CoordReply::Observed(ana.address)));

    let request = ana.request_jam("ben").await.expect("asked");
    let CoordEvent::JamRequested(open) = ben.event().await else { panic!("no request") };
    assert_eq!((open.request, open.friend.as_str(), open.incoming), (request, "ana", true));
    assert_eq!(open.expires, NOW + Span::from_secs(300));
    assert_eq!(ben.answer(request, Answer::Accept).await, Ok(CoordReply::Done));

    let (grant, to_ana) = ana.granted().await;
    let (same, to_ben) = ben.granted().await;
    assert_eq!(grant, same);
    let logs = [&ana.log, &ben.log];
    let grant = grant.verify(world.server.key(), NOW, &logs).expect("a grant");
    assert_eq!(grant.host, Participant::FIRST);
    let host = grant.participant(grant.host).expect("a host");
    assert_eq!(host.device, ben.secret.public());
    assert_eq!(grant.expires, NOW + LIFETIME_MAX);
    assert_eq!(to_ana.candidates[..], [ben.address]);
    assert_eq!(to_ben.candidates[..], [ana.address, "192.0.2.7:4471".parse().expect("an address")]);
    assert_eq!((to_ana.peer, to_ben.peer), (ben.secret.public(), ana.secret.public()));
    assert!(matches!(
        (to_ana.role, to_ben.role),
        (Role::Dialer, Role::Listener) | (Role::Listener, Role::Dialer)
    ));

    // Addresses found later follow; leaving is told.
    let telling = CoordRequest::Candidates { addresses: List::empty() };
    ben.ask(telling).await.expect("told");
    let CoordEvent::PeerCandidates { jam, peer, candidates } = ana.event().await else {
        panic!("no addresses")
    };
    assert_eq!((jam, peer, &candidates[..]), (grant.jam, ben.secret.public(), &[ben.address][..]));
    assert_eq!(ana.ask(CoordRequest::EndJam { jam: grant.jam }).await, Ok(CoordReply::Done));
    assert_eq!(ben.event().await, CoordEvent::JamEnded { jam: grant.jam, by: ana.log.account() });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_why() {
    let world = World::start().await;
    let (ana, mut ben) = friends(&world).await;

    // No contact, and nobody of that name: the same answer.
    world.signed_up(3, "carl").await;
    assert_eq!(ana.request_jam("carl").await, Err(Refusal::NotContact { handle: handle("carl") }));
    assert_eq!(ana.request_jam("nobody").await, Err(Refusal::NotContact { handle: handle("nobody") }));
    assert_eq!(ana.request_jam("ana").await, Err(Refusal::NotContact { handle: handle("ana") }));

    // A Free account is told what it may do instead, and may be asked.
    world.set_tier(&ben, Tier::Free).await;
    assert_eq!(ben.request_jam("ana").await, Err(Refusal::NotPremium));
    let request = ana.request_jam("ben").await.expect("a Free friend may be asked");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    assert_eq!(ben.answer(request, Answer::Accept).await, Ok(CoordReply::Done));
    let (grant, _) = ben.granted().await;
    let logs = [&ana.log, &ben.log];
    let grant = grant.verify(world.server.key(), NOW, &logs).expect("a grant");
    assert_eq!(grant.participants[0].tier, Tier::Free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifteen_year_old_waits_for_the_birthday() {
    let world = World::start().await;
    let mut ana = world.signed_up(1, "ana").await;
    let mut kid = world.person(2).await;
    // 16 on the day after the world's first.
    kid.sign_up("kid", "2010-11-22").await.expect("may have an account");
    befriend(&mut ana, &mut kid).await;
    assert_eq!(kid.request_jam("ana").await, Err(Refusal::TooYoung { minimum_age: 16 }));
    assert_eq!(ana.request_jam("kid").await, Err(Refusal::FriendUnavailable { handle: handle("kid") }));
    world.env.advance(Span::from_secs(86_400));
    assert!(kid.request_jam("ana").await.is_ok());
    let kept = world.store.read(|view| view.account_by_handle(&handle("kid"))).await.expect("reads");
    assert_eq!(kept.expect("an account").age.birth_date, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_needs_a_code_a_free_name_and_the_devices_own_log() {
    let world = World::start().await;
    let ana = world.signed_up(1, "ana").await;
    let ben = world.person(2).await;
    assert_eq!(refusal(ben.ask(CoordRequest::WhoAmI).await), Refusal::NotSignedUp);
    assert_eq!(
        refusal(ben.sign_up("ana", "2000-01-01").await),
        Refusal::HandleTaken { handle: handle("ana") }
    );
    let mut request = CoordRequest::SignUp {
        secret: JoinSecret([0; 16]),
        handle: handle("ben"),
        birth_date: "2000-01-01".parse().expect("a date"),
        market: "DE".parse().expect("a country"),
        log: ben.log.as_log().clone(),
    };
    assert_eq!(refusal(ben.ask(request.clone()).await), Refusal::UnknownJoinCode);
    if let CoordRequest::SignUp { secret, log, .. } = &mut request {
        (*secret, *log) = (SECRET, ana.log.as_log().clone());
    }
    assert_eq!(refusal(ben.ask(request).await), Refusal::BadLog);
    ben.sign_up("ben", "2000-01-01").await.expect("signs up after all");
    let again = ben.sign_up("ben2", "2000-01-01").await;
    assert_eq!(refusal(again), Refusal::AlreadySignedUp { handle: handle("ben") });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_once_cancelled_or_expires() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;

    let request = ana.request_jam("ben").await.expect("asked");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::AlreadyRequested { by_me: true }));
    assert_eq!(ben.request_jam("ana").await, Err(Refusal::AlreadyRequested { by_me: false }));
    assert_eq!(refusal(ana.answer(request, Answer::Accept).await), Refusal::UnknownRequest);
    ben.answer(request, Answer::Decline).await.expect("declined");
    assert_eq!(ana.event().await, CoordEvent::RequestDeclined { request });
    let late = ben.answer(request, Answer::Accept).await;
    assert_eq!(refusal(late), Refusal::RequestOver(RequestEnd::Declined));

    let request = ana.request_jam("ben").await.expect("asked again");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    ana.ask(CoordRequest::CancelRequest { request }).await.expect("cancelled");
    assert_eq!(ben.event().await, CoordEvent::RequestCancelled { request });

    let request = ana.request_jam("ben").await.expect("asked a third time");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    world.env.advance(Span::from_secs(299));
    world.env.advance(Span::from_secs(1));
    assert_eq!(ana.event().await, CoordEvent::RequestExpired { request });
    assert_eq!(ben.event().await, CoordEvent::RequestExpired { request });
    let late = ben.answer(request, Answer::Accept).await;
    assert_eq!(refusal(late), Refusal::RequestOver(RequestEnd::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn pestering_is_refused_with_the_time_to_wait() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    for _ in 0..5 {
        let request = ana.request_jam("ben").await.expect("asked");
        ben.answer(request, Answer::Decline).await.expect("declined");
        world.env.advance(Span::from_secs(1));
    }
    let wait = Span::from_secs(295);
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::TooMany { retry_after: wait }));
    world.env.advance(wait);
    assert!(ana.request_jam("ben").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_addresses_are_taken_only_so_fast() {
    let world = World::start().await;
    let ana = world.signed_up(1, "ana").await;
    for _ in 0..20 {
        ana.link_token().await;
        world.env.advance(Span::from_secs(1));
    }
    let retry_after = Span::from_secs(3_580);
    assert_eq!(refusal(ana.ask(CoordRequest::CreateFriendLink).await), Refusal::TooMany { retry_after });
    world.env.advance(retry_after);
    ana.link_token().await;

    let telling = || ana.ask(CoordRequest::Candidates { addresses: List::empty() });
    for _ in 0..10 {
        telling().await.expect("told");
    }
    assert_eq!(refusal(telling().await), Refusal::TooMany { retry_after: Span::from_secs(60) });
    world.env.advance(Span::from_secs(60));
    telling().await.expect("told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_friend_link_is_for_one_friend_and_a_week() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    let carl = world.signed_up(3, "carl").await;
    let token = ana.link_token().await;
    let proof = LinkSecret([1; 16]).prove(ana.log.account(), carl.log.account());
    let accept = CoordRequest::AcceptFriendLink { token, proof };
    assert_eq!(refusal(ana.ask(accept.clone()).await), Refusal::OwnLink);
    assert!(matches!(carl.ask(accept.clone()).await, Ok(CoordReply::Contact(_))));
    assert!(matches!(carl.ask(accept.clone()).await, Ok(CoordReply::Contact(_))), "repeating does no harm");
    assert_eq!(refusal(ben.ask(accept).await), Refusal::UnknownLink);
    let names: Vec<_> = ana.contacts().await.iter().map(|contact| contact.handle.to_string()).collect();
    assert_eq!(names, ["ben", "carl"]);

    let token = ana.link_token().await;
    world.env.advance(Span::from_secs(7 * 86_400));
    assert_eq!(refusal(ben.ask(CoordRequest::AcceptFriendLink { token, proof }).await), Refusal::UnknownLink);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_a_node_and_everything_survives_a_restart() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    let known = ben.contacts().await;
    drop(ben);
    let request = ana.request_jam("ben").await.expect("asked");
    let world = world.restart().await;
    let mut ben = world.person(2).await;
    // Ben never acknowledged anything, so what was not dealt with comes now.
    let CoordEvent::JamRequested(open) = ben.event().await else { panic!("no request") };
    assert_eq!(open.request, request);
    let Ok(CoordReply::Me(me)) = ben.ask(CoordRequest::WhoAmI).await else { panic!("no account") };
    assert_eq!((me.handle.as_str(), me.requests.len()), ("ben", 1));
    let now_known = ben.contacts().await;
    assert_eq!((&now_known[0].handle, &now_known[0].log), (&known[0].handle, &known[0].log));
    // Ana's link finds the new server by itself.
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::AlreadyRequested { by_me: true }));
    assert_eq!(ben.answer(request, Answer::Accept).await, Ok(CoordReply::Done));
}

/// Sends raw bytes on a stream of their own and returns how the coordinator closed it.
async fn fault_of(connection: &quinn::Connection, bytes: &[u8]) -> Option<Fault> {
    let (mut send, mut receive) = connection.open_bi().await.expect("the connection lives on");
    // The coordinator may close the stream before it has read all.
    drop(send.write_all(bytes).await);
    drop(send.finish());
    match receive.read_to_end(64 * 1024).await {
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
            Fault::from_code(code.into_inner())
        }
        other => panic!("not closed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_close_their_stream_with_a_named_reason() {
    let world = World::start().await;
    let identity = Identity::from_seed(&[9; 32]).expect("an identity");
    let (endpoint, _raw) = endpoint(Some("[::1]:0".parse().expect("an address"))).expect("a socket");
    let tls = jamsync_node::net::tls::client(&identity, world.server.key(), ALPN).expect("TLS");
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let connecting = endpoint.connect_with(config, world.server.address(), "jamsync.invalid").expect("dials");
    let connection = connecting.await.expect("connects");

    let call = CoordCall { key: IdempotencyKey([0; 16]), request: CoordRequest::WhoAmI };
    let body = codec::encode(&call, COORD_FRAME_BYTES_MAX).expect("fits");
    let frame = |body: &[u8]| [&u32::try_from(body.len()).expect("short").to_be_bytes(), body].concat();
    assert_eq!(fault_of(&connection, &[0xff; 4]).await, Some(Fault::TooLong));
    assert_eq!(fault_of(&connection, &frame(&body)[..10]).await, Some(Fault::Truncated));
    assert_eq!(fault_of(&connection, &frame(&body[..16])).await, Some(Fault::Truncated));
    assert_eq!(fault_of(&connection, &frame(&[&body[..], &[0]].concat())).await, Some(Fault::TrailingBytes));
    let unknown = [&[0; 16][..], &[0xc8, 0x01]].concat();
    assert_eq!(fault_of(&connection, &frame(&unknown)).await, Some(Fault::Malformed));
    assert_eq!(fault_of(&connection, &[frame(&body), frame(&body)].concat()).await, Some(Fault::OutOfPlace));
    // An event stream before the hello.
    let events = CoordCall { request: CoordRequest::Events { after: EventNumber(0) }, ..call };
    let events = frame(&codec::encode(&events, COORD_FRAME_BYTES_MAX).expect("fits"));
    assert_eq!(fault_of(&connection, &events).await, Some(Fault::OutOfPlace));
    // The connection is none the worse for it, and neither is the server.
    assert_eq!(connection.close_reason(), None);
    let ana = world.signed_up(1, "ana").await;
    assert!(ana.contacts().await.is_empty());
}
