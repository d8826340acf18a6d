//! A peer that lies: whatever it says is bounded, refused or dropped, and the session goes on.

use proptest::{prelude::*, test_runner::TestCaseError};

use super::*;
use crate::{
    limits::ANCHORS_MAX,
    queue::{Change, Edit, EditId, Fact, Head, Place},
    timeline::{Anchor, Revision},
    wire::peer::{Claim, Datagram, JamLine, Standing},
};

const FIRST: Term = Term { epoch: 1, host: HOST };
const START: NodeTime = NodeTime::from_nanos(1_000_000_000);

/// A session with tracks of these lengths in frames that is on, and knows a peer.
fn host(lengths: &[u64]) -> Session {
    let mut session = Session::alone(START);
    let tracks =
        (0u8..).zip(lengths).map(|(number, length)| Track { length: Frames(*length), ..track(number, 0) });
    session.handle_command(Command::Edit(Intent::Append(tracks.collect())), START).unwrap();
    session.handle_command(Command::Resume, START).unwrap();
    session.handle_connected(guest_id(), 7, START);
    let standing = Standing { claim: Claim::Nothing, term: Term::NONE };
    hear(&mut session, &ControlMessage::Standing(standing), START).unwrap();
    session
}

fn guest() -> Session {
    let mut session = Session::guest(guest_id(), HOST);
    session.handle_connected(HOST, 7, START);
    let standing = Standing { claim: Claim::Host, term: FIRST };
    hear(&mut session, &ControlMessage::Standing(standing), START).unwrap();
    session
}

fn hear(session: &mut Session, message: &ControlMessage, now: NodeTime) -> Result<(), SessionError> {
    let bytes = codec::encode(message, PEER_FRAME_BYTES_MAX).unwrap();
    session.handle_bytes(Channel::Control, &bytes, now)
}

fn welcome(term: Term) -> Welcome {
    let line = JamLine { origin: PeerTime::ZERO, jam: JamTime::ZERO, rate_ppb: 0 };
    Welcome { term, line, guest_controls: true, anchors: List::empty() }
}

fn hear_queue(session: &mut Session, message: &QueueMessage) -> Result<(), SessionError> {
    let bytes = codec::encode(message, PEER_FRAME_BYTES_MAX).unwrap();
    session.handle_bytes(Channel::Queue, &bytes, START)
}

fn drain(session: &mut Session, now: NodeTime) {
    while session.poll_event().is_some() {}
    while session.poll_transmit(now).is_some() {}
}

#[test]
fn a_queue_message_for_another_host_does_no_harm() {
    let (question, at) = (1, Head { number: 1, term: FIRST });
    let mut guest = guest();
    hear(&mut guest, &ControlMessage::Welcome(welcome(FIRST)), START).unwrap();
    assert_eq!(hear_queue(&mut guest, &QueueMessage::Resume { question, at }), Ok(()));
    let order = QueueMessage::Ordered { at, fact: Fact::Freeze(EntryId { author: HOST, number: 1 }) };
    assert_eq!(hear_queue(&mut host(&[44_100]), &order), Ok(()));
}

#[test]
fn tracks_shorter_than_the_lead_follow_each_other_without_haste() {
    let lengths = [441; 40];
    let mut session = host(&lengths);
    let mut now = START;
    for _ in 0..500 {
        session.handle_timeout(now).unwrap();
        drain(&mut session, now);
        let due = session.poll_timeout(now).unwrap();
        assert!(due > now, "nothing is left to do at {now:?}");
        now = due;
    }
    let heard = session.heard_at(now).unwrap();
    assert!(!heard.playing && heard.entry.number as usize >= lengths.len() - 1, "{heard:?} at {now:?}");
}

#[test]
fn a_peer_cannot_make_a_session_remember_without_end() {
    let mut session = host(&[44_100]);
    let real = EntryId { author: HOST, number: 1 };
    session.handle_availability(real, Availability::Ready, START).unwrap();
    for first in (0..100_000).step_by(256) {
        let entries = (first..first + 256).map(|number| EntryId { author: guest_id(), number });
        let list = entries.clone().map(|entry| (entry, Availability::Missing)).collect();
        hear(&mut session, &ControlMessage::Availability(List::new(list).unwrap()), START).unwrap();
        for entry in entries {
            session.handle_availability(entry, Availability::Missing, START).unwrap();
        }
        drain(&mut session, START);
    }
    let (mine, theirs) = session.availabilities.counts();
    assert!(mine <= 8_192 && theirs <= 8_192, "{mine} and {theirs} entries remembered");
    assert_eq!(session.availability_here(real), Some(&Availability::Ready));
}

#[test]
fn a_peer_that_stands_up_again_and_again_is_stopped() {
    let mut session = host(&[44_100]);
    let standing = Standing { claim: Claim::Provisional, term: Term { epoch: 2, host: guest_id() } };
    let outcome =
        (0..3_000).find_map(|_| hear(&mut session, &ControlMessage::Standing(standing), START).err());
    assert_eq!(outcome, Some(SessionError::Flooded));
    assert!(session.is_host() && session.announced.len() <= ANNOUNCED_MAX);
}

#[test]
fn a_guest_that_edits_without_end_is_stopped_by_name_and_heard_again_after_a_pause() {
    let mut session = host(&[44_100]);
    let resume = QueueMessage::Resume { question: 1, at: Head { number: 0, term: Term::NONE } };
    hear_queue(&mut session, &resume).unwrap();
    let propose = |number: u32| {
        let id = EditId { author: guest_id(), number };
        let entry = EntryId { author: HOST, number: 0 };
        QueueMessage::Propose(Edit { id, change: Change::Move { entry, place: Place::End } })
    };
    let mut told = 0;
    let stopped = (1..3_000).find_map(|number| {
        told = number;
        hear_queue(&mut session, &propose(number)).err()
    });
    assert_eq!(stopped, Some(SessionError::QueueFlooded));
    assert!(told <= 512, "the edit number {told} is the first that is refused");
    drain(&mut session, START);

    let rested = START + Span::from_secs(2);
    let bytes = codec::encode(&propose(told), PEER_FRAME_BYTES_MAX).unwrap();
    assert_eq!(session.handle_bytes(Channel::Queue, &bytes, rested), Ok(()));
}

fn extreme() -> impl Strategy<Value = i64> {
    let near = -20_000_000_000i64..20_000_000_000;
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0), near]
}

fn entry() -> impl Strategy<Value = EntryId> {
    (0u8..2, 0u32..4)
        .prop_map(|(author, number)| EntryId { author: Participant::new(author).unwrap(), number })
}

prop_compose! {
    fn announcement()(
        counter in prop_oneof![0u64..20, any::<u64>()], epoch in prop_oneof![Just(1u32), any::<u32>()],
        host in 0u8..2, entry in prop::option::of(entry()), position in any::<u64>(), at in extreme(),
        playing in any::<bool>(), answers in prop::option::of(0u32..4),
    ) -> Announcement {
        let revision = Revision { epoch, host: Participant::new(host).unwrap(), counter };
        let (position, at) = (Frames(position), JamTime::from_nanos(at));
        Announcement { anchor: Anchor { revision, entry, position, at, playing }, by: guest_id(), verb: Verb::Seek, answers }
    }
}

prop_compose! {
    fn wish()(
        number in any::<u32>(), entry in entry(), position in prop_oneof![0u64..50_000, any::<u64>()],
        at in extreme(), playing in any::<bool>(),
    ) -> Wish {
        let (position, at) = (Frames(position), JamTime::from_nanos(at));
        Wish { number, verb: Verb::Seek, entry, position, at, playing }
    }
}

fn term() -> impl Strategy<Value = Term> {
    let epoch = prop_oneof![0u32..5, any::<u32>()];
    (epoch, 0u8..2).prop_map(|(epoch, host)| Term { epoch, host: Participant::new(host).unwrap() })
}

fn message() -> impl Strategy<Value = ControlMessage> {
    let line = (extreme(), extreme(), prop_oneof![-1_000_000..1_000_000, any::<i32>()]).prop_map(
        |(origin, jam, rate_ppb)| {
            let (origin, jam) = (PeerTime::from_nanos(origin), JamTime::from_nanos(jam));
            JamLine { origin, jam, rate_ppb }
        },
    );
    let welcome = (term(), line, any::<bool>(), prop::collection::vec(announcement(), 0..8));
    prop_oneof![
        2 => welcome.prop_map(|(term, line, guest_controls, anchors)| ControlMessage::Welcome(Welcome {
            term,
            line,
            guest_controls,
            anchors: List::new(anchors).unwrap(),
        })),
        2 => (0usize..6, term()).prop_map(|(claim, term)| {
            let claims = [
                Claim::Nothing, Claim::Restored, Claim::Revived, Claim::Guest, Claim::Provisional, Claim::Host,
            ];
            ControlMessage::Standing(Standing { claim: claims[claim], term })
        }),
        1 => (0u32..5).prop_map(|epoch| ControlMessage::HandOver { epoch }),
        4 => announcement().prop_map(ControlMessage::Anchor),
        4 => wish().prop_map(ControlMessage::Wish),
        1 => any::<u32>().prop_map(|number| ControlMessage::WishRefused { number, reason: Refusal::Unplayable }),
        1 => entry().prop_map(|entry| {
            ControlMessage::Availability(List::new(vec![(entry, Availability::Missing)]).unwrap())
        }),
        1 => extreme().prop_map(|by| ControlMessage::AnchorLate { by: Span::from_nanos(by) }),
        1 => any::<u8>().prop_map(|percent| ControlMessage::Volume { percent }),
    ]
}

/// One message, then what a shell does about it, and two seconds of whatever the session wants.
fn suffer(session: &mut Session, message: &ControlMessage, now: &mut NodeTime) -> Result<(), TestCaseError> {
    let _ = hear(session, message, *now);
    drain(session, *now);
    let until = *now + Span::from_secs(2);
    for _ in 0..2_000 {
        let Some(due) = session.poll_timeout(*now).filter(|due| *due < until) else { break };
        *now = (*now).max(due);
        prop_assert_eq!(session.handle_timeout(*now), Ok(()));
        drain(session, *now);
    }
    prop_assert!(
        session.poll_timeout(*now).is_none_or(|due| due > *now),
        "busy for ever after {:?}",
        message
    );
    let _ = (session.heard_at(*now), session.sync_report(*now), session.jam_map(*now));
    prop_assert!(session.timeline().anchors().len() <= ANCHORS_MAX + 2);
    prop_assert!(session.announced.len() <= ANNOUNCED_MAX);
    *now = until;
    Ok(())
}

proptest! {
    #[test]
    fn lies_neither_stop_nor_spin_a_session(
        as_host in any::<bool>(), lengths in prop::collection::vec(prop_oneof![0u64..90_000, any::<u64>()], 1..4),
        messages in prop::collection::vec(message(), 1..20),
    ) {
        let mut session = if as_host { host(&lengths) } else { guest() };
        let mut now = START;
        for message in &messages {
            suffer(&mut session, message, &mut now)?;
        }
    }
}

#[test]
fn a_clock_that_claims_what_cannot_be_is_told_of_once_a_minute_and_a_repeated_probe_never() {
    let mut session = host(&[44_100]);
    let mut told = Vec::new();
    for second in 0..90 {
        let now = START + Span::from_secs(second);
        let probe = Probe {
            session_epoch: 7,
            clock_epoch: 0,
            path_epoch: 0,
            seq: u32::try_from(second).unwrap(),
            pair: 0,
            index: 0,
            t_tx: now,
            echo: None,
        };
        // From the tenth second on it answers what nobody asked.
        let echo = (second >= 10).then_some(crate::clock::Echo { seq: 1_000_000, rx: now });
        let bytes = codec::encode(&Datagram::Probe(Probe { echo, ..probe }), DATAGRAM_BYTES_MAX).unwrap();
        for _ in 0..2 {
            session.handle_bytes(Channel::Datagram, &bytes, now).unwrap();
        }
        let events = core::iter::from_fn(|| session.poll_event());
        told.extend(events.filter(|event| *event == Event::ClockDoubted).map(|_| second));
    }
    assert_eq!(told, [10, 70]);
}
