//! What has to happen at once: within a second of the command that asked for it. A machine that other work keeps busy runs
//! nothing in time, so how late it is by itself is measured meanwhile and allowed in addition, and what was late once is
//! done again.

use std::time::{Duration, Instant};

use jamsync_examples::lateness::Watcher;
use jamsync_protocol::time::Span;

/// What "at once" means.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often it is tried.
const ATTEMPTS: u32 = 3;

/// Runs from the moment at which a command is given.
pub(super) struct Stopwatch {
    given: Instant,
    succeeded: Duration,
    machine: Watcher,
    seen: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        let machine = Watcher::start().expect("a thread");
        Self { given: Instant::now(), succeeded: Duration::ZERO, machine, seen: Vec::new() }
    }

    /// The command has succeeded: what has to happen at once is due from now on.
    pub(super) fn succeeded(&mut self) {
        self.succeeded = self.given.elapsed();
    }

    /// It was seen.
    pub(super) fn note(&mut self, what: &'static str) {
        self.seen.push((what, self.given.elapsed()));
    }

    /// Whether all of it came at once.
    pub(super) fn was_prompt(mut self) -> bool {
        assert!(!self.seen.is_empty(), "nothing was measured");
        let late = self.machine.overshoots().into_iter().fold(Span::ZERO, |sum, late| sum + late);
        let allowed = AT_ONCE + late.as_duration();
        let mut prompt = true;
        for (what, since_given) in &self.seen {
            let after = since_given.saturating_sub(self.succeeded);
            prompt &= after <= allowed;
            println!(
                "{what}: {after:?} after the command had succeeded, {since_given:?} after it was given; allowed {allowed:?}, \
                 because the machine was late by {late} in all"
            );
        }
        prompt
    }
}

/// Does something that has to show at once, and again where it was late.
pub(super) fn promptly(attempt: impl FnMut(u32) -> bool) {
    assert!((1..=ATTEMPTS).any(attempt), "not once within {AT_ONCE:?} in {ATTEMPTS} attempts");
}
