//! The player: hears a plan and a map of the Jam clock, and makes the device sound accordingly.
//!
//! A [`Player`] is a thread around an engine: the engine decides and writes ahead, the thread waits
//! for the next step or a command. It never talks to a peer and never decides what plays next: that is in the
//! plan. Files are opened on threads of their own, so that a slow disk cannot make music stutter.

mod deck;
mod engine;
mod schedule;
mod stepped;
mod tape;
mod voice;

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    readiness::PlayoutState,
    servo::ServoConfig,
    time::{Ppm, Span},
    timeline::JamMap,
    wire::peer::PlayoutReport,
};

use super::{
    AudioError,
    decode::{DecodeError, TrackReader},
    playout::playout,
    priority::prefer_this_thread,
    sink::{OnLost, Output, Running, Sink},
};
use crate::clock::NodeClock;
use deck::OpenRequest;
use engine::Engine;
pub use schedule::{Plan, Source};
pub use stepped::SteppedPlayer;

/// What a player is made of.
pub struct PlayerConfig {
    /// Where the sound goes.
    pub sink: Box<dyn Sink>,
    /// The node's clock.
    pub clock: NodeClock,
    /// The [`Report::dac`] of an earlier player on the same device: it starts closer.
    pub remembered: Option<Ppm>,
    /// How the servo corrects.
    pub servo: ServoConfig,
}

/// A running player; dropping it stops the sound at once.
#[derive(Debug)]
pub struct Player {
    rate: SampleRate,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    stream: Option<Box<dyn Running>>,
}

/// What happened to the sound.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerEvent {
    /// An entry begins to sound within the next quarter of a second.
    Entered(EntryId),
    /// An entry cannot be played, and is silent.
    Unplayable {
        /// The entry.
        entry: EntryId,
        /// The file and what is wrong with it.
        reason: String,
    },
    /// Something is missing within an entry's file. It is silent there and plays on; told once per file.
    Damaged {
        /// The file, and where.
        reason: String,
    },
    /// The device took frames before they were ready; it was silent.
    Stalled,
    /// The device gets its frames again, in the right place.
    Recovered,
    /// The sound was too far off to be corrected by its speed, and jumped to the right place.
    Reanchored {
        /// How late it had been; negative if it was early.
        by: Span,
    },
    /// The device went away; the player stays silent, and another has to take its place.
    DeviceLost {
        /// What the system said.
        reason: String,
    },
}

/// How the sound is doing, as far as the node itself can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Mean time from a callback to the instant its first frame is heard.
    pub output_latency: Span,
    /// When the next frame to be written will be heard minus when it should be; `None` while nothing sounds.
    pub error: Option<Span>,
    /// The correction in force.
    pub rate: Ppm,
    /// How fast the device runs against its declared rate.
    pub dac: Ppm,
    /// Frames that were not ready when the device took them, since the start.
    pub missed_frames: Frames,
    /// What is heard now: the entry and the position in it, also while paused.
    pub position: Option<(EntryId, Frames)>,
    /// Whether the device is silent because frames are late.
    pub stalled: bool,
    /// Whether a file that is on or comes next is still being opened.
    pub opening: bool,
    /// Whether the device has gone away.
    pub lost: bool,
}

impl Report {
    /// What the peer is told of it.
    #[must_use]
    pub fn playout(&self) -> PlayoutReport {
        PlayoutReport {
            output_latency: self.output_latency,
            error: self.error,
            missed_frames: self.missed_frames.0,
            state: match self {
                Self { stalled: true, .. } | Self { lost: true, .. } => PlayoutState::Stalled,
                Self { opening: true, .. } => PlayoutState::Buffering,
                Self { .. } => PlayoutState::Ready,
            },
            ..PlayoutReport::default()
        }
        .with_correction(self.rate)
    }
}

impl std::fmt::Debug for PlayerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlayerConfig").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Player {
    /// Starts the sink and the player's thread. `events` is called on that thread and must not block.
    ///
    /// # Errors
    /// [`AudioError`] if the sink or a thread cannot be started.
    pub fn start(
        config: PlayerConfig,
        events: impl FnMut(PlayerEvent) + Send + 'static,
    ) -> Result<Self, AudioError> {
        let rate = config.sink.rate();
        let (writer, reader) = playout(rate);
        let engine = Engine::new(writer, rate, config.remembered, config.servo);
        let shared = Arc::new(Shared::default());
        let lost = Arc::clone(&shared);
        let lost: OnLost = Box::new(move |reason| lost.send(Command::Lost(reason)));
        let stream = config.sink.start(Output::new(reader, config.clock), lost)?;
        let loop_shared = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("player".into())
            .spawn(move || run(engine, &loop_shared, config.clock, events))
            .map_err(|error| AudioError::Thread { reason: error.to_string() })?;
        Ok(Self { rate, shared, thread: Some(thread), stream: Some(stream) })
    }

    /// The device's declared rate.
    #[must_use]
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Plays by another plan from now on. What it says of the present takes effect at once.
    pub fn set_plan(&self, plan: Plan) {
        self.shared.send(Command::Plan(plan));
    }

    /// Reads the Jam clock by another line from now on; `None` silences, as nothing is due without one.
    pub fn set_jam_map(&self, map: Option<JamMap>) {
        self.shared.send(Command::Map(map));
    }

    /// Sets the volume, 0 to 1; half is heard as about half as loud.
    pub fn set_volume(&self, volume: f32) {
        let volume = if volume.is_finite() { volume.clamp(0.0, 1.0) } else { 0.0 };
        self.shared.send(Command::Gain(volume.powi(3)));
    }

    /// Tells how much later than it says the device is really heard, as the listener judges: wireless
    /// headphones hide up to 300 ms.
    pub fn set_trim(&self, trim: Span) {
        self.shared.send(Command::Trim(trim));
    }

    /// Tells that the machine slept until now: when frames are heard has to be learnt anew.
    pub fn handle_suspend(&self) {
        self.shared.send(Command::Slept);
    }

    /// Gives the device away, which stops when what is returned is dropped; that may take a moment. None the second time.
    #[must_use]
    pub fn release(&mut self) -> Option<Box<dyn Running>> {
        self.stream.take()
    }

    /// How the sound is doing.
    #[must_use]
    pub fn report(&self) -> Report {
        *locked(&self.shared.report)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Under the lock, so that the thread cannot check and fall asleep in between.
        drop(locked(&self.shared.inbox));
        self.shared.woken.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already said so.
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Vec<Command>>,
    woken: Condvar,
    report: Mutex<Report>,
    stop: AtomicBool,
}

#[derive(Debug)]
enum Command {
    Plan(Plan),
    Map(Option<JamMap>),
    Gain(f32),
    Trim(Span),
    Slept,
    Opened(OpenRequest, Result<TrackReader, DecodeError>),
    Lost(String),
}

impl Shared {
    fn send(&self, command: Command) {
        locked(&self.inbox).push(command);
        self.woken.notify_one();
    }
}

/// The player's thread.
fn run(mut engine: Engine, shared: &Arc<Shared>, clock: NodeClock, mut events: impl FnMut(PlayerEvent)) {
    prefer_this_thread();
    while !shared.stop.load(Ordering::Relaxed) {
        let commands = std::mem::take(&mut *locked(&shared.inbox));
        for command in commands {
            match command {
                Command::Plan(plan) => engine.handle_plan(plan),
                Command::Map(map) => engine.handle_jam_map(map),
                Command::Gain(gain) => engine.handle_gain(gain),
                Command::Trim(trim) => engine.handle_trim(trim),
                Command::Slept => engine.handle_suspend(clock.now()),
                Command::Opened(request, result) => engine.handle_opened(&request, result),
                Command::Lost(reason) => {
                    engine.handle_lost();
                    events(PlayerEvent::DeviceLost { reason });
                }
            }
        }
        let rest = engine.step(clock.now());
        while let Some(request) = engine.poll_open() {
            open(request, shared);
        }
        engine.poll_events().into_iter().for_each(&mut events);
        *locked(&shared.report) = engine.report();
        let rest = rest.as_duration();
        let inbox = locked(&shared.inbox);
        if inbox.is_empty() && !shared.stop.load(Ordering::Relaxed) {
            // Waking early is harmless: a step finds what there is to do.
            drop(shared.woken.wait_timeout(inbox, rest));
        }
    }
}

/// Opens a file on a thread of its own and sends the result.
fn open(request: OpenRequest, shared: &Arc<Shared>) {
    let answer = Arc::clone(shared);
    let opening = request.clone();
    let spawned = thread::Builder::new().name("open".into()).spawn(move || {
        let result = TrackReader::open(&opening.path).inspect(TrackReader::read_ahead);
        answer.send(Command::Opened(opening, result));
    });
    if let Err(error) = spawned {
        let reason = format!("cannot start a thread to open it: {error}");
        shared.send(Command::Opened(request, Err(DecodeError::Unreadable { reason })));
    }
}

/// A mutex is only poisoned by a panic in between, which leaves these plain values whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
