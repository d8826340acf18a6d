//! Listening activity on one connection: what the device tells, and the stream on which it is told.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    wire::{
        codec::FrameReader,
        coord::{ActivityCall, ActivityKey, CoordReply, Fault, Publication, Refusal},
    },
};
use quinn::{RecvStream, SendStream};
use tokio::sync::Notify;

use super::{Session, events::EventPlace, next_frame, write_frame};
use crate::{
    env::Env,
    rules::{self, Stop},
    server::{activity::Activities, stopped},
    store::{Store, StoreError},
};

/// How long a client may take to read on. Seconds, default 60: shorter fails on a bad mobile link, longer lets a client that does
/// not read hold its stream.
const NEWS_TIME_MAX: Duration = Duration::from_secs(60);

/// A device that is told of activities until this is dropped.
struct Watch<'a> {
    activities: &'a Activities,
    env: &'a dyn Env,
    device: DeviceKey,
    wake: Arc<Notify>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.activities.leave(self.device, &self.wake, self.env.uptime());
    }
}

impl<S: Store> Session<S> {
    /// Carries out what the device asks about activities.
    pub(super) async fn activity(&self, call: ActivityCall) -> Result<CoordReply, StoreError> {
        let metrics = &self.shared.metrics;
        let done = match self.carry_out(call).await {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(refusal)) => {
                metrics.activity_refused.add(1);
                Ok(CoordReply::Refused(refusal))
            }
            Err(Stop::Store(error)) => Err(error),
        };
        if matches!(done, Ok(CoordReply::ActivityHeld { .. })) {
            metrics.activity_published.add(1);
        }
        done
    }

    async fn carry_out(&self, call: ActivityCall) -> Result<CoordReply, Stop> {
        let (activities, now) = (&self.shared.activities, self.shared.env.uptime());
        match call {
            ActivityCall::Publish(publication) => self.publish(publication).await,
            ActivityCall::Renew { generation, beat } => {
                let renewed = self.meter.renew(now);
                renewed.map_err(|retry_after| Refusal::TooMany { retry_after })?;
                let (me, _) = self.permitted(Vec::new()).await?;
                activities.renew((me, self.device), generation, beat, now)?;
                Ok(CoordReply::ActivityHeld { generation })
            }
            ActivityCall::Hide { from, until } => {
                let me = self.account_alone().await?;
                activities.hide((me, self.device), from, until, now);
                Ok(CoordReply::Done)
            }
            ActivityCall::React { to, epoch, sealed } => {
                let reacted = self.meter.react(now);
                reacted.map_err(|retry_after| Refusal::TooMany { retry_after })?;
                let (me, permitted) = self.permitted(vec![to]).await?;
                if permitted.contains(&to) {
                    activities.react(me, to, (epoch, sealed), now);
                }
                Ok(CoordReply::Done)
            }
            ActivityCall::GiveCover { generation, sealed } => {
                let given = self.meter.give_cover(now);
                given.map_err(|retry_after| Refusal::TooMany { retry_after })?;
                let (me, _) = self.permitted(Vec::new()).await?;
                activities.give_cover((me, self.device), generation, sealed, now)?;
                Ok(CoordReply::Done)
            }
            ActivityCall::FetchCover { of, address } => {
                let fetched = self.meter.fetch_cover(now);
                fetched.map_err(|retry_after| Refusal::TooMany { retry_after })?;
                let me = self.account_alone().await?;
                Ok(CoordReply::Cover { sealed: activities.cover(me, of, address)? })
            }
            ActivityCall::Watch => Err(Stop::Store(StoreError::Corrupt("request"))),
        }
    }

    async fn publish(&self, publication: Publication) -> Result<CoordReply, Stop> {
        let now = self.shared.env.uptime();
        let viewers = publication.to.iter().map(|ActivityKey { viewer, .. }| *viewer).collect();
        let (me, permitted) = self.permitted(viewers).await?;
        let is_further = self.shared.activities.is_further((me, self.device), &publication);
        if !is_further {
            self.meter.show(now).map_err(|retry_after| Refusal::TooMany { retry_after })?;
        }
        let generation = self.shared.activities.publish((me, self.device), publication, &permitted, now)?;
        Ok(CoordReply::ActivityHeld { generation })
    }

    /// The account of this device, and those of `viewers` to whom it may show something.
    async fn permitted(&self, viewers: Vec<AccountId>) -> Result<(AccountId, Vec<AccountId>), Stop> {
        let context = self.context()?;
        let look = self.shared.store.read(move |view| match rules::viewers(view, &context, &viewers) {
            Ok(permitted) => Ok(Ok(permitted)),
            Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
            Err(Stop::Store(error)) => Err(error),
        });
        Ok(look.await??)
    }

    /// The account of this device, whatever it may do.
    async fn account_alone(&self) -> Result<AccountId, Stop> {
        let device = self.device;
        let account = self.shared.store.read(move |view| view.account_by_device(device)).await?;
        Ok(account.ok_or(Refusal::NotSignedUp)?.id)
    }

    /// Tells the device what its contacts show, until it ends the stream.
    pub(super) async fn send_activity(
        &self,
        send: &mut SendStream,
        receive: &mut RecvStream,
        mut frames: FrameReader,
    ) -> Result<(), Fault> {
        if !self.greeted.load(Ordering::Acquire) {
            return Err(Fault::OutOfPlace);
        }
        let _place = EventPlace::take(&self.has_watch)?;
        while let Err(wait) = self.meter.watch(self.shared.env.uptime()) {
            self.shared.env.sleep_until(self.shared.env.uptime() + wait).await;
        }
        let Ok(me) = self.account_alone().await else { return Err(Fault::OutOfPlace) };
        let activities = &self.shared.activities;
        let contacts = self.shared.store.read(move |view| view.contacts_with(me)).await;
        let contacts = contacts.map_err(|_| Fault::ShuttingDown)?;
        let wake = activities.watch(me, self.device, &contacts, self.shared.env.uptime());
        let watch = Watch { activities, env: &*self.shared.env, device: self.device, wake };
        let mut stopping = self.stopping.clone();
        loop {
            while let Some(news) = activities.next(self.device, self.shared.env.uptime()) {
                let written = tokio::time::timeout(NEWS_TIME_MAX, write_frame(send, &news));
                written.await.map_err(|_| Fault::TooSlow)?;
                self.shared.metrics.activity_delivered.add(1);
            }
            tokio::select! {
                () = watch.wake.notified() => {}
                frame = next_frame(receive, &mut frames) => match frame? {
                    Some(_) => return Err(Fault::OutOfPlace),
                    None => return Ok(()),
                },
                () = stopped(&mut stopping) => return Ok(()),
            }
        }
    }
}
