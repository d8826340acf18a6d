//! Two clocks, a link between them, and the truth: seeded, in virtual time.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    clock::{Clock, ClockConfig, ClockError, Estimate, Probe},
    time::{NodeTime, Span},
};

/// One direction of a link. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) base: f64,
    pub(super) jitter: Jitter,
    /// Chance, least and greatest of an additional delay.
    pub(super) spike: (f64, f64, f64),
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    /// Whether a packet may overtake another.
    pub(super) reorder: bool,
    /// A queue that fills within a second, stands, and drains within one: period, first second in it, length, height.
    pub(super) bloat: Option<(f64, f64, f64, f64)>,
    /// Nothing arrives between these seconds.
    pub(super) outage: Option<(f64, f64)>,
    /// From this second on the base is this.
    pub(super) reroute: Option<(f64, f64)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Jitter {
    Exponential(f64),
    Normal(f64),
}

/// A run of two nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) there: Way,
    pub(super) back: Way,
    /// Rate errors of both clocks, and the wander of the second per root of a second.
    pub(super) ppm: (f64, f64),
    pub(super) wander: f64,
    pub(super) hours_apart: i64,
    pub(super) seconds: f64,
    pub(super) config: ClockConfig,
}

/// What the world saw of one node's estimate at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    pub(super) second: f64,
    /// The estimate's offset less the true one.
    pub(super) raw: Span,
    /// The same less half the asymmetry of the bases.
    pub(super) error: Span,
    pub(super) estimate: Estimate,
}

pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) nodes: [Clock; 2],
    pub(super) refusals: Vec<ClockError>,
    /// Additional nanoseconds of each clock, for suspends and jumps.
    pub(super) leaps: [Span; 2],
    pub(super) sent: u32,
    now: i64,
    origins: [i64; 2],
    phases: [Vec<f64>; 2],
    flying: BTreeMap<(i64, u64), (usize, Probe)>,
    last_arrival: [i64; 2],
    rng: ChaCha8Rng,
}

impl Score {
    /// Whether the truth is where the estimate says it is.
    pub(super) fn is_bounded(&self) -> bool {
        self.raw.abs() <= self.estimate.bound
    }
}

impl Way {
    pub(super) const fn of(base: f64, jitter: Jitter) -> Self {
        Self {
            base,
            jitter,
            spike: (0.0, 0.0, 0.0),
            loss: 0.0,
            duplicate: 0.0,
            reorder: false,
            bloat: None,
            outage: None,
            reroute: None,
        }
    }

    /// The delay without jitter and queues, in milliseconds.
    fn base_at(&self, second: f64) -> f64 {
        self.reroute.filter(|&(from, _)| second >= from).map_or(self.base, |(_, base)| base)
    }

    fn delay(&self, second: f64, rng: &mut ChaCha8Rng) -> Option<f64> {
        let lost = rng.random::<f64>() < self.loss;
        let out = self.outage.is_some_and(|(from, to)| (from..to).contains(&second));
        let jitter = match self.jitter {
            Jitter::Exponential(mean) => -mean * libm::log(1.0 - rng.random::<f64>()),
            Jitter::Normal(deviation) => deviation * normal(rng),
        };
        let (chance, least, most) = self.spike;
        let spike = if rng.random::<f64>() < chance { rng.random_range(least..most) } else { 0.0 };
        let queue = self.bloat.map_or(0.0, |(period, begin, length, height)| {
            let into = second % period - begin;
            height * into.min(length - into).clamp(0.0, 1.0)
        });
        (!lost && !out).then(|| (self.base_at(second) + jitter).max(0.01) + spike + queue)
    }
}

impl Scenario {
    pub(super) fn of(there: Way, back: Way) -> Self {
        Self {
            there,
            back,
            ppm: (30.0, -20.0),
            wander: 0.0,
            hours_apart: 1_000,
            seconds: 600.0,
            config: ClockConfig::default(),
        }
    }

    pub(super) fn symmetric(way: Way) -> Self {
        Self::of(way, way)
    }
}

impl World {
    pub(super) fn new(scenario: Scenario, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let origins = [rng.random_range(0..1_000_000_000), scenario.hours_apart * 3_600_000_000_000];
        let phases = [
            phases(scenario.ppm.0, 0.0, scenario.seconds, &mut rng),
            phases(scenario.ppm.1, scenario.wander, scenario.seconds, &mut rng),
        ];
        let at = |origin: i64| NodeTime::from_nanos(origin);
        let nodes = origins.map(|origin| Clock::new(scenario.config, 1, at(origin)));
        Self {
            scenario,
            nodes,
            refusals: Vec::new(),
            leaps: [Span::ZERO; 2],
            sent: 0,
            now: 0,
            origins,
            phases,
            flying: BTreeMap::new(),
            last_arrival: [0; 2],
            rng,
        }
    }

    pub(super) fn second(&self) -> f64 {
        Span::from_nanos(self.now).as_secs_f64()
    }

    /// What the clock of a node shows now.
    pub(super) fn read(&self, node: usize) -> NodeTime {
        NodeTime::from_nanos(self.origins[node] + self.now)
            + Span::from_nanos(self.phase(node))
            + self.leaps[node]
    }

    /// Runs until `second`.
    pub(super) fn run_until(&mut self, second: f64) {
        let end = Span::from_secs_f64(second).as_nanos();
        loop {
            let arrival = self.flying.keys().next().map_or(i64::MAX, |&(at, _)| at);
            let wakes = [0, 1].map(|node| self.wake(node));
            let next = arrival.min(wakes[0]).min(wakes[1]);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if next == arrival {
                self.deliver();
            } else {
                self.send(usize::from(wakes[1] < wakes[0]));
            }
        }
    }

    /// Runs to the end; scores both nodes every 100 ms.
    pub(super) fn run(&mut self) -> Vec<Score> {
        let mut scores = Vec::new();
        while self.second() < self.scenario.seconds {
            self.run_until(self.second() + 0.1);
            scores.extend([0, 1].into_iter().filter_map(|node| self.score(node)));
        }
        scores
    }

    pub(super) fn score(&self, node: usize) -> Option<Score> {
        let (own, peer) = (self.read(node), self.read(1 - node));
        let estimate = self.nodes[node].estimate(own)?;
        let truth = Span::from_nanos(peer.as_nanos() - own.as_nanos());
        let (there, back) = (&self.scenario.there, &self.scenario.back);
        let half = (there.base_at(self.second()) - back.base_at(self.second())) / 2e3;
        let raw = estimate.offset - truth;
        let error = raw - Span::from_secs_f64(if node == 0 { half } else { -half });
        Some(Score { second: self.second(), raw, error, estimate })
    }

    fn wake(&self, node: usize) -> i64 {
        // The few ppm between the node's clock and the world's shift a wake-up by less than its own lateness.
        let left = self.nodes[node].poll_timeout() - self.read(node);
        self.now.saturating_add(left.as_nanos().max(0))
    }

    fn send(&mut self, node: usize) {
        let now = self.read(node);
        while let Some(probe) = self.nodes[node].poll_probe(now) {
            self.sent += 1;
            let way = if node == 0 { self.scenario.there } else { self.scenario.back };
            let copies = if self.rng.random::<f64>() < way.duplicate { 2 } else { 1 };
            for _ in 0..copies {
                let Some(delay) = way.delay(self.second(), &mut self.rng) else { continue };
                let mut at = self.now + Span::from_secs_f64(delay / 1e3).as_nanos();
                if !way.reorder {
                    at = at.max(self.last_arrival[node]);
                    self.last_arrival[node] = at;
                }
                let id = self.rng.random();
                self.flying.insert((at, id), (1 - node, probe));
            }
        }
    }

    fn deliver(&mut self) {
        let Some(((_, _), (node, probe))) = self.flying.pop_first() else { return };
        let now = self.read(node);
        if let Err(refusal) = self.nodes[node].handle_probe(&probe, now) {
            self.refusals.push(refusal);
        }
    }

    fn phase(&self, node: usize) -> i64 {
        let second = self.now / 1_000_000_000;
        let part = Span::from_nanos(self.now % 1_000_000_000).as_secs_f64();
        let index = usize::try_from(second).expect("time runs forward");
        let (from, to) = (self.phases[node][index], self.phases[node][index + 1]);
        Span::from_secs_f64((from + (to - from) * part) / 1e6).as_nanos()
    }
}

/// What a clock has gained on the world at each second, in microseconds.
fn phases(ppm: f64, wander: f64, seconds: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let (mut rate, mut phase) = (ppm, 0.0);
    let mut all = VecDeque::new();
    while f64::from(u32::try_from(all.len()).expect("a short run")) < seconds + 3.0 {
        all.push_back(phase);
        phase += rate;
        rate += wander * normal(rng);
    }
    all.into()
}

/// Box and Muller's.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - rng.random::<f64>()));
    radius * libm::cos(core::f64::consts::TAU * rng.random::<f64>())
}
