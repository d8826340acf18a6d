//! Bringing a node up: identity, socket, player, account, and the loop.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Engine, account::Account, activity::Desk, device_rates::DeviceRates, keep::Keeper, ledger::Ledger,
    output, run::Sources, stage::Stage, utc_now,
};
use crate::{
    api::{self, ApiError, EngineHandle, ErrorCode},
    clock::NodeClock,
    config::Boot,
    identity::Identity,
    jam_state::JamState,
    library::Index,
    net::{peer::PeerPort, socket},
};

/// Starts an engine.
///
/// # Errors
/// [`ApiError`] in words for the listener: no free port, no audio device, a state folder that cannot be
/// written.
pub async fn start(boot: Boot) -> Result<api::Engine, ApiError> {
    let kept = JamState::load(&boot.paths.jam());
    let earlier_port = kept.as_ref().ok().and_then(Option::as_ref).map_or(0, |state| state.port);
    let (mut engine, sources, handle) = build(boot, earlier_port).await?;
    engine.connect_coordinator();
    engine.rejoin(kept);
    let task = tokio::spawn(engine.run(sources));
    Ok(api::Engine { handle, task })
}

/// An engine that does not run yet, with what it listens to and how it is asked. `earlier_port` is preferred to any
/// other where none is set.
pub(super) async fn build(
    boot: Boot,
    earlier_port: u16,
) -> Result<(Engine, Sources, EngineHandle), ApiError> {
    let Boot { paths, settings, mut warnings } = boot;
    let state = paths.state().to_owned();
    let identity = Identity::load_or_create(&state)
        .map_err(|error| ApiError::new(ErrorCode::StateUnwritable, error.to_string(), ""))?;
    let identity = Arc::new(identity);
    let account_file = state.join("account.json");
    let account = Account::load(&account_file)
        .map_err(|error| ApiError::new(ErrorCode::StateUnwritable, error.to_string(), ""))?;
    let clock =
        NodeClock::skewed(settings.clock_offset, settings.clock_rate).with_faults(settings.clock_faults);
    let (endpoint, raw) = socket::endpoint_again(settings.listen, earlier_port)
        .map_err(|error| ApiError::new(ErrorCode::NoPort, error.to_string(), ""))?;
    let (peer_sender, peer_events) = mpsc::channel(PEER_EVENTS_WAITING);
    let port = PeerPort::open(endpoint.clone(), raw, Arc::clone(&identity), clock, peer_sender)
        .map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))?;
    let (player_sender, player_events) = mpsc::unbounded_channel();
    let device_rates = DeviceRates::load(paths.device_rates(), clock.now(), &mut warnings);
    let player = output::open(&settings, &device_rates, clock, &player_sender).await?;
    let (handle, calls) = EngineHandle::channel();
    let (completions, completed) = mpsc::unbounded_channel();
    let (link_sender, link_events) = mpsc::channel(LINK_EVENTS_WAITING);
    let index = Arc::new(Index::open(&paths.library_index()));
    let stage = Stage::new(clock, player, settings.sabotage.zero_offset);
    let ledger = Ledger::load(&paths.agreements(), utc_now(), &mut warnings);
    let activity = Desk::load(&state, utc_now(), stage.now() + stage.slept(), &mut warnings);
    let engine = Engine {
        activity,
        settings,
        account_file,
        messages_file: state.join("messages.sqlite"),
        messages_put_aside: false,
        identity,
        endpoint,
        stage,
        device_rates,
        player_events: player_sender,
        output_lost: None,
        port,
        jam: None,
        account,
        coordinator: None,
        coordinator_state: api::Coordinator::Unset,
        courier: None,
        courier_started: clock.now(),
        courier_pause: Duration::ZERO,
        messages_stopped: None,
        ledger,
        keeper: Keeper::new(paths.jam()),
        index,
        volume: api::Percent::FULL,
        warnings,
        account_unknown: None,
        calendar_wrong: None,
        run: rand::random(),
        events: handle.events(),
        completions,
        link_events: link_sender,
        farewells: JoinSet::new(),
        stopping: false,
    };
    let sources = Sources { calls, peer_events, player_events, completed, link_events };
    Ok((engine, sources, handle))
}

/// Frames of peers that may wait for the loop, in number; a full inbox slows their streams and drops probes.
const PEER_EVENTS_WAITING: usize = 256;

/// Events of the coordinator that may wait for the loop, in number; a full inbox slows its stream, and nothing is lost.
const LINK_EVENTS_WAITING: usize = 64;
