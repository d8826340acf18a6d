//! The server's calendar: what the machine's showed at a moment, and the time that has passed since then, by a clock that
//! nobody sets.
//!
//! Where somebody sets the machine's calendar, this one goes on as before until [`timekeeper`](super::timekeeper) has moved
//! the rows with it. So nothing that is under way expires early or lives longer, and no rule sees a row of another calendar.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jamsync_protocol::time::{NodeTime, Span, UtcTime};

use crate::env::Env;

/// The calendar that rules go by.
#[derive(Debug)]
pub(super) struct Calendar {
    env: Arc<dyn Env>,
    /// What it showed when the machine's own clock began. Nanoseconds since 1970.
    origin: AtomicI64,
}

impl Calendar {
    pub(super) fn new(env: Arc<dyn Env>) -> Self {
        let origin = AtomicI64::new((env.now() - since_start(env.as_ref())).as_nanos());
        Self { env, origin }
    }

    /// The time now.
    pub(super) fn now(&self) -> UtcTime {
        self.origin() + since_start(self.env.as_ref())
    }

    /// How far the machine's calendar has been set since this one was.
    pub(super) fn step(&self) -> Span {
        self.env.now() - self.now()
    }

    /// What it showed when the machine's own clock began.
    pub(super) fn origin(&self) -> UtcTime {
        UtcTime::from_nanos(self.origin.load(Ordering::Relaxed))
    }

    /// Sets it. Only the timekeeper does, one after the other.
    pub(super) fn set_origin(&self, origin: UtcTime) {
        self.origin.store(origin.as_nanos(), Ordering::Relaxed);
    }
}

fn since_start(env: &dyn Env) -> Span {
    env.uptime() - NodeTime::ZERO
}
