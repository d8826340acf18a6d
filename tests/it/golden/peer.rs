//! Values of the control stream and of datagrams.

use jamsync_protocol::{
    clock::{Echo, Probe},
    id::JamId,
    limits::{DATAGRAM_BYTES_MAX, PEER_FRAME_BYTES_MAX},
    media::Frames,
    queue::Term,
    readiness::PlayoutState,
    time::{JamTime, NodeTime, PeerTime, Span},
    timeline::{Anchor, Revision},
    wire::peer::{
        Announcement, Availability, Claim, ControlMessage, Datagram, Hello, JamLine, PlayoutReport, Refusal,
        Standing, Verb, Welcome, Wish,
    },
};

use super::{Golden, entry, list, participant, text};

pub(super) fn golden() -> Vec<Golden> {
    vec![
        Golden::bytes("peer-control", "ControlMessage", PEER_FRAME_BYTES_MAX, control()),
        Golden::bytes("peer-datagram", "Datagram", DATAGRAM_BYTES_MAX, datagrams()),
    ]
}

fn control() -> Vec<(&'static str, ControlMessage)> {
    let hello = Hello {
        features: 0,
        jam: JamId([0xa5; 16]),
        run: 0x89ab_cdef,
        grant: list((0..20).map(|byte| byte * 13).collect::<Vec<u8>>()),
    };
    let welcome = Welcome {
        term: Term { epoch: 1, host: participant(0) },
        line: line(3_600_000_000_000, 0, 0),
        guest_controls: true,
        anchors: list([
            announcement(1, Verb::Start, None),
            announcement(2, Verb::TrackEnd, None),
            Announcement { by: participant(1), ..announcement(3, Verb::Skip, Some(1)) },
        ]),
    };
    let empty = Welcome {
        term: Term { epoch: 300, host: participant(1) },
        line: line(-1, 7_200_000_000_000, -31_500),
        guest_controls: false,
        anchors: list([]),
    };
    let availability = list([
        (entry(0, 1), Availability::Ready),
        (entry(1, 300), Availability::Missing),
        (entry(31, u32::MAX), Availability::Unplayable { reason: text("no codec for “xyz”") }),
    ]);
    let mut values = vec![
        ("Hello", ControlMessage::Hello(hello)),
        ("Welcome", ControlMessage::Welcome(welcome)),
        ("Welcome to silence", ControlMessage::Welcome(empty)),
        ("Anchor", ControlMessage::Anchor(announcement(u64::MAX, Verb::Seek, Some(u32::MAX)))),
        ("Anchor of nothing", ControlMessage::Anchor(nothing())),
        ("Wish", ControlMessage::Wish(wish(Verb::Pause))),
        ("Availability", ControlMessage::Availability(availability)),
        ("GuestControls", ControlMessage::GuestControls { allowed: false }),
        ("AnchorLate", ControlMessage::AnchorLate { by: Span::from_millis(12) }),
        ("Volume", ControlMessage::Volume { percent: 70 }),
        ("Leaving", ControlMessage::Leaving),
        ("HandOver", ControlMessage::HandOver { epoch: 2 }),
    ];
    values.extend(standings());
    let verbs = [
        ("Wish, Start", Verb::Start),
        ("Wish, Play", Verb::Play),
        ("Wish, Resume", Verb::Resume),
        ("Wish, Seek", Verb::Seek),
        ("Wish, Skip", Verb::Skip),
        ("Wish, TrackEnd", Verb::TrackEnd),
        ("Wish, Unplayable", Verb::Unplayable),
        ("Wish, Removed", Verb::Removed),
        ("Wish, Wait", Verb::Wait),
    ];
    values.extend(verbs.map(|(name, verb)| (name, ControlMessage::Wish(wish(verb)))));
    let refusals = [
        ("WishRefused, GuestControlsOff", Refusal::GuestControlsOff),
        ("WishRefused, UnknownEntry", Refusal::UnknownEntry),
        ("WishRefused, Unplayable", Refusal::Unplayable),
        ("WishRefused, OutOfBounds", Refusal::OutOfBounds),
    ];
    values.extend(refusals.map(|(name, reason)| (name, ControlMessage::WishRefused { number: 7, reason })));
    values
}

fn standings() -> [(&'static str, ControlMessage); 6] {
    let claims = [
        ("Standing, Nothing", Claim::Nothing, 0, 0),
        ("Standing, Restored", Claim::Restored, 1, 0),
        ("Standing, Revived", Claim::Revived, 129, 0),
        ("Standing, Guest", Claim::Guest, 1, 0),
        ("Standing, Provisional", Claim::Provisional, 2, 1),
        ("Standing, Host", Claim::Host, 1, 0),
    ];
    claims.map(|(name, claim, epoch, host)| {
        let term = Term { epoch, host: participant(host) };
        (name, ControlMessage::Standing(Standing { claim, term }))
    })
}

fn line(origin: i64, jam: i64, rate_ppb: i32) -> JamLine {
    JamLine { origin: PeerTime::from_nanos(origin), jam: JamTime::from_nanos(jam), rate_ppb }
}

fn announcement(counter: u64, verb: Verb, answers: Option<u32>) -> Announcement {
    let anchor = Anchor {
        revision: Revision { epoch: 1, host: participant(0), counter },
        entry: Some(entry(1, 129)),
        position: Frames(48_000),
        at: JamTime::from_nanos(1_500_000_000),
        playing: true,
    };
    Announcement { anchor, by: participant(0), verb, answers }
}

fn nothing() -> Announcement {
    let mut announcement = announcement(4, Verb::Removed, None);
    announcement.anchor = Anchor {
        entry: None,
        position: Frames::ZERO,
        at: JamTime::from_nanos(i64::MIN),
        playing: false,
        ..announcement.anchor
    };
    announcement
}

fn wish(verb: Verb) -> Wish {
    Wish {
        number: 7,
        verb,
        entry: entry(0, 2),
        position: Frames(1 << 40),
        at: JamTime::from_nanos(i64::MAX),
        playing: verb != Verb::Pause,
    }
}

fn datagrams() -> Vec<(&'static str, Datagram)> {
    let first = Probe {
        session_epoch: 0x0102_0304,
        clock_epoch: 0,
        path_epoch: 0,
        seq: 0,
        pair: 0,
        index: 0,
        t_tx: NodeTime::from_nanos(123_456_789),
        echo: None,
    };
    let echo = Echo { seq: 127, rx: NodeTime::from_nanos(-5) };
    let later =
        Probe { clock_epoch: 1, path_epoch: 2, seq: 129, pair: 64, index: 1, echo: Some(echo), ..first };
    let report = PlayoutReport {
        output_latency: Span::from_millis(21),
        error: Some(Span::from_micros(-40)),
        correction_ppb: -31_500,
        missed_frames: 480,
        state: PlayoutState::Ready,
    };
    let buffering = PlayoutReport { state: PlayoutState::Buffering, ..PlayoutReport::default() };
    let stalled = PlayoutReport { state: PlayoutState::Stalled, ..PlayoutReport::default() };
    vec![
        ("Probe", Datagram::Probe(first)),
        ("Probe with an echo", Datagram::Probe(later)),
        ("Report", Datagram::Report(report)),
        ("Report of silence", Datagram::Report(PlayoutReport::default())),
        ("Report, Buffering", Datagram::Report(buffering)),
        ("Report, Stalled", Datagram::Report(stalled)),
    ]
}
