//! The controller: an error in, a change of speed or a re-anchor out.

use crate::time::{NodeTime, Ppm, Span};

/// The controller of one output. It never measures: errors are passed in, rates are handed out.
///
/// Call [`step`](Self::step) every 100 ms while music plays, and [`handle_start`](Self::handle_start) whenever
/// sound begins at a new place. Steps at other intervals are accounted for by their distance.
#[derive(Debug, Clone)]
pub struct Servo {
    config: ServoConfig,
    /// The learnt part of the correction, in ppm.
    integral: f64,
    rate: Ppm,
    spread: Span,
    started: Option<NodeTime>,
    stepped: Option<NodeTime>,
    reanchored: Option<NodeTime>,
    /// Consecutive steps whose error calls for a re-anchor.
    strikes: u8,
}

/// The controller's tunables. The defaults are those that `docs/servo.md` measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServoConfig {
    /// Proportional gain: share of the error made good per second. 1/s, 0.02 to 1, default 0.2. Lower leaves
    /// errors standing, higher makes the noise of the clock audible as flutter.
    pub kp: f64,
    /// Integral gain. 1/s², 0 to `kp²/4` (critical damping), default 0.005. Zero leaves an error of 1/`kp` µs for
    /// each ppm that the feed-forward is off; above the range the loop swings.
    pub ki: f64,
    /// How many times faster the loop is within `fast` after a start: multiplies `kp`, its square multiplies `ki`.
    /// Factor, 1 to 10, default 4. 1 lets a start error stand for 20 s; higher makes the start flutter.
    pub fast_factor: f64,
    /// How long after a start the loop is fast. Default 15 s, 0 to 60 s; shorter leaves start errors to the slow
    /// gains, longer lets clock noise through for as long.
    pub fast: Span,
    /// The furthest the correction goes from the feed-forward, either way. ppm, 50 to 1,000, default 300, which is
    /// half a cent. Lower makes errors last, higher is heard as a bend in pitch.
    pub limit: Ppm,
    /// The furthest a feed-forward is believed, either way. ppm, 200 to 5,000, default 1,000. Lower shuts out poor
    /// but real crystals, higher lets a broken estimate change the pitch.
    pub feed_forward_limit: Ppm,
    /// Error that is jumped over, not slewed, if two steps in a row show it. Default 3 ms, 1 to 50 ms; lower
    /// re-anchors for noise, higher leaves listeners apart for minutes (300 ppm make good 3 ms in 10 s).
    pub reanchor: Span,
    /// The same within `fresh` of a start, when a jump disturbs least. Default 0.5 ms, 0.1 to 3 ms.
    pub reanchor_fresh: Span,
    /// How long after a start `reanchor_fresh` holds. Default 10 s, 0 to 60 s; the clock settles within it.
    pub fresh: Span,
    /// Least distance of two re-anchors. Default 5 s, 1 to 60 s; shorter stutters while an estimate settles, longer
    /// leaves a second jump uncorrected.
    pub cool_down: Span,
    /// The same where a start came since the last one: another sound, or a device that has moved again. Default 1 s, 0.2 to
    /// 5 s; shorter stutters over a device that reports this and that by turns, longer leaves a second stop uncorrected.
    pub cool_down_fresh: Span,
}

/// What the caller's playback does next.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub enum Action {
    /// Use up the source this much faster than declared (slower where negative); holds until the next step.
    Rate(Ppm),
    /// Cut over to the position that is due, with a cross-fade; [`Servo::rate`] still holds.
    Reanchor,
}

/// The rate at which a device fast by `dac` stays on a Jam clock that gains `jam_drift` on node time.
#[must_use]
pub fn feed_forward(dac: Ppm, jam_drift: Ppm) -> Ppm {
    Ppm::from_factor(jam_drift.as_factor() / dac.as_factor())
}

impl Servo {
    /// A controller at rest.
    #[must_use]
    pub fn new(config: ServoConfig) -> Self {
        Self {
            config,
            integral: 0.0,
            rate: Ppm::ZERO,
            spread: Span::ZERO,
            started: None,
            stepped: None,
            reanchored: None,
            strikes: 0,
        }
    }

    /// Sound begins at a new place, or the clock was reset: start, rejoin, seek, skip, a restarted line.
    pub fn handle_start(&mut self, now: NodeTime) {
        self.started = Some(now);
        self.stepped = None;
        self.strikes = 0;
    }

    /// The line's [`spread`](super::AudibleLine::spread): errors within three of it never cause a re-anchor.
    pub fn handle_spread(&mut self, spread: Span) {
        self.spread = spread.abs();
    }

    /// One step. `error` is when the next frame to be written will be audible minus when it should be (late is
    /// positive), `feed_forward` the rate expected to hold it still, from [`feed_forward`](fn@feed_forward).
    pub fn step(&mut self, now: NodeTime, error: Span, feed_forward: Ppm) -> Action {
        let elapsed = self.stepped.map_or(STEP_FIRST, |before| now.since(before)).min(STEP_MAX);
        self.stepped = Some(now);
        if self.calls_for_reanchor(now, error) {
            self.reanchored = Some(now);
            self.strikes = 0;
            return Action::Reanchor;
        }
        let gain = if self.is_within(now, self.config.fast) { self.config.fast_factor } else { 1.0 };
        let limit = self.config.limit.0.abs();
        let error_us = error.as_secs_f64() * 1e6;
        let proportional = self.config.kp * gain * error_us;
        let learnt = self.integral + self.config.ki * gain * gain * error_us * elapsed.as_secs_f64();
        // At the limit the integral may only move back towards it, or it would wind up and overshoot.
        if libm::fabs(proportional + learnt) <= limit || learnt * error_us < 0.0 {
            self.integral = Ppm(learnt).clamped(self.config.limit).0;
        }
        let correction = Ppm(proportional + self.integral).clamped(self.config.limit);
        self.rate = feed_forward.clamped(self.config.feed_forward_limit) + correction;
        Action::Rate(self.rate)
    }

    /// The rate in force.
    #[must_use]
    pub fn rate(&self) -> Ppm {
        self.rate
    }

    /// Counts the steps in a row that a slew cannot serve, and tells when there are enough of them.
    fn calls_for_reanchor(&mut self, now: NodeTime, error: Span) -> bool {
        let threshold = if self.is_within(now, self.config.fresh) {
            self.config.reanchor_fresh
        } else {
            self.config.reanchor
        };
        let doubt = Span::from_nanos(self.spread.as_nanos().saturating_mul(SPREADS));
        let cool_down =
            if self.started > self.reanchored { self.config.cool_down_fresh } else { self.config.cool_down };
        let cooling = self.reanchored.is_some_and(|at| now.since(at) < cool_down);
        if cooling || error.abs() <= threshold.max(doubt) {
            self.strikes = 0;
            return false;
        }
        self.strikes = self.strikes.saturating_add(1);
        self.strikes >= STRIKES
    }

    fn is_within(&self, now: NodeTime, span: Span) -> bool {
        self.started.is_some_and(|at| now.since(at) < span)
    }
}

impl Default for ServoConfig {
    fn default() -> Self {
        Self {
            kp: 0.2,
            ki: 0.005,
            fast_factor: 4.0,
            fast: Span::from_secs(15),
            limit: Ppm(300.0),
            feed_forward_limit: Ppm(1_000.0),
            reanchor: Span::from_millis(3),
            reanchor_fresh: Span::from_micros(500),
            fresh: Span::from_secs(10),
            cool_down: Span::from_secs(5),
            cool_down_fresh: Span::from_secs(1),
        }
    }
}

/// Longest distance of two steps that the integral believes; a longer one is a pause, not a measurement.
const STEP_MAX: Span = Span::from_secs(1);
/// Distance assumed before the first step.
const STEP_FIRST: Span = Span::from_millis(100);
/// Steps in a row that must call for a re-anchor: one may be a line that has just begun to follow a shift.
const STRIKES: u8 = 2;
/// An error below this many spreads of the line may be no error at all, so it never causes a re-anchor.
const SPREADS: i64 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Span = Span::from_millis(100);

    #[test]
    fn a_late_sound_is_sped_up_and_an_early_one_slowed_down() {
        let rate = |error| match Servo::new(ServoConfig::default()).step(NodeTime::ZERO, error, Ppm::ZERO) {
            Action::Rate(rate) => rate.0,
            Action::Reanchor => panic!("small errors are slewed"),
        };
        assert!(rate(Span::from_micros(10)) > 0.0);
        assert!(rate(Span::from_micros(-10)) < 0.0);
    }

    #[test]
    fn a_large_error_is_jumped_over_only_when_confirmed_and_not_again_at_once() {
        let mut servo = Servo::new(ServoConfig::default());
        let mut now = NodeTime::ZERO;
        let mut at = |servo: &mut Servo, millis| {
            now += TICK;
            servo.step(now, Span::from_millis(millis), Ppm::ZERO) == Action::Reanchor
        };
        assert!(!at(&mut servo, 4));
        assert!(!at(&mut servo, 0), "one step may err");
        assert!(!at(&mut servo, 4));
        assert!(at(&mut servo, 4));
        for _ in 0..49 {
            assert!(!at(&mut servo, 4), "cooling down");
        }
    }

    #[test]
    fn the_correction_is_limited_and_the_feed_forward_comes_on_top() {
        let mut servo = Servo::new(ServoConfig { reanchor: Span::MAX, ..ServoConfig::default() });
        for tick in 1..1_000 {
            let now = NodeTime::ZERO + Span::from_millis(100 * tick);
            let action = servo.step(now, Span::from_secs(3_600), Ppm(-200.0));
            assert_eq!(action, Action::Rate(Ppm(100.0)));
        }
    }

    proptest! {
        #[test]
        fn no_input_drives_the_rate_beyond_its_limits(
            steps in proptest::collection::vec((any::<i64>(), any::<i64>(), any::<f64>(), any::<u8>()), 0..300),
        ) {
            let config = ServoConfig::default();
            let mut servo = Servo::new(config);
            for (at, error, feed_forward, what) in steps {
                let now = NodeTime::from_nanos(at);
                match what {
                    0..20 => servo.handle_start(now),
                    20..40 => servo.handle_spread(Span::from_nanos(error)),
                    _ => {}
                }
                // One error in two is small, so that it is slewed.
                let error = Span::from_nanos(if what % 2 == 0 { error } else { error % 500_000 });
                let forward = Ppm(feed_forward).clamped(config.feed_forward_limit);
                if let Action::Rate(rate) = servo.step(now, error, Ppm(feed_forward)) {
                    prop_assert!((rate - forward).0.abs() <= config.limit.0 + 1e-6, "{rate:?}");
                }
                prop_assert!(servo.rate().0.is_finite());
            }
        }
    }
}
