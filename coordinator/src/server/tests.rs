//! The server over real QUIC on loopback, with devices that say no more than a test lets them.

use std::sync::mpsc;

use jamsync_protocol::{
    identity::VerifiedLog,
    text::Text,
    time::{Span, UtcTime},
    wire::coord::{CoordEvent, CoordReply, CoordRequest, Fault, Refusal},
};
use tokio::sync::oneshot;

use super::*;
use crate::{
    eligibility::Trust,
    env::SystemEnv,
    rules::{self, Context},
    store::{ContactRow, Device, SqliteStore, StoreError, Tables, fixture::person},
};

mod client;
mod clock;
mod damaged;
mod floods;
mod limits;
mod manual;

use client::{Client, PATIENCE};

/// A server with people who are all each other's contacts.
struct Stage {
    server: Server,
    store: SqliteStore,
    folder: tempfile::TempDir,
}

/// Keeps the store's writer busy until it is dropped.
struct Hold {
    _release: mpsc::Sender<()>,
}

impl Stage {
    async fn of(people: &[u8]) -> Self {
        Self::with(people, Settings::default(), Arc::new(SystemEnv)).await
    }

    async fn with(people: &[u8], settings: Settings, env: Arc<dyn Env>) -> Self {
        Self::prepared(people, settings, env, |_| Ok(())).await
    }

    /// A server that finds further rows when it starts.
    async fn prepared(
        people: &[u8],
        settings: Settings,
        env: Arc<dyn Env>,
        rows: impl FnOnce(&mut dyn Tables) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db")).expect("opens");
        let everybody = people.to_vec();
        let meet = move |tables: &mut dyn Tables| {
            everybody.iter().try_for_each(|one| tables.insert_account(&person(*one).0))?;
            let pairs = everybody.iter().flat_map(|of| everybody.iter().map(move |with| (*of, *with)));
            let mut others = pairs.filter(|(of, with)| of != with);
            others.try_for_each(|(of, with)| tables.put_contact(&contact(of, with)))?;
            rows(tables)
        };
        store.write(meet).await.expect("written");
        let (listen, secret) =
            ("127.0.0.1:0".parse().expect("an address"), DeviceSecret::from_seed(&[99; 32]));
        let server = Server::start(listen, secret, settings, store.clone(), env).expect("serves");
        Self { server, store, folder }
    }

    async fn log_in(&self, seed: u8) -> Client {
        Client::log_in(self.server.address(), seed).await
    }

    /// A second device of whoever `first` is, added on disk.
    async fn second(&self, first: &Client, seed: u8) -> (Client, VerifiedLog) {
        let (secret, mut log) = (DeviceSecret::from_seed(&[seed; 32]), first.log.clone());
        let consent = log.consent(&secret);
        log.add(&first.secret, secret.public(), consent).expect("it agrees");
        let (account, name) = (log.account(), Text::truncated("second"));
        let device = Device { key: secret.public(), account, name, added: UtcTime::ZERO, revoked: false };
        let grown = log.clone();
        let add = move |tables: &mut dyn Tables| {
            tables.set_log(account, grown.as_log())?;
            tables.insert_device(&device)
        };
        self.store.write::<_, StoreError>(add).await.expect("written");
        (self.log_in(seed).await, log)
    }

    /// Keeps the store's writer busy, so that every write waits.
    async fn hold(&self) -> Hold {
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let store = self.store.clone();
        tokio::spawn(async move {
            let hold = move |_: &mut dyn Tables| {
                begin.send(()).expect("the test waits");
                // It ends when the other side is dropped.
                let _ = released.recv();
                Ok::<_, StoreError>(())
            };
            store.write(hold).await.expect("nothing is wrong");
        });
        begun.await.expect("the writer begins");
        Hold { _release: release }
    }
}

/// Looks until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < patience, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn contact(of: u8, with: u8) -> ContactRow {
    let (of, with) = (person(of).0.id, person(with).0.id);
    let (accepted, vouch, blocked, muted, removed) = (None, None, false, false, false);
    ContactRow { of, with, accepted, vouch, blocked, muted, removed, since: UtcTime::ZERO }
}

/// How long whoever asks is told to wait.
async fn told_to_wait(client: &Client, request: CoordRequest) -> Span {
    let reply = client.ask(request).await;
    let CoordReply::Refused(Refusal::TooMany { retry_after }) = reply else {
        panic!("not told to wait: {reply:?}")
    };
    retry_after
}

/// The newest entry of `log`, brought to the server.
fn extend(log: &VerifiedLog) -> CoordRequest {
    let entry = log.newest().expect("an entry").clone();
    CoordRequest::ExtendLog { account: log.account(), entry, name: Text::truncated("") }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_a_write_happens_though_whoever_asked_is_gone() {
    let stage = Stage::of(&[1, 2]).await;
    let (ana, ben) = (stage.log_in(1).await, stage.log_in(2).await);
    let (lost, mut log) = stage.second(&ana, 11).await;
    let mut events = ben.events().await;

    let held = stage.hold().await;
    log.revoke(&ana.secret, lost.key()).expect("an active device");
    let asked = ana.send(extend(&log)).await;
    until("the change waits", || stage.store.metrics().waiting.now() >= 2).await;
    ana.connection.close(0u8.into(), b"");
    until("the server has noticed", || stage.server.metrics().connections.now() == 2).await;
    drop(held);

    assert_eq!(lost.closed().await, Some(Fault::Revoked));
    let told = events.next().await.expect("an event").event;
    let entry = log.newest().expect("an entry").clone();
    assert_eq!(told, CoordEvent::DeviceLogGrew { account: log.account(), entry });
    drop(asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_does_is_told_and_whoever_it_deletes_is_cut_off() {
    let stage = Stage::of(&[1, 2]).await;
    let (ana, ben, stranger) = (stage.log_in(1).await, stage.log_in(2).await, stage.log_in(9).await);
    let (phone, _) = stage.second(&ana, 11).await;
    let mut events = ben.events().await;
    let context = Context {
        now: UtcTime::ZERO,
        calendar: Trust::Unproven,
        device: stage.server.key(),
        entropy: [0; 32],
        settings: Arc::default(),
        secret: Arc::new(DeviceSecret::from_seed(&[99; 32])),
        whereabouts: Arc::<Presence>::default(),
        spared: Vec::new(),
    };
    let other = SqliteStore::open(&stage.folder.path().join("db")).expect("opens");
    let (account, handle) = (person(1).0.id, person(1).0.handle);
    let deleted = other.write(move |tables| rules::delete(tables, &context, &handle)).await;
    assert!(deleted.expect("deleted"));

    assert_eq!(events.next().await.expect("an event").event, CoordEvent::ContactRemoved { account });
    assert_eq!((ana.closed().await, phone.closed().await), (Some(Fault::Revoked), Some(Fault::Revoked)));
    for (client, answer) in [(&ben, None), (&stranger, Some(CoordReply::Refused(Refusal::NotSignedUp)))] {
        let reply = client.ask(CoordRequest::WhoAmI).await;
        assert!(answer.as_ref().is_none_or(|answer| *answer == reply), "{reply:?}");
        assert_eq!(client.connection.close_reason(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_one_event_stream_at_a_time() {
    let stage = Stage::of(&[1, 2]).await;
    let (ana, ben) = (stage.log_in(1).await, stage.log_in(2).await);
    let mut first = ben.events().await;
    let asked = ana.ask(CoordRequest::RequestJam { to: person(2).0.handle }).await;
    let CoordReply::Requested { request, .. } = asked else { panic!("not asked: {asked:?}") };
    assert!(matches!(first.next().await.expect("an event").event, CoordEvent::JamRequested(_)));
    for _ in 0..3 {
        assert_eq!(ben.events().await.next().await, Err(Some(Fault::OutOfPlace)));
    }
    // The one that was there first still hears everything.
    ana.ask(CoordRequest::CancelRequest { request }).await;
    let told = first.next().await.expect("an event").event;
    assert_eq!(told, CoordEvent::RequestCancelled { request });
    first.end().await;
    let mut second = ben.events().await;
    assert!(matches!(second.next().await.expect("an event").event, CoordEvent::JamRequested(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_writer_has_ended_says_so() {
    let stage = Stage::of(&[1]).await;
    let ana = stage.log_in(1).await;
    assert!(stage.store.is_writable());
    let failed = stage.store.write::<(), StoreError>(|_| panic!("as it would by a mistake of ours")).await;
    assert!(matches!(failed, Err(StoreError::Closed)));
    until("it is not ready", || !stage.store.is_writable()).await;
    tokio::time::timeout(PATIENCE, stage.server.broken()).await.expect("it says so in time");
    let refused = ana.ask(CoordRequest::OptOut { out: true }).await;
    assert!(matches!(refused, CoordReply::Refused(Refusal::Unavailable { .. })), "{refused:?}");
    assert!(matches!(ana.ask(CoordRequest::WhoAmI).await, CoordReply::Me(_)), "reading goes on");
}
