//! What two friends say to each other in a Jam: live, without a coordinator, and across a lost connection.

use jamsync_node::api::{ErrorCode, Event, Message, Reply, Who};
use jamsync_protocol::{
    chat::{ChatMessage, ChatText, MessageId, Reaction, Said},
    id::Participant,
    limits::PEER_FRAME_BYTES_MAX,
    text::Text,
    time::UtcTime,
    wire::codec,
};
use rustix::process::Signal;
use serde::Serialize;

use super::{
    node::Node,
    stage::Friends,
    stranger::{Stranger, grant, hello, jam_of},
};

/// Says it, and tells whether the friend is away.
pub(super) fn say(node: &Node, text: &str) -> bool {
    let Reply::Said { away, message, .. } = node.run(&["say", text]) else { panic!("no answer to `say`") };
    assert_eq!(message.text.as_str(), text);
    away
}

fn history(node: &Node) -> Vec<Message> {
    let Reply::Chat { messages, .. } = node.run(&["chat", "--last", "500"]) else { panic!("no history") };
    messages
}

fn texts(node: &Node) -> Vec<(String, bool)> {
    let line = |message: &Message| (message.text.as_str().to_owned(), message.by == Who::You);
    history(node).iter().map(line).collect()
}

pub(super) fn hears(node: &mut Node, mark: usize, text: &str) {
    node.event_since(mark, text, |event| match event {
        Event::Said(message) if message.text.as_str() == text && message.by != Who::You => Some(()),
        _ => None,
    });
}

#[test]
fn friends_talk_with_the_coordinator_dead_and_across_a_lost_connection() {
    let mut friends = Friends::meet();
    let reason = friends.ana.fails(&["say", "hello"], ErrorCode::NotInJam);
    assert!(reason.contains("jamsync request"), "{reason}");
    friends.begin_jam();
    let marks = [friends.ana.mark(), friends.ben.mark()];

    assert!(!say(&friends.ana, "this drop!"));
    hears(&mut friends.ben, marks[1], "this drop!");
    friends.ana.event_since(marks[0], "the delivery", |event| match event {
        Event::Delivered { up_to: 1, count: 1, .. } => Some(()),
        _ => None,
    });
    friends.ben.run(&["react", "👏"]);
    let reacted = |event: &Event| match event {
        Event::Reacted { by: Who::Peer(by), reaction: Reaction::Clap } => Some(by.to_string()),
        _ => None,
    };
    assert_eq!(friends.ana.event_since(marks[0], "the applause", reacted), "ben");

    friends.stage.kill_coordinator();
    assert!(!say(&friends.ben, "still there?"));
    hears(&mut friends.ana, marks[0], "still there?");

    friends.ana.signal(Signal::STOP);
    friends.ben.event_since(marks[1], "the loss of its friend", |event| {
        matches!(event, Event::PeerLost { .. }).then_some(())
    });
    for text in ["one", "two", "three"] {
        assert!(say(&friends.ben, text), "the friend is away");
    }
    assert_eq!(friends.ben.status().jam.map(|jam| jam.chat.waiting), Some(3));
    let reason = friends.ben.fails(&["react", "fire"], ErrorCode::Unreachable);
    assert!(reason.contains("say it in words"), "{reason}");
    friends.ana.signal(Signal::CONT);
    hears(&mut friends.ana, marks[0], "three");
    friends
        .ben
        .until("all has arrived", |ben| history(ben).iter().all(|message| message.delivered).then_some(()));

    let said = [("this drop!", false), ("still there?", true), ("one", true), ("two", true), ("three", true)];
    let as_ben_sees_it = said.map(|(text, own)| (text.to_owned(), own));
    assert_eq!(texts(&friends.ben), as_ben_sees_it);
    assert_eq!(
        texts(&friends.ana),
        as_ben_sees_it.map(|(text, own)| (text, !own)),
        "and no reaction is kept"
    );

    friends.ana.run(&["leave"]);
    friends.ana.fails(&["chat"], ErrorCode::NotInJam);
    friends.assert_sound();
}

#[test]
fn what_a_person_cannot_say_is_refused_with_the_remedy() {
    let mut friends = Friends::meet();
    friends.begin_jam();
    let mark = friends.ben.mark();
    for (text, code, reason) in [
        ("  ", ErrorCode::Usage, "write some words"),
        ("\u{1b}[2J", ErrorCode::Usage, "leave it out"),
        (&*"x".repeat(4_097), ErrorCode::Usage, "send it in parts"),
    ] {
        let said = friends.ana.fails(&["say", text], code);
        assert!(said.contains(reason), "{said}");
    }
    friends.ana.run(&["say", "several", "words,\r\n", "two lines\t"]);
    hears(&mut friends.ben, mark, "several words,\n two lines");
    for _ in 0..5 {
        friends.ana.run(&["react", "heart"]);
    }
    let said = friends.ana.try_run(&["react", "heart"]).err();
    assert!(said.is_none_or(|error| error.code == ErrorCode::Refused && error.remedy.contains("again in")));
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peer_that_breaks_the_rules_of_the_chat_is_shown_the_door_by_name() {
    let mut friends = Friends::meet();
    friends.begin_jam();
    let (ana, ben) = (friends.ana.status(), friends.ben.status());
    friends.ana.signal(Signal::STOP);
    let thief = Stranger::thief(&friends.ana.home, &ben);
    let hello = hello(jam_of(&ben), &grant(&friends.stage.data(), &ben, &ana, |_| {}));
    let resume = frame(&ChatMessage::Resume { heard: 0 });
    let escape = Text::<64>::truncated("\u{1b}[2J");
    let cases: [(Vec<u8>, &str); 7] = [
        (said(1, 1), "before its resume"),
        (frame(&ChatMessage::Resume { heard: 9 }), "claims to have heard message 9"),
        ([&resume[..], &resume].concat(), "a second resume"),
        ([&resume[..], &said(0, 1)].concat(), "in the name of #0"),
        ([&resume[..], &said(1, 1), &said(1, 3)].concat(), "says message 3 where 2 is next"),
        ([&resume[..], &frame(&(1_u32, 1_u8, 2_u32, 0_i64, escape))].concat(), "malformed message on Chat"),
        (
            [&resume[..], &(1..=200).flat_map(|number| said(1, number)).collect::<Vec<u8>>()].concat(),
            "floods the chat",
        ),
    ];
    for (bytes, reason) in cases {
        let mut intrusion = thief.enter(&hello).await;
        let _ = intrusion.chat.write_all(&bytes).await;
        let end = intrusion.end().await;
        assert!(end.contains(reason), "{end:?} does not say {reason:?}");
    }
    let kept = history(&friends.ben).len();
    assert!((100..=130).contains(&kept), "{kept} messages of a flood of 200 are kept");
    friends.ana.signal(Signal::CONT);
    friends.ana.until("the honest guest is back", |ana| super::stage::in_step(&ana.status()).then_some(()));
    friends.assert_sound();
}

fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    codec::encode_frame(message, PEER_FRAME_BYTES_MAX).expect("fits")
}

fn said(author: u8, number: u32) -> Vec<u8> {
    let author = Participant::new(author).expect("a place");
    let text: ChatText = "hello".parse().expect("may be said");
    frame(&ChatMessage::Say(Said { id: MessageId { author, number }, at: UtcTime::ZERO, text }))
}
