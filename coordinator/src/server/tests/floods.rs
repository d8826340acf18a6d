//! What becomes of floods, of a contact and of a stranger: each is told to wait or has a bounded effect, and others are served
//! meanwhile.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the answers that it is about and passes over all others"
)]

use jamsync_protocol::{
    activity::{ActivityNumber, BEATS_MAX, Beat, BeatProof, Block, SlotGeneration},
    conversation::{ConversationId, Epoch, Members, PostId},
    id::AccountId,
    text::List,
    wire::coord::{
        ActivityCall, ActivityKey, ActivityNews, EventNumber, KeyPackage, NumberedEvent, Publication,
        Sequence, TakenPackage,
    },
};

use super::{
    client::{Events, News},
    manual::ManualEnv,
    *,
};

const ANA: u8 = 1;
const BEN: u8 = 2;
const CARL: u8 = 3;
/// Is nobody's contact.
const EVE: u8 = 9;

/// Three contacts and a stranger, in time that stands still.
async fn stage() -> (Arc<ManualEnv>, Stage, [Client; 4]) {
    let env = ManualEnv::start();
    let stranger = |tables: &mut dyn Tables| tables.insert_account(&person(EVE).0);
    let people = [ANA, BEN, CARL];
    let clock = Arc::clone(&env) as Arc<dyn Env>;
    let stage = Stage::prepared(&people, Settings::default(), clock, stranger).await;
    let clients =
        [stage.log_in(ANA).await, stage.log_in(BEN).await, stage.log_in(CARL).await, stage.log_in(EVE).await];
    (env, stage, clients)
}

fn id(one: u8) -> AccountId {
    person(one).0.id
}

fn members(one: u8, other: u8) -> Members {
    Members::new([id(one), id(other)]).expect("two")
}

fn talk(one: u8, other: u8) -> ConversationId {
    ConversationId::of(&members(one, other))
}

fn begin(one: u8, other: u8) -> CoordRequest {
    let welcome = List::new(vec![1; 100]).expect("short");
    CoordRequest::BeginConversation { members: members(one, other), generation: 1, welcome }
}

fn post(conversation: ConversationId, bytes: usize) -> CoordRequest {
    let sealed = List::new(vec![7; bytes]).expect("short");
    CoordRequest::Post { conversation, epoch: Epoch::begun(1), id: PostId(rand::random()), sealed }
}

fn activity(call: ActivityCall) -> CoordRequest {
    CoordRequest::Activity(call)
}

fn publish(number: u64, to: u8) -> CoordRequest {
    let sealed = Block::new(vec![0; 92]).expect("its size");
    let key = ActivityKey { viewer: id(to), epoch: Epoch::begun(1), sealed };
    activity(ActivityCall::Publish(Publication {
        number: ActivityNumber(number),
        starts: number == 1,
        generation: SlotGeneration(1),
        whole: true,
        sealed: Block::new(vec![0; 988]).expect("its size"),
        to: List::new(vec![key]).expect("one"),
    }))
}

fn renew(count: u16) -> CoordRequest {
    let beat = Beat { count, proof: BeatProof([1; 16]) };
    activity(ActivityCall::Renew { generation: SlotGeneration(1), beat })
}

fn react(to: u8, byte: u8) -> CoordRequest {
    let sealed = Block::new(vec![byte; 60]).expect("its size");
    activity(ActivityCall::React { to: id(to), epoch: Epoch::begun(1), sealed })
}

/// Asks until it is told to wait, and says how often it was served and how long it is to wait.
async fn flood(client: &Client, request: impl Fn(u64) -> CoordRequest) -> (u64, Span) {
    for served in 0..FLOOD {
        match client.ask(request(served + 1)).await {
            CoordReply::Refused(Refusal::TooMany { retry_after }) => return (served, retry_after),
            CoordReply::Refused(refusal) => panic!("refused otherwise: {refusal}"),
            _ => {}
        }
    }
    panic!("{FLOOD} were served")
}

/// What a device is told until `last`.
async fn told_until(news: &mut News, is_last: impl Fn(&ActivityNews) -> bool) -> Vec<ActivityNews> {
    let mut told = Vec::new();
    loop {
        told.push(news.next().await.expect("news"));
        if told.last().is_some_and(&is_last) {
            return told;
        }
    }
}

/// Somebody who does nothing bad is served.
async fn serves(client: &Client) {
    assert!(matches!(client.ask(CoordRequest::WhoAmI).await, CoordReply::Me(_)));
}

/// More than anybody may do of anything at once.
const FLOOD: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_contact_have_to_wait_and_nobody_else_does() {
    let (env, _stage, [_ana, ben, carl, eve]) = stage().await;
    assert!(matches!(ben.ask(begin(BEN, ANA)).await, CoordReply::Placed { .. }));
    assert!(matches!(carl.ask(begin(CARL, ANA)).await, CoordReply::Placed { .. }));
    let (said, wait) = flood(&ben, |_| post(talk(ANA, BEN), 400)).await;
    assert_eq!((said, wait), (60, Span::from_secs(1)));
    assert!(matches!(carl.ask(post(talk(ANA, CARL), 400)).await, CoordReply::Placed { .. }));
    env.advance(wait);
    assert!(matches!(ben.ask(post(talk(ANA, BEN), 400)).await, CoordReply::Placed { .. }), "one a second");
    // A stranger gets nothing into any log, and does not learn whether there is one.
    for conversation in [talk(ANA, BEN), talk(ANA, EVE)] {
        let refused = eve.ask(post(conversation, 400)).await;
        assert_eq!(refused, CoordReply::Refused(Refusal::UnknownConversation));
    }
    for to in [ANA, 77] {
        assert_eq!(eve.ask(begin(EVE, to)).await, CoordReply::Refused(Refusal::NoSuchMembers));
    }
}

/// What one is told in passing of a conversation: the places of its entries, and how often only that there are more.
async fn passing(events: &mut Events, last: CoordEvent) -> (Vec<u64>, usize) {
    let (mut places, mut more) = (Vec::new(), 0);
    loop {
        let NumberedEvent { number, event } = events.next().await.expect("an event");
        if event == last {
            return (places, more);
        }
        assert_eq!(number, EventNumber(0));
        match event {
            CoordEvent::ConversationWritten { entry, .. } => places.push(entry.sequence.0),
            CoordEvent::ConversationGrew { .. } => more += 1,
            other => panic!("nobody did this: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_along_is_told_the_first_and_that_there_are_more() {
    let (env, _stage, [ana, ben, ..]) = stage().await;
    assert!(matches!(ben.ask(begin(BEN, ANA)).await, CoordReply::Placed { .. }));
    for _ in 0..200 {
        assert!(matches!(ben.ask(post(talk(ANA, BEN), 2_000)).await, CoordReply::Placed { .. }));
        env.advance(Span::from_secs(1));
    }
    let mut events = ana.events().await;
    let (places, more) =
        passing(&mut events, CoordEvent::ConversationGrew { conversation: talk(ANA, BEN) }).await;
    assert_eq!(more, 0, "that there are more comes once, behind them");
    assert_eq!(places, (1..=u64::try_from(places.len()).expect("few")).collect::<Vec<_>>());
    assert!((10..=20).contains(&places.len()), "32 KiB of them: {}", places.len());
    let after = Sequence(200);
    let rest = ana.ask(CoordRequest::ConversationLog { conversation: talk(ANA, BEN), after }).await;
    assert!(
        matches!(rest, CoordReply::Entries { newest: Sequence(201), .. }),
        "the rest is in the log: {rest:?}"
    );
    // From here on she reads along.
    ben.ask(post(talk(ANA, BEN), 2_000)).await;
    let told = events.next().await.expect("an event").event;
    assert!(matches!(told, CoordEvent::ConversationWritten { entry, .. } if entry.sequence == Sequence(202)));
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_and_renewals_have_to_wait_and_only_the_newest_is_told() {
    let (env, _stage, [ana, ben, carl, eve]) = stage().await;
    let mut news = ana.watch().await;
    told_until(&mut news, |news| *news == ActivityNews::Hidden { of: id(CARL) }).await;
    let (shown, wait) = flood(&ben, |number| publish(number, ANA)).await;
    assert_eq!((shown, wait), (8, Span::from_secs(1)));
    let is_newest = |news: &ActivityNews| matches!(news, ActivityNews::Shown(shown) if shown.number.0 == 8);
    assert!(told_until(&mut news, is_newest).await.len() <= 8);
    // A count that no state has would keep all others out.
    for absurd in [0, BEATS_MAX + 1, u16::MAX] {
        assert!(matches!(ben.ask(renew(absurd)).await, CoordReply::ActivityHeld { .. }));
    }
    let (renewed, wait) = flood(&ben, |count| renew(u16::try_from(count).expect("few"))).await;
    assert_eq!((renewed, wait), (5, Span::from_secs(1)));
    let is_beat = |news: &ActivityNews, count| matches!(news, ActivityNews::Renewed { beat, .. } if beat.count == count);
    let told = told_until(&mut news, |news| is_beat(news, 5)).await;
    assert!(told.len() <= 5 && told.iter().all(|news| (1..=5).any(|count| is_beat(news, count))), "{told:?}");
    env.advance(wait);
    assert!(matches!(ben.ask(publish(9, ANA)).await, CoordReply::ActivityHeld { .. }));
    // A stranger may show what it likes: nobody is told.
    assert_eq!(flood(&eve, |number| publish(number, ANA)).await.0, 8);
    assert!(matches!(carl.ask(publish(1, ANA)).await, CoordReply::ActivityHeld { .. }));
    let is_carls = |news: &ActivityNews| matches!(news, ActivityNews::Shown(shown) if shown.of == id(CARL));
    let told = told_until(&mut news, is_carls).await;
    assert!(
        told.iter().all(|news| matches!(news, ActivityNews::Shown(shown) if shown.of != id(EVE))),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_have_to_wait_and_a_strangers_go_nowhere() {
    let (env, _stage, [ana, ben, carl, eve]) = stage().await;
    assert_eq!(flood(&ben, |_| react(ANA, 2)).await, (1, Span::from_secs(1)));
    for _ in 0..50 {
        env.advance(Span::from_secs(1));
        assert_eq!(ben.ask(react(ANA, 2)).await, CoordReply::Done);
        assert_eq!(eve.ask(react(ANA, 9)).await, CoordReply::Done, "it is not told that it goes nowhere");
    }
    assert_eq!(carl.ask(react(ANA, 3)).await, CoordReply::Done);
    let mut news = ana.watch().await;
    let by = |who: u8| move |news: &ActivityNews| matches!(news, ActivityNews::Reacted { by, .. } if *by == id(who));
    let told = told_until(&mut news, by(CARL)).await;
    assert_eq!(told.iter().filter(|news| by(BEN)(news)).count(), 7, "eight wait, the newest");
    assert!(!told.iter().any(by(EVE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hides_without_end_has_to_wait_and_tells_others_once() {
    let (_env, stage, [ana, ben, carl, _eve]) = stage().await;
    let (phone, _) = stage.second(&ben, 12).await;
    assert!(matches!(ben.ask(publish(1, ANA)).await, CoordReply::ActivityHeld { .. }));
    let (mut at_ana, mut at_phone) = (ana.watch().await, phone.watch().await);
    told_until(&mut at_ana, |news| matches!(news, ActivityNews::Shown(_))).await;
    let hide = || activity(ActivityCall::Hide { from: None, until: None });
    let (hidden, _) = flood(&ben, |_| hide()).await;
    assert!(hidden <= 120, "{hidden}");
    serves(&carl).await;
    assert!(matches!(carl.ask(publish(1, ANA)).await, CoordReply::ActivityHeld { .. }));
    let is_bens = |news: &&ActivityNews| **news == ActivityNews::Hidden { of: id(BEN) };
    let told = told_until(&mut at_ana, |news| matches!(news, ActivityNews::Shown(_))).await;
    assert_eq!(told.iter().filter(is_bens).count(), 1, "{told:?}");
    let silenced = ActivityNews::Silenced { until: None };
    assert!(
        told_until(&mut at_phone, |news| *news == silenced).await.len() <= 1 + 2,
        "and who is hidden at first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_watch_without_end_is_told_nothing_for_a_while() {
    let (env, _stage, [ana, ben, carl, _eve]) = stage().await;
    assert!(matches!(ben.ask(publish(1, ANA)).await, CoordReply::ActivityHeld { .. }));
    for _ in 0..8 {
        let mut news = ana.watch().await;
        told_until(&mut news, |news| matches!(news, ActivityNews::Shown(_))).await;
        news.end().await;
    }
    let mut ninth = ana.watch().await;
    let others = async {
        for _ in 0..50 {
            serves(&carl).await;
        }
    };
    tokio::select! {
        told = ninth.next() => panic!("told at once: {told:?}"),
        () = others => {}
    }
    env.advance(Span::from_secs(5));
    told_until(&mut ninth, |news| matches!(news, ActivityNews::Shown(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_all_key_packages_of_somebody() {
    let (_env, _stage, [ana, ben, carl, eve]) = stage().await;
    let package = |number: u8| KeyPackage::new(vec![number; 50]).expect("short");
    let packages = List::new((1..=24).map(package).collect()).expect("24");
    let publish = CoordRequest::PublishKeyPackages { packages, last_resort: Some(package(200)), anew: true };
    assert_eq!(ana.ask(publish).await, CoordReply::KeyPackages { left: 24 });
    let key = ana.key();
    let take = || CoordRequest::TakeKeyPackages { devices: List::new(vec![key]).expect("one") };
    let taken = async |client: &Client| match client.ask(take()).await {
        CoordReply::TakenPackages(taken) => {
            let TakenPackage { package, .. } = taken.first().expect("one");
            package.first().copied().expect("bytes")
        }
        other => panic!("nothing taken: {other:?}"),
    };
    let mut bens = Vec::new();
    for _ in 0..20 {
        bens.push(taken(&ben).await);
    }
    let mut expected: Vec<u8> = (1..=8).collect();
    expected.resize(20, 200);
    assert_eq!(bens, expected, "eight of her packages, and then the last resort");
    assert_eq!(taken(&carl).await, 9, "the others are left for others");
    assert_eq!(eve.ask(take()).await, CoordReply::Refused(Refusal::UnknownDevice));
    let held = ana.ask(CoordRequest::Conversations { after: None }).await;
    assert!(matches!(held, CoordReply::Conversations { key_packages: 15, .. }), "{held:?}");
}
