//! How late this machine runs what is due: a thread that sleeps for a short while again and again, and notes by
//! how much each sleep overshot. Where that is much, a measurement says more of the machine than of the nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jamsync_protocol::time::Span;

/// Watches the machine. Dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Span>>>,
}

/// How long each sleep should last: that of a period of sound.
const SLEEP: Duration = Duration::from_millis(5);

impl Watcher {
    pub(super) fn start() -> std::io::Result<Self> {
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

    /// Ends the thread and gives the overshoots.
    pub(super) fn stop(mut self) -> Vec<Span> {
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
