//! kill -9 of a coordinator under load, after a random number of writes, and after each fourth one a stop by SIGTERM. Every
//! write that was acknowledged is there after the restart, none took effect twice, and events arrive in order and without
//! a gap. A write that was under way is repeated under its key, as a node does. `JAMSYNC_KILL_ROUNDS` says how many
//! kills, `JAMSYNC_SEED` which.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env,
    sync::Arc,
};

use jamsync_coordinator::store::{SqliteStore, Store, StoreError};
use jamsync_examples::{
    load::{Device, Dialer, Persona, Server},
    ports,
};
use jamsync_protocol::{
    id::AccountId,
    identity::{DeviceSecret, LinkToken, VerifiedLog, Vouch, friend_link::LinkSecret, join_code::JoinSecret},
    text::Text,
    wire::coord::{
        CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber, IdempotencyKey, Mark, RequestId,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use super::jam::process::{PATIENCE, binary};

/// Kills where nothing says how many.
const KILLS: u64 = 5;
/// So many kills come before each stop.
const KILLS_TO_A_STOP: u64 = 4;
/// The coordinator is killed after so many writes at most.
const WRITES_MAX: u64 = 300;
/// People who are called upon all the time, each by somebody new.
const LANES: u32 = 16;
const USES: u32 = 1_000_000;
/// New people that one hub takes: an account may take ten links a day.
const GUESTS_EACH: u32 = 8;
/// The numbers of hubs begin here, those of guests below.
const HUBS: u32 = 1 << 24;

/// What somebody new does, one thing after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    SignUp,
    MakeLink,
    /// The one thing that the hub does.
    TakeLink(LinkToken),
    Ask,
    Cancel(RequestId),
    AddDevice,
    Vouch,
    RevokeDevice,
    OptOut,
    Block,
    /// Every second one does, and nothing of it is left.
    Delete,
}

/// A hub, and the row of those who come to it.
struct Lane {
    number: u32,
    hub: Arc<Persona>,
    hubs: u32,
    guest: Arc<Persona>,
    guests: u32,
    step: Step,
    signed_up: u32,
    /// Whose contact the hubs have become.
    befriended: BTreeMap<AccountId, BTreeSet<AccountId>>,
    /// The log of the guest, as far as it was acknowledged.
    log: VerifiedLog,
    /// Those who have done all of it and are still there, with their hub.
    finished: Vec<(VerifiedLog, AccountId)>,
    gone: BTreeSet<AccountId>,
    /// The write that has no acknowledgement yet.
    pending: Option<CoordCall>,
    acknowledged: u64,
    /// Where all lanes count what is acknowledged in this round.
    count: Option<Arc<watch::Sender<u64>>>,
    /// What the hub has to hear after `heard`.
    expected: VecDeque<(EventNumber, CoordEvent)>,
    told: EventNumber,
    heard: EventNumber,
    secret: JoinSecret,
}

impl Lane {
    fn new(number: u32, secret: JoinSecret) -> Self {
        let hub = Arc::new(Persona::new(number, HUBS).expect("a person"));
        let guest = Arc::new(Persona::new(number, 1).expect("a person"));
        Self {
            log: guest.log.clone(),
            finished: Vec::new(),
            gone: BTreeSet::new(),
            number,
            hub,
            hubs: 0,
            guest,
            guests: 1,
            step: Step::SignUp,
            signed_up: 0,
            befriended: BTreeMap::new(),
            pending: None,
            acknowledged: 0,
            count: None,
            expected: VecDeque::new(),
            told: EventNumber(0),
            heard: EventNumber(0),
            secret,
        }
    }

    /// Somebody new is called upon from now on.
    async fn next_hub(&mut self, dialer: &Dialer) -> anyhow::Result<()> {
        self.hub = Arc::new(Persona::new(self.number, HUBS + self.hubs)?);
        let hub = dialer.log_in(&self.hub).await?;
        hub.sign_up(&self.hub, self.secret).await?;
        hub.connection.close(0u8.into(), b"");
        self.befriended.insert(self.hub.log.account(), BTreeSet::new());
        self.hubs += 1;
        self.signed_up += 1;
        (self.heard, self.told) = (EventNumber(0), EventNumber(0));
        Ok(())
    }

    fn guests_of_hub(&self) -> u32 {
        let guests = self.befriended.get(&self.hub.log.account()).map_or(0, BTreeSet::len);
        u32::try_from(guests).expect("few")
    }

    fn request(&self) -> CoordRequest {
        let (hub, guest) = (&self.hub, &self.guest);
        match self.step {
            Step::SignUp => CoordRequest::SignUp {
                secret: self.secret,
                handle: guest.handle.clone(),
                birth_date: "1990-01-01".parse().expect("a date"),
                market: "DE".parse().expect("a country"),
                log: guest.log.as_log().clone(),
            },
            Step::MakeLink => CoordRequest::CreateFriendLink,
            Step::TakeLink(token) => {
                let proof = LinkSecret([1; 16]).prove(guest.log.account(), hub.log.account());
                CoordRequest::AcceptFriendLink { token, proof }
            }
            Step::Ask => CoordRequest::RequestJam { to: hub.handle.clone() },
            Step::Cancel(request) => CoordRequest::CancelRequest { request },
            Step::AddDevice | Step::RevokeDevice => CoordRequest::ExtendLog {
                account: guest.log.account(),
                entry: self.grown().newest().expect("entries").clone(),
                name: Text::truncated("second"),
            },
            Step::Vouch => {
                let (me, pin) = (guest.log.account(), hub.log.pin());
                let vouch = Vouch::signed_by(guest.secret(), me, hub.handle.clone(), pin);
                CoordRequest::VouchForContact { vouch }
            }
            Step::OptOut => CoordRequest::OptOut { out: true },
            Step::Block => {
                CoordRequest::MarkContact { contact: hub.log.account(), mark: Mark::Blocked, on: true }
            }
            Step::Delete => CoordRequest::DeleteAccount { handle: guest.handle.clone() },
        }
    }

    /// The guest's log with the entry that this step adds.
    fn grown(&self) -> VerifiedLog {
        let (mut log, secret) = (self.log.clone(), self.guest.secret());
        let mut seed = secret.seed();
        seed.reverse();
        let second = DeviceSecret::from_seed(&seed);
        if matches!(self.step, Step::AddDevice) {
            let consent = log.consent(&second);
            log.add(secret, second.public(), consent).expect("an entry");
        } else {
            log.revoke(secret, second.public()).expect("an entry");
        }
        log
    }

    fn expect(&mut self, event: CoordEvent) {
        self.told.0 += 1;
        self.expected.push_back((self.told, event));
    }

    /// The guest is deleted, and with it what waits for the hub and tells of it, but for the farewell.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others say nothing of it")]
    fn forget(&mut self) {
        let account = self.log.account();
        self.expected.retain(|(_, event)| match event {
            CoordEvent::JamRequested(open) => open.account != account,
            CoordEvent::DeviceLogGrew { account: grown, .. } => *grown != account,
            _ => true,
        });
        self.gone.insert(account);
        self.expect(CoordEvent::ContactRemoved { account });
    }

    /// The hub hears of the guest's new device, and that it is one no more.
    fn heard_of_log(&mut self) {
        self.log = self.grown();
        let entry = self.log.newest().expect("entries").clone();
        self.expect(CoordEvent::DeviceLogGrew { account: self.log.account(), entry });
    }

    fn next_guest(&mut self) -> anyhow::Result<Step> {
        self.guests += 1;
        self.guest = Arc::new(Persona::new(self.number, self.guests)?);
        self.log = self.guest.log.clone();
        Ok(Step::SignUp)
    }

    /// Does one write, or repeats the one that was not acknowledged.
    async fn write(&mut self, hub: &Device, guest: &Device) -> anyhow::Result<()> {
        let call = match self.pending.clone() {
            Some(call) => call,
            None => CoordCall { key: IdempotencyKey(rand::random()), request: self.request() },
        };
        self.pending = Some(call.clone());
        let actor = if matches!(self.step, Step::TakeLink(_)) { hub } else { guest };
        let reply = actor.call(&call).await?;
        self.pending = None;
        self.acknowledged += 1;
        if let Some(count) = &self.count {
            count.send_modify(|count| *count += 1);
        }
        self.step = match (self.step, reply) {
            (Step::SignUp, CoordReply::Me(me)) => {
                assert_eq!(me.account, self.guest.log.account());
                self.signed_up += 1;
                Step::MakeLink
            }
            (Step::MakeLink, CoordReply::FriendLink { token, .. }) => Step::TakeLink(token),
            (Step::TakeLink(_), CoordReply::Contact(contact)) => {
                assert_eq!(contact.account, self.guest.log.account());
                self.befriended.entry(self.hub.log.account()).or_default().insert(contact.account);
                Step::Ask
            }
            (Step::Ask, CoordReply::Requested { request, expires }) => {
                self.expect(CoordEvent::JamRequested(jamsync_protocol::wire::coord::OpenRequest {
                    request,
                    friend: self.guest.handle.clone(),
                    account: self.guest.log.account(),
                    incoming: true,
                    expires,
                }));
                Step::Cancel(request)
            }
            (Step::Cancel(request), CoordReply::Done) => {
                self.expect(CoordEvent::RequestCancelled { request });
                Step::AddDevice
            }
            (Step::AddDevice, CoordReply::Done) => {
                self.heard_of_log();
                Step::Vouch
            }
            (Step::Vouch, CoordReply::Done) => Step::RevokeDevice,
            (Step::RevokeDevice, CoordReply::Done) => {
                self.heard_of_log();
                Step::OptOut
            }
            (Step::OptOut, CoordReply::Done) => Step::Block,
            (Step::Block, CoordReply::Done) if self.guests.is_multiple_of(2) => Step::Delete,
            (Step::Block, CoordReply::Done) => {
                self.finished.push((self.log.clone(), self.hub.log.account()));
                self.next_guest()?
            }
            (Step::Delete, CoordReply::Done) => {
                self.forget();
                self.next_guest()?
            }
            (step, reply) => panic!("lane {}, {step:?}: {reply:?}", self.number),
        };
        Ok(())
    }

    /// Writes until the coordinator is gone, or is known to be.
    async fn run(&mut self, dialer: &Dialer, mut gone: watch::Receiver<bool>) {
        tokio::select! {
            () = self.write_on(dialer) => {}
            known = gone.wait_for(|gone| *gone) => drop(known),
        }
    }

    async fn write_on(&mut self, dialer: &Dialer) {
        let Ok(hub) = dialer.log_in(&self.hub).await else { return };
        // Who has begun ends with the same hub.
        while self.guests_of_hub() < GUESTS_EACH || !matches!(self.step, Step::SignUp) {
            let whose = self.guests;
            let Ok(guest) = dialer.log_in(&self.guest).await else { return };
            while self.guests == whose {
                if self.write(&hub, &guest).await.is_err() {
                    return;
                }
            }
            guest.connection.close(0u8.into(), b"");
        }
    }

    /// After a restart: what was under way is finished, and the hub hears what it has to hear, and nothing else.
    async fn check(&mut self, dialer: &Dialer) -> anyhow::Result<()> {
        let hub = dialer.log_in(&self.hub).await?;
        if self.pending.is_some() {
            let guest = dialer.log_in(&self.guest).await?;
            self.write(&hub, &guest).await?;
            guest.connection.close(0u8.into(), b"");
        }
        let mut events = hub.events(self.heard).await?;
        while let Some((number, expected)) = self.expected.pop_front() {
            let event = events.next().await?;
            assert_eq!(event.number, number, "lane {}: none lost, none twice", self.number);
            assert_eq!(event.event, expected, "lane {}: in order", self.number);
            self.heard = event.number;
        }
        events.acknowledge(self.heard).await?;
        hub.connection.close(0u8.into(), b"");
        // Whoever is in the middle of it stays with the hub that it began with.
        if self.guests_of_hub() >= GUESTS_EACH && matches!(self.step, Step::SignUp) {
            self.next_hub(dialer).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_coordinator_acknowledged_survives_kill_9_once_and_in_order() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("JAMSYNC_SEED").unwrap_or(9);
    let wanted = number("JAMSYNC_KILL_ROUNDS").unwrap_or(KILLS);
    println!("seed {seed}, {wanted} kills");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let binaries = binary("jamsync-coordinator").parent().expect("a folder").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let listen = format!("127.0.0.1:{}", ports::lasting().expect("a port"));
    let mut server = Server::start(&binaries, &data, &listen, &[]).expect("serves");
    let code = Server::join_code(&binaries, &data, USES).expect("a code");
    let dialer = Arc::new(Dialer::new(server.address, code.coordinator, 4).expect("sockets"));
    let mut lanes: Vec<Lane> = (1..=LANES).map(|number| Lane::new(number, code.secret)).collect();
    for lane in &mut lanes {
        lane.next_hub(&dialer).await.expect("signs up");
    }
    let acknowledged = |lanes: &[Lane]| lanes.iter().map(|lane| lane.acknowledged).sum::<u64>();
    let (mut kills, mut drains) = (0, 0);
    while kills < wanted {
        let before = acknowledged(&lanes);
        let (tell, gone) = watch::channel(false);
        let (count, mut counted) = watch::channel(0);
        let count = Arc::new(count);
        let running: Vec<_> = lanes
            .into_iter()
            .map(|mut lane| {
                let (dialer, gone, count) = (Arc::clone(&dialer), gone.clone(), Arc::clone(&count));
                lane.count = Some(count);
                tokio::spawn(async move {
                    lane.run(&dialer, gone).await;
                    lane.count = None;
                    lane
                })
            })
            .collect();
        drop(count);
        let enough = random.random_range(1..=WRITES_MAX);
        // Sooner where every lane has come to the end of its hub.
        drop(counted.wait_for(|count| *count >= enough).await);
        // Now and then as a service manager does it, which may lose no more.
        if kills == (drains + 1) * KILLS_TO_A_STOP {
            server.stop().expect("stops");
            drains += 1;
        } else {
            server.kill().expect("killed");
            kills += 1;
        }
        // Acknowledgements that are under way count still. Meanwhile the new process is made ready.
        server = Server::start(&binaries, &data, &listen, &[]).expect("serves again");
        tell.send_replace(true);
        lanes = Vec::new();
        for lane in running {
            lanes.push(tokio::time::timeout(PATIENCE, lane).await.expect("notices").expect("a lane"));
        }
        for lane in &mut lanes {
            let checked = tokio::time::timeout(PATIENCE, lane.check(&dialer)).await;
            let checked = checked.expect("in time");
            checked.unwrap_or_else(|error| panic!("kill {kills}, drain {drains}: {error:#}"));
        }
        println!("kill {kills}, drain {drains}: {} writes", acknowledged(&lanes) - before);
    }
    server.stop().expect("stops");
    assert!(acknowledged(&lanes) > 2 * wanted, "hardly any load");
    on_disk(&data, &lanes, code.secret).await;
    println!(
        "seed {seed}: {} acknowledged writes, none lost and none twice over {kills} kills and {drains} drains",
        acknowledged(&lanes)
    );
}

/// What stands in the database must be what was acknowledged, and no more.
async fn on_disk(data: &std::path::Path, lanes: &[Lane], secret: JoinSecret) {
    let store = SqliteStore::open(&data.join("coordinator.sqlite")).expect("opens");
    for (&hub, expected) in lanes.iter().flat_map(|lane| &lane.befriended) {
        let contacts = store.read(move |view| view.contacts_after(hub, None, USES)).await.expect("reads");
        let found: BTreeSet<_> = contacts.iter().map(|(_, account)| account.id).collect();
        let gone: BTreeSet<_> = lanes.iter().flat_map(|lane| lane.gone.iter().copied()).collect();
        assert_eq!(found, expected - &gone);
        assert_eq!(contacts.len(), found.len());
    }
    for lane in lanes {
        for (log, hub) in &lane.finished {
            let (id, hub) = (log.account(), *hub);
            let look = store.read(move |view| {
                Ok((view.account(id)?, view.devices_of(id)?.len(), view.contact(id, hub)?))
            });
            let (account, devices, contact) = look.await.expect("reads");
            let (account, contact) = (account.expect("it is there"), contact.expect("a contact"));
            assert_eq!(
                (&account.log, devices),
                (log.as_log(), 1),
                "a device was added and revoked, once each"
            );
            assert!(account.opted_out && contact.blocked && contact.vouch.is_some(), "{contact:?}");
        }
        for &id in &lane.gone {
            let found =
                store.read(move |view| Ok::<_, StoreError>((view.account(id)?, view.devices_of(id)?)));
            assert_eq!(found.await.expect("reads"), (None, Vec::new()), "deleted for good");
        }
    }
    let accounts: u32 = lanes.iter().map(|lane| lane.signed_up).sum();
    let permit = store.read(move |view| view.join_permit(secret.fingerprint())).await.expect("reads");
    assert_eq!(permit.expect("the code").uses_left, USES - accounts, "each sign-up took one use");
}
