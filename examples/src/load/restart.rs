//! A restart of the coordinator with all devices connected: how soon they are back, and whether all is still there that was
//! acknowledged to them before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use jamsync_protocol::wire::coord::{CoordReply, CoordRequest, EventNumber, NumberedEvent};
use tokio::time::{sleep, timeout, timeout_at};

use super::{
    Device, Dialer, Persona, Server, all, all_within,
    phases::{Crowd, Online, Times},
    report::Restart,
};

/// The server is told to stop while all are connected, and started again; each device comes back as a node does. Then each
/// reads what it has.
pub(super) async fn restart(
    crowd: &Arc<Crowd>,
    online: Vec<Online>,
    server: Server,
    again: impl FnOnce() -> anyhow::Result<Server> + Send + 'static,
) -> anyhow::Result<Restart> {
    let begun = Instant::now();
    let process = tokio::task::spawn_blocking(move || {
        server.stop()?;
        let stopped = begun.elapsed();
        let server = again()?;
        anyhow::Ok((stopped, begun.elapsed(), server))
    });
    let (away, count) = (Times::new()?, online.len());
    let back = all_within(RETURN_PATIENCE, "coming back", online, count, |mut online| {
        let (dialer, away) = (Arc::clone(&crowd.dialer), away.clone());
        async move {
            online.device.connection.closed().await;
            let gone = Instant::now();
            online.device = come_back(&dialer, &online.who).await;
            away.note(gone);
            online.events = online.device.events(EventNumber(0)).await?;
            Ok(online)
        }
    });
    let back = back.await?;
    let all_back = begun.elapsed();
    let (stopped, started, server) = process.await??;
    let connected = server.counts()?.of("jamsync_connections");
    let devices = u32::try_from(back.len())?;
    ensure!(connected >= f64::from(devices), "{connected} of {devices} are back");
    let kept = all("reading what was acknowledged", back, READERS, |mut online| async move {
        Ok([online.acknowledged(), online.lost().await?])
    });
    let kept = kept.await?;
    Ok(Restart {
        devices,
        stopped_after_s: stopped.as_secs_f64(),
        started_after_s: started.as_secs_f64(),
        all_back_after_s: all_back.as_secs_f64(),
        away: away.read(),
        acknowledged: kept.iter().map(|[acknowledged, _]| acknowledged).sum(),
        lost: kept.iter().map(|[_, lost]| lost).sum(),
    })
}

impl Online {
    /// How much the coordinator has acknowledged to this device: its account, its contact, and the events that it was told
    /// of and has to be told of again, because it has not dealt with them.
    fn acknowledged(&self) -> usize {
        1 + usize::from(self.friend.is_some()) + self.heard.len()
    }

    /// How much of that is not there any more.
    async fn lost(&mut self) -> anyhow::Result<usize> {
        let me = self.device.ask(CoordRequest::WhoAmI).await?;
        if !matches!(&me, CoordReply::Me(me) if me.handle == self.who.handle) {
            return Ok(self.acknowledged());
        }
        let mut lost = 0;
        if let Some(friend) = &self.friend {
            let reply = self.device.ask(CoordRequest::Contacts { after: None }).await?;
            let there = matches!(&reply, CoordReply::Contacts { contacts, .. }
                if contacts.iter().any(|contact| contact.handle == *friend));
            lost += usize::from(!there);
        }
        let kept = self.hear_kept().await?;
        Ok(lost + missing(&self.heard, &kept))
    }

    /// The events that the coordinator has kept for it, as many as it was told of before, or as many as come in time.
    async fn hear_kept(&mut self) -> anyhow::Result<Vec<NumberedEvent>> {
        let mut kept = Vec::new();
        let until = tokio::time::Instant::now() + EVENTS_PATIENCE;
        while kept.len() < self.heard.len() {
            let Ok(event) = timeout_at(until, self.events.next()).await else { break };
            kept.push(event?);
        }
        Ok(kept)
    }
}

/// How many of the `expected` events are not among those `found`.
fn missing(expected: &[NumberedEvent], found: &[NumberedEvent]) -> usize {
    expected.iter().filter(|event| !found.contains(event)).count()
}

/// Tries until it is in, with a node's pauses.
async fn come_back(dialer: &Dialer, who: &Persona) -> Device {
    let mut pause = PAUSE_LEAST;
    loop {
        sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
        match timeout(ATTEMPT_TIME_MAX, dialer.log_in(who)).await {
            Ok(Ok(device)) => return device,
            Ok(Err(_)) | Err(_) => pause = (pause * 2).min(PAUSE_MOST),
        }
    }
}

/// As `node/src/net/coordinator/dial.rs` has them.
const PAUSE_LEAST: Duration = Duration::from_millis(300);
const PAUSE_MOST: Duration = Duration::from_secs(30);
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long all of them may take to be back: ten times the goal, so that a machine which is too busy for it gives a figure
/// all the same.
const RETURN_PATIENCE: Duration = Duration::from_secs(300);
/// Devices that read at once what they have.
const READERS: usize = 128;
/// How long a device waits for the events that it was told of before, which were asked for when it came back: shorter than
/// anything here may take, so that what is missing is counted.
const EVENTS_PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use jamsync_protocol::wire::coord::{CoordEvent, RequestId};

    use super::*;

    #[test]
    fn an_event_that_is_gone_or_is_another_one_now_is_lost() {
        let event = |number, request| NumberedEvent {
            number: EventNumber(number),
            event: CoordEvent::RequestDeclined { request: RequestId([request; 16]) },
        };
        let heard = [event(2, 1), event(3, 2), event(4, 3)];
        assert_eq!(missing(&heard, &heard), 0);
        assert_eq!(missing(&heard, &[event(2, 1), event(4, 3)]), 1);
        assert_eq!(missing(&heard, &[event(2, 1), event(3, 9), event(4, 9)]), 2);
        assert_eq!(missing(&heard, &[]), 3);
    }
}
