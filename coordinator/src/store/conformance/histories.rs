//! Seeded random histories of changes, on SQLite and on the model at once. Every answer, every refusal and, after each
//! transaction, every row must be the same.

use std::collections::BTreeSet;

use jamsync_protocol::{
    id::DeviceKey,
    identity::{Date, DeviceLog, DeviceSecret, Tier},
    text::Text,
    wire::coord::{CoordEvent, CoordReply, EventNumber, IdempotencyKey, RequestEnd, Sequence},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    look,
    rows::{
        PEOPLE, THINGS, TIMES, account, code, conversation, entry, event, event_of_device, everything,
        full_contact, grant, id, jam, key, link, package, permit, report, request, second_device, talk, time,
    },
    sqlite,
};
use crate::{
    eligibility::AgeRecord,
    store::{
        ContactRow, Latest, SqliteStore, Store, StoreError, Tables, View, fixture::person,
        memory::MemoryStore,
    },
};

/// How many histories there are, and how many transactions each has, which take a few milliseconds each.
const SEEDS: u64 = 4;
const STEPS: u64 = 120;

/// Both stores.
struct Both {
    sqlite: SqliteStore,
    memory: MemoryStore,
    _folder: tempfile::TempDir,
}

/// Which changes a transaction made, each with what it was about and what it answered.
type Done = Vec<(&'static str, String)>;

/// What a transaction that is taken back did by then, and why it went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stopped {
    done: Done,
    by_store: bool,
}

impl From<StoreError> for Stopped {
    fn from(_: StoreError) -> Self {
        Self { done: Vec::new(), by_store: true }
    }
}

impl Both {
    fn new() -> Self {
        let (sqlite, folder) = sqlite();
        Self { sqlite, memory: MemoryStore::default(), _folder: folder }
    }

    /// Does the same to both, and holds against each other what came of it and what is there then.
    async fn change(
        &self,
        change: impl Fn(&mut dyn Tables) -> Result<Done, Stopped> + Clone + Send + 'static,
    ) -> Result<Done, Stopped> {
        let (there, here) = (self.sqlite.write(change.clone()).await, self.memory.write(change).await);
        assert_eq!(there, here, "SQLite and the model answer differently");
        let kept = look(&self.sqlite, |view| everything(view)).await;
        let expected = look(&self.memory, |view| everything(view)).await;
        for (kept, expected) in kept.iter().zip(&expected) {
            assert_eq!(kept, expected, "SQLite and the model hold something else after {there:?}");
        }
        there
    }
}

#[tokio::test]
async fn the_same_changes_leave_the_same_rows() {
    let (mut verbs, mut stopped) = (BTreeSet::new(), 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let (both, mut random) = (Both::new(), StdRng::seed_from_u64(seed));
        let sign_up = |tables: &mut dyn Tables| {
            PEOPLE.skip(1).try_for_each(|number| tables.insert_account(&account(number)))?;
            Ok(Vec::new())
        };
        both.change(sign_up).await.expect("all but one sign up");
        for _ in 0..STEPS {
            let seed = random.random();
            match both.change(move |tables| transaction(tables, StdRng::seed_from_u64(seed))).await {
                Ok(done) => verbs.extend(done.iter().map(|(verb, _)| *verb)),
                Err(_) => stopped += 1,
            }
        }
    }
    assert_eq!(verbs.len(), VERBS, "every verb goes through: {verbs:?}");
    assert!(stopped > 50, "some are taken back: {stopped}");
}

/// A few random changes. Now and then they are taken back although all went well.
fn transaction(tables: &mut dyn Tables, mut random: StdRng) -> Result<Done, Stopped> {
    let mut done = Vec::new();
    for _ in 0..random.random_range(1..4) {
        match verb(tables, &mut random) {
            Ok(change) => done.push(change),
            Err(_) => return Err(Stopped { done, by_store: true }),
        }
    }
    if random.random_bool(0.1) { Err(Stopped { done, by_store: false }) } else { Ok(done) }
}

/// How many kinds of change [`verb`] knows.
const VERBS: usize = 37;

/// One random change, and what it answered.
fn verb(tables: &mut dyn Tables, random: &mut StdRng) -> Result<(&'static str, String), StoreError> {
    let (a, thing, at) =
        (random.random_range(PEOPLE), random.random_range(THINGS), random.random_range(TIMES));
    let b = PEOPLE.filter(|other| *other != a).nth(random.random_range(0..4)).unwrap_or(a);
    let (yes, no) = (random.random_bool(0.5), random.random_bool(0.5));
    let device = if random.random_bool(0.7) { key(a) } else { second_device(a).key };
    let event = [event(b), event_of_device(key(b)), CoordEvent::ContactRemoved { account: id(b) }];
    let (jam, asked, newest) = (jam(thing, a, b, at), request(thing, a, b, at), newest_of(&*tables, device)?);
    let (lower, higher) =
        (EventNumber(newest.saturating_sub(at.into())), EventNumber(newest + u64::from(at)));
    let (tier, end) =
        [(Tier::Free, RequestEnd::Expired), (Tier::Premium, RequestEnd::Accepted)][usize::from(yes)];
    let (name, receipt) = (Text::truncated(&"name".repeat(at.into())), IdempotencyKey([thing; 16]));
    let (step, latest) = (time(at / 4) - time(0), latest(at));
    let contact = ContactRow { blocked: yes, removed: no, ..full_contact(a, b, at) };
    let (verb, answer) = match random.random_range(0..66) {
        0..3 => ("insert_account", said(tables.insert_account(&account(a)))),
        3 => ("set_tier", said(tables.set_tier(id(a), tier))),
        4 => ("set_age", said(tables.set_age(id(a), age(at, yes)))),
        5 => ("set_log", said(tables.set_log(id(a), &longer_log(a, at)))),
        6..9 => ("insert_device", said(tables.insert_device(&second_device(a)))),
        9 => ("rename_device", said(tables.rename_device(device, &name))),
        10 => ("revoke_device", said(tables.revoke_device(second_device(a).key))),
        11 => ("put_device_code", said(tables.put_device_code(code(thing, a, at)))),
        12 => ("put_join_permit", said(tables.put_join_permit(permit(thing, at)))),
        13..17 => ("insert_link", said(tables.insert_link(link(thing, a, at)))),
        17..21 => ("close_link", said(tables.close_link(link(thing, a, at).token, id(b)))),
        21 => ("erase_account", said(tables.erase_account(id(a)))),
        22 => ("set_opted_out", said(tables.set_opted_out(id(a), yes))),
        23 => ("insert_report", said(tables.insert_report(&report(a, b, at)))),
        24 => ("drop_report", said(tables.drop_report(thing.into()))),
        25 => ("drop_contact", said(tables.drop_contact(id(a), id(b)))),
        26..30 => ("end_request", said(tables.end_request(asked.id, end))),
        30..34 => ("insert_jam", said(tables.insert_jam(&jam, &grant(&jam)))),
        34..37 => ("end_jam", said(tables.end_jam(jam.id))),
        37 => ("lift_events", said(tables.lift_events(device, higher))),
        38 => ("drop_events", said(tables.drop_events(device, lower))),
        39 => ("prune", said(tables.prune(time(at / 3), u32::MAX))),
        40 => {
            ("set_public_addresses", said(tables.set_public_addresses(&[name.to_string(), at.to_string()])))
        }
        41 => {
            let done = tables.insert_receipt(device, receipt, [at; 32], &CoordReply::Done, time(at));
            ("insert_receipt", said(done))
        }
        42..46 => ("insert_request", said(tables.insert_request(asked))),
        46..50 => ("put_contact", said(tables.put_contact(&contact))),
        50 => {
            ("move_times", said(tables.move_times(if yes { step } else { -step }, time(at / 2)..=time(at))))
        }
        58..66 => return talking(tables, random),
        51 => ("bound_times", said(tables.bound_times(latest))),
        _ => ("push_event", said(tables.push_event(device, &event[usize::from(thing) % 3]))),
    };
    Ok((verb, format!("{a} {b} {thing} {at} {}", answer?)))
}

/// One random change of a conversation or of key packages, and what it answered.
fn talking(tables: &mut dyn Tables, random: &mut StdRng) -> Result<(&'static str, String), StoreError> {
    // Few conversations, so that what is done to one often meets what was done before.
    let (a, b) = (1, random.random_range(2..4));
    let (thing, at) = (random.random_range(THINGS), random.random_range(TIMES));
    let (of, upto) = (talk(a, b), Sequence(thing.into()));
    let device = if random.random_bool(0.7) { key(a) } else { second_device(a).key };
    let (verb, answer) = match random.random_range(0..10) {
        0..2 => ("put_conversation", said(tables.put_conversation(&conversation(a, b, at)))),
        2 => ("put_log_cursor", said(tables.put_log_cursor(of, device, upto))),
        3..6 => ("insert_log_row", said(tables.insert_log_row(&entry(thing, a, b, at)))),
        6 => ("forget_log", said(tables.forget_log(of, upto))),
        7 => ("add_key_package", said(tables.add_key_package(device, &package(at)))),
        8 => ("put_last_resort", said(tables.put_last_resort(device, &package(at)))),
        _ if random.random_bool(0.8) => ("take_key_package", said(tables.take_key_package(device))),
        _ => ("drop_key_packages", said(tables.drop_key_packages(device))),
    };
    Ok((verb, format!("{a} {b} {thing} {at} {}", answer?)))
}

fn latest(at: u8) -> Latest {
    Latest { done: time(at), request: time(at + 1), link: time(at + 2), code: time(at + 3) }
}

fn newest_of(view: &dyn View, device: DeviceKey) -> Result<u64, StoreError> {
    Ok(view.newest_event(device)?.unwrap_or_default().0)
}

fn said<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Result<String, StoreError> {
    answer.map(|answer| format!("{answer:?}"))
}

fn age(met: u8, dated: bool) -> AgeRecord {
    AgeRecord { met, birth_date: dated.then(|| Date::of(time(met))) }
}

fn longer_log(of: u8, by: u8) -> DeviceLog {
    let mut log = person(of).1;
    log.add_recovery(&DeviceSecret::from_seed(&[of; 32]), &DeviceSecret::from_seed(&[100 + by; 32]))
        .expect("added");
    log.as_log().clone()
}
