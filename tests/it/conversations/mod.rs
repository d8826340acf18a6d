//! Conversations without a network and in virtual time: the machines of the nodes, each with its own database, against the
//! rules and the store of the coordinator, which may lie. Whoever is away is not asked; whoever dies loses all but its files.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the requests and answers that it is about and passes over all others"
)]

mod activity;
mod devices;
mod forked;
mod healing;
mod hostile;
pub(crate) mod ledger;
mod packages;
mod receipts;
mod requests;
mod rounds;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use jamsync_coordinator::{
    eligibility::{AgeRecord, Trust},
    rules::{self, Applied, Context, Settings, Stop, Written},
    store::{Account, ContactRow, SqliteStore, Store, StoreError, Whereabouts},
};
use jamsync_node::conversation::{Ask, Conversations, Friend, NoAnswer, Note, Progress, Roster};
use jamsync_protocol::{
    chat::ChatText,
    conversation::{Content, ConversationId, Members},
    id::{AccountId, DeviceKey, Handle},
    identity::{DeviceLog, DeviceSecret, Tier, VerifiedLog},
    time::{Span, UtcTime},
    wire::coord::{CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber, IdempotencyKey},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::runtime::Runtime;

use ledger::Ledger;

/// When every world begins.
const BEGIN: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);
/// How long nothing happens until nothing will: longer than any machine waits by itself.
const QUIET: Span = Span::from_secs(180);
/// How long a coordinator that lies is put up with.
const ENOUGH: Span = Span::from_secs(600);
/// More steps than ten minutes take in which nobody is asked without end.
const STEPS_MAX: usize = 10_000;

/// What the coordinator makes of an answer before it gives it.
type Lie = Box<dyn FnMut(&CoordRequest, Result<CoordReply, NoAnswer>) -> Result<CoordReply, NoAnswer>>;

/// People, their devices, and the coordinator.
struct World {
    runtime: Runtime,
    store: SqliteStore,
    folder: tempfile::TempDir,
    now: UtcTime,
    random: StdRng,
    people: Vec<Person>,
    devices: Vec<Device>,
    lie: Option<Lie>,
    /// Every message and change that was handed to the coordinator, sealed.
    posts: Vec<CoordRequest>,
    /// The keys that everything sealed has used which was handed to the coordinator.
    ledger: Ledger,
}

struct Person {
    name: Handle,
    log: VerifiedLog,
}

/// A device: its machine, while it runs, and all that it told its listener.
struct Device {
    person: usize,
    secret: DeviceSecret,
    path: PathBuf,
    machine: Option<Conversations>,
    seen: EventNumber,
    /// What it is told in passing, while it is connected.
    passing: Vec<CoordEvent>,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Nowhere;
impl Whereabouts for Nowhere {
    fn is_online(&self, _: DeviceKey) -> bool {
        true
    }
    fn addresses(&self, _: DeviceKey) -> Vec<SocketAddr> {
        Vec::new()
    }
}

fn secret(number: usize) -> DeviceSecret {
    DeviceSecret::from_seed(&[u8::try_from(number + 1).expect("few"); 32])
}

impl World {
    /// People of these names, each with one device, and all of them contacts.
    fn of(names: &[&str], seed: u64) -> Self {
        println!("seed {seed}");
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("coordinator")).expect("opens");
        let runtime = Runtime::new().expect("a runtime");
        let random = StdRng::seed_from_u64(seed);
        let (now, people, devices, posts) = (BEGIN, Vec::new(), Vec::new(), Vec::new());
        let ledger = Ledger::default();
        let mut world =
            Self { runtime, store, folder, now, random, people, devices, lie: None, posts, ledger };
        for (number, name) in names.iter().enumerate() {
            let log = DeviceLog::found(&secret(number), [7; 16]);
            world.people.push(Person { name: name.parse().expect("a handle"), log });
        }
        world.sign_up();
        for person in 0..names.len() {
            world.add(person, secret(person));
        }
        world
    }

    fn sign_up(&self) {
        let accounts: Vec<Account> = self.people.iter().map(account).collect();
        let written = self.store.write(move |tables| {
            for account in &accounts {
                tables.insert_account(account)?;
            }
            for (of, with) in accounts.iter().flat_map(|of| accounts.iter().map(move |with| (of, with))) {
                if of.id != with.id {
                    tables.put_contact(&contact(of.id, with.id))?;
                }
            }
            Ok::<_, StoreError>(())
        });
        self.runtime.block_on(written).expect("written");
    }

    /// A device begins to run.
    fn add(&mut self, person: usize, secret: DeviceSecret) -> usize {
        let number = self.devices.len();
        let path = self.folder.path().join(format!("device{number}"));
        let (seen, passing, notes) = (EventNumber(0), Vec::new(), Vec::new());
        self.devices.push(Device { person, secret, path, machine: None, seen, passing, notes });
        self.start(number);
        number
    }

    /// A second device joins the account of a person.
    fn join(&mut self, person: usize) -> usize {
        let secret = secret(10 + self.devices.len());
        let author = self.devices.iter().find(|device| device.person == person).expect("one").secret.clone();
        let log = &mut self.people[person].log;
        let consent = log.consent(&secret);
        log.add(&author, secret.public(), consent).expect("added");
        self.extend(person, secret.public());
        self.add(person, secret)
    }

    /// A device is revoked by the first of its account.
    fn revoke(&mut self, number: usize) {
        let (person, key) = (self.devices[number].person, self.devices[number].secret.public());
        let author = self.devices.iter().find(|device| device.person == person).expect("one").secret.clone();
        self.people[person].log.revoke(&author, key).expect("revoked");
        self.extend(person, author.public());
    }

    /// The coordinator and every node hear that a log has grown.
    fn extend(&mut self, person: usize, by: DeviceKey) {
        let log = &self.people[person].log;
        let entry = log.newest().expect("an entry").clone();
        let request = CoordRequest::ExtendLog { account: log.account(), entry, name: Default::default() };
        assert_eq!(self.ask(by, request), Ok(CoordReply::Done));
        self.tell_rosters();
    }

    /// The coordinator hears of every entry of every log that it does not have.
    fn tell_of_logs(&mut self) {
        for person in 0..self.people.len() {
            let log = self.people[person].log.clone();
            let author = self.devices.iter().find(|device| device.person == person).expect("one");
            let by = author.secret.public();
            for entry in log.entries_after(0) {
                let (account, entry) = (log.account(), entry.clone());
                // One that it has is refused.
                let _ = self.ask(by, CoordRequest::ExtendLog { account, entry, name: Default::default() });
            }
        }
    }

    fn tell_rosters(&mut self) {
        for number in 0..self.devices.len() {
            let roster = self.roster(self.devices[number].person);
            if let Some(machine) = &mut self.devices[number].machine {
                machine.handle_roster(roster);
            }
        }
    }

    fn roster(&self, person: usize) -> Roster {
        let others = self.people.iter().enumerate().filter(|(number, _)| *number != person);
        let friends = others.map(|(_, other)| {
            let friend = Friend { account: other.log.account(), name: other.name.clone(), blocked: false };
            (friend, other.log.as_log().clone())
        });
        Roster::new(self.people[person].log.as_log(), friends).expect("sound")
    }

    /// Starts a device, perhaps again, with what its files hold.
    fn start(&mut self, number: usize) -> Option<PathBuf> {
        let roster = self.roster(self.devices[number].person);
        let device = &mut self.devices[number];
        let opened = Conversations::open(&device.path, &device.secret, roster);
        let (mut machine, aside) = opened.expect("opens");
        machine.handle_connected();
        device.machine = Some(machine);
        // What it heard in its last life it hears again, as a node does, but for what was told in passing.
        device.seen = EventNumber(0);
        device.passing.clear();
        aside
    }

    /// Ends a device as `kill -9` does.
    fn kill(&mut self, number: usize) {
        self.devices[number].machine = None;
    }

    /// The coordinator answers, in truth.
    fn ask(&mut self, device: DeviceKey, request: CoordRequest) -> Result<CoordReply, NoAnswer> {
        let context = Context {
            now: self.now,
            calendar: Trust::Unproven,
            device,
            entropy: self.random.random(),
            settings: Arc::new(Settings::default()),
            secret: Arc::new(secret(200)),
            whereabouts: Arc::new(Nowhere),
            spared: Vec::new(),
        };
        let call = CoordCall { key: IdempotencyKey(self.random.random()), request };
        let reply = if rules::is_write(&call.request) {
            let done = self.store.write(move |tables| rules::apply(tables, &context, &call));
            let done = self.runtime.block_on(done);
            if let Ok(Applied { written: Some(written), .. }) = &done {
                self.pass_on(written);
            }
            done.map(|applied| applied.reply).or_else(Stop::answer)
        } else {
            let look = self.store.read(move |view| rules::look(view, &context, &call.request));
            self.runtime.block_on(look).map(|looked| looked.reply)
        };
        match reply.expect("the store works") {
            CoordReply::Refused(refusal) => Err(NoAnswer::Refused(refusal)),
            reply => Ok(reply),
        }
    }

    /// Tells those that are connected what was written, or now and then only that something was.
    fn pass_on(&mut self, written: &Written) {
        let Written { conversation, entry, to } = written;
        let conversation = *conversation;
        let is_whole = self.lie.is_none() && self.random.random_bool(0.8);
        let event = if is_whole {
            CoordEvent::ConversationWritten { conversation, entry: entry.clone() }
        } else {
            CoordEvent::ConversationGrew { conversation }
        };
        let is_told = |device: &&mut Device| to.contains(&device.secret.public()) && device.machine.is_some();
        self.devices.iter_mut().filter(is_told).for_each(|device| device.passing.push(event.clone()));
    }

    /// Lets a device do one thing, and says whether it did. Where it `dies`, its answer never comes.
    fn step(&mut self, number: usize, dies: bool) -> bool {
        let now = self.now;
        let Some(machine) = &mut self.devices[number].machine else { return false };
        let Some(ask) = machine.poll_ask(now).expect("its database works") else {
            return self.hear(number);
        };
        let key = self.devices[number].secret.public();
        self.note(number, &ask.request);
        let answer = self.answer(key, &ask);
        if dies {
            self.kill(number);
            return true;
        }
        let machine = self.devices[number].machine.as_mut().expect("it runs");
        machine.handle_answer(ask, answer, now).expect("its database works");
        self.listen(number);
        true
    }

    /// Keeps what is sealed in a request, and what it takes to read which key has sealed it.
    fn note(&mut self, number: usize, request: &CoordRequest) {
        let sealed = match request {
            CoordRequest::Post { sealed, .. } => &sealed[..],
            CoordRequest::ChangeConversation { commit, .. } => &commit[..],
            _ => return,
        };
        self.ledger.note(sealed);
        self.posts.push(request.clone());
        self.ledger.learn(&self.devices[number].path);
    }

    fn answer(&mut self, key: DeviceKey, ask: &Ask) -> Result<CoordReply, NoAnswer> {
        let answer = self.ask(key, ask.request.clone());
        match &mut self.lie {
            Some(lie) => lie(&ask.request, answer),
            None => answer,
        }
    }

    /// Passes on the next events of a device, and says whether there were any.
    fn hear(&mut self, number: usize) -> bool {
        let (key, after) = (self.devices[number].secret.public(), self.devices[number].seen);
        let kept = self.store.read(move |view| view.events_after(key, after, 100));
        let kept = self.runtime.block_on(kept).expect("read");
        let device = &mut self.devices[number];
        let machine = device.machine.as_mut().expect("it runs");
        device.seen = kept.last().map_or(device.seen, |event| event.number);
        let passing = std::mem::take(&mut device.passing);
        let heard = !kept.is_empty() || !passing.is_empty();
        for event in kept.into_iter().map(|event| event.event).chain(passing) {
            match event {
                CoordEvent::ConversationGrew { conversation } => machine.handle_grown(conversation),
                CoordEvent::ConversationWritten { conversation, entry } => {
                    machine.handle_written(conversation, entry).expect("its database works");
                }
                _ => {}
            }
        }
        heard
    }

    fn listen(&mut self, number: usize) {
        let Device { machine, notes, .. } = &mut self.devices[number];
        notes.extend(std::iter::from_fn(|| machine.as_mut().expect("it runs").poll_note()));
    }

    /// Goes on until nothing happens any more, nor will by waiting, or for as long as it takes to see that it will not end.
    fn settle(&mut self) {
        let until = self.now + ENOUGH;
        let mut quiet_since = self.now;
        for _ in 0..STEPS_MAX {
            let mut busy = false;
            for number in 0..self.devices.len() {
                busy |= self.step(number, false);
            }
            if busy {
                quiet_since = self.now;
            } else if self.now < until && self.now - quiet_since < QUIET && self.waits() {
                self.now += Span::from_millis(500);
            } else {
                return;
            }
        }
        panic!("it is asked without end");
    }

    fn waits(&self) -> bool {
        let machines = self.devices.iter().filter_map(|device| device.machine.as_ref());
        machines.into_iter().any(|machine| machine.poll_wake().is_some())
    }

    /// Copies the coordinator's data to `name`, as a backup does.
    fn back_up(&self, name: &str) {
        for ending in ["", "-wal"] {
            // Nothing is being written, so both belong together.
            let [from, to] =
                ["coordinator", name].map(|name| self.folder.path().join(format!("{name}{ending}")));
            if from.exists() {
                std::fs::copy(from, to).expect("copied");
            }
        }
    }

    /// The coordinator goes on with what `name` holds, and every device notices that it came back.
    fn restore(&mut self, name: &str) {
        self.store = SqliteStore::open(&self.folder.path().join(name)).expect("opens");
        for device in &mut self.devices {
            device.seen = EventNumber(0);
            device.passing.clear();
            if let Some(machine) = &mut device.machine {
                machine.handle_disconnected();
                machine.handle_connected();
            }
        }
    }

    fn account(&self, person: usize) -> AccountId {
        self.people[person].log.account()
    }

    fn talk(&self, a: usize, b: usize) -> ConversationId {
        ConversationId::of(&Members::new([self.account(a), self.account(b)]).expect("two"))
    }

    fn say(&mut self, number: usize, to: usize, words: &str) {
        let (to, now) = (self.account(to), self.now);
        let text: ChatText = words.parse().expect("may be said");
        let machine = self.devices[number].machine.as_mut().expect("it runs");
        machine.say(to, Content::Text(text), now).expect("said");
    }

    /// What a device shows of its conversation with somebody: whether it is sent, and the words.
    fn shown(&self, number: usize, with: usize) -> Vec<(bool, String)> {
        let machine = self.devices[number].machine.as_ref().expect("it runs");
        let shown = machine.history(self.account(with), 10_000).expect("its database works");
        let words = shown.said.into_iter().map(|said| match said.content {
            Content::Text(text) => (said.progress != Some(Progress::Waits), text.as_str().to_owned()),
            other => panic!("no text: {other:?}"),
        });
        words.collect()
    }

    /// The words alone, all of which are sent.
    fn words(&self, number: usize, with: usize) -> Vec<String> {
        let shown = self.shown(number, with);
        assert!(shown.iter().all(|(sent, _)| *sent), "something waits: {shown:?}");
        shown.into_iter().map(|(_, words)| words).collect()
    }

    fn warnings(&self, number: usize) -> Vec<&str> {
        let notes = self.devices[number].notes.iter();
        notes
            .filter_map(|note| if let Note::Warning(text) = note { Some(text.as_str()) } else { None })
            .collect()
    }
}

fn account(person: &Person) -> Account {
    Account {
        id: person.log.account(),
        handle: person.name.clone(),
        tier: Tier::Premium,
        age: AgeRecord { met: 16, birth_date: None },
        market: "DE".parse().expect("a country"),
        created: BEGIN,
        log: person.log.as_log().clone(),
        opted_out: false,
    }
}

fn contact(of: AccountId, with: AccountId) -> ContactRow {
    let (blocked, muted, removed, since) = (false, false, false, BEGIN);
    ContactRow { of, with, accepted: None, vouch: None, blocked, muted, removed, since }
}
