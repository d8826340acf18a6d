//! What one device may take of the server.

use std::net::Ipv4Addr;

use jamsync_protocol::{id::Handle, identity::join_code::JoinSecret, text::List, wire::coord::EventNumber};

use super::{manual::ManualEnv, *};
use crate::store::JoinPermit;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_anew_by_coming_again() {
    let env = ManualEnv::start();
    let stage = Stage::with(&[1, 2], Settings::default(), Arc::clone(&env) as Arc<dyn Env>).await;
    let telling = || CoordRequest::Candidates { addresses: List::empty() };
    let ana = stage.log_in(1).await;
    for _ in 0..10 {
        assert!(matches!(ana.ask(telling()).await, CoordReply::Observed(_)));
    }
    let again = stage.log_in(1).await;
    assert_eq!(ana.closed().await, Some(Fault::Replaced));
    assert_eq!(told_to_wait(&again, telling()).await, Span::from_secs(60));
    // Two hellos, and what was asked.
    for _ in 0..120 - 13 {
        assert!(matches!(again.ask(CoordRequest::WhoAmI).await, CoordReply::Me(_)));
    }
    assert!(told_to_wait(&again, CoordRequest::WhoAmI).await > Span::ZERO);
    let third = Client::connect(stage.server.address(), 1).await;
    let refused = third.hello().await;
    assert!(matches!(refused, CoordReply::Refused(Refusal::TooMany { .. })), "{refused:?}");
    // Another device has its own, and in a second this one may ask twenty times again.
    stage.log_in(2).await;
    env.advance(Span::from_secs(1));
    assert!(matches!(third.hello().await, CoordReply::Welcome { .. }));
    for _ in 0..19 {
        assert!(matches!(third.ask(CoordRequest::WhoAmI).await, CoordReply::Me(_)));
    }
    assert!(told_to_wait(&third, CoordRequest::WhoAmI).await > Span::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leaves_receipts_without_end() {
    let env = ManualEnv::start();
    let stage = Stage::with(&[1], Settings::default(), Arc::clone(&env) as Arc<dyn Env>).await;
    let limits = Limits { requests_burst_max: 10_000, ..Limits::default() };
    stage.server.change(Settings::default(), limits);
    let ana = stage.log_in(1).await;
    let write = || CoordRequest::OptOut { out: false };
    for _ in 0..240 {
        assert_eq!(ana.ask(write()).await, CoordReply::Done);
    }
    assert_eq!(told_to_wait(&ana, write()).await, Span::from_secs(1));
    assert!(matches!(ana.ask(CoordRequest::WhoAmI).await, CoordReply::Me(_)), "reading goes on");
    env.advance(Span::from_secs(2));
    for _ in 0..2 {
        assert_eq!(ana.ask(write()).await, CoordReply::Done);
    }
    assert_eq!(told_to_wait(&ana, write()).await, Span::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_without_end_by_acknowledging() {
    let stage = Stage::of(&[1]).await;
    let (ana, far) = (stage.log_in(1).await, EventNumber(1 << 59));
    for (after, said) in [(EventNumber(0), 0), (far, 0), (far, 1)] {
        let before = stage.store.metrics().writes.now();
        let mut events = ana.events_after(after).await;
        for number in 0..2_000 {
            events.acknowledge(EventNumber(said * number)).await;
        }
        events.end().await;
        let written = stage.store.metrics().writes.now() - before;
        assert!(written <= 2, "{written} writes after {after:?}");
    }
}

/// What somebody asks who signs up.
fn sign_up(client: &Client, secret: JoinSecret, name: &str) -> CoordRequest {
    CoordRequest::SignUp {
        secret,
        handle: handle(name),
        birth_date: "1990-01-01".parse().expect("a date"),
        market: "DE".parse().expect("a country"),
        log: client.log.as_log().clone(),
    }
}

fn handle(name: &str) -> Handle {
    name.parse().expect("a handle")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_code_does_not_tell_of_every_name_whether_it_is_taken() {
    let env = ManualEnv::start();
    let stage = Stage::with(&[1], Settings::default(), Arc::clone(&env) as Arc<dyn Env>).await;
    let (code, other, unknown) = (JoinSecret([7; 16]), JoinSecret([8; 16]), JoinSecret([9; 16]));
    let expires = env.now() + Span::from_secs(86_400);
    let permits =
        [code, other].map(|secret| JoinPermit { fingerprint: secret.fingerprint(), uses_left: 9, expires });
    let put =
        move |tables: &mut dyn Tables| permits.iter().try_for_each(|permit| tables.put_join_permit(*permit));
    stage.store.write::<_, StoreError>(put).await.expect("written");
    let people = [stage.log_in(8).await, stage.log_in(9).await];
    let taken = CoordReply::Refused(Refusal::HandleTaken { handle: handle("person1") });
    for who in people.iter().cycle().take(20) {
        assert_eq!(who.ask(sign_up(who, code, "person1")).await, taken);
    }
    // Whoever asks now from there learns nothing, whatever the name and whoever it is.
    let wait = Span::from_secs(180);
    for (who, name) in people.iter().flat_map(|who| ["person1", "free"].map(|name| (who, name))) {
        assert_eq!(told_to_wait(who, sign_up(who, code, name)).await, wait);
    }
    // The others who were given the code are not kept out by that.
    let carol = Client::log_in_from(Ipv4Addr::new(127, 0, 0, 2), stage.server.address(), 10).await;
    assert_eq!(carol.ask(sign_up(&carol, code, "person1")).await, taken);
    assert!(matches!(carol.ask(sign_up(&carol, code, "carol")).await, CoordReply::Me(_)));
    let [eve, mallory] = &people;
    assert_eq!(eve.ask(sign_up(eve, other, "person1")).await, taken, "another code has its own");
    let refused = CoordReply::Refused(Refusal::UnknownJoinCode);
    assert_eq!(eve.ask(sign_up(eve, unknown, "person1")).await, refused);
    env.advance(wait);
    assert!(matches!(mallory.ask(sign_up(mallory, code, "free")).await, CoordReply::Me(_)));
    assert_eq!(
        eve.ask(sign_up(eve, code, "free")).await,
        CoordReply::Refused(Refusal::HandleTaken { handle: handle("free") })
    );
    assert_eq!(told_to_wait(eve, sign_up(eve, code, "person1")).await, wait);
}
