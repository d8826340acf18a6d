//! The server's calendar: what the machine's showed at a moment, and the time that has passed since then, by a clock that
//! nobody sets.
//!
//! Where somebody sets the machine's calendar, this one goes on as before until [`timekeeper`](super::timekeeper) has moved
//! the rows with it. So nothing that is under way expires early or lives longer, and no rule sees a row of another calendar.
//!
//! It also knows how long it has gone on as a clock does. Who sets a calendar wrong finds out soon, for nodes refuse grants of
//! another day; so after a day it is believed where something cannot be taken back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use jamsync_protocol::time::{NodeTime, Span, UtcTime};

use crate::{eligibility::Trust, env::Env};

/// The calendar that rules go by.
#[derive(Debug)]
pub(super) struct Calendar {
    env: Arc<dyn Env>,
    /// What it showed when the machine's own clock began. Nanoseconds since 1970.
    origin: AtomicI64,
    /// Since when it has gone on without a jump. Nanoseconds of uptime.
    watched: AtomicI64,
    /// Whether it has jumped before that, for all that this process knows.
    jumped: AtomicBool,
}

impl Calendar {
    pub(super) fn new(env: Arc<dyn Env>) -> Self {
        let origin = AtomicI64::new((env.now() - since_start(env.as_ref())).as_nanos());
        let watched = AtomicI64::new(since_start(env.as_ref()).as_nanos());
        Self { env, origin, watched, jumped: AtomicBool::new(false) }
    }

    /// The time now.
    pub(super) fn now(&self) -> UtcTime {
        self.origin() + since_start(self.env.as_ref())
    }

    /// How far the machine's calendar has been set since this one was.
    pub(super) fn step(&self) -> Span {
        self.env.now() - self.now()
    }

    /// How far it is to be trusted with what cannot be taken back.
    pub(super) fn trust(&self) -> Trust {
        let watched = Span::from_nanos(self.watched.load(Ordering::Acquire));
        if since_start(self.env.as_ref()) - watched >= PROVEN_AFTER {
            Trust::Proven
        } else if self.jumped.load(Ordering::Relaxed) {
            Trust::Jumped
        } else {
            Trust::Unproven
        }
    }

    /// The machine's calendar was set by `step`, and this one is about to follow.
    pub(super) fn note_step(&self, step: Span) {
        if step.abs() >= JUMP_LEAST {
            self.jumped.store(true, Ordering::Relaxed);
            self.watched.store(since_start(self.env.as_ref()).as_nanos(), Ordering::Release);
        }
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

/// How long it has to go on before it is believed where something cannot be taken back. Hours, default 24: fewer believe a
/// calendar before anybody can have noticed that it is wrong, more keep birth dates for longer than they are needed.
const PROVEN_AFTER: Span = Span::from_secs(86_400);
/// How far it has to be set for that to begin anew. Seconds, default 3,600: less takes a clock that is put right at the start
/// for a wrong one, more lets a birthday come a day early.
const JUMP_LEAST: Span = Span::from_secs(3_600);
