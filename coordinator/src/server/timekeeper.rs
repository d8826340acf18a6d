//! What the server does by itself: it ends requests when their time is over, forgets once an hour what is of no more use,
//! tries a store that failed, and once a second looks whether another process has changed the data.

use std::sync::Arc;

use jamsync_protocol::time::{Span, UtcTime};
use tokio::sync::watch;

use super::{Shared, presence::Standing, stopped};
use crate::{
    rules,
    store::{Store, StoreError, Tables},
};

/// Keeps time until the server stops, or its store is closed.
pub(super) async fn keep_time<S: Store>(shared: Arc<Shared<S>>, mut stopping: watch::Receiver<bool>) {
    let mut keeper = Timekeeper { prune_at: shared.env.now(), others: false, shared };
    loop {
        let (wait, works) = match keeper.look().await {
            Ok(next) => (keeper.wait_until(next), true),
            Err(StoreError::Closed) => return,
            // A failing store is asked again after a while, not at once.
            Err(_) => (TRY_AGAIN, false),
        };
        let shared = &keeper.shared;
        tokio::select! {
            () = shared.env.sleep_until(shared.env.now() + wait) => {}
            () = shared.look_again.notified(), if works => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

/// What it has to remember from one look to the next.
struct Timekeeper<S> {
    shared: Arc<Shared<S>>,
    prune_at: UtcTime,
    /// Whether another process has changed what nobody was told of yet.
    others: bool,
}

impl<S: Store> Timekeeper<S> {
    /// Does what is due, and returns when the next request expires.
    async fn look(&mut self) -> Result<Option<UtcTime>, StoreError> {
        self.others |= self.shared.store.changed_by_others().await?;
        if self.others {
            self.shared.hear_of_others().await?;
            self.others = false;
        }
        let (store, now) = (&self.shared.store, self.shared.env.now());
        let mut next = store.read(|view| view.next_expiry()).await?;
        if next.is_some_and(|next| next <= now) {
            let wake = store.write(move |tables| rules::expire(tables, now)).await?;
            self.shared.presence.wake(&wake);
            next = store.read(|view| view.next_expiry()).await?;
        }
        if now >= self.prune_at {
            store.write(move |tables| tables.prune(now - KEPT_SPAN)).await?;
            self.prune_at = now + PRUNE_INTERVAL;
        }
        if !store.is_writable() {
            // Rewrites what is there, because only a change shows whether there is room.
            let rewrite = |tables: &mut dyn Tables| {
                let addresses = tables.public_addresses()?;
                tables.set_public_addresses(&addresses)
            };
            store.write(rewrite).await?;
        }
        Ok(next)
    }

    /// How long nothing is to be done.
    fn wait_until(&self, next: Option<UtcTime>) -> Span {
        let wait = next.map_or(LOOK_INTERVAL, |next| next - self.shared.env.now());
        wait.clamp(SHORTEST_SLEEP, LOOK_INTERVAL)
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
        Ok(())
    }
}

const PRUNE_INTERVAL: Span = Span::from_secs(3_600);
/// How long receipts and ended requests are kept: a day, longer than any node repeats a call.
const KEPT_SPAN: Span = Span::from_secs(86_400);
/// How long a store that failed is left alone.
const TRY_AGAIN: Span = Span::from_secs(2);
/// How often it is looked whether another process has changed something. Seconds, default 1: as soon as a revoked device is
/// to be cut off; more often costs an idle server wake-ups.
const LOOK_INTERVAL: Span = Span::from_secs(1);
/// The timer never fires more often, whatever the rows say.
const SHORTEST_SLEEP: Span = Span::from_millis(20);
