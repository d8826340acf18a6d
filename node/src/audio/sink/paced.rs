//! A thread that is called once per period, for sinks without a device.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::Running;
use crate::audio::{AudioError, priority::prefer_this_thread};

/// The running thread; dropping it ends the thread within a period.
#[derive(Debug)]
pub(super) struct Paced {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Paced {
    /// Calls `period` again and again on a thread of its own; it says when it wants to be called next.
    pub(super) fn start(mut period: impl FnMut() -> Instant + Send + 'static) -> Result<Self, AudioError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("sink".into())
            .spawn(move || {
                prefer_this_thread();
                while !stopped.load(Ordering::Relaxed) {
                    let next = period();
                    thread::sleep(next.saturating_duration_since(Instant::now()).min(LONGEST));
                }
            })
            .map_err(|error| AudioError::Thread { reason: error.to_string() })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

impl Running for Paced {}

/// So that a stopped sink ends soon whatever its period is.
const LONGEST: Duration = Duration::from_millis(50);
