//! How accounts stand to each other and to Jams, at the coordinator: blocking and what the blocked one sees of it, muting,
//! removing, complaints, opting out, markets, rollout, and a minimum age that is raised.

use jamsync_coordinator::eligibility::Markets;
use jamsync_protocol::{
    id::AccountId,
    wire::coord::{Mark, ReportReason},
};

use super::*;

impl Person {
    async fn mark(&self, contact: AccountId, mark: Mark, on: bool) {
        let request = CoordRequest::MarkContact { contact, mark, on };
        assert_eq!(self.ask(request).await, Ok(CoordReply::Done));
    }

    async fn opt_out(&self, out: bool) {
        assert_eq!(self.ask(CoordRequest::OptOut { out }).await, Ok(CoordReply::Done));
    }

    /// The one contact, as it is shown.
    async fn contact(&self) -> Contact {
        let contacts = self.contacts().await;
        assert_eq!(contacts.len(), 1);
        contacts[0].clone()
    }
}

fn unavailable(name: &str) -> Refusal {
    Refusal::FriendUnavailable { handle: handle(name) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_ends_all_at_once_both_ways_and_is_not_revealed() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let (ana_id, ben_id) = (ana.log.account(), ben.log.account());
    // A Jam runs, and beside it Ben asks again.
    let first = ben.request_jam("ana").await.expect("asked");
    assert!(matches!(ana.event().await, CoordEvent::JamRequested(_)));
    ana.answer(first, Answer::Accept).await.expect("accepted");
    let (grant, _) = ben.granted().await;
    let jam = grant.verify(world.server.key(), NOW, &[&ana.log, &ben.log]).expect("a grant").jam;
    let second = ben.request_jam("ana").await.expect("asked");
    let shown = ben.contact().await;
    assert!(shown.online);

    // The coordinator's time stands still from here on: nothing waits for a timer.
    ana.mark(ben_id, Mark::Blocked, true).await;
    // What Ben hears is what he would hear of a friend who declines and leaves.
    assert_eq!(ben.event().await, CoordEvent::RequestDeclined { request: second });
    assert_eq!(ben.event().await, CoordEvent::JamEnded { jam, by: ana_id });
    assert_eq!(ben.contact().await, Contact { online: false, ..shown.clone() });
    assert_eq!(ben.request_jam("ana").await, Err(unavailable("ana")));
    let Ok(CoordReply::Me(me)) = ben.ask(CoordRequest::WhoAmI).await else { panic!("no account") };
    assert!(me.requests.is_empty());

    // It is bilateral, it outlives the server, and Ana is told that it is her own doing.
    let world = world.restart().await;
    let blocked = ana.contact().await;
    assert!(blocked.blocked && !blocked.online);
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::Blocked { handle: handle("ben") }));
    let stranger = world.signed_up(3, "carl").await;
    let request = CoordRequest::MarkContact { contact: ben_id, mark: Mark::Blocked, on: true };
    assert_eq!(refusal(stranger.ask(request).await), Refusal::UnknownContact);

    ana.mark(ben_id, Mark::Blocked, false).await;
    assert!(ben.contact().await.online && ana.contact().await.online);
    assert!(ben.request_jam("ana").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_contact_is_none_on_both_sides_and_a_block_outlives_it() {
    let world = World::start().await;
    let (ana, mut ben) = friends(&world).await;
    let (ana_id, ben_id) = (ana.log.account(), ben.log.account());
    ana.mark(ben_id, Mark::Blocked, true).await;
    let leaked = ana.link_token().await;
    let remove = |contact| CoordRequest::RemoveContact { contact };
    assert_eq!(ana.ask(remove(ben_id)).await, Ok(CoordReply::Done));
    assert_eq!(ben.event().await, CoordEvent::ContactRemoved { account: ana_id });
    assert!(ana.contacts().await.is_empty() && ben.contacts().await.is_empty());
    assert_eq!(refusal(ana.ask(remove(ben_id)).await), Refusal::UnknownContact);
    assert_eq!(ben.request_jam("ana").await, Err(Refusal::NotContact { handle: handle("ana") }));

    // A link of hers that came into his hands leads nowhere; if she opens one of his, she has changed her mind.
    let proof = LinkSecret([1; 16]).prove(ana_id, ben_id);
    let accept = |token, proof| CoordRequest::AcceptFriendLink { token, proof };
    assert_eq!(refusal(ben.ask(accept(leaked, proof)).await), Refusal::UnknownLink);
    let token = ben.link_token().await;
    let proof = LinkSecret([2; 16]).prove(ben_id, ana_id);
    assert!(matches!(ana.ask(accept(token, proof)).await, Ok(CoordReply::Contact(_))));
    assert!(ana.request_jam("ben").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_is_kept_and_told_to_nobody_else() {
    let world = World::start().await;
    let (mut ana, ben) = friends(&world).await;
    let before = ben.contact().await;
    ana.mark(ben.log.account(), Mark::Muted, true).await;
    let world = world.restart().await;
    assert!(ana.contact().await.muted);
    let after = ben.contact().await;
    assert_eq!((after.muted, after.blocked), (before.muted, before.blocked));
    ben.request_jam("ana").await.expect("a mute is a matter of ringing");
    assert!(matches!(ana.event().await, CoordEvent::JamRequested(_)));
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_reaches_the_operator_with_what_was_disclosed_and_no_more() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    let carl = world.signed_up(3, "carl").await;
    let report = |about: &Person| CoordRequest::Report {
        contact: about.log.account(),
        reason: ReportReason::Harassment,
        words: Text::truncated("every night"),
    };
    assert_eq!(refusal(ana.ask(report(&carl)).await), Refusal::UnknownContact);
    for _ in 0..10 {
        assert_eq!(ana.ask(report(&ben)).await, Ok(CoordReply::Done));
    }
    let wait = Span::from_secs(86_400);
    assert_eq!(refusal(ana.ask(report(&ben)).await), Refusal::TooMany { retry_after: wait });
    let reports = world.store.read(|view| view.reports_after(0, 100)).await.expect("reads");
    assert_eq!(reports.len(), 10);
    assert_eq!((reports[0].by, reports[0].about), (Some(ana.log.account()), Some(ben.log.account())));
    assert_eq!(reports[0].words.as_str(), "every night");
    let number = reports[0].number;
    assert!(world.store.write(move |tables| tables.drop_report(number)).await.expect("writes"));
    assert!(!world.store.write(move |tables| tables.drop_report(number)).await.expect("writes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opts_out_is_left_alone_and_comes_back() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let asked = ana.request_jam("ben").await.expect("asked");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    ben.opt_out(true).await;
    assert_eq!(ana.event().await, CoordEvent::RequestDeclined { request: asked });
    assert_eq!(ana.request_jam("ben").await, Err(unavailable("ben")));
    assert!(!ana.contact().await.online);
    assert_eq!(ben.request_jam("ana").await, Err(Refusal::OptedOut));
    let world = world.restart().await;
    let Ok(CoordReply::Me(me)) = ben.ask(CoordRequest::WhoAmI).await else { panic!("no account") };
    assert!(me.opted_out);
    ben.opt_out(false).await;
    assert!(ana.request_jam("ben").await.is_ok());
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_a_rollout_and_a_raised_age_close_the_door_and_open_it_again() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    let only = |country: &str| Markets::Only(vec![country.parse().expect("a country")]);
    let world = world.restart_with(Settings { markets: only("ES"), ..Settings::default() }).await;
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::NotInMarket));
    let world = world.restart_with(Settings { rollout_percent: 0, ..Settings::default() }).await;
    assert_eq!(ana.request_jam("ben").await, Err(Refusal::NotRolledOut));

    // Both were born in 2000 and were checked against 16.
    let world = world.restart_with(Settings { minimum_age: 21, ..Settings::default() }).await;
    let asks = Refusal::AgeUnknown { minimum_age: 21 };
    assert_eq!(ana.request_jam("ben").await, Err(asks));
    let confirm = |birth: &str| CoordRequest::ConfirmAge { birth_date: birth.parse().expect("a date") };
    assert_eq!(ana.ask(confirm("2000-01-01")).await, Ok(CoordReply::Done));
    assert_eq!(ana.request_jam("ben").await, Err(unavailable("ben")), "he has not told yet");
    // Who turns out to be too young stays so, whatever is said next.
    assert_eq!(ben.ask(confirm("2010-01-01")).await, Ok(CoordReply::Done));
    let too_young = Refusal::TooYoung { minimum_age: 21 };
    assert_eq!(ben.request_jam("ana").await, Err(too_young.clone()));
    assert_eq!(refusal(ben.ask(confirm("1990-01-01")).await), too_young);
    let world = world.restart_with(Settings { markets: only("DE"), ..Settings::default() }).await;
    assert!(ana.request_jam("ben").await.is_ok(), "the old minimum was met");
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_contacts_are_made_only_so_fast() {
    let world = World::start().await;
    let ana = world.signed_up(1, "ana").await;
    let mut tokens = Vec::new();
    for seed in 2..=12 {
        let friend = world.signed_up(seed, &format!("friend{seed}")).await;
        tokens.push((friend.link_token().await, friend.log.account()));
    }
    let accept = |token, creator| CoordRequest::AcceptFriendLink {
        token,
        proof: LinkSecret([1; 16]).prove(creator, ana.log.account()),
    };
    for (token, creator) in &tokens[..10] {
        assert!(matches!(ana.ask(accept(*token, *creator)).await, Ok(CoordReply::Contact(_))));
    }
    let (token, creator) = tokens[10];
    let wait = Refusal::TooMany { retry_after: Span::from_secs(86_400) };
    assert_eq!(refusal(ana.ask(accept(token, creator)).await), wait);
}
