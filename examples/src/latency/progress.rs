//! How far a series is, for a person who looks on: the runs that are over, and where those under way are. It is drawn over
//! itself on standard error, and not at all where that is no terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use jamsync_protocol::time::Span;

/// How far a run is, in seconds of what is scored; told by who plays it.
#[derive(Clone, Debug, Default)]
pub struct Played(Arc<AtomicU32>);

/// The runs of a series.
#[derive(Debug)]
pub(super) struct Progress {
    seconds: u32,
    total: usize,
    done: usize,
    under_way: Vec<(u64, Played)>,
}

/// Steps of the bar.
const BAR: usize = 30;

impl Played {
    /// So much of the run is over.
    pub(super) fn set(&self, elapsed: Span) {
        let seconds = u32::try_from(elapsed.as_millis() / 1_000).unwrap_or(0);
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Progress {
    /// Of `total` runs of `seconds` each.
    pub(super) const fn new(total: usize, seconds: u32) -> Self {
        Self { seconds, total, done: 0, under_way: Vec::new() }
    }

    /// The run of `seed` begins.
    pub(super) fn begin(&mut self, seed: u64) -> Played {
        let played = Played::default();
        self.under_way.push((seed, played.clone()));
        played
    }

    /// The run of `seed` is over.
    pub(super) fn end(&mut self, seed: u64) {
        self.done += 1;
        self.under_way.retain(|(other, _)| *other != seed);
    }

    /// Draws it, in place of what was drawn before.
    pub(super) fn draw(&self) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            // A terminal that went away needs no bar.
            let _ = write!(out, "{ERASE}{}", self.line()).and_then(|()| out.flush());
        }
    }

    fn line(&self) -> String {
        let seconds = |played: &Played| played.0.load(Ordering::Relaxed).min(self.seconds);
        let played: u64 = self.under_way.iter().map(|(_, played)| u64::from(seconds(played))).sum();
        let length = u64::from(self.seconds.max(1));
        let over = u64::try_from(self.done).unwrap_or(u64::MAX).saturating_mul(length).saturating_add(played);
        let all = u64::try_from(self.total.max(1)).unwrap_or(u64::MAX).saturating_mul(length);
        let full = usize::try_from(over.saturating_mul(BAR as u64) / all).unwrap_or(BAR).min(BAR);
        let runs: Vec<String> = self
            .under_way
            .iter()
            .map(|(seed, played)| format!("; seed {seed}: {} of {} s", seconds(played), self.seconds))
            .collect();
        let bar = format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full));
        format!("{bar} {} of {} runs{}", self.done, self.total, runs.concat())
    }
}

/// Prints a line that stays, where the bar was.
pub(super) fn say(line: &str) {
    erase();
    println!("{line}");
}

/// Takes the bar away.
pub(super) fn erase() {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "{ERASE}").and_then(|()| out.flush());
    }
}

/// To the beginning of the line, and nothing on it.
const ERASE: &str = "\r\x1b[K";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_counts_what_is_over_of_the_runs_under_way() {
        let mut progress = Progress::new(3, 60);
        let [one, _two] = [1, 2].map(|seed| progress.begin(seed));
        one.set(Span::from_secs(30));
        assert_eq!(
            progress.line(),
            "[#####.........................] 0 of 3 runs; seed 1: 30 of 60 s; seed 2: 0 of 60 s"
        );
        one.set(Span::from_secs(99));
        progress.end(2);
        assert_eq!(progress.line(), "[####################..........] 1 of 3 runs; seed 1: 60 of 60 s");
        progress.end(1);
        assert_eq!(progress.line(), "[####################..........] 2 of 3 runs");
    }
}
