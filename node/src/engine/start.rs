//! Bringing a node up: identity, socket, player, account, and the loop.

use std::{sync::Arc, time::Duration};

use jamsync_protocol::{
    media::SampleRate,
    servo::ServoConfig,
    time::{Ppm, Span},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Engine, account::Account, device_rates::DeviceRates, keep::Keeper, ledger::Ledger, run::Sources,
    stage::Stage, utc_now,
};
use crate::{
    api::{self, ApiError, EngineHandle, ErrorCode},
    audio::{
        AudioError,
        player::{Player, PlayerConfig, PlayerEvent},
        sink::{Card, DacConfig, Null, Sink, VirtualDac, WavFile},
    },
    clock::NodeClock,
    config::{Boot, Settings, SinkKind},
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
    let kept = JamState::load(&paths.jam());
    let earlier_port = kept.as_ref().ok().and_then(Option::as_ref).map_or(0, |state| state.port);
    let (endpoint, raw) = socket::endpoint_again(settings.listen, earlier_port)
        .map_err(|error| ApiError::new(ErrorCode::NoPort, error.to_string(), ""))?;
    let (peer_sender, peer_events) = mpsc::channel(PEER_EVENTS_WAITING);
    let port = PeerPort::open(endpoint.clone(), raw, Arc::clone(&identity), clock, peer_sender)
        .map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))?;
    let (player_sender, player_events) = mpsc::unbounded_channel();
    let device_rates = DeviceRates::load(paths.device_rates(), clock.now(), &mut warnings);
    let player = open_player(&settings, &device_rates, clock, player_sender).await?;
    let (handle, calls) = EngineHandle::channel();
    let (completions, completed) = mpsc::unbounded_channel();
    let (link_sender, link_events) = mpsc::channel(LINK_EVENTS_WAITING);
    let index = Arc::new(Index::open(&paths.library_index()));
    let stage = Stage::new(clock, player, settings.sabotage.zero_offset);
    let ledger = Ledger::load(&paths.agreements(), utc_now(), &mut warnings);
    let mut engine = Engine {
        settings,
        account_file,
        identity,
        endpoint,
        stage,
        device_rates,
        port,
        jam: None,
        account,
        coordinator: None,
        coordinator_state: api::Coordinator::Unset,
        ledger,
        keeper: Keeper::new(paths.jam()),
        index,
        volume: api::Percent::FULL,
        warnings,
        run: rand::random(),
        events: handle.events(),
        completions,
        link_events: link_sender,
        farewells: JoinSet::new(),
        stopping: false,
    };
    engine.connect_coordinator();
    engine.rejoin(kept);
    let sources = Sources { calls, peer_events, player_events, completed, link_events };
    let task = tokio::spawn(engine.run(sources));
    Ok(api::Engine { handle, task })
}

/// Opens the output. A sound card may refuse once when several programs start together, so it is asked again.
async fn open_player(
    settings: &Settings,
    rates: &DeviceRates,
    clock: NodeClock,
    events: mpsc::UnboundedSender<PlayerEvent>,
) -> Result<Player, ApiError> {
    let mut attempt = 0;
    loop {
        let events = events.clone();
        let tell = move |event| {
            // An engine that is gone needs no events.
            let _ = events.send(event);
        };
        let started = sink(settings).and_then(|sink| {
            let remembered = rates.of(settings, sink.rate());
            Player::start(player_config(settings, sink, clock, remembered), tell)
        });
        match started {
            Ok(player) => return Ok(player),
            Err(AudioError::Device { .. }) if attempt < 2 => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Err(error) => return Err(ApiError::new(ErrorCode::NoAudioDevice, error.to_string(), "")),
        }
    }
}

fn player_config(
    settings: &Settings,
    sink: Box<dyn Sink>,
    clock: NodeClock,
    remembered: Option<Ppm>,
) -> PlayerConfig {
    let mut servo = ServoConfig::default();
    if settings.sabotage.hold_rate {
        (servo.limit, servo.feed_forward_limit) = (Ppm::ZERO, Ppm::ZERO);
        (servo.reanchor, servo.reanchor_fresh) = (Span::MAX, Span::MAX);
    }
    PlayerConfig { sink, clock, remembered, servo }
}

fn sink(settings: &Settings) -> Result<Box<dyn Sink>, AudioError> {
    let record = settings.record.clone();
    Ok(match settings.sink {
        SinkKind::Cpal => Box::new(Card::open(settings.device.as_deref())?),
        SinkKind::Virtual => Box::new(VirtualDac::new(DacConfig {
            error: settings.dac_rate,
            latency: settings.dac_latency,
            seed: rand::random(),
            record,
            ..DacConfig::default()
        })?),
        SinkKind::Wav => {
            let path = record.unwrap_or_else(|| "jamsync".into()).with_extension("wav");
            Box::new(WavFile::create(&path, SampleRate::HZ_48000)?)
        }
        SinkKind::Null => Box::new(Null::new(SampleRate::HZ_48000)),
    })
}

/// Frames of peers that may wait for the loop, in number; a full inbox slows their streams and drops probes.
const PEER_EVENTS_WAITING: usize = 256;

/// Events of the coordinator that may wait for the loop, in number; a full inbox slows its stream, and nothing is lost.
const LINK_EVENTS_WAITING: usize = 64;
