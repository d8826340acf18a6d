//! Messages between contacts: delivered to whoever was away, once and in order, and read by nobody between.

use std::fs;

use jamsync_node::api::{ConversationMessage, ErrorCode, Event, Reply};

use super::{
    devices::second_device,
    node::Node,
    stage::{Friends, Stage},
};

/// What stands nowhere but at the two.
const CANARY: &str = "the canary sings at midnight";

/// What `node` shows of its conversation with `with`: who said it, what, and whether it is sent.
pub(super) fn messages(node: &Node, with: &str) -> Vec<ConversationMessage> {
    match node.run(&["messages", with, "--last", "1000"]) {
        Reply::Messages { messages, .. } => messages,
        other => panic!("no messages, but {other:?}"),
    }
}

/// The words alone, each with whose they are.
pub(super) fn words(node: &Node, with: &str) -> Vec<(bool, String)> {
    messages(node, with).iter().map(|message| (message.mine, message.text.as_str().to_owned())).collect()
}

pub(super) fn write(node: &Node, to: &str, text: &str) {
    match node.run(&["msg", to, text]) {
        Reply::Message { message } => assert_eq!((message.mine, message.text.as_str()), (true, text)),
        other => panic!("not kept, but {other:?}"),
    }
}

/// The event that tells of a message with these words.
pub(super) fn told(text: &str) -> impl Fn(&Event) -> Option<ConversationMessage> {
    move |event| match event {
        Event::Message(message) if message.text.as_str() == text => Some(message.clone()),
        _ => None,
    }
}

/// Everything that the coordinator has written to disk.
pub(super) fn kept_by_coordinator(stage: &Stage) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(stage.data()).expect("the data of the coordinator") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            all.extend(fs::read(&path).expect("a file"));
        }
    }
    all
}

pub(super) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_is_said_to_a_friend_who_is_away_arrives_once_and_nobody_between_can_read_it() {
    let mut friends = Friends::meet();
    // Ben leaves after the two have met; Ana writes.
    write(&friends.ana, "ben", "hello");
    friends.ben.event("the first message", told("hello"));
    let home = friends.ben.kill();
    let mark = friends.ana.mark();
    write(&friends.ana, "ben", CANARY);
    let sent = friends.ana.event_since(mark, "that the coordinator has it", told(CANARY));
    assert!(sent.mine && sent.is_sent(), "{sent:?}");

    // What was acknowledged survives the coordinator's sudden end.
    friends.stage.kill_coordinator();
    friends.stage.start_coordinator();

    let mut ben = Node::start("ben", home);
    // It may have come before anybody watched.
    let expected = vec![(false, "hello".to_owned()), (false, CANARY.to_owned())];
    ben.until("the message is there", |ben| (words(ben, "ana") == expected).then_some(()));
    let mark = friends.ana.mark();
    write(&ben, "ana", "I heard it");
    friends.ana.event_since(mark, "the answer", told("I heard it"));
    let all = [("hello", true), (CANARY, true), ("I heard it", false)];
    let all = |turned: bool| all.map(|(text, mine)| (mine != turned, text.to_owned())).to_vec();
    assert_eq!(words(&friends.ana, "ben"), all(false));
    ben.until("all is sent", |ben| (words(ben, "ana") == all(true)).then_some(()));

    // Started anew, both still know it, once.
    let mut ben = Node::start("ben", ben.kill());
    ben.until("the coordinator is there", |ben| {
        matches!(ben.status().coordinator, jamsync_node::api::Coordinator::Connected { .. }).then_some(())
    });
    assert_eq!(words(&ben, "ana"), all(true));

    let kept = kept_by_coordinator(&friends.stage);
    assert!(holds(&kept, "ana"), "the files are those of the coordinator");
    assert!(!holds(&kept, CANARY), "the coordinator can read it");
    let home = fs::read(friends.ana.home.join("messages.sqlite-wal")).unwrap_or_default();
    let file = fs::read(friends.ana.home.join("messages.sqlite")).expect("Ana's own database");
    assert!(holds(&home, CANARY) || holds(&file, CANARY), "the search finds what is there");
}

#[test]
fn every_device_of_both_gets_what_is_said_until_it_is_revoked() {
    let mut friends = Friends::meet();
    let mut laptop = second_device(&friends.stage, &friends.ana, "laptop");
    laptop.until("the laptop knows the friend", |laptop| {
        laptop.try_run(&["safety", "ben"]).is_ok().then_some(())
    });
    write(&friends.ana, "ben", "from the first device");
    friends.ben.event("the first", told("from the first device"));
    // The laptop is let in by then, or sees what comes after.
    let mark = laptop.mark();
    let mut number = 0;
    laptop.until("the laptop is let in", |laptop| {
        number += 1;
        let text = format!("to all of you, {number}");
        write(&friends.ben, "ana", &text);
        friends.ana.event(&text, told(&text));
        words(laptop, "ben").contains(&(false, text)).then_some(())
    });
    laptop.event_since(mark, "a message on the laptop", |event| {
        matches!(event, Event::Message(_)).then_some(())
    });
    let mark = friends.ana.mark();
    write(&laptop, "ben", "from the laptop");
    let seen = friends.ana.event_since(mark, "one's own other device", told("from the laptop"));
    assert!(seen.mine && seen.is_sent(), "{seen:?}");
    friends.ben.event("the laptop's", told("from the laptop"));

    friends.ana.run(&["account", "devices", "revoke", "laptop"]);
    let mark = friends.ben.mark();
    write(&friends.ana, "ben", "without the laptop");
    friends.ben.event_since(mark, "what follows", told("without the laptop"));
    let known = words(&laptop, "ben");
    assert!(known.iter().all(|(_, text)| text != "without the laptop"), "{known:?}");
}

#[test]
fn who_is_blocked_or_unknown_is_refused_and_what_steers_a_terminal_never_leaves() {
    let friends = Friends::meet();
    let ana = &friends.ana;
    ana.fails(&["msg", "nobody", "hello"], ErrorCode::NotFound);
    ana.fails(&["messages", "nobody"], ErrorCode::NotFound);
    ana.fails(&["msg", "ben", "   "], ErrorCode::Usage);
    ana.fails(&["msg", "ben", "\u{1b}[2J"], ErrorCode::Usage);
    ana.fails(&["msg", "ben", &"x".repeat(4_097)], ErrorCode::Usage);
    ana.run(&["contacts", "block", "ben"]);
    let refused = ana.fails(&["msg", "ben", "hello"], ErrorCode::Refused);
    assert!(refused.contains("you have blocked"), "{refused}");
    assert_eq!(words(ana, "ben"), []);
}
