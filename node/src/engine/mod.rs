//! The engine: the one owner of a node's state. The command line, and every other surface, drives it through
//! the local API alone.
//!
//! It is a loop over everything that happens: calls of the listener, frames of the peer, events of the
//! coordinator and of the player, and the time that the session asked for. Each is handled to its end before
//! the next, so that no lock is needed and every answer shows one consistent state. What takes long (reading
//! files, asking the coordinator) runs beside the loop and comes back as a completion.

mod account;
mod activity;
mod away;
mod calls;
mod cards;
mod chat;
mod contacts;
mod courier;
mod device_rates;
mod devices;
mod friends;
mod hosting;
mod jam;
mod jamming;
mod keep;
mod ledger;
mod messages;
mod music;
mod output;
mod own_log;
mod path;
mod readiness;
mod rejoin;
mod requests;
mod rights;
mod run;
mod safety;
mod stage;
mod standing;
mod start;
#[cfg(test)]
mod tests;
mod view;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jamsync_protocol::time::{NodeTime, UtcTime};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinSet,
};

use self::{
    account::Account, activity::Desk, courier::Courier, device_rates::DeviceRates, jam::ActiveJam,
    keep::Keeper, ledger::Ledger, output::PlayerEvents, stage::Stage,
};
use crate::{
    api::{self, ApiError, Reply},
    config::Settings,
    identity::Identity,
    library::Index,
    net::{
        coordinator::{CoordinatorLink, LinkEvent},
        peer::PeerPort,
    },
};

pub(crate) use calls::devices;
pub use start::start;

/// The state of a node.
#[derive(Debug)]
struct Engine {
    settings: Settings,
    account_file: PathBuf,
    messages_file: PathBuf,
    /// Whether their database was put aside since this process began.
    messages_put_aside: bool,
    identity: Arc<Identity>,
    endpoint: quinn::Endpoint,
    stage: Stage,
    device_rates: DeviceRates,
    player_events: PlayerEvents,
    /// What the listener was told when the output went away; none while it is there.
    output_lost: Option<String>,
    port: PeerPort,
    jam: Option<ActiveJam>,
    account: Option<Account>,
    coordinator: Option<CoordinatorLink>,
    coordinator_state: api::Coordinator,
    /// Carries messages, while there is an account.
    courier: Option<Courier>,
    /// When it was started last, and how long was waited before.
    courier_started: NodeTime,
    courier_pause: Duration,
    /// Why messages have stopped; none while they are carried.
    messages_stopped: Option<String>,
    activity: Desk,
    ledger: Ledger,
    keeper: Keeper,
    index: Arc<Index>,
    volume: api::Percent,
    warnings: Vec<String>,
    /// What the listener was told of an account that the coordinator does not know; none while it does.
    account_unknown: Option<String>,
    /// What the listener was told of this computer's calendar; none while it is that of the coordinator.
    calendar_wrong: Option<String>,
    /// Tells peers that this process is not the one before.
    run: u32,
    events: broadcast::Sender<api::Event>,
    completions: mpsc::UnboundedSender<Completion>,
    link_events: mpsc::Sender<LinkEvent>,
    /// What is still being said about Jams that are over; waited for, briefly, at the end.
    farewells: JoinSet<()>,
    stopping: bool,
}

/// Where the answer to a call goes.
type Answer = oneshot::Sender<Result<Reply, ApiError>>;

/// What a piece of work beside the loop does to the engine when it is done.
type Apply = Box<dyn FnOnce(&mut Engine) -> Result<Reply, ApiError> + Send>;

/// A piece of work beside the loop is done.
struct Completion {
    outcome: Result<Apply, ApiError>,
    /// Who waits for it.
    answer: Option<Answer>,
}

impl Engine {
    /// Runs `work` beside the loop; what it returns is applied to the engine, and the outcome answered.
    fn beside<F>(&self, answer: Option<Answer>, work: F)
    where
        F: Future<Output = Result<Apply, ApiError>> + Send + 'static,
    {
        let completions = self.completions.clone();
        tokio::spawn(async move {
            // An engine that is gone has nothing to apply this to.
            let _ = completions.send(Completion { outcome: work.await, answer });
        });
    }

    /// Tells everyone who watches.
    fn tell(&self, event: api::Event) {
        // Nobody may be watching.
        let _ = self.events.send(event);
    }

    /// Tells the listener what should be known.
    fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        self.tell(api::Event::Warning { message });
    }
}

/// The calendar time. For expiry dates only, never for sound.
pub(crate) fn utc_now() -> UtcTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UtcTime::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
