//! Asks both nodes now and then how they see themselves, and puts the truth beside it.

use std::{path::PathBuf, time::Duration};

use jamsync_node::api::{Reply, Request, Snapshot, client::Client};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{Observation, case::Who};
use crate::{
    rig::{
        clock::{SkewedClock, true_now},
        node::Node,
        stage::Stage,
    },
    score::TrueTime,
};

/// Observing in the background.
#[derive(Debug)]
pub(super) struct Observer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Vec<Observation>>,
}

/// From one question to the next.
const EVERY: Duration = Duration::from_millis(500);

impl Observer {
    pub(super) fn start(stage: &Stage) -> Self {
        let (ana, ben) = (&stage.ana, &stage.ben);
        let mut sides = [Side::of(Who::A, ana, ben), Side::of(Who::B, ben, ana)];
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = &mut stopped => return seen,
                    _ = ticks.tick() => {}
                }
                for side in &mut sides {
                    seen.extend(side.observe().await);
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it and gives all that was seen.
    pub(super) async fn stop(self) -> Vec<Observation> {
        // A task that has ended needs no telling.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}

struct Side {
    who: Who,
    socket: PathBuf,
    /// None before the first question and after the node was killed.
    client: Option<Client>,
    own: SkewedClock,
    friend: SkewedClock,
}

impl Side {
    fn of(who: Who, own: &Node, friend: &Node) -> Self {
        let (socket, client) = (own.socket.clone(), None);
        Self { who, socket, client, own: own.clock(), friend: friend.clock() }
    }

    /// One observation; none where the node does not answer or knows nothing of its friend's clock.
    async fn observe(&mut self) -> Option<Observation> {
        let asked = true_now();
        let status = self.ask().await?;
        let sync = status.sync?;
        let answered = true_now();
        // The offset changes by 50 ns in a millisecond: within the answer's time it stands still.
        let at = asked + (answered - asked).scaled(0.5);
        let micros = |span: jamsync_protocol::time::Span| span.as_secs_f64() * 1e6;
        Some(Observation {
            at_ns: at,
            by: self.who,
            clock_error_us: micros(sync.offset - self.true_offset(at)),
            bound_us: micros(sync.bound),
            spread_us: micros(sync.spread),
            round_trip_us: micros(sync.round_trip),
            drift_ppm: sync.drift.0,
            rate_ppm: sync.rate.0,
            servo_error_us: micros(sync.servo_error),
            reanchors: sync.reanchors,
            underruns: status.output.underruns,
        })
    }

    async fn ask(&mut self) -> Option<Box<Snapshot>> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.socket).await.ok()?,
        };
        let Ok(Reply::Status(status)) = client.call(Request::Status).await else { return None };
        self.client = Some(client);
        Some(status)
    }

    /// The friend's clock minus this node's.
    fn true_offset(&self, at: TrueTime) -> jamsync_protocol::time::Span {
        let nanos = |clock: SkewedClock| clock.reading(at).as_nanos();
        jamsync_protocol::time::Span::from_nanos(nanos(self.friend) - nanos(self.own))
    }
}
