//! The event stream of a device: ordered, numbered, acknowledged.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jamsync_protocol::wire::{
    codec::{self, FrameReader},
    coord::{EventNumber, Fault},
};
use quinn::{RecvStream, SendStream};

use super::{Session, next_frame, write_frame};
use crate::{
    server::stopped,
    store::{Store, StoreError},
};

/// How long a client may take to read on in its events. Seconds, default 60: shorter fails on a bad mobile link, longer lets
/// a client that does not read hold its stream.
const EVENT_TIME_MAX: Duration = Duration::from_secs(60);
/// The greatest number that a device can have seen, far from where numbers end: a device of a thousand events a second
/// gets there in thirty million years.
const EVENT_NUMBER_MAX: EventNumber = EventNumber(1 << 60);
/// How many events one read fetches: with the frame limit, 128 KiB at most for a client that does not read.
const EVENTS_PER_READ: u32 = 8;

/// The place of the one event stream of a connection, free again when it is dropped. Each stream may hold the events of a
/// read, and what wakes it wakes one.
pub(super) struct EventPlace<'a>(&'a AtomicBool);

/// What a node may still acknowledge: each acknowledgement is a write, so there are no more than events, and one more for
/// what it had before.
#[derive(Debug)]
struct Credit {
    done: EventNumber,
    left: u64,
}

impl<'a> EventPlace<'a> {
    pub(super) fn take(taken: &'a AtomicBool) -> Result<Self, Fault> {
        if taken.swap(true, Ordering::AcqRel) { Err(Fault::OutOfPlace) } else { Ok(Self(taken)) }
    }
}

impl Drop for EventPlace<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<S: Store> Session<S> {
    /// Where a device has seen a number that is yet to be given out, an older copy of the data has taken the place of those
    /// it knew. All that waits for it then gets numbers above, so that it hears of that, and asks for the state.
    async fn overtake(&self, seen: EventNumber) -> Result<(), Fault> {
        if seen > EVENT_NUMBER_MAX {
            return Err(Fault::OutOfPlace);
        }
        let (device, store) = (self.device, &self.shared.store);
        let is_ahead = move |newest: Option<EventNumber>| newest.is_some_and(|newest| newest < seen);
        if seen == EventNumber(0) {
            return Ok(());
        }
        let failed = |_: StoreError| Fault::ShuttingDown;
        if !is_ahead(store.read(move |view| view.newest_event(device)).await.map_err(failed)?) {
            return Ok(());
        }
        tracing::warn!(
            ?device,
            "has seen events that these data do not know; was an older copy put in their place?"
        );
        let lifted = store.write(move |tables| {
            if is_ahead(tables.newest_event(device)?) { tables.lift_events(device, seen) } else { Ok(()) }
        });
        lifted.await.map_err(failed)
    }

    /// Sends every event after `cursor`, and those to come, and drops what the node says it has dealt with.
    pub(super) async fn send_events(
        &self,
        mut cursor: EventNumber,
        send: &mut SendStream,
        receive: &mut RecvStream,
        mut frames: FrameReader,
    ) -> Result<(), Fault> {
        if !self.greeted.load(Ordering::Acquire) {
            return Err(Fault::OutOfPlace);
        }
        let _place = EventPlace::take(&self.has_events)?;
        self.overtake(cursor).await?;
        let (device, store) = (self.device, &self.shared.store);
        let mut credit = Credit { done: EventNumber(0), left: 1 };
        self.shared.presence.wake(&[device]);
        loop {
            // One that comes after this look has woken, or will wake, this task.
            let mut more = self.shared.presence.take_due(device, &self.connection);
            while more {
                let look = store.read(move |view| view.events_after(device, cursor, EVENTS_PER_READ));
                let Ok(events) = look.await else { return Err(Fault::ShuttingDown) };
                for event in &events {
                    let written = tokio::time::timeout(EVENT_TIME_MAX, write_frame(send, event));
                    written.await.map_err(|_| Fault::TooSlow)?;
                    self.shared.metrics.events_sent.add(1);
                    cursor = event.number;
                    credit.left = credit.left.saturating_add(1);
                }
                more = events.len() >= usize::try_from(EVENTS_PER_READ).unwrap_or(usize::MAX);
            }
            self.send_passing(send).await?;
            if !self.acknowledged(cursor, &mut credit, receive, &mut frames).await? {
                return Ok(());
            }
        }
    }

    /// Sends what is told in passing.
    async fn send_passing(&self, send: &mut SendStream) -> Result<(), Fault> {
        while let Some(frame) = self.shared.presence.take_passing(self.device, &self.connection) {
            // A client that went away does not need the frame.
            let written = tokio::time::timeout(EVENT_TIME_MAX, send.write_all(&frame));
            drop(written.await.map_err(|_| Fault::TooSlow)?);
            self.shared.metrics.events_sent.add(1);
        }
        Ok(())
    }

    /// Drops what the node says it has dealt with, up to `cursor`, until there may be something to send (true) or the
    /// stream has ended.
    async fn acknowledged(
        &self,
        cursor: EventNumber,
        credit: &mut Credit,
        receive: &mut RecvStream,
        frames: &mut FrameReader,
    ) -> Result<bool, Fault> {
        let mut stopping = self.stopping.clone();
        loop {
            let frame = tokio::select! {
                () = self.wake.notified() => return Ok(true),
                frame = next_frame(receive, frames) => frame?,
                () = stopped(&mut stopping) => return Ok(false),
            };
            let Some(frame) = frame else { return Ok(false) };
            let upto: EventNumber = codec::decode(&frame)?;
            if upto > cursor {
                return Err(Fault::OutOfPlace);
            }
            if !credit.spend(upto) {
                continue;
            }
            let device = self.device;
            if let Err(error) = self.shared.store.write(move |tables| tables.drop_events(device, upto)).await
            {
                tracing::warn!(?device, %error, "events are kept longer");
            }
        }
    }
}

impl Credit {
    /// Whether the acknowledgement of all up to `upto` is worth a write.
    fn spend(&mut self, upto: EventNumber) -> bool {
        if upto <= self.done || self.left == 0 {
            return false;
        }
        (self.done, self.left) = (upto, self.left.saturating_sub(1));
        true
    }
}
