//! A coordinator whose data went back in time: nodes come back to it by themselves, lose nothing that it had acknowledged
//! before, and hear of all that happens since, whatever event numbers they have seen meanwhile.

use std::{fs, path::Path};

use jamsync_node::api::{Event, Reply};

use super::{
    devices::second_device,
    node::Node,
    stage::{Friends, Stage, befriend, in_step},
};

/// Somebody asks and is turned down, some times: each time both get events.
fn ask_and_decline(from: &mut Node, to: &mut Node) {
    for _ in 0..3 {
        let marks = [from.mark(), to.mark()];
        from.run(&["request", &to.name]);
        to.event_since(marks[1], "the request", |event| match event {
            Event::RequestOpened { with, .. } => (with.as_str() == from.name).then_some(()),
            _ => None,
        });
        to.run(&["decline", &from.name]);
        from.event_since(marks[0], "the answer", |event| {
            matches!(event, Event::RequestClosed { .. }).then_some(())
        });
    }
}

/// Puts what `make` makes in the place of the data of the coordinator, which is away meanwhile.
fn replace_data(stage: &mut Stage, make: impl FnOnce(&Stage)) {
    let data = stage.data();
    stage.stop_coordinator();
    fs::rename(&data, data.with_extension("lost")).expect("moved away");
    make(stage);
    stage.start_coordinator();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn nodes_come_back_to_a_restored_backup_and_lose_nothing_that_it_holds() {
    let Friends { mut ana, mut ben, mut stage } = Friends::meet();
    let mut carl = stage.person("carl", "1990-05-17");
    befriend(&ana, &mut carl);
    befriend(&ben, &mut carl);
    let mut tablet = second_device(&stage, &ana, "tablet");
    ana.run(&["contacts", "mute", "carl"]);
    ana.run(&["request", "ben"]);
    ben.until("it is asked", |ben| (ben.status().requests.len() == 1).then_some(()));
    let backup = stage.folder.path().join("backup").display().to_string();
    stage.operate("backup", &["--to", &backup]);
    // Everyone sees numbers that the backup does not know, and there is an account that it does not know.
    ana.run(&["contacts", "unmute", "carl"]);
    ask_and_decline(&mut carl, &mut ana);
    ask_and_decline(&mut carl, &mut ben);
    drop(stage.person("dora", "1990-05-17"));

    let marks = [&mut ana, &mut tablet, &mut ben, &mut carl].map(Node::mark);
    replace_data(&mut stage, |stage| drop(stage.operate("restore", &["--from", &backup])));
    for (node, mark) in [&mut ana, &mut tablet, &mut ben, &mut carl].into_iter().zip(marks) {
        node.event_since(mark, "the coordinator is back", |event| {
            matches!(event, Event::Coordinator { connected: true, .. }).then_some(())
        });
    }
    assert!(!stage.operate("account", &["list"]).contains("dora"), "she signed up after the backup");
    let Reply::AccountDevices { devices, .. } = ana.run(&["account", "devices"]) else {
        panic!("no devices")
    };
    assert_eq!(devices.len(), 2);
    for (node, friends) in [(&ana, 2), (&tablet, 2), (&ben, 2), (&carl, 2)] {
        let Reply::Contacts { contacts, .. } = node.run(&["contacts"]) else { panic!("no contacts") };
        assert_eq!(contacts.len(), friends, "{}", node.name);
    }
    // What waited at the backup waits still, and is answered as if nothing had been.
    ben.until("Ana still asks", |ben| (ben.status().requests.len() == 1).then_some(()));
    ben.run(&["accept", "ana"]);
    for node in [&mut ana, &mut ben] {
        node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
    }
    ana.run(&["leave"]);
    ben.until("the Jam is over", |ben| ben.status().jam.is_none().then_some(()));
    ask_and_decline(&mut carl, &mut ben);
    for node in [&mut ana, &mut tablet, &mut ben, &mut carl] {
        node.assert_sound();
    }
}

#[test]
fn an_older_copy_of_the_data_put_back_by_hand_leaves_nobody_without_events() {
    let Friends { mut ana, mut ben, mut stage } = Friends::meet();
    stage.stop_coordinator();
    let older = stage.folder.path().join("older");
    copy(&stage.data(), &older);
    stage.start_coordinator();
    ask_and_decline(&mut ana, &mut ben);
    // Both have seen numbers that the copy is yet to give out.
    let marks = [ana.mark(), ben.mark()];
    replace_data(&mut stage, |stage| copy(&older, &stage.data()));
    for (node, mark) in [&mut ana, &mut ben].into_iter().zip(marks) {
        node.event_since(mark, "the coordinator is back", |event| {
            matches!(event, Event::Coordinator { connected: true, .. }).then_some(())
        });
    }
    ask_and_decline(&mut ana, &mut ben);
    ask_and_decline(&mut ben, &mut ana);
    ana.assert_sound();
    ben.assert_sound();
}
