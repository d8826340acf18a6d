//! A simulated sound card, clock estimate and player, for the tests of line and servo in closed loop.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "simulated counts are small and not negative"
)]

use alloc::{collections::VecDeque, vec::Vec};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Action, AudibleLine, LineEvent, Servo, ServoConfig, feed_forward};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

/// What is simulated. Times are seconds, rates ppm, errors microseconds.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    pub(super) seconds: f64,
    pub(super) dac_ppm: f64,
    pub(super) remembered: Option<Ppm>,
    pub(super) jam_ppm: f64,
    /// Peak of a sine of 15 min on the device's rate.
    pub(super) wander_ppm: f64,
    pub(super) period: u64,
    /// Mean of the exponential lateness.
    pub(super) late_us: f64,
    /// Standard deviation of a normal error of each stamp, both ways.
    pub(super) stamp_noise_us: f64,
    pub(super) spikes: bool,
    /// Mean distance of stalls of up to 300 ms; none if zero.
    pub(super) stall_every: f64,
    /// Step of the reported times; none if zero.
    pub(super) coarse_ms: f64,
    /// The step is one of node time, in place of the device's own.
    pub(super) coarse_node: bool,
    pub(super) nonsense: usize,
    /// Hidden underruns: when, and by how much everything after is later.
    pub(super) shifts: Vec<(f64, f64)>,
    /// Reports of a sound server that are suddenly wrong and come back: when, by how much, over how long.
    pub(super) misreports: Vec<(f64, f64, f64)>,
    /// How long the device plays silence before music starts.
    pub(super) warm: f64,
    pub(super) buffer: f64,
    /// Peak of the slow error of the clock's offset (sines of 7 to 60 s).
    pub(super) clock_us: f64,
    /// Ignores the line's rate and the clock's drift.
    pub(super) without_feed_forward: bool,
    /// Takes stamps as they are, in place of the line.
    pub(super) without_line: bool,
    pub(super) config: ServoConfig,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// For each period that was heard: node seconds since the start of music, late by (µs) against the clock that
    /// the servo was given.
    pub(super) heard: Vec<(f64, f64)>,
    /// The furthest the rate went from the feed-forward, ppm.
    pub(super) correction_max: f64,
    pub(super) reanchors: Vec<f64>,
    pub(super) restarts: Vec<f64>,
    pub(super) coarse: bool,
    /// Stamps since a second after the opening, and those after which the line was off by more than its spread.
    pub(super) judged: u32,
    pub(super) beyond_spread: u32,
    /// The line's rate minus the device's, at the end.
    pub(super) dac_error_ppm: f64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            seed: 1,
            seconds: 300.0,
            dac_ppm: 0.0,
            remembered: None,
            jam_ppm: 0.0,
            wander_ppm: 5.0,
            period: 480,
            late_us: 100.0,
            stamp_noise_us: 0.0,
            spikes: true,
            stall_every: 0.0,
            coarse_ms: 0.0,
            coarse_node: false,
            nonsense: 0,
            shifts: Vec::new(),
            misreports: Vec::new(),
            warm: 0.3,
            buffer: 0.2,
            clock_us: 0.0,
            without_feed_forward: false,
            without_line: false,
            config: ServoConfig::default(),
        }
    }
}

/// Node time is this much past its origin when a scene begins: a thousand hours.
const EPOCH_NS: i64 = 3_600_000_000_000_000;
const RATE: f64 = 48_000.0;
const LEAD: f64 = 0.02;

fn node(seconds: f64) -> NodeTime {
    NodeTime::from_nanos(EPOCH_NS) + Span::from_secs_f64(seconds)
}

fn seconds(at: NodeTime) -> f64 {
    (at - NodeTime::from_nanos(EPOCH_NS)).as_secs_f64()
}

/// The device: frame counts to true times, and the stamps it reports.
struct Card {
    rng: ChaCha8Rng,
    scene: Scene,
    frame: u64,
    /// True node time at which `frame` is audible.
    at: f64,
    stalled_until: f64,
    shift: usize,
    stamps: usize,
}

impl Card {
    fn new(scene: &Scene) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(scene.seed),
            scene: scene.clone(),
            frame: 0,
            at: LEAD,
            stalled_until: 0.0,
            shift: 0,
            stamps: 0,
        }
    }

    fn rate_at(&self, at: f64) -> f64 {
        let wander = self.scene.wander_ppm * libm::sin(at * core::f64::consts::TAU / 900.0);
        RATE * (1.0 + (self.scene.dac_ppm + wander) * 1e-6)
    }

    /// The next period: its first frame, when that is truly audible, when the callback runs, what is reported.
    fn period(&mut self) -> (u64, f64, f64, f64) {
        let (frame, at) = (self.frame, self.at);
        self.frame += self.scene.period;
        self.at += self.scene.period as f64 / self.rate_at(at);
        if let Some((when, by)) = self.scene.shifts.get(self.shift).copied()
            && self.at > when
        {
            self.at += by;
            self.shift += 1;
        }
        let mut late = -self.scene.late_us * 1e-6 * libm::log(1.0 - self.rng.random::<f64>());
        if self.scene.spikes && self.rng.random_bool(0.01) {
            late += self.rng.random_range(0.001..0.005);
        }
        let due = at - LEAD;
        if self.scene.stall_every > 0.0 {
            let chance = self.scene.period as f64 / RATE / self.scene.stall_every;
            if self.rng.random_bool(chance.min(1.0)) {
                self.stalled_until = due + self.rng.random_range(0.01..0.3);
            }
        }
        let entered = (due + late).max(self.stalled_until);
        let normal: f64 = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
        let mut stamp = entered + LEAD + normal * self.scene.stamp_noise_us * 1e-6;
        if self.scene.coarse_ms > 0.0 {
            let step = self.scene.coarse_ms * 1e-3;
            if self.scene.coarse_node {
                stamp = libm::round(stamp / step) * step;
            } else {
                // The hardware's pointer moves in steps of its own, so the reported delay is off by up to half one.
                let steps = frame as f64 / RATE / step;
                stamp += (steps - libm::round(steps)) * step;
            }
        }
        for &(when, by, over) in &self.scene.misreports {
            let share = (at - when) / over;
            if (0.0..1.0).contains(&share) {
                stamp += by * (1.0 - share);
            }
        }
        if self.stamps < self.scene.nonsense {
            stamp = self.rng.random_range(-4_000_000.0..4_000_000.0);
        }
        self.stamps += 1;
        (frame, at, entered, stamp)
    }
}

/// The clock estimate's error at a node time, in seconds.
fn clock_error(scene: &Scene, at: f64) -> f64 {
    let phase = scene.seed as f64;
    let sines = libm::sin(at / 60.0 * core::f64::consts::TAU + phase)
        + 0.5 * libm::sin(at / 19.0 * core::f64::consts::TAU + 2.0 * phase)
        + 0.3 * libm::sin(at / 7.0 * core::f64::consts::TAU + 3.0 * phase);
    scene.clock_us * 1e-6 * sines / 1.8
}

/// Jam seconds (equal to source seconds) at a node time, as the clock estimates them.
fn jam_at(scene: &Scene, at: f64) -> f64 {
    at * (1.0 + scene.jam_ppm * 1e-6) + clock_error(scene, at)
}

impl Outcome {
    /// Compares what the line says of a frame with when it is truly audible.
    fn judge(&mut self, line: &AudibleLine, frame: u64, audible: f64) {
        let said = seconds(line.audible_at(Frames(frame)).expect("a stamp was given"));
        if audible > 1.0 {
            self.judged += 1;
            self.beyond_spread += u32::from(libm::fabs(said - audible) > line.spread().as_secs_f64());
        }
    }

    /// The source at `content` seconds is heard at `audible`.
    fn hear(&mut self, scene: &Scene, begun: f64, audible: f64, content: f64) {
        let late = jam_at(scene, audible) - content;
        self.heard.push((audible - begun, late * 1e6));
    }
}

/// When `next` will be audible, by the line or by the stamp of `frame` alone.
fn foretell(scene: &Scene, line: &AudibleLine, frame: u64, stamp: f64, next: u64) -> f64 {
    if scene.without_line {
        stamp + (next - frame) as f64 / RATE
    } else {
        seconds(line.audible_at(Frames(next)).expect("a stamp was given"))
    }
}

/// Plays a scene.
pub(super) fn play(scene: &Scene) -> Outcome {
    let mut card = Card::new(scene);
    let mut line = AudibleLine::new(SampleRate::HZ_48000, scene.remembered);
    let mut servo = Servo::new(scene.config);
    let mut out = Outcome::default();
    // Blocks written and not yet heard: first device frame, source seconds there.
    let mut written: VecDeque<(u64, f64)> = VecDeque::new();
    let ahead = (scene.buffer * RATE) as u64 / scene.period * scene.period + scene.period;
    let (mut source, mut rate, mut started, mut stepped) = (0.0, Ppm::ZERO, None::<f64>, 0.0);
    loop {
        let (frame, audible, now, stamp) = card.period();
        if now > scene.seconds {
            break;
        }
        if let Some(begun) = started
            && let Some((_, content)) = written.pop_front_if(|(first, _)| *first == frame)
        {
            out.hear(scene, begun, audible, content);
        }
        if line.handle_stamp(Frames(frame), node(stamp)) == LineEvent::Restarted {
            out.restarts.push(now);
            if started.is_some() {
                servo.handle_start(node(now));
            }
        }
        out.judge(&line, frame, audible);
        let next = frame + ahead;
        let foretold = foretell(scene, &line, frame, stamp, next);
        if started.is_none() && now >= scene.warm {
            started = Some(foretold);
            source = jam_at(scene, foretold);
            servo.handle_start(node(now));
            stepped = now - 0.1;
        }
        let Some(_) = started else { continue };
        if now - stepped >= 0.0999 {
            stepped = now;
            let error = Span::from_secs_f64(jam_at(scene, foretold) - source);
            let forward = if scene.without_feed_forward {
                Ppm::ZERO
            } else {
                feed_forward(line.dac(), Ppm(scene.jam_ppm))
            };
            if !scene.without_line {
                servo.handle_spread(line.spread());
            }
            match servo.step(node(now), error, forward) {
                Action::Rate(next_rate) => {
                    rate = next_rate;
                    let correction = libm::fabs((rate - forward).0);
                    out.correction_max = out.correction_max.max(correction);
                }
                Action::Reanchor => {
                    source = jam_at(scene, foretold);
                    out.reanchors.push(now);
                }
            }
        }
        written.push_back((next, source));
        source += scene.period as f64 / RATE * rate.as_factor();
    }
    out.coarse = line.is_coarse();
    out.dac_error_ppm = line.dac().0 - (card.rate_at(card.at) / RATE - 1.0) * 1e6;
    out
}

/// The absolute errors heard between `from` and `until` seconds after the start of music, sorted.
pub(super) fn sizes(heard: &[(f64, f64)], from: f64, until: f64) -> Vec<f64> {
    let mut errors: Vec<f64> = heard
        .iter()
        .filter(|(at, _)| (from..until).contains(at))
        .map(|(_, error)| libm::fabs(*error))
        .collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// The `q`-quantile of sorted values; NaN without a value, so that no limit holds.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let index = libm::ceil(q * sorted.len() as f64) as usize;
    sorted.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
