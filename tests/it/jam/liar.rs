//! A coordinator that lies about devices: each lie is found out by the node that is told it, which says so and goes by
//! what it knew. One that only forgot, as after a restored backup, is told again.

use jamsync_coordinator::{data::DataFolder, store::Store};
use jamsync_node::{
    api::{Event, Reply},
    identity::Identity,
};
use jamsync_protocol::{
    id::AccountId,
    identity::{DeviceLog, DeviceSecret},
    text::List,
    wire::coord::{self, CoordEvent, Introduction, RequestId},
};

use super::{
    devices::second_device,
    node::Node,
    stage::{Friends, Stage},
    stranger::grant,
};

fn account(node: &Node) -> AccountId {
    node.status().me.account.expect("signed up")
}

fn devices(node: &Node) -> usize {
    match node.run(&["account", "devices"]) {
        Reply::AccountDevices { devices } => devices.len(),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_device_that_the_coordinator_inserts_is_none() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    let id = account(&ana);
    let mut forged = log_of(&stage, id).await.verify().expect("a log");
    let before = forged.clone();
    // The coordinator can sign with keys of its own only.
    let (own, device) = (DeviceSecret::from_seed(&[66; 32]), DeviceSecret::from_seed(&[67; 32]));
    let consent = forged.consent(&device);
    assert!(forged.add(&own, device.public(), consent).is_err(), "such an entry cannot even be made");
    let mut elsewhere = DeviceLog::found(&own, [1; 16]);
    let consent = elsewhere.consent(&device);
    elsewhere.add(&own, device.public(), consent).expect("in a log of its own");
    let entry = elsewhere.newest().expect("two entries").clone();
    tell(&mut stage, &ben, CoordEvent::DeviceLogGrew { account: id, entry }).await;
    // It follows nothing that Ben knows, so he asks for the whole log, and that is the true one.
    ben.until("Ben is back", |ben| ben.try_run(&["contacts"]).ok());
    // A grant for a key in no log, answering what he has asked.
    ben.run(&["request", "ana"]);
    let request = ben.status().requests.len();
    assert_eq!(request, 1);
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let me = account(&ben);
    let open = store.read(move |view| view.requests_of(me, 1)).await.expect("reads")[0].id;
    drop(store);
    let signed = grant(&stage.data(), &ana.status(), &ben.status(), |grant| {
        let mut participants = grant.participants.clone().into_vec();
        participants[0].device = device.public();
        grant.participants = List::new(participants).expect("fits");
    });
    let candidates = List::new(vec![ana.status().me.listen]).expect("one");
    let introduction = Introduction { peer: device.public(), candidates, role: coord::Role::Dialer };
    let mark = ben.mark();
    let request: RequestId = open;
    tell(&mut stage, &ben, CoordEvent::JamGranted { request, grant: signed, introduction }).await;
    warned(&mut ben, mark, "not in the device log");
    assert!(ben.status().jam.is_none());
    assert_eq!(log_of(&stage, id).await, *before.as_log());
    ben.assert_sound();
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
