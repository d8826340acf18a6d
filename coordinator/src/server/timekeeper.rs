//! What the server does by itself: it ends requests when their time is over, forgets once an hour what is of no more use,
//! tries a store that failed, and once a second looks whether somebody has set the calendar, and whether another process
//! has changed the data.

use std::sync::Arc;

use jamsync_protocol::time::{NodeTime, Span, UtcTime};
use tokio::sync::watch;

use super::{Shared, presence::Standing, stopped};
use crate::{
    rules,
    store::{Store, StoreError, Tables},
};

/// Keeps time until the server stops, or its store is closed, of which it says that the server is broken.
pub(super) async fn keep_time<S: Store>(
    shared: Arc<Shared<S>>,
    mut stopping: watch::Receiver<bool>,
    breaks: watch::Sender<bool>,
) {
    let mut keeper = Timekeeper { prune_at: shared.env.uptime(), started: false, others: false, shared };
    loop {
        // Time that passes during a look counts, or a slow one would put the next off.
        let began = keeper.shared.env.uptime();
        let (wait, works) = match keeper.look().await {
            Ok(next) => (keeper.wait_until(next), true),
            Err(StoreError::Closed) => {
                breaks.send_replace(true);
                return;
            }
            // A failing store is asked again after a while, not at once.
            Err(_) => (TRY_AGAIN, false),
        };
        let shared = &keeper.shared;
        tokio::select! {
            () = shared.env.sleep_until(began + wait) => {}
            () = shared.look_again.notified(), if works => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

/// What it has to remember from one look to the next.
struct Timekeeper<S> {
    shared: Arc<Shared<S>>,
    prune_at: NodeTime,
    /// Whether times that cannot be were brought back.
    started: bool,
    /// Whether another process has changed what nobody was told of yet.
    others: bool,
}

impl<S: Store> Timekeeper<S> {
    /// Does what is due, and returns when the next request expires.
    async fn look(&mut self) -> Result<Option<UtcTime>, StoreError> {
        self.follow_calendar().await?;
        if !self.started {
            self.bring_back().await?;
            self.started = true;
        }
        self.others |= self.shared.store.changed_by_others().await?;
        if self.others {
            self.shared.hear_of_others().await?;
            self.others = false;
        }
        let store = &self.shared.store;
        let mut next = store.read(|view| view.next_expiry()).await?;
        if next.is_some_and(|next| next <= self.shared.calendar.now()) {
            let calendar = Arc::clone(&self.shared.calendar);
            let wake = store.write(move |tables| rules::expire(tables, calendar.now())).await?;
            self.shared.presence.wake(&wake);
            next = store.read(|view| view.next_expiry()).await?;
        }
        if self.shared.env.uptime() >= self.prune_at {
            self.prune().await?;
        }
        if !self.shared.store.is_writable() {
            // Rewrites what is there, because only a change shows whether there is room.
            let rewrite = |tables: &mut dyn Tables| {
                let addresses = tables.public_addresses()?;
                tables.set_public_addresses(&addresses)
            };
            self.shared.store.write(rewrite).await?;
        }
        Ok(next)
    }

    /// Forgets what is of no more use, birth dates among it, a little each time, because others wait to write.
    async fn prune(&mut self) -> Result<(), StoreError> {
        let next = self.shared.env.uptime() + PRUNE_INTERVAL;
        self.shared.activities.forget_old(self.shared.env.uptime());
        let (calendar, settings) = (Arc::clone(&self.shared.calendar), self.shared.live.settings());
        let prune = move |tables: &mut dyn Tables| {
            let (now, trust) = (calendar.now(), calendar.trust());
            let pruned = tables.prune(now - KEPT_SPAN, PRUNED_TOGETHER_MAX)?;
            let room = PRUNED_TOGETHER_MAX.saturating_sub(pruned);
            Ok::<_, StoreError>(pruned + rules::settle_ages(tables, &settings, (now, trust), room)?)
        };
        if self.shared.store.write(prune).await? < PRUNED_TOGETHER_MAX {
            self.prune_at = next;
        }
        Ok(())
    }

    /// Takes over a calendar that somebody has set. What is under way is moved with it, and keeps the time it had left.
    async fn follow_calendar(&self) -> Result<(), StoreError> {
        let (step, before) = (self.shared.calendar.step(), self.shared.calendar.origin());
        if step.abs() <= STEP_LEAST {
            self.shared.calendar.set_origin(before + step);
            return Ok(());
        }
        self.shared.calendar.note_step(step);
        let calendar = Arc::clone(&self.shared.calendar);
        let moved = self.shared.store.write(move |tables| {
            rules::follow(tables, calendar.now(), step)?;
            // Whatever is done after this goes by the new one, also in the same commit.
            calendar.set_origin(before + step);
            Ok(())
        });
        match moved.await {
            Ok(()) => {
                tracing::warn!(by = %step, "the clock was set; what is under way keeps the time it had left");
                Ok(())
            }
            Err(error) => {
                self.shared.calendar.set_origin(before);
                Err(error)
            }
        }
    }

    /// How far the calendar was set while no server ran, nobody can know.
    async fn bring_back(&self) -> Result<(), StoreError> {
        let (calendar, settings) = (Arc::clone(&self.shared.calendar), self.shared.live.settings());
        let bring = move |tables: &mut dyn Tables| rules::bring_back(tables, &settings, calendar.now());
        let rows = self.shared.store.write(bring).await?;
        if rows > 0 {
            tracing::warn!(
                rows,
                "times lay further ahead than they can, and were brought back; was the clock set back?"
            );
        }
        Ok(())
    }

    /// How long nothing is to be done.
    fn wait_until(&self, next: Option<UtcTime>) -> Span {
        let due = next.map_or(LOOK_INTERVAL, |next| next - self.shared.calendar.now());
        due.min(self.prune_at - self.shared.env.uptime()).clamp(SHORTEST_SLEEP, LOOK_INTERVAL)
    }
}

impl<S: Store> Shared<S> {
    /// Another process, such as a command of the operator, has changed something. Nobody knows what, so every device looks
    /// for events, and who speaks for nobody any more is cut off.
    async fn hear_of_others(&self) -> Result<(), StoreError> {
        let connected = self.presence.connected();
        let known = self.store.read(move |view| {
            let look = |(device, spoke)| {
                let standing = match view.device(device)? {
                    Some(known) if known.revoked => Standing::Revoked,
                    Some(_) => Standing::Speaks,
                    None => Standing::Unknown,
                };
                Ok((device, spoke, standing))
            };
            connected.into_iter().map(look).collect::<Result<Vec<_>, StoreError>>()
        });
        self.presence.sort_out(&known.await?);
        self.presence.wake_all();
        let pairs = self.activities.pairs();
        let parted = self.store.read(move |view| rules::parted(view, &pairs)).await?;
        parted.into_iter().for_each(|(shows, sees)| self.activities.part(shows, sees));
        Ok(())
    }
}

const PRUNE_INTERVAL: Span = Span::from_secs(3_600);
/// How many rows one transaction forgets. Count, default 2,000: fewer sync for nothing, more let whoever writes meanwhile
/// wait for longer than a few hundredths of a second.
const PRUNED_TOGETHER_MAX: u32 = 2_000;
/// How long receipts and ended requests are kept: a day, longer than any node repeats a call.
const KEPT_SPAN: Span = Span::from_secs(86_400);
/// How long a store that failed is left alone.
const TRY_AGAIN: Span = Span::from_secs(2);
/// How far a calendar moves at least that somebody sets. Seconds, default 2: a leap second is no step, and less than any
/// time that is kept.
const STEP_LEAST: Span = Span::from_secs(2);
/// How often it is looked whether another process has changed something. Seconds, default 1: as soon as a revoked device is
/// to be cut off; more often costs an idle server wake-ups.
const LOOK_INTERVAL: Span = Span::from_secs(1);
/// The timer never fires more often, whatever the rows say.
const SHORTEST_SLEEP: Span = Span::from_millis(20);
