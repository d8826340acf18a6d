//! Covers of listening activity at the coordinator: for those alone who are shown it, only so many at once, and nothing of them after.

use jamsync_protocol::{
    activity::{ActivityNumber, Block, CoverAddress, SlotGeneration},
    conversation::Epoch,
    id::AccountId,
    wire::coord::{ActivityCall, ActivityKey, Mark, Publication, SealedCover},
};

use super::*;

const FIRST: SlotGeneration = SlotGeneration(1);

fn block<const N: usize>(byte: u8) -> Block<N> {
    Block::new(vec![byte; N]).expect("of its size")
}

impl Person {
    async fn act(&self, call: ActivityCall) -> Result<CoordReply, LinkError> {
        self.ask(CoordRequest::Activity(call)).await
    }

    async fn show(&self, number: u64, to: &Self) {
        let key = ActivityKey { viewer: to.log.account(), epoch: Epoch::begun(1), sealed: block(1) };
        let publication = Publication {
            number: ActivityNumber(number),
            starts: number == 1,
            generation: FIRST,
            whole: true,
            sealed: block(2),
            to: List::new(vec![key]).expect("one"),
        };
        let held = self.act(ActivityCall::Publish(publication)).await;
        assert_eq!(held, Ok(CoordReply::ActivityHeld { generation: FIRST }));
    }

    async fn give(&self, cover: SealedCover) -> Result<CoordReply, LinkError> {
        self.act(ActivityCall::GiveCover { generation: FIRST, sealed: cover }).await
    }

    async fn fetch(&self, of: AccountId, cover: &SealedCover) -> Result<CoordReply, LinkError> {
        self.act(ActivityCall::FetchCover { of, address: CoverAddress::of(cover) }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cover_is_for_whom_the_activity_is_shown_to_and_ends_with_it() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    let carl = world.signed_up(3, "carl").await;
    let (ana_id, ben_id) = (ana.log.account(), ben.log.account());
    let cover: SealedCover = block(7);
    let elsewhere = |number| Refusal::ActivityElsewhere { generation: SlotGeneration(number) };
    assert_eq!(refusal(ana.give(cover.clone()).await), elsewhere(0), "nothing is shown");
    ana.show(1, &ben).await;
    assert_eq!(ana.give(cover.clone()).await, Ok(CoordReply::Done));
    assert_eq!(refusal(ben.give(cover.clone()).await), elsewhere(0), "each for itself");
    let there = CoordReply::Cover { sealed: cover.clone() };
    assert_eq!(ben.fetch(ana_id, &cover).await, Ok(there.clone()));
    for (who, of, what) in [
        (&carl, ana_id, &cover),
        (&ana, ana_id, &cover),
        (&ben, ben_id, &cover),
        (&ben, AccountId([9; 32]), &cover),
        (&ben, ana_id, &block(8)),
    ] {
        assert_eq!(refusal(who.fetch(of, what).await), Refusal::UnknownCover, "the same words for all");
    }
    let stranger = world.person(4).await;
    assert_eq!(refusal(stranger.fetch(ana_id, &cover).await), Refusal::NotSignedUp);
    assert_eq!(refusal(stranger.give(cover.clone()).await), Refusal::NotSignedUp);
    // A block takes it away at once; off does, and so does a restart.
    let mark = |on| CoordRequest::MarkContact { contact: ben_id, mark: Mark::Blocked, on };
    assert_eq!(ana.ask(mark(true)).await, Ok(CoordReply::Done));
    assert_eq!(refusal(ben.fetch(ana_id, &cover).await), Refusal::UnknownCover);
    assert_eq!(ana.ask(mark(false)).await, Ok(CoordReply::Done));
    ana.show(2, &ben).await;
    assert_eq!(ben.fetch(ana_id, &cover).await, Ok(there), "it was given before");
    assert_eq!(ana.act(ActivityCall::Hide { from: None, until: None }).await, Ok(CoordReply::Done));
    assert_eq!(refusal(ben.fetch(ana_id, &cover).await), Refusal::UnknownCover);
    ana.show(3, &ben).await;
    assert_eq!(refusal(ben.fetch(ana_id, &cover).await), Refusal::UnknownCover);
    assert_eq!(ana.give(cover.clone()).await, Ok(CoordReply::Done));
    let _world = world.restart().await;
    assert_eq!(refusal(ben.fetch(ana_id, &cover).await), Refusal::UnknownCover);
    assert_eq!(refusal(ana.give(cover).await), elsewhere(0), "it is told anew first");
}

#[tokio::test(flavor = "multi_thread")]
async fn covers_are_given_and_fetched_only_so_fast() {
    let world = World::start().await;
    let (ana, ben) = friends(&world).await;
    ana.show(1, &ben).await;
    let too_many = |outcome| matches!(outcome, Err(LinkError::Refused(Refusal::TooMany { .. })));
    for byte in 0..8 {
        assert_eq!(ana.give(block(byte)).await, Ok(CoordReply::Done), "{byte}");
    }
    assert!(too_many(ana.give(block(8)).await));
    for _ in 0..32 {
        assert!(!too_many(ben.fetch(ana.log.account(), &block(7)).await));
    }
    assert!(too_many(ben.fetch(ana.log.account(), &block(7)).await));
    world.env.advance(Span::from_secs(2));
    assert!(!too_many(ana.give(block(8)).await) && !too_many(ben.fetch(ana.log.account(), &block(8)).await));
}
