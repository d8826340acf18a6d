//! A node that missed more events than are kept for it, and goes by what holds.

use jamsync_coordinator::{
    data::DataFolder,
    store::{EVENTS_KEPT_MAX, Store, StoreError},
};
use jamsync_node::api::{Event, Reply};
use jamsync_protocol::wire::coord::{CoordEvent, RequestId};

use super::{
    node::Node,
    stage::{Friends, befriend},
};

fn contacts(node: &Node) -> Vec<String> {
    match node.run(&["contacts"]) {
        Reply::Contacts { contacts, .. } => {
            contacts.iter().map(|contact| contact.handle.to_string()).collect()
        }
        other => panic!("no contacts, but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_missed_the_end_of_a_contact_shows_the_contacts_that_hold() {
    let Friends { ana, mut ben, mut stage } = Friends::meet();
    let mut carl = stage.person("carl", "1990-05-17");
    let mark = ben.mark();
    befriend(&ben, &mut carl);
    // The first event that this node sees: from here on it can tell that it missed one.
    ben.event_since(mark, "Carl", |event| matches!(event, Event::ContactAdded { .. }).then_some(()));
    assert_eq!(contacts(&ben), ["ana", "carl"]);
    let (mine, device) = (ben.status().me.account.expect("signed up"), ben.status().me.device);
    let hers = ana.status().me.account.expect("signed up");
    let mark = ben.mark();

    // Ana ends it while the coordinator cannot reach him, and the event that says so is dropped for later ones.
    stage.stop_coordinator();
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let ended = store.write(move |tables| {
        tables.drop_contact(mine, hers)?;
        tables.drop_contact(hers, mine)?;
        tables.push_event(device, &CoordEvent::ContactRemoved { account: hers })?;
        for _ in 0..EVENTS_KEPT_MAX {
            tables.push_event(device, &CoordEvent::RequestExpired { request: RequestId([7; 16]) })?;
        }
        Ok::<_, StoreError>(())
    });
    ended.await.expect("written");
    drop(store);
    stage.start_coordinator();

    let gone = ben.event_since(mark, "the end of a contact", |event| match event {
        Event::ContactRemoved { with } => Some(with.to_string()),
        _ => None,
    });
    assert_eq!(gone, "ana");
    assert_eq!(contacts(&ben), ["carl"]);
    // It was kept so.
    stage.kill_coordinator();
    ben = Node::start("ben", ben.kill());
    assert_eq!(contacts(&ben), ["carl"]);
    ben.assert_sound();
    drop((ana, carl));
}
