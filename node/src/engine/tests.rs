//! What an engine does that does not run: with a silent output, in a folder of its own, and nobody to talk to.

use jamsync_protocol::{
    id::TrackId,
    identity::{DeviceLog, DeviceSecret, Tier},
    media::{Frames, SampleRate, Track},
    queue::Intent,
    session::Command,
    text::{List, Text},
    time::Span,
    wire::{
        coord::Me,
        peer::{Availability, Verb},
    },
};
use tempfile::TempDir;

use super::*;
use crate::{
    api::{Call, Request},
    config::{Boot, Options, SinkKind, WhenAway},
    engine::{
        jam::tests::{jam, log_of},
        run::Sources,
        start::build,
    },
    paths::Paths,
};

/// An engine, and what has to live as long.
struct Fixture {
    engine: Engine,
    _sources: Sources,
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = |name: &str| (name == "JAMSYNC_HOME").then(|| folder.path().as_os_str().to_owned());
        let paths = Paths::from_env(home).expect("a short path");
        let options = Options {
            listen: Some(([127, 0, 0, 1], 0).into()),
            sink: Some(SinkKind::Null),
            when_away: Some(WhenAway::Wait),
            ..Options::default()
        };
        let boot = Boot { paths, settings: options.complete(), warnings: Vec::new() };
        let (engine, sources, _) = build(boot, 0).await.expect("an engine");
        Self { engine, _sources: sources, folder }
    }

    /// In a Jam whose music is to begin and is held, because the friend is not ready.
    async fn held() -> Self {
        let mut fixture = Self::new().await;
        let engine = &mut fixture.engine;
        engine.jam = Some(jam(&[log_of(1), log_of(2)]));
        let track = Track {
            id: TrackId([1; 32]),
            title: Text::truncated("One"),
            artist: Text::default(),
            album: Text::default(),
            rate: SampleRate::HZ_48000,
            length: Frames(48_000 * 600),
        };
        engine.edit(Intent::Append(vec![track])).expect("room");
        let entry = engine.stage.session().queue().first().expect("an entry").id;
        engine.stage.found(entry, Availability::Ready).expect("found");
        engine.command(Command::Play(entry)).expect("it is there");
        engine.take_events();
        assert!(engine.is_to_play());
        engine.command(Command::Wait).expect("it plays");
        engine.take_events();
        let until = engine.stage.now() + Span::from_secs(60);
        engine.jam.as_mut().expect("a Jam").held_until = Some(until);
        fixture
    }

    /// Signed up as ana at a coordinator that is not there.
    fn sign_up(&mut self) {
        let engine = &mut self.engine;
        let log = DeviceLog::found(engine.identity.secret(), [1; 16]);
        let me = Me {
            account: log.account(),
            handle: "ana".parse().expect("a name"),
            tier: Tier::Premium,
            log: log.as_log().clone(),
            requests: List::empty(),
            opted_out: false,
        };
        let coordinator = DeviceSecret::from_seed(&[9; 32]).public();
        let addresses = vec!["127.0.0.1:9".to_owned()];
        let account = Account::founded(addresses, coordinator, engine.identity.key(), &me);
        engine.account = Some(account.expect("its own log"));
        engine.save_account().expect("room");
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Engine {
    fn is_to_play(&self) -> bool {
        self.stage.session().intended(self.stage.now()).is_some_and(|heard| heard.playing)
    }

    fn is_held(&self) -> bool {
        self.jam.as_ref().is_some_and(|jam| jam.held_until.is_some())
    }

    fn ask(&mut self, request: Request) {
        let (answer, _) = oneshot::channel();
        assert!(self.handle_call(Call { request, answer }).is_none());
    }
}

#[tokio::test]
async fn music_that_was_held_goes_on_by_itself() {
    let Fixture { mut engine, .. } = Fixture::held().await;
    engine.end_hold();
    assert!(engine.is_to_play());
}

#[tokio::test]
async fn a_pause_while_the_start_is_held_lasts() {
    let Fixture { mut engine, .. } = Fixture::held().await;
    engine.ask(Request::Pause);
    engine.end_hold();
    assert!(!engine.is_held() && !engine.is_to_play());
}

#[tokio::test]
async fn a_friends_pause_while_the_start_is_held_lasts() {
    let Fixture { mut engine, .. } = Fixture::held().await;
    let mut announcement = *engine.stage.session().announced().last().expect("the wait");
    assert_eq!(announcement.verb, Verb::Wait);
    engine.heed_start(&announcement);
    assert!(engine.is_held(), "its own word is nobody's decision");
    announcement.verb = Verb::Pause;
    engine.heed_start(&announcement);
    engine.end_hold();
    assert!(!engine.is_held() && !engine.is_to_play());
}

#[tokio::test]
async fn music_that_was_held_does_not_begin_without_a_friend_who_is_lost() {
    let Fixture { mut engine, .. } = Fixture::held().await;
    assert!(engine.begin_waiting());
    engine.end_hold();
    assert!(!engine.is_to_play());
    assert!(engine.jam.as_ref().is_some_and(|jam| jam.waiting));
}

#[tokio::test]
async fn an_account_is_forgotten_without_its_coordinator_and_leaves_the_key_alone() {
    let mut fixture = Fixture::new().await;
    fixture.sign_up();
    let kept =
        ["messages.sqlite", "messages.sqlite-wal", "messages.damaged-2", "activity.json", "saved.json"];
    for name in kept.into_iter().chain(["devices.json", "account.txt"]) {
        std::fs::write(fixture.folder.path().join(name), b"something").expect("room");
    }
    let engine = &mut fixture.engine;
    let other = engine.delete_account("ben".parse().expect("a name"), true);
    assert!(other.is_err_and(|error| error.message.contains("ana")), "by mistake");
    let work = engine.delete_account("ana".parse().expect("a name"), true).expect("its own name");
    let apply = work.await.expect("nobody is asked");
    assert_eq!(apply(engine), Ok(Reply::Done));
    assert!(engine.account.is_none());
    let left = fixture.files();
    assert!(left.iter().all(|name| name != "account.json" && !kept.contains(&name.as_str())), "{left:?}");
    for name in ["device.key", "devices.json", "account.txt"] {
        assert!(left.iter().any(|left| left == name), "{name} is gone: {left:?}");
    }
}

#[tokio::test]
async fn messages_go_on_when_their_database_can_be_opened_again() {
    let mut fixture = Fixture::new().await;
    fixture.sign_up();
    let folder = fixture.folder.path().join("away");
    let engine = &mut fixture.engine;
    engine.messages_file = folder.join("messages.sqlite");
    engine.connect_coordinator();
    assert!(engine.courier.is_none());
    let told = engine.snapshot().warnings;
    assert!(told.iter().any(|told| told.contains("go on by themselves")), "{told:?}");
    let first = engine.courier_pause;
    engine.carry_again();
    assert!(engine.courier.is_none() && engine.courier_pause > first, "each time it takes longer");
    std::fs::create_dir(&folder).expect("room");
    engine.carry_again();
    assert!(engine.courier.is_some());
    assert_eq!(engine.snapshot().warnings, Vec::<String>::new());
}

#[tokio::test]
async fn a_coordinator_that_lost_the_account_is_named_with_the_way_out() {
    let mut fixture = Fixture::new().await;
    fixture.sign_up();
    let engine = &mut fixture.engine;
    let connected =
        |signed_up| LinkEvent::Connected { observed: ([127, 0, 0, 1], 1).into(), now: utc_now(), signed_up };
    engine.handle_link(connected(false));
    let told = engine.snapshot().warnings;
    assert!(told.iter().any(|told| told.contains("account delete ana")), "{told:?}");
    engine.handle_link(connected(true));
    assert_eq!(engine.snapshot().warnings, Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_calendar_stands_among_the_warnings_until_it_is_right() {
    let mut engine = Fixture::new().await.engine;
    engine.compare_calendars(utc_now() - Span::from_secs(360));
    let told = engine.snapshot().warnings;
    assert!(told.iter().any(|told| told.contains("6 min ahead")), "{told:?}");
    engine.compare_calendars(utc_now());
    assert_eq!(engine.snapshot().warnings, Vec::<String>::new());
}
