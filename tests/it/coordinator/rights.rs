//! What an account may demand of its data at the coordinator: all of it to see, and all of it gone.

use jamsync_protocol::wire::coord::{Mark, ReportReason};

use super::*;

impl Person {
    async fn export(&self) -> serde_json::Value {
        let mut bytes = Vec::new();
        loop {
            let from = u32::try_from(bytes.len()).expect("small");
            match self.ask(CoordRequest::Export { from }).await {
                Ok(CoordReply::Exported { part, total, .. }) => {
                    bytes.extend_from_slice(&part);
                    if bytes.len() >= usize::try_from(total).expect("small") {
                        return serde_json::from_slice(&bytes).expect("JSON");
                    }
                }
                other => panic!("no export: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_what_is_known_of_me_and_nothing_that_others_said_of_me() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    ana.request_jam("ben").await.expect("asked");
    let block = CoordRequest::MarkContact { contact: ana.log.account(), mark: Mark::Blocked, on: true };
    ben.ask(block).await.expect("blocked");
    let report = CoordRequest::Report {
        contact: ana.log.account(),
        reason: ReportReason::Other,
        words: Text::truncated("complaint about her"),
    };
    ben.ask(report).await.expect("reported");
    // More than one part.
    for _ in 0..19 {
        ana.link_token().await;
    }
    let all = ana.export().await;
    assert_eq!(all["accounts"][0]["handle"], "ana");
    assert_eq!(all["accounts"][0]["birth_date"], serde_json::Value::Null, "it is not kept");
    assert_eq!(all["links"].as_array().map(Vec::len), Some(20));
    assert_eq!(all["contacts"][0]["handle"], "ben");
    assert_eq!(all["requests"].as_array().map(Vec::len), Some(1));
    let text = all.to_string();
    assert!(!text.contains("complaint about her") && !text.contains("\"blocked\":1"), "{text}");
    assert!(ben.export().await.to_string().contains("complaint about her"));
    let stranger = world.person(9).await;
    let refused = refusal(stranger.ask(CoordRequest::Export { from: 0 }).await);
    assert_eq!(refused, Refusal::NotSignedUp);
    let beyond = ana.ask(CoordRequest::Export { from: u32::MAX }).await;
    assert!(matches!(beyond, Ok(CoordReply::Exported { part, .. }) if part.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_nothing_and_its_friends_hear_of_it() {
    let world = World::start().await;
    let (mut ana, mut ben) = friends(&world).await;
    let request = ana.request_jam("ben").await.expect("asked");
    assert!(matches!(ben.event().await, CoordEvent::JamRequested(_)));
    ben.answer(request, Answer::Accept).await.expect("accepted");
    let (grant, _) = ana.granted().await;
    ben.granted().await;
    let jam = grant.verify(world.server.key(), NOW, &[&ana.log, &ben.log]).expect("a grant").jam;
    let wrong = ben.ask(CoordRequest::DeleteAccount { handle: handle("ana") }).await;
    assert_eq!(refusal(wrong), Refusal::OtherHandle { handle: handle("ben") });

    assert_eq!(ben.ask(CoordRequest::DeleteAccount { handle: handle("ben") }).await, Ok(CoordReply::Done));
    assert_eq!(ana.event().await, CoordEvent::JamEnded { jam, by: ben.log.account() });
    assert_eq!(ana.event().await, CoordEvent::ContactRemoved { account: ben.log.account() });
    assert!(ana.contacts().await.is_empty());
    assert_eq!(refusal(ben.ask(CoordRequest::WhoAmI).await), Refusal::NotSignedUp);
    let gone = world.store.read(|view| view.account_by_handle(&handle("ben"))).await;
    assert_eq!(gone.expect("reads"), None);
    let held = ben.log.account();
    let held = world.store.read(move |view| {
        let mut shown = Vec::new();
        view.held_about(held, &mut shown).map(|()| shown)
    });
    let held: serde_json::Value = serde_json::from_slice(&held.await.expect("reads")).expect("JSON");
    assert!(held.as_object().expect("tables").values().all(|rows| *rows == serde_json::json!([])), "{held}");
    // The name is free, and the key may found an account again.
    ben.sign_up("ben", "2000-01-01").await.expect("a new account");
}
