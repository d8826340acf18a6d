//! What one device may take of the server.

use jamsync_protocol::text::List;

use super::{manual::ManualEnv, *};

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
