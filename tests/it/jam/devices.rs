//! A listener with two devices: the second is added by a code, knows the same friends, rings for the same requests, and
//! is cut off at once, from the coordinator and from a Jam that runs.

use jamsync_node::api::{AccountDevice, Coordinator, ErrorCode, Event, JamEnd, Reply, RequestOutcome};

use super::{
    node::Node,
    prompt::{Stopwatch, promptly},
    stage::{Friends, Stage, befriend, closed, in_step, opened},
};

/// A node that joins the account of `first` by a code.
pub(super) fn second_device(stage: &Stage, first: &Node, name: &str) -> Node {
    let node = stage.node(name);
    let Reply::DeviceCode { code, .. } = first.run(&["account", "devices", "add", "--qr"]) else {
        panic!("no code")
    };
    let Reply::Account { handle, .. } = node.run(&["init", "--device", &code, "--name", name]) else {
        panic!("not in")
    };
    assert_eq!(Some(handle), first.status().me.handle);
    node
}

fn devices(node: &Node) -> Vec<AccountDevice> {
    match node.run(&["account", "devices"]) {
        Reply::AccountDevices { devices, .. } => devices,
        other => panic!("no devices, but {other:?}"),
    }
}

fn contacts(node: &Node) -> Vec<String> {
    match node.run(&["contacts"]) {
        Reply::Contacts { contacts, .. } => {
            contacts.iter().map(|contact| contact.handle.to_string()).collect()
        }
        other => panic!("no contacts, but {other:?}"),
    }
}

#[test]
fn a_second_device_knows_the_friends_of_the_first_and_rings_with_it() {
    let mut friends = Friends::meet();
    let mark = friends.ana.mark();
    let mut laptop = second_device(&friends.stage, &friends.ana, "laptop");
    friends.ana.event_since(mark, "the new device", |event| {
        matches!(event, Event::DeviceAdded { .. }).then_some(())
    });
    laptop.until("the laptop knows the friend", |laptop| (contacts(laptop) == ["ben"]).then_some(()));
    assert_eq!(devices(&laptop).len(), 2);
    laptop.run(&["account", "devices", "rename", "laptop", "kitchen"]);
    assert!(devices(&friends.ana).iter().any(|device| device.name == "kitchen" && !device.this));

    // A friend who is made on the new device is known on the old one.
    let mut carl = friends.stage.person("carl", "1990-05-17");
    befriend(&laptop, &mut carl);
    friends.ana.until("the first device knows Carl", |ana| (contacts(ana) == ["ben", "carl"]).then_some(()));

    let marks = [friends.ana.mark(), laptop.mark()];
    friends.ben.run(&["request", "ana"]);
    friends.ana.event_since(marks[0], "the request", opened);
    laptop.event_since(marks[1], "the request", opened);
    laptop.run(&["decline"]);
    let outcome = friends.ana.event_since(marks[0], "the answer that was given elsewhere", closed);
    assert_eq!(outcome, RequestOutcome::Declined);
    assert!(friends.ana.status().requests.is_empty());

    let marks = [friends.ana.mark(), laptop.mark()];
    friends.ben.run(&["request", "ana"]);
    friends.ana.event_since(marks[0], "the request", opened);
    laptop.event_since(marks[1], "the request", opened);
    laptop.run(&["accept"]);
    for node in [&mut laptop, &mut friends.ben] {
        node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
    }
    assert_eq!(friends.ana.event_since(marks[0], "the answer", closed), RequestOutcome::Accepted);
    assert!(friends.ana.status().jam.is_none(), "the Jam is the laptop's");
    for node in [&mut friends.ana, &mut friends.ben, &mut laptop, &mut carl] {
        node.assert_sound();
    }
}

#[test]
fn a_revoked_device_is_cut_off_within_a_second_and_its_jam_ends() {
    let mut friends = Friends::meet();
    let unknown = friends.ana.fails(&["account", "devices", "revoke", "toaster"], ErrorCode::NotFound);
    assert!(unknown.contains("toaster"), "{unknown}");
    promptly(|number| revoke_in_a_jam(&mut friends, &format!("laptop{number}")));
    assert_eq!(devices(&friends.ana).len(), 1);
    friends.assert_sound();
}

/// Adds a device, brings it into a Jam with Ben, and revokes it: whether Ben's node closes the Jam at once, and the
/// coordinator the connection.
fn revoke_in_a_jam(Friends { ana, ben, stage }: &mut Friends, name: &str) -> bool {
    let mut laptop = second_device(stage, ana, name);
    laptop.until("the laptop knows the friend", |laptop| (contacts(laptop) == ["ben"]).then_some(()));
    let own = laptop.fails(&["account", "devices", "revoke", name], ErrorCode::Usage);
    assert!(own.contains("working on"), "{own}");
    let (from_ben, to_ben) = (laptop.mark(), ben.mark());
    laptop.run(&["request", "ben"]);
    ben.event_since(to_ben, "the request", opened);
    ben.run(&["accept"]);
    for node in [&mut laptop, &mut *ben] {
        node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
    }
    let mut watch = Stopwatch::start();
    ana.run(&["account", "devices", "revoke", name]);
    watch.succeeded();
    let reason = ben.event_since(to_ben, "the end of the Jam", |event| match event {
        Event::JamEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    watch.note("the friend's node closed the Jam");
    let offline = laptop.event_since(from_ben, "the closed door", |event| match event {
        Event::Coordinator { connected: false, reason } => Some(reason.clone()),
        _ => None,
    });
    watch.note("the coordinator closed the connection");
    let prompt = watch.was_prompt();
    let missed = ben.events_since(to_ben).iter().any(|event| matches!(event, Event::PeerLost { .. }));
    assert!(!missed, "the Jam was closed, not lost");
    assert!(matches!(&reason, JamEnd::Refused { reason } if reason.contains("device log")), "{reason:?}");
    assert!(offline.contains("revoked"), "{offline}");

    // It can ask for nothing any more, and its Jam does not come back by itself.
    let refused = laptop.fails(&["request", "ben"], ErrorCode::InJam);
    assert!(refused.contains("leave"), "{refused}");
    laptop.run(&["leave"]);
    let refused = laptop.fails(&["request", "ben"], ErrorCode::Unreachable);
    assert!(refused.contains("revoked"), "{refused}");
    assert!(matches!(laptop.status().coordinator, Coordinator::Offline { .. }));
    assert!(ben.status().jam.is_none());
    laptop.assert_sound();
    prompt
}

#[test]
fn a_recovery_code_brings_the_account_back_when_every_device_is_lost() {
    let Friends { ana, ben, stage } = Friends::meet();
    let Reply::RecoveryCode { code: former } = ana.run(&["account", "recovery-code"]) else {
        panic!("no code")
    };
    let Reply::RecoveryCode { code } = ana.run(&["account", "recovery-code"]) else { panic!("no code") };
    drop(ana);
    let mut found = stage.node("found");
    let stale = found.fails(&["init", "--recovery", &former], ErrorCode::Refused);
    assert!(stale.contains("no active device"), "{stale}");
    found.run(&["init", "--recovery", &code, "--name", "found"]);
    found.until("the friend is known", |found| (contacts(found) == ["ben"]).then_some(()));
    found.run(&["account", "devices", "revoke", &devices(&found)[0].key.to_string()]);
    assert_eq!(devices(&found).len(), 1);
    let mut friends = Friends { ana: found, ben, stage };
    friends.begin_jam();
    friends.assert_sound();
}
