//! The seam to the engine: requests go in with a place for their answer, events come out.

use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};

use super::{ApiError, Event, Reply, Request};

/// One request on its way to the engine.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes. A receiver that is gone means that nobody waits any more.
    pub answer: oneshot::Sender<Result<Reply, ApiError>>,
}

/// What everyone outside the engine holds of it.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    calls: mpsc::Sender<Call>,
    events: broadcast::Sender<Event>,
}

/// An engine that runs.
#[derive(Debug)]
pub struct Engine {
    /// How to reach it.
    pub handle: EngineHandle,
    /// Ends when the engine has answered [`Request::Stop`] and let go of everything.
    pub task: JoinHandle<()>,
}

impl EngineHandle {
    /// A handle, and the engine's end of it.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Call>) {
        let (calls, inbox) = mpsc::channel(CALLS_WAITING);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        (Self { calls, events }, inbox)
    }

    /// Asks the engine and waits for its answer.
    ///
    /// # Errors
    /// What the engine answers, or [`ApiError::engine_gone`].
    pub async fn call(&self, request: Request) -> Result<Reply, ApiError> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call { request, answer }).await.map_err(|_| ApiError::engine_gone())?;
        answered.await.unwrap_or_else(|_| Err(ApiError::engine_gone()))
    }

    /// Every event from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The sender of events, for the engine.
    #[must_use]
    pub fn events(&self) -> broadcast::Sender<Event> {
        self.events.clone()
    }
}

/// Requests that may wait for the engine, in number. Range 1 to 1,000, default 64; fewer make clients wait for each
/// other, more hide an engine that hangs.
const CALLS_WAITING: usize = 64;

/// Events kept for a slow watcher, in number. Range 16 to 10,000, default 512; fewer lose events in a burst of edits,
/// more keep memory.
const EVENTS_KEPT: usize = 512;
