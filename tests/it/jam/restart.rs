//! A node that is restarted between the question and the answer still has its Jam.

use jamsync_node::api::{Event, Role};

use super::stage::{Friends, in_step};

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
