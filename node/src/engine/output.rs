//! The output of this node: opened at the start, and again by itself after it went away.
//!
//! A card that is unplugged, or a sound server that ends, takes the music from this listener alone. The Jam goes on, the friend
//! is told that this side is silent, and when the output is there again the sound enters where the Jam is by then.

use std::time::Duration;

use jamsync_protocol::{
    media::SampleRate,
    servo::ServoConfig,
    time::{Ppm, Span},
};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{Apply, Engine, device_rates::DeviceRates};
use crate::{
    api::{ApiError, ErrorCode, Reply},
    audio::{
        AudioError,
        player::{Player, PlayerConfig, PlayerEvent},
        sink::{Card, DacConfig, Null, Sink, VirtualDac, WavFile},
    },
    clock::NodeClock,
    config::{Settings, SinkKind},
};

/// Where players tell the loop what happens.
pub(super) type PlayerEvents = mpsc::UnboundedSender<PlayerEvent>;

impl Engine {
    /// The output went away. A card is let go of and looked for until it is back; what else there is stays as it is.
    pub(super) fn lose_output(&mut self, reason: &str) {
        if self.settings.sink != SinkKind::Cpal {
            self.warn(format!(
                "the output failed: {reason}; it stays silent until the daemon starts again: `jamsync stop`"
            ));
            return;
        }
        let lost = format!(
            "the audio device is gone: {reason}; your sound comes back by itself when it is there again, and `jamsync devices` \
             lists what is there now"
        );
        self.warn(lost.clone());
        self.output_lost = Some(lost);
        // Whoever opens the device next must find it free.
        let held = self.stage.release_output();
        let (settings, rates) = (self.settings.clone(), self.device_rates.clone());
        let (clock, events) = (self.stage.clock(), self.player_events.clone());
        self.beside(None, async move {
            // A device that failed may take a moment to stop; a panic of it would have been told.
            let _ = spawn_blocking(move || drop(held)).await;
            let player = find_again(settings, rates, clock, events).await;
            let apply: Apply = Box::new(move |engine: &mut Self| {
                engine.take_output(player);
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn take_output(&mut self, player: Player) {
        let silent = self.stage.replace_player(player);
        // Its thread may be at work for a moment longer.
        drop(spawn_blocking(move || drop(silent)));
        self.apply_volume();
        self.device_rates.begin(self.stage.now());
        self.output_lost = None;
        self.warn("the audio device is back");
    }
}

/// Opens the output. A sound card may refuse once when several programs start together, so it is asked again.
pub(super) async fn open(
    settings: &Settings,
    rates: &DeviceRates,
    clock: NodeClock,
    events: &PlayerEvents,
) -> Result<Player, ApiError> {
    let mut attempt = 0;
    loop {
        match start_player(settings, rates, clock, events) {
            Ok(player) => return Ok(player),
            Err(AudioError::Device { .. }) if attempt < 2 => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Err(error) => return Err(ApiError::new(ErrorCode::NoAudioDevice, error.to_string(), "")),
        }
    }
}

/// Tries to open an output that went away until it is there.
async fn find_again(
    settings: Settings,
    rates: DeviceRates,
    clock: NodeClock,
    events: PlayerEvents,
) -> Player {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (settings, rates, events) = (settings.clone(), rates.clone(), events.clone());
        // A sound system that is going down may hold whoever asks it.
        match spawn_blocking(move || start_player(&settings, &rates, clock, &events)).await {
            Ok(Ok(player)) => return player,
            Ok(Err(error)) => tracing::debug!(%error, "the audio device is not back yet"),
            Err(error) => tracing::error!(%error, "looking for the audio device failed"),
        }
    }
}

fn start_player(
    settings: &Settings,
    rates: &DeviceRates,
    clock: NodeClock,
    events: &PlayerEvents,
) -> Result<Player, AudioError> {
    let sink = sink(settings)?;
    let remembered = rates.of(settings, sink.rate());
    let events = events.clone();
    Player::start(player_config(settings, sink, clock, remembered), move |event| {
        // An engine that is gone needs no events.
        let _ = events.send(event);
    })
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

/// How often an output that went away is looked for. Milliseconds, 100 to 10,000, default 1,000: more often keeps a sound system
/// busy that is starting, less often leaves the listener in silence.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
