//! A node that is restarted between the question and the answer still has its Jam.

use jamsync_node::api::{Event, Role};
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, in_step},
};

#[test]
fn a_request_that_is_accepted_while_the_asker_is_away_is_a_jam_when_it_is_back() {
    let Friends { mut ana, mut ben, stage } = Friends::meet();
    ana.run(&["request", "ben"]);
    ben.event("the request", |event| matches!(event, Event::RequestOpened { .. }).then_some(()));
    ana.run(&["stop"]);
    drop(ana);
    ben.run(&["accept"]);
    ana = stage.node("ana");
    for (node, role) in [(&mut ana, Role::Guest), (&mut ben, Role::Host)] {
        node.until("both are in step", |node| in_step(&node.status()).then_some(()));
        assert_eq!(node.status().jam.map(|jam| jam.role), Some(role));
    }
}

#[test]
fn a_node_that_is_killed_between_the_grant_and_the_meeting_meets_its_friend_all_the_same() {
    let Friends { mut ana, mut ben, stage: _stage } = Friends::meet();
    ana.run(&["request", "ben"]);
    ben.event("the request", |event| matches!(event, Event::RequestOpened { .. }).then_some(()));
    ana.signal(Signal::STOP);
    ben.run(&["accept"]);
    ben.event("the Jam", |event| matches!(event, Event::JamStarted { .. }).then_some(()));
    ben.until("it is kept", |ben| ben.home.join("jam.state").exists().then_some(()));
    ben = Node::start("ben", ben.kill());
    ana.signal(Signal::CONT);
    for (node, role) in [(&mut ana, Role::Guest), (&mut ben, Role::Host)] {
        node.until("both are in step", |node| in_step(&node.status()).then_some(()));
        assert_eq!(node.status().jam.map(|jam| jam.role), Some(role));
    }
}
