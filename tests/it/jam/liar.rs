//! A coordinator that lies about devices: each lie is found out by the node that is told it, which says so and goes by
//! what it knew. One that only forgot, as after a restored backup, is told again.

use std::path::Path;

use jamsync_coordinator::{
    data::DataFolder,
    store::{Device, Store},
};
use jamsync_node::{
    api::{Event, Reply},
    identity::Identity,
};
use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    identity::{DeviceLog, DeviceSecret, SignedEntry},
    limits::COORD_FRAME_BYTES_MAX,
    text::{List, Text},
    wire::{
        codec,
        coord::{self, Contact, CoordEvent, Introduction, RequestId},
    },
};

use super::{
    devices::second_device,
    node::Node,
    stage::{Friends, Stage, now},
    stranger::grant,
};

fn account(node: &Node) -> AccountId {
    node.status().me.account.expect("signed up")
}

fn devices(node: &Node) -> usize {
    match node.run(&["account", "devices"]) {
        Reply::AccountDevices { devices, .. } => devices.len(),
        other => panic!("no devices, but {other:?}"),
    }
}

async fn log_of(stage: &Stage, id: AccountId) -> DeviceLog {
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    store.read(move |view| view.account(id)).await.expect("reads").expect("an account").log
}

/// Lets the coordinator serve another log of an account from now on.
async fn serve_log(stage: &mut Stage, id: AccountId, log: &DeviceLog) {
    stage.stop_coordinator();
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let log = log.clone();
    store.write(move |tables| tables.set_log(id, &log)).await.expect("written");
    drop(store);
    stage.start_coordinator();
}

/// Lets it tell a node something.
async fn tell(stage: &mut Stage, node: &Node, event: CoordEvent) {
    let device = node.status().me.device;
    stage.stop_coordinator();
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    store.write(move |tables| tables.push_event(device, &event)).await.expect("written");
    drop(store);
    stage.start_coordinator();
}

fn warned(node: &mut Node, mark: usize, word: &str) {
    node.event_since(mark, &format!("a warning of `{word}`"), |event| match event {
        Event::Warning { message } => message.contains(word).then_some(()),
        _ => None,
    });
}

/// The node says whose log holds an entry that nobody of that account has signed.
fn names_forgery(node: &mut Node, mark: usize, whose: &str) {
    let words =
        format!("device log of {whose} is not to be trusted: entry 1 of the device log is not signed by");
    warned(node, mark, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_friends_log_that_is_rolled_back_or_forked_is_named_and_not_taken() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    let id = account(&ana);
    let older = log_of(&stage, id).await;
    let _tablet = second_device(&stage, &ana, "tablet");
    ben.run(&["contacts"]);
    let mark = ben.mark();
    serve_log(&mut stage, id, &older).await;
    warned(&mut ben, mark, "2 were seen before");
    // Another second entry than the one that he has seen, which the first device was made to sign as well.
    let mark = ben.mark();
    let (mut forked, thief) = (older.verify().expect("a log"), DeviceSecret::from_seed(&[77; 32]));
    let consent = forked.consent(&thief);
    let stolen = Identity::load_or_create(&ana.home).expect("her key");
    forked.add(stolen.secret(), thief.public(), consent).expect("an entry of hers");
    serve_log(&mut stage, id, forked.as_log()).await;
    warned(&mut ben, mark, "differs from the one seen before");
    ben.assert_sound();
}

/// The log with one entry more, in the place and of the form that it should have, by which a device of the coordinator's
/// comes in. The coordinator does not hold the key that it names as the author, so the signature is none.
fn with_forged_entry(log: &DeviceLog, home: &Path, device: &DeviceSecret) -> (DeviceLog, SignedEntry) {
    let mut genuine = log.verify().expect("a log");
    let consent = genuine.consent(device);
    let author = Identity::load_or_create(home).expect("a key");
    genuine.add(author.secret(), device.public(), consent).expect("an entry");
    let unsigned = |mut bytes: Vec<u8>| {
        *bytes.last_mut().expect("it ends with the signature") ^= 1;
        bytes
    };
    let newest = genuine.newest().expect("two entries");
    let (log, entry) = (codec::encode(genuine.as_log(), COORD_FRAME_BYTES_MAX), codec::encode(newest, 4_096));
    let (log, entry) = (unsigned(log.expect("fits")), unsigned(entry.expect("fits")));
    let (log, entry): (DeviceLog, _) = (codec::decode(&log).expect("a log"), codec::decode(&entry));
    assert!(log.verify().is_err());
    (log, entry.expect("an entry"))
}

/// Answers what Ben has asked of Ana by a grant that names `device` as hers, and asserts that he takes none.
async fn grants_in_vain(stage: &mut Stage, ben: &mut Node, ana: &Node, device: DeviceKey) {
    ben.until("the coordinator is there", |ben| ben.try_run(&["request", "ana"]).ok());
    assert_eq!(ben.status().requests.len(), 1);
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let me = account(ben);
    let request: RequestId =
        store.read(move |view| view.requests_of(me, 1)).await.expect("reads").first().expect("asked").id;
    drop(store);
    let signed = grant(&stage.data(), &ana.status(), &ben.status(), |grant| {
        let mut participants = grant.participants.clone().into_vec();
        participants[0].device = device;
        grant.participants = List::new(participants).expect("fits");
    });
    let candidates = List::new(vec![ana.status().me.listen]).expect("one");
    let introduction = Introduction { peer: device, candidates, role: coord::Role::Dialer };
    let mark = ben.mark();
    tell(stage, ben, CoordEvent::JamGranted { request, grant: signed, introduction }).await;
    warned(ben, mark, "not in the device log");
    assert!(ben.status().jam.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_grant_for_a_key_that_is_in_no_log_begins_no_jam_and_is_named() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    grants_in_vain(&mut stage, &mut ben, &ana, DeviceSecret::from_seed(&[67; 32]).public()).await;
    ben.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_the_coordinator_inserts_into_a_friends_log_is_named_and_none() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    let id = account(&ana);
    let before = log_of(&stage, id).await;
    let (own, device) = (DeviceSecret::from_seed(&[66; 32]), DeviceSecret::from_seed(&[67; 32]));
    let mut verified = before.verify().expect("a log");
    let consent = verified.consent(&device);
    assert!(verified.add(&own, device.public(), consent).is_err(), "by its own key it cannot even be made");
    let (forged, entry) = with_forged_entry(&before, &ana.home, &device);
    // One by one, and in the whole log.
    let mark = ben.mark();
    tell(&mut stage, &ben, CoordEvent::DeviceLogGrew { account: id, entry }).await;
    names_forgery(&mut ben, mark, "ana");
    let mark = ben.mark();
    let contact = Contact {
        handle: "ana".parse().expect("a name"),
        account: id,
        log: forged,
        online: true,
        accepted: None,
        vouch: None,
        blocked: false,
        muted: false,
    };
    tell(&mut stage, &ben, CoordEvent::ContactChanged(contact)).await;
    names_forgery(&mut ben, mark, "ana");
    // He goes by what he knew: the honest device is hers, and the other is not.
    grants_in_vain(&mut stage, &mut ben, &ana, device.public()).await;
    let mut friends = Friends { ana, ben, stage };
    friends.ana.until("his question is answered", |ana| ana.try_run(&["decline", "ben"]).ok());
    friends.begin_jam();
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_the_coordinator_inserts_into_a_nodes_own_log_is_named_and_none() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    let (id, device) = (account(&ben), DeviceSecret::from_seed(&[67; 32]));
    let before = log_of(&stage, id).await;
    let (forged, entry) = with_forged_entry(&before, &ben.home, &device);
    let mark = ben.mark();
    tell(&mut stage, &ben, CoordEvent::DeviceLogGrew { account: id, entry }).await;
    names_forgery(&mut ben, mark, "ben");
    // The coordinator counts it among his devices, and says so wherever he asks.
    let second = mark_device(&mut stage, id, device.public()).await;
    let mark = ben.mark();
    serve_log(&mut stage, id, &forged).await;
    names_forgery(&mut ben, mark, "ben");
    assert_eq!(second, 2, "as the coordinator has it");
    assert_eq!(devices(&ben), 1, "as he sees it");
    let added = |event: &Event| matches!(event, Event::DeviceAdded { .. });
    assert!(!ben.events_since(0).iter().any(added));
    ben.assert_sound();
    drop(ana);
}

/// Lets the coordinator count a device among those of an account, and gives how many it has then.
async fn mark_device(stage: &mut Stage, account: AccountId, key: DeviceKey) -> usize {
    stage.stop_coordinator();
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let device = Device { key, account, name: Text::truncated("mine"), added: now(), revoked: false };
    store.write(move |tables| tables.insert_device(&device)).await.expect("written");
    let devices = store.read(move |view| view.devices_of(account)).await.expect("reads");
    drop(store);
    stage.start_coordinator();
    devices.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_coordinator_that_forgot_a_revocation_is_told_again() {
    let Friends { mut ana, ben, mut stage } = Friends::meet();
    let id = account(&ana);
    let _tablet = second_device(&stage, &ana, "tablet");
    let older = log_of(&stage, id).await;
    ana.run(&["account", "devices", "revoke", "tablet"]);
    let newer = log_of(&stage, id).await;
    assert_ne!(older, newer);
    let mark = ana.mark();
    serve_log(&mut stage, id, &older).await;
    warned(&mut ana, mark, "it was told again");
    assert_eq!(log_of(&stage, id).await, newer);
    assert_eq!(devices(&ana), 1);
    drop(ben);
    ana.assert_sound();
}
