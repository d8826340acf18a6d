//! Time that is the test's.

use std::{future::Future, pin::Pin, sync::Arc};

use jamsync_protocol::time::{NodeTime, Span, UtcTime};
use tokio::sync::watch;

use crate::env::{Env, NoRandomness, SystemEnv};

/// A machine whose time passes, and whose calendar is set, when the test says so.
#[derive(Debug)]
pub(super) struct ManualEnv(watch::Sender<(UtcTime, NodeTime)>);

impl ManualEnv {
    pub(super) fn start() -> Arc<Self> {
        let now = UtcTime::from_nanos(1_795_219_200_000_000_000);
        Arc::new(Self(watch::Sender::new((now, NodeTime::ZERO + Span::from_secs(7)))))
    }

    pub(super) fn advance(&self, span: Span) {
        self.0.send_modify(|(now, uptime)| {
            *now += span;
            *uptime += span;
        });
    }

    pub(super) fn set_calendar(&self, by: Span) {
        self.0.send_modify(|(now, _)| *now += by);
    }
}

impl Env for ManualEnv {
    fn now(&self) -> UtcTime {
        self.0.borrow().0
    }
    fn uptime(&self) -> NodeTime {
        self.0.borrow().1
    }
    fn entropy(&self) -> Result<[u8; 32], NoRandomness> {
        SystemEnv.entropy()
    }
    fn sleep_until(&self, time: NodeTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut times = self.0.subscribe();
        Box::pin(async move { drop(times.wait_for(|(_, uptime)| *uptime >= time).await) })
    }
}
