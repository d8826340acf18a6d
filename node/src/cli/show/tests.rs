//! Words and columns, as a person sees them.

use jamsync_protocol::{
    id::{DeviceKey, Handle, JamId, TrackId},
    media::SampleRate,
    time::{Ppm, UtcTime},
};

use super::*;
use crate::api::{
    BothQualities, BothReadiness, Chat, EntryKey, Me, Message, Percent, Precision, Quality, Readiness,
    SideReadiness,
};

fn ana() -> Handle {
    "ana".parse().expect("valid")
}

fn entry(number: u32, title: &str, artist: &str, state: EntryState) -> QueueEntry {
    QueueEntry {
        entry: EntryKey(Text::truncated(&format!("0.{number}"))),
        track: TrackId([0; 32]),
        title: Text::truncated(title),
        artist: Text::truncated(artist),
        length: Span::from_secs(228),
        added_by: if number.is_multiple_of(2) { Who::Peer(ana()) } else { Who::You },
        state,
    }
}

fn one_message() -> Chat {
    let message = Message {
        number: 7,
        by: Who::Peer(ana()),
        at: UtcTime::ZERO,
        text: "this drop 🔥\nagain!".parse().expect("may be said"),
        delivered: true,
    };
    Chat { messages: 7, waiting: 0, latest: vec![message] }
}

fn in_step() -> Sync {
    Sync {
        offset: Span::from_secs(3_600_000),
        bound: Span::from_micros(20_563),
        spread: Span::from_micros(31),
        round_trip: Span::from_micros(41_126),
        drift: Ppm(30.02),
        precision: Precision::Full,
        loss: Some(Percent::of_share(0.124)),
        lead: Span::from_millis(131),
        rate: Ppm(-8.25),
        servo_error: Span::from_nanos(-12_345),
        reanchors: 0,
    }
}

fn in_a_jam() -> Snapshot {
    let reason = Text::truncated("is cut short: 3.000 s of 291.000 s\u{1b}[31m are there");
    Snapshot {
        program: "0.1.0".into(),
        pid: 1,
        me: Me {
            handle: "ben".parse().ok(),
            account: None,
            device: DeviceKey([0; 32]),
            listen: ([0, 0, 0, 0], 4472).into(),
        },
        coordinator: Coordinator::Connected { address: "coord.example:4470".into() },
        jam: Some(Jam {
            id: JamId([0; 16]),
            with: ana(),
            role: Role::Host,
            guest_controls: true,
            peer: Peer::Connected { path: Path::Direct, address: ([192, 0, 2, 7], 4471).into() },
            quality: BothQualities { you: Quality::Original, friend: Quality::Standard },
            age: Span::from_secs(754),
            readiness: BothReadiness {
                you: SideReadiness { is: Readiness::Ready, for_time: Span::from_secs(750) },
                friend: SideReadiness { is: Readiness::Buffering, for_time: Span::from_secs(4) },
            },
            chat: one_message(),
        }),
        sync: Some(in_step()),
        now: Some(NowPlaying {
            entry: EntryKey(Text::truncated("0.1")),
            track: TrackId([0; 32]),
            title: Text::truncated("By-Product"),
            artist: Text::truncated("Maxstack"),
            position: Span::from_secs(102),
            length: Span::from_secs(291),
            playing: true,
            by: Who::Peer(ana()),
            added_by: Who::You,
            state: EntryState::Ready,
        }),
        queue: vec![
            entry(2, "Coherence", "Maxstack", EntryState::Ready),
            entry(3, "夜に駆ける", "YOASOBI", EntryState::Missing { side: Side::Peer }),
            entry(4, &"long ".repeat(40), "", EntryState::Unplayable { side: Side::Here, reason }),
        ],
        own_music_waits: false,
        requests: vec![JamRequest {
            with: "carla".parse().expect("valid"),
            direction: Direction::Incoming,
            expires_in: Span::from_secs(251),
        }],
        volume_percent: Percent::FULL,
        output: Output {
            sink: "cpal".into(),
            device: "default".into(),
            rate: Some(SampleRate::HZ_48000),
            latency: Span::from_micros(21_300),
            underruns: 0,
        },
        warnings: vec![],
    }
}

#[test]
fn the_status_reads_well_at_80_columns() {
    let shown = status(&in_a_jam(), "/var/lib/ben/.local/share/jamsync/daemon.log", Some(80));
    let expected = "\
You      ben, connected to coord.example:4470; UDP 0.0.0.0:4472
Jam      with ana for 12 min; you are the host, guest controls on; direct to
         192.0.2.7:4471
Ready    you are; ana not yet: loading the music for 4 s
Chat     ana: this drop 🔥 again! (7 messages: jamsync chat)
Playing  1:42 / 4:51  By-Product · Maxstack
         added by you; started by ana
Sync     in step; clocks within ±20.563 ms, likely ±31.000 µs; round trip 41.126
         ms, lead 131 ms, 12 % lost
         output -12.345 µs off; rate -8.2 ppm, drift +30.0 ppm; no jumps
Output   cpal, default, 48000 Hz, latency 21.300 ms, volume 100 %
Request  carla asks you for a Jam (4 min left): jamsync accept carla
Next
   1  Coherence · Maxstack                                        3:48  ana
   2  夜に駆ける · YOASOBI                                        3:48  you
      ! ana has no identical copy of this file: both skip it
   3  long long long long long long long long long long long l…   3:48  ana
      ! cannot be played here: is cut short: 3.000 s of 291.000 s\u{fffd}[31m are there
Log      /var/lib/ben/.local/share/jamsync/daemon.log";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in [40, 60, 80, 200] {
        for line in status(&in_a_jam(), "/log", Some(columns)).lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn nothing_of_a_friend_steers_the_terminal() {
    let mut snapshot = in_a_jam();
    let nasty = "\u{1b}]0;x\u{7}\r\n\u{202e}";
    snapshot.queue = vec![entry(1, nasty, nasty, EntryState::Ready)];
    snapshot.warnings = vec![nasty.to_owned()];
    for shown in [status(&snapshot, "/log", Some(80)), queue(&snapshot, None)] {
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
    }
}

#[test]
fn skipped_files_are_named_and_the_rest_counted() {
    let skipped = vec![crate::api::Skipped { path: "/a.mp3".into(), reason: "a text file".into() }];
    let queued_files = Queued { added: 1, pending: 7, skipped, skipped_total: 3 };
    assert_eq!(
        queued(&queued_files, "Added"),
        "Added 1 track; 7 more are being read.\nNot added: /a.mp3: a text file\nNot added: 2 more files"
    );
}

#[test]
fn contacts_that_are_not_live_say_how_old_they_are() {
    let contact = |handle: &str, online, muted| Contact {
        handle: handle.parse().expect("valid"),
        online,
        blocked: false,
        muted,
    };
    let known = [contact("ana", Some(true), false), contact("carla", None, true)];
    let live = contacts(&known, None);
    assert_eq!(
        live.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>(),
        [["ana", "online"], ["carla", "muted"]]
    );
    let old = contacts(&known, Some(Span::from_secs(200)));
    assert_eq!(old, format!("{live}\nThe coordinator does not answer; this is as of 3 min ago."));
    assert!(contacts(&[], Some(Span::from_secs(7))).ends_with("as of 7 s ago."));
}
