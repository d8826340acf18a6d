//! What is told to the coordinator: one state after the other, sealed for everybody who may see it, and what is to be hidden before
//! anything else.

use std::time::Duration;

use jamsync_protocol::{
    activity::{Activity, ActivityNumber, BeatChain, Sharing, SlotGeneration, Step, Told},
    text::List,
    time::Span,
    wire::coord::{
        ActivityCall, ActivityKey, CoordReply, CoordRequest, Publication, Refusal, VIEWERS_PER_CALL_MAX,
    },
};

use super::{
    super::{Apply, Engine, utc_now},
    Hide,
};
use crate::{
    activity::Origin,
    api::Reply,
    net::coordinator::{CoordinatorLink, LinkError},
};

impl Engine {
    /// Carries to the coordinator what is to be told next.
    pub(super) fn tell_activity(&mut self) {
        let Some(link) = self.coordinator.clone() else { return };
        let desk = &mut self.activity;
        if desk.hiding {
            return;
        }
        // What is told after it must not come before it.
        if !desk.publisher.is_asking()
            && let Some(hide) = desk.hides.pop_front()
        {
            desk.hiding = true;
            return self.hide_activity(link, hide);
        }
        let Some(step) = desk.publisher.poll_step(self.stage.now()) else { return };
        let mut names = None;
        let calls = match step {
            Step::Renew { generation, count } => {
                desk.chain.beat(count).map(|beat| vec![ActivityCall::Renew { generation, beat }])
            }
            Step::Publish { number, starts, generation, sharing } => {
                names = sharing.cover;
                self.sealed_calls(number, (starts, generation), &sharing)
            }
        };
        let Some(calls) = calls else {
            self.activity.publisher.handle_told(Told::Wait(RETRY_AFTER), self.stage.now());
            return;
        };
        self.beside(None, async move {
            let told = carry(&link, calls).await;
            let apply: Apply = Box::new(move |engine| {
                engine.activity.publisher.handle_told(told, engine.stage.now());
                match (told, names) {
                    (Told::Done(generation), Some(cover)) => {
                        engine.cover_was_named(cover.address, generation)
                    }
                    (Told::Forgotten, _) => engine.activity.own_covers.handle_forgotten(),
                    _ => {}
                }
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// A state, sealed for everybody who may see it, in as many calls as it takes.
    fn sealed_calls(
        &mut self,
        number: ActivityNumber,
        (starts, generation): (bool, SlotGeneration),
        sharing: &Sharing,
    ) -> Option<Vec<ActivityCall>> {
        let account = self.account.as_ref()?.id()?;
        let origin = Origin { account, device: self.identity.key(), number };
        let (passed, desk) = (self.stage.now() - sharing.at, &mut self.activity);
        desk.chain = BeatChain::new(rand::random());
        let activity = Activity {
            at: utc_now() - passed,
            state: sharing.state,
            track: sharing.track.clone(),
            position: sharing.position,
            beats: desk.chain.anchor(),
            cover: sharing.cover,
        };
        let wrapped = desk.sealer.wrap(origin, &activity)?;
        let mut keys = Vec::new();
        for viewer in &desk.told_to {
            let Some(ring) = desk.keys.get(viewer) else { continue };
            let sealed = desk.sealer.key_for(origin, &wrapped, &ring.now)?;
            keys.push(ActivityKey { viewer: *viewer, epoch: ring.now.epoch, sealed });
        }
        let parts = keys.len().div_ceil(VIEWERS_PER_CALL_MAX).max(1);
        let mut keys = keys.into_iter();
        let call = |part: usize| {
            let to = List::new(keys.by_ref().take(VIEWERS_PER_CALL_MAX).collect()).ok()?;
            let (whole, sealed) = (part + 1 == parts, wrapped.sealed.clone());
            Some(ActivityCall::Publish(Publication { number, starts, generation, whole, sealed, to }))
        };
        (0..parts).map(call).collect()
    }

    fn hide_activity(&self, link: CoordinatorLink, hide: Hide) {
        self.beside(None, async move {
            let Hide { from, until } = hide;
            let request = CoordRequest::Activity(ActivityCall::Hide { from, until });
            let told = link.request(request).await;
            if let Err(error) = &told {
                let wait = if let LinkError::Refused(Refusal::TooMany { retry_after }) = error {
                    retry_after.as_duration()
                } else {
                    HIDE_PAUSE_MAX
                };
                tokio::time::sleep(wait.min(HIDE_PAUSE_MAX)).await;
            }
            let apply: Apply = Box::new(move |engine| {
                engine.activity_hidden(hide, told.err());
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// What was to be hidden is, or is not yet.
    fn activity_hidden(&mut self, hide: Hide, trouble: Option<LinkError>) {
        self.activity.hiding = false;
        match trouble {
            None if hide.from.is_none() && self.activity.hides.is_empty() => {
                self.activity.settings.untold = false;
                self.keep_activity_settings();
            }
            None => {}
            Some(error) => {
                // Nothing else is told before it: what is to be hidden would be shown on.
                tracing::info!(%error, "the coordinator was not told to hide the activity; it is told again");
                self.activity.hides.push_front(hide);
            }
        }
    }
}

/// Carries calls one after the other, and says what came of them.
async fn carry(link: &CoordinatorLink, calls: Vec<ActivityCall>) -> Told {
    let mut generation = SlotGeneration(0);
    for mut call in calls {
        if let ActivityCall::Publish(publication) = &mut call
            && generation != SlotGeneration(0)
        {
            publication.generation = generation;
        }
        match link.request(CoordRequest::Activity(call)).await {
            Ok(CoordReply::ActivityHeld { generation: held }) => generation = held,
            Err(LinkError::Refused(Refusal::ActivityElsewhere { generation: SlotGeneration(0) })) => {
                return Told::Forgotten;
            }
            Err(LinkError::Refused(Refusal::ActivityElsewhere { .. })) => return Told::Elsewhere,
            Err(LinkError::Refused(refusal)) => {
                tracing::info!(%refusal, "the activity is not shown");
                return Told::Wait(refusal.retry_after().unwrap_or(REFUSED_PAUSE));
            }
            Ok(_) => return Told::Wait(REFUSED_PAUSE),
            Err(_) => return Told::Away,
        }
    }
    Told::Done(generation)
}

/// When what could not be sealed is tried again.
const RETRY_AFTER: Span = Span::from_secs(5);
/// How long a coordinator is left alone that refuses without saying for how long.
const REFUSED_PAUSE: Span = Span::from_secs(60);
/// How long hiding waits at most where the coordinator has too much to do.
const HIDE_PAUSE_MAX: Duration = Duration::from_secs(2);
