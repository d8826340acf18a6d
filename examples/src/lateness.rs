//! How late this machine runs what is due. Where that is much, a measurement in real time says more of the machine
//! than of the nodes, and the run is void: neither passed nor failed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jamsync_protocol::time::Span;
use serde::Serialize;

/// Watches the machine by a thread that sleeps for a short while again and again. Dropping it ends the thread.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Span>>>,
}

/// By how much sleeps overshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lateness {
    /// 99 of 100 sleeps ended within this.
    pub p99: Span,
    /// The worst.
    pub most: Span,
}

impl Watcher {
    /// Starts to watch.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stop);
        let watch = move || {
            let mut overshoots = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let due = Instant::now() + SLEEP;
                std::thread::sleep(SLEEP);
                let late = due.elapsed().as_nanos();
                overshoots.push(Span::from_nanos(i64::try_from(late).unwrap_or(i64::MAX)));
            }
            overshoots
        };
        let thread = std::thread::Builder::new().name("lateness".to_owned()).spawn(watch)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and says how late it was.
    #[must_use]
    pub fn stop(mut self) -> Lateness {
        Lateness::of(self.overshoots())
    }

    /// Ends the thread and gives every overshoot.
    #[must_use]
    pub fn overshoots(&mut self) -> Vec<Span> {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has said so on standard error.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Lateness {
    /// The lateness of these overshoots.
    #[must_use]
    pub fn of(mut overshoots: Vec<Span>) -> Self {
        overshoots.sort_unstable();
        let rank = overshoots.len().saturating_mul(99) / 100;
        let p99 = overshoots.get(rank).or(overshoots.last()).copied().unwrap_or_default();
        Self { p99, most: overshoots.last().copied().unwrap_or_default() }
    }

    /// Whether the machine was too late for sound that is written `ahead` of its time.
    #[must_use]
    pub fn is_void(&self, ahead: Span) -> bool {
        self.p99 > P99_MOST || self.most > ahead
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "99 % of what was due ran within {}, the worst {} late", self.p99, self.most)
    }
}

/// How long each sleep should last.
const SLEEP: Duration = Duration::from_millis(5);

/// The p99 above which no run in real time counts.
const P99_MOST: Span = Span::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_stall_makes_a_run_void_and_many_short_ones_too() {
        let calm = vec![Span::from_micros(80); 1_000];
        assert!(!Lateness::of(calm.clone()).is_void(Span::from_millis(30)));
        let mut stalled = calm.clone();
        stalled.push(Span::from_millis(40));
        assert!(Lateness::of(stalled).is_void(Span::from_millis(30)));
        let mut busy = calm;
        busy.extend(vec![Span::from_millis(3); 30]);
        assert!(Lateness::of(busy).is_void(Span::from_millis(30)));
    }
}
