//! What people do while the power may be cut, through the coordinator's own rules: they sign up, befriend, add and rename a
//! device, mute, make links, ask for Jams, answer, cancel and leave, and deal with what they were told. Each lane is two
//! people who do one thing after the other, always the same, so that what a lane has left tells how far it came.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use jamsync_coordinator::{
    eligibility::Trust,
    rules::{self, Context, Settings, Stop},
    store::{JoinPermit, SqliteStore, Store, StoreError, View, Whereabouts},
};
use jamsync_protocol::{
    id::{DeviceKey, Handle, JamId},
    identity::{DeviceLog, DeviceSecret, LinkToken, friend_link::LinkSecret, join_code::JoinSecret},
    text::Text,
    time::{Span, UtcTime},
    wire::coord::{Answer, CoordCall, CoordRequest, EventNumber, IdempotencyKey, Mark, RequestId},
};

/// Pairs of people, who are at it at once.
pub(crate) const LANES: u8 = 8;
/// Jam requests of each pair.
const CYCLES: u8 = 12;
/// How many may sign up.
const PERMITS: u32 = 1_000;
const JOIN: JoinSecret = JoinSecret([7; 16]);
const START: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);

/// One durable write.
#[derive(Clone)]
pub(crate) enum Step {
    /// A device asks for something.
    Ask(DeviceKey, Box<CoordCall>),
    /// A device has dealt with all events so far.
    Acknowledge(DeviceKey),
}

/// The steps of a lane as they are put together.
struct Steps {
    lane: u8,
    all: Vec<Step>,
}

/// Who is connected: nobody.
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

/// The key of somebody in a lane: of ana, ben, and ana's second device.
fn secret(lane: u8, who: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[1 + lane * 3 + who; 32])
}

fn devices(lane: u8) -> [DeviceKey; 3] {
    [0, 1, 2].map(|who| secret(lane, who).public())
}

fn names(lane: u8) -> [Handle; 2] {
    ["ana", "ben"].map(|name| format!("{name}{lane}").parse().expect("a handle"))
}

/// What a step has for chance.
fn entropy(lane: u8, step: usize) -> [u8; 32] {
    *blake3::hash(format!("{lane} {step}").as_bytes()).as_bytes()
}

fn key(lane: u8, step: usize) -> IdempotencyKey {
    IdempotencyKey(*entropy(lane, step).last_chunk().expect("longer"))
}

impl Steps {
    /// Adds a request, and returns the id that the rules will make for it if it makes something.
    fn ask(&mut self, device: &DeviceSecret, request: CoordRequest) -> [u8; 16] {
        let step = self.all.len();
        let call = CoordCall { key: key(self.lane, step), request };
        self.all.push(Step::Ask(device.public(), Box::new(call)));
        *entropy(self.lane, step).first_chunk().expect("longer")
    }

    fn one_jam(&mut self, cycle: u8, from: &DeviceSecret, to: &DeviceSecret, friend: Handle) {
        let request = RequestId(self.ask(from, CoordRequest::RequestJam { to: friend }));
        let answer = |answer| CoordRequest::AnswerRequest { request, answer };
        match cycle % 3 {
            0 => {
                let jam = JamId(self.ask(to, answer(Answer::Accept)));
                self.ask(from, CoordRequest::EndJam { jam });
            }
            1 => {
                self.ask(to, answer(Answer::Decline));
            }
            _ => {
                self.ask(from, CoordRequest::CancelRequest { request });
            }
        }
    }
}

/// All that the people of a lane do, in order.
pub(crate) fn script(lane: u8) -> Vec<Step> {
    let [ana, ben, second] = [0, 1, 2].map(|who| secret(lane, who));
    let [name_of_ana, name_of_ben] = names(lane);
    let (mut log, log_of_ben) = (DeviceLog::found(&ana, [lane; 16]), DeviceLog::found(&ben, [lane; 16]));
    let sign_up = |handle: &Handle, log: &DeviceLog| CoordRequest::SignUp {
        secret: JOIN,
        handle: handle.clone(),
        birth_date: "1990-01-01".parse().expect("a date"),
        market: "DE".parse().expect("a country"),
        log: log.clone(),
    };
    let mut steps = Steps { lane, all: Vec::new() };
    steps.ask(&ana, sign_up(&name_of_ana, log.as_log()));
    steps.ask(&ben, sign_up(&name_of_ben, log_of_ben.as_log()));
    let token = LinkToken(steps.ask(&ana, CoordRequest::CreateFriendLink));
    let proof = LinkSecret([1; 16]).prove(log.account(), log_of_ben.account());
    steps.ask(&ben, CoordRequest::AcceptFriendLink { token, proof });
    let consent = log.consent(&second);
    log.add(&ana, second.public(), consent).expect("added");
    let (account, entry) = (log.account(), log.newest().expect("an entry").clone());
    steps.ask(&ana, CoordRequest::ExtendLog { account, entry, name: Text::truncated("second") });
    for cycle in 0..CYCLES {
        if cycle % 2 == 0 {
            steps.one_jam(cycle, &ana, &ben, name_of_ben.clone());
        } else {
            steps.one_jam(cycle, &ben, &ana, name_of_ana.clone());
        }
        let (contact, on) = (log_of_ben.account(), cycle % 2 == 0);
        steps.ask(&ana, CoordRequest::MarkContact { contact, mark: Mark::Muted, on });
        let name = Text::truncated(&format!("device {cycle}"));
        steps.ask(&second, CoordRequest::RenameDevice { device: second.public(), name });
        steps.ask(&ben, CoordRequest::CreateFriendLink);
        steps.all.push(Step::Acknowledge(devices(lane)[usize::from(cycle % 3)]));
    }
    steps.all
}

/// Lets people sign up.
pub(crate) async fn open_doors(store: &SqliteStore) {
    let expires = START + Span::from_secs(864_000);
    let permit = JoinPermit { fingerprint: JOIN.fingerprint(), uses_left: PERMITS, expires };
    store.write(move |tables| tables.put_join_permit(permit)).await.expect("writes");
}

/// Does a step. When this returns, it is acknowledged.
pub(crate) async fn perform(store: &SqliteStore, lane: u8, number: usize, step: &Step) {
    let seconds = 60 * i64::try_from(number).expect("few");
    match step.clone() {
        Step::Ask(device, call) => {
            let context = Context {
                now: START + Span::from_secs(seconds),
                calendar: Trust::Proven,
                device,
                entropy: entropy(lane, number),
                settings: Arc::new(Settings::default()),
                secret: Arc::new(DeviceSecret::from_seed(&[255; 32])),
                whereabouts: Arc::new(Nowhere),
                spared: Vec::new(),
            };
            let applied: Result<_, Stop> =
                store.write(move |tables| rules::apply(tables, &context, &call)).await;
            applied.unwrap_or_else(|stop| panic!("lane {lane}, step {number}: {stop}"));
        }
        Step::Acknowledge(device) => {
            let dealt_with = store.write(move |tables| {
                let newest = tables.newest_event(device)?.unwrap_or_default();
                tables.drop_events(device, newest)
            });
            dealt_with.await.expect("writes");
        }
    }
}

/// The digest of all that a lane has left, receipts apart.
pub(crate) fn state(view: &dyn View, lane: u8) -> Result<[u8; 32], StoreError> {
    let mut digest = blake3::Hasher::new();
    let mut add = |row: String| {
        digest.update(row.as_bytes());
    };
    for name in names(lane) {
        let Some(account) = view.account_by_handle(&name)? else {
            add(format!("no {name}\n"));
            continue;
        };
        let id = account.id;
        add(format!("{account:?} {:?} {:?}\n", view.devices_of(id)?, view.contacts_after(id, None, 9)?));
        add(format!("{:?} {:?}\n", view.requests_of(id, 9)?, view.link_ends(id, START)?));
    }
    for device in devices(lane) {
        add(format!("{:?} {:?}\n", view.newest_event(device)?, view.jams_of(device, START)?));
        add(format!("{:?}\n", view.events_after(device, EventNumber(0), 999)?));
    }
    Ok(*digest.finalize().as_bytes())
}

/// Which of these steps will be answered as they were if they are repeated.
pub(crate) fn remembered(view: &dyn View, steps: &[Step]) -> Result<BTreeSet<usize>, StoreError> {
    let mut found = BTreeSet::new();
    for (number, step) in steps.iter().enumerate() {
        if let Step::Ask(device, call) = step
            && view.receipt(*device, call.key)?.is_some()
        {
            found.insert(number);
        }
    }
    Ok(found)
}

/// Whether as many have signed up as have used the join code.
pub(crate) fn doors_agree(view: &dyn View) -> Result<bool, StoreError> {
    let inside = u32::try_from(view.accounts_after(None, PERMITS)?.len()).unwrap_or(u32::MAX);
    let permit = view.join_permit(JOIN.fingerprint())?;
    Ok(permit.map_or(inside == 0, |permit| permit.uses_left + inside == PERMITS))
}
