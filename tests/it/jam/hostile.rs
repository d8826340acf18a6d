//! Peers without a right to be there, and peers that break the rules: shown the door with a named reason,
//! without harm to anything.

use jamsync_node::{
    api::{Event, Snapshot},
    identity::Identity,
};
use jamsync_protocol::{
    id::{EntryId, JamId, Participant},
    identity::DeviceSecret,
    limits::PEER_FRAME_BYTES_MAX,
    media::Frames,
    queue::Term,
    text::List,
    time::{JamTime, PeerTime, Span},
    timeline::{Anchor, Revision},
    wire::{
        codec,
        peer::{Announcement, Claim, ControlMessage, Hello, JamLine, Standing, Verb, Welcome, Wish},
    },
};
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, ids},
    stranger::{Stranger, grant, hello, jam_of, signed_by},
};

/// What an attack must not change.
fn shown(status: &Snapshot) -> (Vec<String>, Option<(String, bool)>, Option<bool>) {
    let queue = ids(&status.queue).into_iter().map(str::to_owned).collect();
    let now = status.now.as_ref().map(|now| (now.title.to_string(), now.playing));
    (queue, now, status.jam.as_ref().map(|jam| jam.guest_controls))
}

/// Waits for the sentence in which a node names the offence.
fn names(node: &mut Node, mark: usize, offence: &str) {
    node.event_since(mark, offence, |event| match event {
        Event::Warning { message } if message.contains(offence) => Some(()),
        Event::PeerLost { reason, .. } if reason.contains(offence) => Some(()),
        _ => None,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_has_no_right_to_the_jam_is_refused_and_the_jam_is_not_disturbed() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 60);
    friends.begin_jam_with(&music);
    let (ana, ben) = (friends.ana.status(), friends.ben.status());
    let before = shown(&ben);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    let other = Stranger::new(Identity::from_seed(&[99; 32]).expect("a key"), &ben);
    // TLS 1.3 lets a client believe in a connection that the server is about to refuse.
    if let Ok(intrusion) = other.connect().await {
        let closed = intrusion.connection.closed().await.to_string();
        assert!(closed.contains("certificate") || closed.contains("crypto"), "{closed}");
    }

    let thief = Stranger::thief(&friends.ana.home, &ben);
    let data = friends.stage.data();
    let jam = jam_of(&ben);
    let another = JamId([7; 16]);
    let honest = grant(&data, &ben, &ana, |_| {});
    let forged = signed_by(&DeviceSecret::from_seed(&[1; 32]), &ben, &ana, |_| {});
    let moved = grant(&data, &ben, &ana, |grant| grant.jam = another);
    let cases: [(Hello, &str); 5] = [
        (Hello { grant: List::empty(), ..hello(jam, &honest) }, "truncated"),
        (hello(jam, &forged), "not signed by the coordinator"),
        (hello(another, &moved), "another Jam"),
        (hello(jam, &moved), "another Jam"),
        (hello(another, &honest), "another Jam"),
    ];
    for (hello, reason) in cases {
        let mark = friends.ben.mark();
        let end = thief.enter(&hello).await.end().await;
        assert!(end.contains(reason), "{end:?} does not say {reason:?}");
        names(&mut friends.ben, mark, reason);
    }

    // One who says nothing, one who begins with something else, one with streams of no kind.
    let silent = thief.connect().await.expect("the key is expected");
    let mut rude = thief.connect().await.expect("the key is expected");
    rude.say(&ControlMessage::Leaving).await;
    assert!(rude.end().await.contains("no hello"));
    assert!(silent.end().await.contains("did not say hello"));

    assert_eq!(shown(&friends.ben.status()), before);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        let lost = node.events_since(mark).iter().any(|event| matches!(event, Event::PeerLost { .. }));
        assert!(!lost, "{}: the honest connection is not touched", node.name);
    }
    friends.ana.run(&["skip"]);
    friends.hear("the honest guest's skip", |now| now.title.as_str() == "Piece 2" && now.playing);
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_expired_grant_admits_nobody() {
    let mut friends = Friends::meet();
    let mark = friends.ben.mark();
    friends.ana.run(&["request", "ben"]);
    friends
        .ben
        .event_since(mark, "the request", |event| matches!(event, Event::RequestOpened { .. }).then_some(()));
    let ana = friends.ana.status();
    // The honest guest does not come before the thief.
    friends.ana.signal(Signal::STOP);
    friends.ben.run(&["accept"]);
    friends.ben.event_since(mark, "the Jam", |event| matches!(event, Event::JamStarted { .. }).then_some(()));
    let ben = friends.ben.status();
    let expired = grant(&friends.stage.data(), &ben, &ana, |grant| grant.expires = grant.issued);
    let thief = Stranger::thief(&friends.ana.home, &ben);
    let end = thief.enter(&hello(jam_of(&ben), &expired)).await.end().await;
    assert!(end.contains("expired"), "{end}");
    names(&mut friends.ben, mark, "expired");
    friends.ana.signal(Signal::CONT);
    friends.ben.until("the honest guest comes", |ben| super::stage::in_step(&ben.status()).then_some(()));
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_host_closes_on_every_broken_rule_with_its_name_and_the_honest_guest_comes_back() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 60);
    friends.begin_jam_with(&music);
    let (ana, ben) = (friends.ana.status(), friends.ben.status());
    let before = shown(&ben);
    let anas_mark = friends.ana.mark();
    // The thief has the Jam to itself while the honest guest stands still.
    friends.ana.signal(Signal::STOP);
    let thief = Stranger::thief(&friends.ana.home, &ben);
    let hello = hello(jam_of(&ben), &grant(&friends.stage.data(), &ben, &ana, |_| {}));
    let message =
        |message: &ControlMessage| codec::encode_frame(message, PEER_FRAME_BYTES_MAX).expect("fits");
    let guest = message(&standing(Claim::Guest));
    let behind = |said: ControlMessage| [&guest[..], &message(&said)].concat();
    let welcome = Welcome {
        term: FIRST,
        line: JamLine { origin: PeerTime::ZERO, jam: JamTime::ZERO, rate_ppb: 0 },
        guest_controls: false,
        anchors: List::empty(),
    };
    let cases: [(&[u8], &str); 10] = [
        (&[0xff; 4], "are allowed"),
        (&[0, 0, 0, 2, 9, 9], "after the end of the message"),
        (&[0, 0, 0, 1, 0x63], "unknown variant"),
        (&[0, 0, 0, 1, 8], "truncated"),
        (&message(&ControlMessage::Volume { percent: 1 }), "before its standing out of turn"),
        (&message(&standing(Claim::Host)), "which was not given"),
        (&behind(ControlMessage::Welcome(welcome)), "a welcome out of turn"),
        (&behind(ControlMessage::Anchor(anchor(&ben, 9))), "an anchor out of turn"),
        (&behind(ControlMessage::GuestControls { allowed: false }), "guest controls out of turn"),
        (&message(&ControlMessage::Hello(hello.clone())), "a second hello out of turn"),
    ];
    for (bytes, reason) in cases {
        let mark = friends.ben.mark();
        let mut intrusion = thief.enter(&hello).await;
        intrusion.send(bytes).await;
        let end = intrusion.end().await;
        assert!(end.contains(reason), "{end:?} does not say {reason:?}");
        names(&mut friends.ben, mark, reason);
        assert_eq!(shown(&friends.ben.status()), before, "after {reason}");
    }
    cut_short_garbage_and_flood(&thief, &hello, &mut friends.ben).await;
    assert_eq!(shown(&friends.ben.status()), before);

    friends.ana.signal(Signal::CONT);
    friends
        .ana
        .event_since(anas_mark, "its return", |event| matches!(event, Event::PeerBack { .. }).then_some(()));
    friends
        .ana
        .until("the honest guest is in step", |ana| super::stage::in_step(&ana.status()).then_some(()));
    friends.ana.run(&["skip"]);
    friends.hear("the honest guest's skip", |now| now.title.as_str() == "Piece 2" && now.playing);
    friends.assert_sound();
}

async fn cut_short_garbage_and_flood(thief: &Stranger, hello: &Hello, ben: &mut Node) {
    let mut intrusion = thief.enter(hello).await;
    intrusion.send(&[0, 0, 0, 90, 1, 2, 3]).await;
    let _ = intrusion.control.finish();
    assert!(intrusion.end().await.contains("inside a frame"));

    let mut intrusion = thief.enter(hello).await;
    let _ = intrusion.queue.write_all(&[0, 0, 0, 3, 0xff, 0xff, 0xff]).await;
    assert!(intrusion.end().await.contains("malformed message on Queue"));

    let intrusion = thief.enter(hello).await;
    let mark = ben.mark();
    for _ in 0..2_000 {
        if intrusion.connection.send_datagram(vec![0xee; 900].into()).is_err() {
            break;
        }
    }
    assert!(intrusion.end().await.contains("malformed message on Datagram"));
    names(ben, mark, "Datagram");
    let told = ben.events_since(mark).iter().filter(|event| matches!(event, Event::Warning { .. })).count();
    assert!(told <= 1, "one offence is told once, not {told} times");

    let mut intrusion = thief.enter(hello).await;
    intrusion.say(&standing(Claim::Guest)).await;
    let entry = EntryId { author: Participant::FIRST, number: 4_000_000 };
    let flood: Vec<u8> = (0..4_000)
        .flat_map(|number| {
            let wish = Wish {
                number,
                verb: Verb::Seek,
                entry,
                position: Frames(0),
                at: JamTime::ZERO,
                playing: true,
            };
            codec::encode_frame(&ControlMessage::Wish(wish), PEER_FRAME_BYTES_MAX).expect("fits")
        })
        .collect();
    intrusion.send(&flood).await;
    assert!(intrusion.end().await.contains("does not read what it is sent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guest_takes_no_order_before_its_turn_and_survives_a_host_out_of_its_mind() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 60);
    friends.begin_jam_with(&music);
    let (ana, ben) = (friends.ana.status(), friends.ben.status());
    let before = shown(&ana);
    friends.ben.signal(Signal::STOP);
    let thief = Stranger::thief(&friends.ben.home, &ana);
    let hello = hello(jam_of(&ben), &grant(&friends.stage.data(), &ben, &ana, |_| {}));

    let mut intrusion = thief.enter(&hello).await;
    intrusion.say(&standing(Claim::Host)).await;
    intrusion.say(&ControlMessage::Anchor(anchor(&ana, 99))).await;
    let end = intrusion.end().await;
    assert!(end.contains("an anchor out of turn"), "{end}");

    let mut intrusion = thief.enter(&hello).await;
    let entry = anchor(&ana, 1).anchor.entry.expect("an entry");
    let wish =
        Wish { number: 1, verb: Verb::Pause, entry, position: Frames(0), at: JamTime::ZERO, playing: false };
    intrusion.say(&standing(Claim::Host)).await;
    intrusion.say(&ControlMessage::Wish(wish)).await;
    let end = intrusion.end().await;
    assert!(end.contains("a wish out of turn"), "{end}");
    // Nothing is known of the clock of a host that began anew, but what was agreed stands.
    let (queue, _, guest_controls) = shown(&friends.ana.status());
    assert!(queue.ends_with(&before.0) && guest_controls == before.2, "{queue:?}");

    // The key of the host may lead anywhere, but never to an end of the node.
    let mut intrusion = thief.enter(&hello).await;
    intrusion.say(&standing(Claim::Host)).await;
    let (origin, jam) = (PeerTime::from_nanos(i64::MIN), JamTime::from_nanos(i64::MAX));
    let line = JamLine { origin, jam, rate_ppb: 1_000_000 };
    let mut mad = anchor(&ana, u64::MAX - 9);
    (mad.anchor.position, mad.anchor.at) = (Frames(u64::MAX), JamTime::from_nanos(i64::MAX));
    let anchors = List::new(vec![mad]).expect("fits");
    intrusion
        .say(&ControlMessage::Welcome(Welcome { term: FIRST, line, guest_controls: true, anchors }))
        .await;
    mad.anchor.revision.counter = u64::MAX;
    mad.anchor.at = JamTime::from_nanos(i64::MIN);
    intrusion.say(&ControlMessage::Anchor(mad)).await;
    intrusion.say(&ControlMessage::AnchorLate { by: Span::MAX }).await;
    intrusion.say(&ControlMessage::Volume { percent: 255 }).await;
    friends
        .ana
        .event("the volume, which came last", |event| matches!(event, Event::Volume { .. }).then_some(()));
    friends.ana.run(&["leave"]);
    friends.ana.run(&["play", &music[0].display().to_string()]);
    friends
        .ana
        .until("her own music plays", |ana| ana.status().now.is_some_and(|now| now.playing).then_some(()));
    friends.ben.signal(Signal::CONT);
    friends.assert_sound();
}

/// The term in which the Jam begins.
const FIRST: Term = Term { epoch: 1, host: Participant::FIRST };

fn standing(claim: Claim) -> ControlMessage {
    ControlMessage::Standing(Standing { claim, term: FIRST })
}

/// An anchor that moves what is on to a pause at its start.
fn anchor(status: &Snapshot, counter: u64) -> Announcement {
    let key = status.now.as_ref().expect("something is on").entry.0.to_string();
    let (author, number) = key.split_once('.').expect("author and number");
    let author = Participant::new(author.parse().expect("a place")).expect("a place");
    let entry = Some(EntryId { author, number: number.parse().expect("a number") });
    let revision = Revision { epoch: 1, host: Participant::FIRST, counter };
    let anchor = Anchor { revision, entry, position: Frames(0), at: JamTime::ZERO, playing: false };
    Announcement { anchor, by: Participant::FIRST, verb: Verb::Pause, answers: None }
}
