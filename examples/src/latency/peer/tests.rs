//! Two sides on one machine whose clocks are shifted, and others that nobody should talk to. In real time: probes of
//! a real network stack are what is tested.

use std::{path::Path, sync::mpsc};

use jamsync_protocol::{
    limits::PEER_FRAME_BYTES_MAX,
    media::SampleRate,
    text::{List, Text},
    time::Ppm,
    wire::codec,
};
use tokio::{io::AsyncWriteExt as _, task::JoinHandle};

use super::*;
use crate::tones::Piece;

const RATE: SampleRate = SampleRate::HZ_48000;
const SEED: u64 = 5;
const SECONDS: u32 = 15;

/// Writes `NAME.wav`: 15 s of music.
fn record(name: &Path, seed: u64, volume: f32) {
    let frames = Piece::new(seed, SECONDS).render(RATE, SECONDS, 0.0, 0.0);
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: RATE.hz(),
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut wav = hound::WavWriter::create(name.with_extension("wav"), spec).unwrap();
    for sample in frames.iter().flatten() {
        wav.write_sample(sample * volume).unwrap();
    }
    wav.finalize().unwrap();
}

/// Writes `NAME.stamps.csv`: the music began at `began`, by a clock that runs `rate` faster than the system's.
fn stamp(name: &Path, began: NodeTime, rate: Ppm) {
    let stamp = |second: u32| {
        let since = Span::from_secs(second.into());
        format!("{},{}\n", second * RATE.hz(), (began + since + since.gained_at(rate)).as_nanos())
    };
    let stamps: String = (0..SECONDS).map(stamp).collect();
    std::fs::write(name.with_extension("stamps.csv"), format!("frame,true_ns\n{stamps}")).unwrap();
}

/// Starts a listener and waits for its door.
fn listen(recording: &Path, clock: NodeClock, lasts: Span) -> (u16, Code, JoinHandle<Outcome>) {
    let (door, opened) = mpsc::channel();
    let meeting = Meeting::Listen { address: "127.0.0.1:0".to_owned(), lasts };
    let options = PeerOptions { meeting, recording: recording.to_owned(), clock };
    let running = tokio::spawn(async move {
        let tell = |progress| {
            if let Progress::Listening { port, code } = progress {
                door.send((port, code)).unwrap();
            }
        };
        run(&options, tell).await
    });
    let (port, code) = tokio::task::block_in_place(|| opened.recv()).unwrap();
    (port, code, running)
}

type Outcome = Result<PeerReport, PeerError>;

async fn connect_to(port: u16, code: Code, recording: &Path, clock: NodeClock) -> Outcome {
    let meeting = Meeting::Connect { address: format!("127.0.0.1:{port}"), code };
    run(&PeerOptions { meeting, recording: recording.to_owned(), clock }, |_| {}).await
}

/// What two clocks say within a millisecond, whatever else the machine does.
fn read_together(here: NodeClock, there: NodeClock) -> [NodeTime; 2] {
    loop {
        let now = [here.now(), there.now()];
        if here.now() - now[0] < Span::from_millis(1) {
            return now;
        }
    }
}

/// Somebody at the door.
async fn come(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Says hello and crashes with the answer unread: the connection is not closed but reset.
async fn crash(port: u16, code: Code) {
    let mut stream = come(port).await;
    let hello = Message::Hello { version: VERSION, code };
    stream.write_all(&codec::encode_frame(&hello, PEER_FRAME_BYTES_MAX).unwrap()).await.unwrap();
    stream.readable().await.unwrap();
}

/// Knows the code and says hello, and then what it likes.
async fn greet(port: u16, code: Code) -> Connection {
    let mut connection = Connection::new(come(port).await).unwrap();
    connection.outgoing.send(&Message::Hello { version: VERSION, code }).await.unwrap();
    assert!(matches!(connection.incoming.receive().await.unwrap(), Message::Welcome { .. }));
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_hours_apart_find_the_shift_between_their_recordings_within_the_uncertainty() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let rates = [Ppm(30.0), Ppm(-20.0)];
    let clocks = [(7_200, rates[0]), (-90_000, rates[1])];
    let [here, there] = clocks.map(|(offset, rate)| NodeClock::skewed(Span::from_secs(offset), rate));
    record(&ana, SEED, 1.0);
    record(&ben, SEED, 0.5);
    let now = read_together(here, there);
    stamp(&ana, now[0] - Span::from_millis(1_000), rates[0]);
    stamp(&ben, now[1] - Span::from_millis(980), rates[1]);
    let (port, code, listener) = listen(&ana, here, Span::from_secs(6));
    let connected = connect_to(port, code, &ben, there).await.unwrap();
    let listened = listener.await.unwrap().unwrap();
    // The two clocks were not read at the very same instant.
    let slack = 5_000.0;
    for (report, late) in [(&connected, 20_000.0), (&listened, -20_000.0)] {
        assert!((report.median_us - late).abs() < report.uncertainty_us + slack, "{report}");
        assert!(report.uncertainty_us >= report.least_round_trip_us / 2.0, "{report}");
        assert!((report.apart_at_least_us - report.median_us.abs() + report.uncertainty_us).abs() < 1.0);
        assert_eq!(report.finding, Finding::Apart, "{report}");
    }
    let apart = (connected.median_us + listened.median_us).abs();
    assert!(apart <= connected.uncertainty_us + listened.uncertainty_us, "{connected}\n{listened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_without_a_shift_are_within_the_uncertainty_and_never_called_in_sync() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("both");
    record(&name, SEED, 1.0);
    let clock = NodeClock::system();
    stamp(&name, clock.now() - Span::from_secs(1), Ppm::ZERO);
    let (port, code, listener) = listen(&name, clock, Span::from_secs(6));
    let connected = connect_to(port, code, &name, clock).await.unwrap();
    let listened = listener.await.unwrap().unwrap();
    for report in [connected, listened] {
        assert_eq!(report.finding, Finding::WithinUncertainty, "{report}");
        assert!(report.apart_at_most_us >= report.uncertainty_us, "{report}");
        let told = format!("{report} {}", serde_json::to_string(&report).unwrap());
        assert!(!told.contains("in sync") && !told.contains("in_sync"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_music_is_refused_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let clock = NodeClock::system();
    for (name, seed) in [(&ana, SEED), (&ben, SEED + 1)] {
        record(name, seed, 1.0);
    }
    let began = clock.now() - Span::from_secs(1);
    for name in [&ana, &ben] {
        stamp(name, began, Ppm::ZERO);
    }
    let (port, code, listener) = listen(&ana, clock, Span::from_secs(6));
    let outcomes = [connect_to(port, code, &ben, clock).await, listener.await.unwrap()];
    for outcome in outcomes {
        let refused = outcome.expect_err("other music has no skew");
        assert!(matches!(refused, PeerError::Score(ScoreError::Unscorable { .. })), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_recording_is_refused_and_the_other_side_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let clock = NodeClock::system();
    for (name, volume) in [(&ana, 1.0), (&ben, 0.0)] {
        record(name, SEED, volume);
    }
    let began = clock.now() - Span::from_secs(1);
    for name in [&ana, &ben] {
        stamp(name, began, Ppm::ZERO);
    }
    let (port, code, listener) = listen(&ana, clock, Span::from_secs(5));
    let refused = connect_to(port, code, &ben, clock).await.expect_err("silence");
    assert!(matches!(refused, PeerError::NoSound { .. }), "{refused}");
    let told = listener.await.unwrap().expect_err("silence").to_string();
    assert!(told.contains("refused") && told.contains("silent"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_made_before_the_clocks_were_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("early");
    record(&name, SEED, 1.0);
    let clock = NodeClock::system();
    stamp(&name, clock.now() - Span::from_secs(600), Ppm::ZERO);
    let (port, code, listener) = listen(&name, clock, Span::from_secs(1));
    let refused = connect_to(port, code, &name, clock).await.expect_err("too early").to_string();
    let told = listener.await.unwrap().expect_err("too early").to_string();
    assert!([refused, told].iter().any(|text| text.contains("start recording before")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_sent_away_and_the_friend_still_comes_in() {
    let (name, clock) = (Path::new("nowhere"), NodeClock::system());
    let (port, code, listener) = listen(name, clock, Span::from_secs(1));
    let refused = connect_to(port, Code::random(), name, clock).await.expect_err("a wrong code").to_string();
    assert!(refused.contains("the code is not"), "{refused}");
    let mut scanner = come(port).await;
    scanner.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(come(port).await);
    crash(port, Code::random()).await;
    drop(greet(port, code).await);
    let gone = listener.await.unwrap().expect_err("the friend went away");
    assert!(matches!(gone, PeerError::Gone), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_friend_whose_connection_breaks_has_gone_away() {
    let (port, code, listener) = listen(Path::new("nowhere"), NodeClock::system(), Span::from_secs(60));
    crash(port, code).await;
    let gone = listener.await.unwrap().expect_err("the friend went away");
    assert!(matches!(gone, PeerError::Gone), "{gone}");
}

#[tokio::test]
async fn a_port_that_is_free_for_tcp_alone_is_refused_if_it_was_asked_for() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let refused = open_door(&taken.local_addr().unwrap().to_string()).await.expect_err("it is taken");
    assert!(refused.to_string().contains("listening by UDP"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_passes_no_datagrams_is_named() {
    let (port, code, listener) = listen(Path::new("nowhere"), NodeClock::system(), Span::from_millis(300));
    let _silent = greet(port, code).await;
    let refused = listener.await.unwrap().expect_err("no probes").to_string();
    assert!(refused.contains("UDP"), "{refused}");
}

/// What comes of receiving a recording from a side that sends `messages`.
async fn received(messages: Vec<Message>) -> PeerError {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = door.accept().await.unwrap();
    let mut liar = Connection::new(accepted).unwrap();
    for message in &messages {
        liar.outgoing.send(message).await.unwrap();
    }
    drop(liar);
    Excerpt::receive(&mut Connection::new(stream).unwrap().incoming).await.expect_err("lies")
}

#[tokio::test]
async fn a_recording_that_lies_about_itself_is_refused_before_it_is_kept() {
    let header = |rate, stamps, frames| Message::Excerpt { rate, stamps, frames };
    let sound = |count| Message::Sound(List::new(vec![7; count]).unwrap());
    for (messages, wanted) in [
        (vec![header(48_000, 10, u32::MAX)], "frames in the time compared, at most 28800000"),
        (vec![header(48_000, u32::MAX, 10)], "stamps in the time compared, at most 60000"),
        (vec![header(1, 10, 10)], "sample rate of 1 Hz"),
        (vec![header(48_000, 2, 10), sound(11)], "11 frames"),
        (vec![header(48_000, 2, 10), sound(0)], "where the rest of a recording was expected"),
        (vec![header(48_000, 2, 10), sound(10)], "went away"),
        (vec![sound(1)], "sound where a recording was expected"),
        (vec![Message::Refused(Text::truncated("no\u{1b}[2J"))], "refused: no\u{fffd}[2J"),
    ] {
        let shown = format!("{messages:?}");
        let refused = received(messages).await.to_string();
        assert!(refused.contains(wanted), "{shown} is refused with {refused:?}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused_by_name() {
    for bytes in [&[9_u8][..], &[], &[5, 255, 255, 255, 255, 15], &[0, 1]] {
        assert!(codec::decode::<Message>(bytes).is_err(), "{bytes:?}");
    }
}
