//! Seeded random histories of what people do, against a model that knows the rules in another form. After each
//! step the store must answer as the model does; now and then the step is repeated under its key, or the store
//! is closed and opened again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use jamsync_coordinator::{
    eligibility::Trust,
    rules::{self, Context, Settings},
    store::{JoinPermit, SqliteStore, Store, Whereabouts},
};
use jamsync_protocol::{
    id::{DeviceKey, Handle},
    identity::{DeviceLog, DeviceSecret, LinkToken, Tier, friend_link::LinkSecret, join_code::JoinSecret},
    time::{Span, UtcTime},
    wire::coord::{
        Answer, CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber, IdempotencyKey, Refusal,
        RequestEnd, RequestId,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};

const PEOPLE: usize = 4;
const STEPS: usize = 200;
const JOIN: JoinSecret = JoinSecret([7; 16]);
const START: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);

#[derive(Debug)]
struct Nowhere;
impl Whereabouts for Nowhere {
    fn is_online(&self, _: DeviceKey) -> bool {
        false
    }
    fn addresses(&self, _: DeviceKey) -> Vec<SocketAddr> {
        Vec::new()
    }
}

/// What the model knows of a request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    id: RequestId,
    from: usize,
    to: usize,
    expires: UtcTime,
    end: Option<RequestEnd>,
}

/// What must be true, in the simplest form.
#[derive(Default)]
struct Model {
    members: BTreeSet<usize>,
    free: BTreeSet<usize>,
    links: Vec<(LinkToken, usize, Option<usize>)>,
    contacts: BTreeSet<(usize, usize)>,
    asked: Vec<Asked>,
    made: BTreeMap<(usize, usize), Vec<UtcTime>>,
    granted: usize,
}

struct History {
    random: StdRng,
    now: UtcTime,
    store: SqliteStore,
    folder: tempfile::TempDir,
    model: Model,
}

fn secret(person: usize) -> DeviceSecret {
    DeviceSecret::from_seed(&[u8::try_from(person + 1).expect("few people"); 32])
}
fn handle(person: usize) -> Handle {
    format!("person{person}").parse().expect("a handle")
}
fn refused(refusal: Refusal) -> CoordReply {
    CoordReply::Refused(refusal)
}

impl History {
    async fn start(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db")).expect("opens");
        let permit = JoinPermit {
            fingerprint: JOIN.fingerprint(),
            uses_left: 99,
            expires: START + Span::from_secs(864_000),
        };
        store.write(move |tables| tables.put_join_permit(permit)).await.expect("writes");
        Self { random: StdRng::seed_from_u64(seed), now: START, store, folder, model: Model::default() }
    }

    fn person(&mut self) -> usize {
        self.random.random_range(0..PEOPLE)
    }

    /// Does a request, repeats it sometimes, and returns the reply.
    async fn ask(&mut self, person: usize, request: CoordRequest) -> CoordReply {
        let call = CoordCall { key: IdempotencyKey(self.random.random()), request };
        let reply = self.apply(person, call.clone()).await;
        if self.random.random_bool(0.2) && !matches!(reply, CoordReply::Refused(_)) {
            let events = self.events_of_all().await;
            assert_eq!(self.apply(person, call.clone()).await, reply, "a repeated call is answered alike");
            assert_eq!(self.events_of_all().await, events, "a repeated call tells nobody anything");
            let other = CoordCall {
                request: CoordRequest::EndJam { jam: jamsync_protocol::id::JamId([0; 16]) },
                ..call
            };
            assert_eq!(self.apply(person, other).await, refused(Refusal::KeyReused));
        }
        reply
    }

    /// What came of it. A refusal must leave every row of every table as it was, which is looked at now and then.
    async fn apply(&mut self, person: usize, call: CoordCall) -> CoordReply {
        let context = Context {
            now: self.now,
            calendar: Trust::Proven,
            device: secret(person).public(),
            entropy: self.random.random(),
            settings: Arc::new(Settings::default()),
            secret: Arc::new(DeviceSecret::from_seed(&[99; 32])),
            whereabouts: Arc::new(Nowhere),
            spared: Vec::new(),
        };
        let before = self.random.random_bool(0.2).then(|| self.rows());
        match self.store.write(move |tables| rules::apply(tables, &context, &call)).await {
            Ok(applied) => applied.reply,
            Err(stop) => {
                if let Some(before) = before {
                    assert_eq!(self.rows(), before, "a refusal leaves a trace: {stop}");
                }
                stop.answer().expect("the store works")
            }
        }
    }

    /// The digest of every row.
    fn rows(&self) -> String {
        let connection = rusqlite::Connection::open(self.folder.path().join("db")).expect("opens");
        let mut tables = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .expect("reads");
        let names = tables.query_map([], |row| row.get::<_, String>(0)).expect("reads");
        let mut digest = blake3::Hasher::new();
        for name in names.map(|name| name.expect("a name")) {
            let mut table = connection.prepare(&format!("SELECT * FROM {name}")).expect("reads");
            let columns = table.column_count();
            let mut rows = table.query([]).expect("reads");
            while let Some(row) = rows.next().expect("reads") {
                for column in 0..columns {
                    digest.update(format!("{name} {:?}\n", row.get_ref(column).expect("a value")).as_bytes());
                }
            }
        }
        digest.finalize().to_string()
    }

    async fn events_of_all(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for person in 0..PEOPLE {
            counts.push(self.events_of(person).await.len());
        }
        counts
    }

    async fn events_of(&self, person: usize) -> Vec<CoordEvent> {
        let device = secret(person).public();
        let look = self.store.read(move |view| view.events_after(device, EventNumber(0), 2_000)).await;
        let events = look.expect("reads");
        for (number, event) in (1..).zip(&events) {
            assert_eq!(event.number, EventNumber(number), "events are numbered without a gap");
        }
        events.into_iter().map(|numbered| numbered.event).collect()
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..12 => self.sign_up().await,
            12..20 => self.create_link().await,
            20..36 => self.accept_link().await,
            36..60 => self.request_jam().await,
            60..70 => self.cancel().await,
            70..84 => self.answer().await,
            84..88 => self.change_tier().await,
            88..96 => self.pass_time().await,
            _ => self.store = SqliteStore::open(&self.folder.path().join("db")).expect("opens again"),
        }
    }

    async fn sign_up(&mut self) {
        let person = self.person();
        let request = CoordRequest::SignUp {
            secret: JOIN,
            handle: handle(person),
            birth_date: "1990-01-01".parse().expect("a date"),
            market: "DE".parse().expect("a country"),
            log: DeviceLog::found(&secret(person), [1; 16]).as_log().clone(),
        };
        let reply = self.ask(person, request).await;
        if self.model.members.insert(person) {
            assert!(matches!(reply, CoordReply::Me(_)), "{reply:?}");
        } else {
            assert_eq!(reply, refused(Refusal::AlreadySignedUp { handle: handle(person) }));
        }
    }

    async fn create_link(&mut self) {
        let person = self.person();
        let reply = self.ask(person, CoordRequest::CreateFriendLink).await;
        if let CoordReply::FriendLink { token, .. } = reply {
            self.model.links.push((token, person, None));
        } else {
            assert_eq!(reply, refused(Refusal::NotSignedUp));
            assert!(!self.model.members.contains(&person));
        }
    }

    async fn accept_link(&mut self) {
        let person = self.person();
        if self.model.links.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.model.links.len());
        let (token, creator, accepter) = self.model.links[at];
        let (a, b) = (log_id(creator), log_id(person));
        let proof = LinkSecret([3; 16]).prove(a, b);
        let reply = self.ask(person, CoordRequest::AcceptFriendLink { token, proof }).await;
        if !self.model.members.contains(&person) {
            assert_eq!(reply, refused(Refusal::NotSignedUp));
        } else if creator == person {
            assert_eq!(reply, refused(Refusal::OwnLink));
        } else if accepter.is_some_and(|accepter| accepter != person) {
            assert_eq!(reply, refused(Refusal::UnknownLink));
        } else {
            assert!(matches!(reply, CoordReply::Contact(_)), "{reply:?}");
            if self.model.contacts.insert((person, creator)) {
                self.model.contacts.insert((creator, person));
                self.model.links[at].2 = Some(person);
            }
        }
    }

    async fn request_jam(&mut self) {
        let (from, to) = (self.person(), self.person());
        let now = self.now;
        let made: Vec<UtcTime> = self.model.made.get(&(from, to)).cloned().unwrap_or_default();
        let recent: Vec<_> = made.iter().filter(|at| **at > now - Span::from_secs(300)).collect();
        let open = self.model.asked.iter().find(|asked| {
            asked.end.is_none()
                && asked.expires > now
                && [(from, to), (to, from)].contains(&(asked.from, asked.to))
        });
        let expected = if !self.model.members.contains(&from) {
            Some(Refusal::NotSignedUp)
        } else if self.model.free.contains(&from) {
            Some(Refusal::NotPremium)
        } else if !self.model.contacts.contains(&(from, to)) {
            Some(Refusal::NotContact { handle: handle(to) })
        } else if let Some(open) = open {
            Some(Refusal::AlreadyRequested { by_me: open.from == from })
        } else {
            recent
                .len()
                .checked_sub(5)
                .map(|at| Refusal::TooMany { retry_after: *recent[at] + Span::from_secs(300) - now })
        };
        let reply = self.ask(from, CoordRequest::RequestJam { to: handle(to) }).await;
        match (reply, expected) {
            (CoordReply::Refused(refusal), Some(expected)) => assert_eq!(refusal, expected),
            (CoordReply::Requested { request, expires }, None) => {
                assert_eq!(expires, now + Span::from_secs(300));
                for asked in &mut self.model.asked {
                    if asked.end.is_none()
                        && asked.expires <= now
                        && [(from, to), (to, from)].contains(&(asked.from, asked.to))
                    {
                        asked.end = Some(RequestEnd::Expired);
                    }
                }
                self.model.asked.push(Asked { id: request, from, to, expires, end: None });
                self.model.made.entry((from, to)).or_default().push(now);
            }
            (reply, expected) => unreachable!("{reply:?} where {expected:?} was expected"),
        }
    }

    /// Picks one of the newest requests and someone, mostly the one it concerns, and says how it stands: no such
    /// request for this person, over, or open.
    fn pick(&mut self, concerns: impl Fn(&Asked) -> usize) -> Option<(usize, usize, Option<Refusal>)> {
        let newest = self.model.asked.len().checked_sub(1)?;
        let at = self.random.random_range(newest.saturating_sub(2)..=newest);
        let asked = self.model.asked[at];
        let person = if self.random.random_bool(0.8) { concerns(&asked) } else { self.person() };
        let over = asked.end.or((asked.expires <= self.now).then_some(RequestEnd::Expired));
        let expected = if concerns(&asked) == person {
            over.map(Refusal::RequestOver)
        } else if self.model.members.contains(&person) {
            Some(Refusal::UnknownRequest)
        } else {
            Some(Refusal::NotSignedUp)
        };
        Some((at, person, expected))
    }

    async fn cancel(&mut self) {
        let Some((at, person, expected)) = self.pick(|asked| asked.from) else { return };
        let request = self.model.asked[at].id;
        let reply = self.ask(person, CoordRequest::CancelRequest { request }).await;
        assert_eq!(reply, expected.clone().map_or(CoordReply::Done, refused));
        if expected.is_none() {
            self.model.asked[at].end = Some(RequestEnd::Cancelled);
        }
    }

    async fn answer(&mut self) {
        let Some((at, person, expected)) = self.pick(|asked| asked.to) else { return };
        let accept = self.random.random_bool(0.5);
        let answer = if accept { Answer::Accept } else { Answer::Decline };
        let request = self.model.asked[at].id;
        let reply = self.ask(person, CoordRequest::AnswerRequest { request, answer }).await;
        assert_eq!(reply, expected.clone().map_or(CoordReply::Done, refused));
        if expected.is_none() {
            self.model.asked[at].end = Some(if accept { RequestEnd::Accepted } else { RequestEnd::Declined });
            self.model.granted += usize::from(accept);
        }
    }

    async fn change_tier(&mut self) {
        let person = self.person();
        if self.model.members.contains(&person) {
            let tier = if self.model.free.remove(&person) {
                Tier::Premium
            } else {
                self.model.free.insert(person);
                Tier::Free
            };
            let id = log_id(person);
            self.store.write(move |tables| tables.set_tier(id, tier)).await.expect("writes");
        }
    }

    async fn pass_time(&mut self) {
        self.now += Span::from_secs(self.random.random_range(1..90));
        let now = self.now;
        self.store.write(move |tables| rules::expire(tables, now)).await.expect("expires");
        for asked in &mut self.model.asked {
            if asked.end.is_none() && asked.expires <= now {
                asked.end = Some(RequestEnd::Expired);
            }
        }
    }

    /// What everyone has been told in all must fit what happened.
    async fn check(&self) {
        let mut granted = 0;
        for person in 0..PEOPLE {
            let events = self.events_of(person).await;
            let count = |is: fn(&CoordEvent) -> bool| events.iter().filter(|event| is(event)).count();
            granted += count(|event| matches!(event, CoordEvent::JamGranted { .. }));
            let asked = &self.model.asked;
            assert_eq!(
                count(|event| matches!(event, CoordEvent::JamRequested(_))),
                asked.iter().filter(|asked| asked.to == person).count()
            );
            let expired = |asked: &&Asked| asked.end == Some(RequestEnd::Expired);
            assert_eq!(
                count(|event| matches!(event, CoordEvent::RequestExpired { .. })),
                asked.iter().filter(expired).filter(|asked| [asked.from, asked.to].contains(&person)).count()
            );
            let contacts = self.store.read(move |view| view.contacts_after(log_id(person), None, 100)).await;
            let known: BTreeSet<_> =
                contacts.expect("reads").into_iter().map(|(_, account)| account.handle).collect();
            let expected = self.model.contacts.iter().filter(|(of, _)| *of == person);
            assert_eq!(known, expected.map(|(_, with)| handle(*with)).collect());
        }
        assert_eq!(granted, self.model.granted * 2, "both sides are told of each grant");
    }
}

fn log_id(person: usize) -> jamsync_protocol::id::AccountId {
    DeviceLog::found(&secret(person), [1; 16]).account()
}

#[tokio::test]
async fn the_store_agrees_with_the_model_through_random_histories() {
    let (mut granted, mut ended) = (0, BTreeSet::new());
    for seed in 0..16 {
        println!("seed {seed}");
        let mut history = History::start(seed).await;
        for _ in 0..STEPS {
            history.step().await;
        }
        history.check().await;
        granted += history.model.granted;
        ended.extend(history.model.asked.iter().filter_map(|asked| asked.end).map(|end| end.to_string()));
    }
    assert!(granted > 20 && ended.len() == 4, "the histories reach all that can happen: {granted} {ended:?}");
}
