//! A coordinator that is not honest, or late: what it grants counts only where the listener has agreed to it, and
//! nothing is touched before the friend is there.

use jamsync_coordinator::{data::DataFolder, store::Store};
use jamsync_node::api::{Event, Peer, Role};
use jamsync_protocol::{
    text::List,
    wire::coord::{self, CoordEvent, Introduction, RequestId},
};

use super::{
    node::Node,
    stage::{Friends, Stage},
    stranger::grant,
};

/// Lets the coordinator announce a Jam to `ana` that `ben` hosts, as the answer to `request`.
async fn announce(stage: &mut Stage, ana: &Node, ben: &Node, request: RequestId) {
    let (ana, ben) = (ana.status(), ben.status());
    let signed = grant(&stage.data(), &ben, &ana, |_| {});
    let candidates = List::new(vec![ben.me.listen]).expect("one");
    let introduction = Introduction { peer: ben.me.device, candidates, role: coord::Role::Dialer };
    let event = CoordEvent::JamGranted { request, grant: signed, introduction };
    stage.kill_coordinator();
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    store.write(move |tables| tables.push_event(ana.me.device, &event)).await.expect("written");
    drop(store);
    stage.start_coordinator();
}

fn plays(node: &Node) -> bool {
    node.status().now.is_some_and(|now| now.playing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_jam_that_nobody_asked_for_is_refused_and_the_music_goes_on() {
    let Friends { mut ana, ben, mut stage } = Friends::meet();
    let music = stage.music(1, 60);
    ana.run(&[std::path::PathBuf::from("play"), music[0].clone()]);
    ana.until("her music plays", |ana| plays(ana).then_some(()));
    let mark = ana.mark();
    announce(&mut stage, &ana, &ben, RequestId([7; 16])).await;
    ana.event_since(mark, "the refusal", |event| match event {
        Event::Warning { message } => message.contains("nobody here asked").then_some(()),
        _ => None,
    });
    assert!(ana.status().jam.is_none() && plays(&ana));
    let entered = ana.events_since(mark).iter().any(|event| matches!(event, Event::JamStarted { .. }));
    assert!(!entered, "it was not even begun");
    ana.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guest_hears_its_own_music_until_the_host_is_there() {
    let Friends { mut ana, ben, mut stage } = Friends::meet();
    let music = stage.music(1, 60);
    ana.run(&[std::path::PathBuf::from("play"), music[0].clone()]);
    ana.run(&["request", "ben"]);
    ana.until("her music plays", |ana| plays(ana).then_some(()));
    let store = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").store;
    let account = ana.status().me.account.expect("signed up");
    let open = store.read(move |view| view.requests_of(account, 1)).await.expect("reads");
    drop(store);
    let mark = ana.mark();
    // Ben himself hears nothing of it, and does not answer.
    announce(&mut stage, &ana, &ben, open[0].id).await;
    let role = ana.event_since(mark, "the Jam", |event| match event {
        Event::JamStarted { role, .. } => Some(*role),
        _ => None,
    });
    assert_eq!(role, Role::Guest);
    let jam = ana.status().jam.expect("it is being connected");
    assert!(matches!(jam.peer, Peer::Connecting) && plays(&ana), "{jam:?}");
    ana.run(&["leave"]);
    assert!(ana.status().jam.is_none() && plays(&ana), "her own music was never touched");
    ana.assert_sound();
}
